"""Help for operators: how to let people log in, how to be told when something is wrong. Steps with lines to copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from ventes.config import Settings
from ventes.dashboard.commands import quoted_path, ventes
from ventes.dashboard.language import tr


@dataclass(frozen=True)
class Step:
    """`say`: what to do, Markdown. `copy`: lines for ventes.toml or the shell, in `language`; "" for none."""

    say: str
    copy: str = ""
    language: str = "bash"


def show(settings: Settings) -> None:
    st.markdown(
        tr(
            "All settings are in {file}, each with a comment. A change counts from the next restart, which loses "
            "nothing: the jobs go on where they were.",
            file=_code(settings.config_file),
        )
    )
    st.code(f"{ventes()} restart", language="bash", wrap_lines=True)
    for title, steps in ((tr("A login"), login(settings)), (tr("An alert"), alert(settings))):
        st.subheader(title)
        for number, step in enumerate(steps, 1):
            st.markdown(f"**{number}.** {step.say}")
            if step.copy:
                st.code(step.copy, language=step.language, wrap_lines=True)


def login(settings: Settings) -> Sequence[Step]:
    """From an account at a login service to a page that only some people see."""
    return [
        Step(
            tr(
                "Register this page at your login service (any with OpenID Connect: Google, Microsoft Entra, Keycloak, "
                "Okta …), with this redirect address. It gives you a client id and a secret. If people open the page "
                "under another address, set `page.url` first: the address here follows it."
            ),
            settings.page.redirect_address,
            "text",
        ),
        Step(
            tr(
                "Fill in these keys of the section `[page.login]`, which is in the file already. Viewers see the page; "
                "analysts may also use SQL and downloads. "
                "Name them by address, by domain, or by a claim as `groups=sales`."
            ),
            '[page.login]\nissuer = "https://accounts.google.com"\nclient_id = "…"\nclient_secret = "…"\n'
            'viewers = ["@example.com"]\nanalysts = ["anna@example.com"]\ncontact = "it@example.com"',
            "toml",
        ),
        Step(tr("The file holds a secret now, so only you may read it."), _only_mine(settings)),
        Step(
            tr("Ask the login service whether it all fits, then restart."),
            f"{ventes()} doctor\n{ventes()} restart",
        ),
        Step(
            tr(
                "Open the page again: it asks you to log in, and shows your role in the sidebar. Who came in or was "
                "refused is in {log}.",
                log=_code(settings.log("audit")),
            )
        ),
        Step(
            tr(
                "If it does not work, the page's log says why. Without a login again: empty these keys, as they were, "
                "and restart."
            ),
            f"tail -50 {quoted_path(settings.log('page'))}",
        ),
    ]


def alert(settings: Settings) -> Iterator[Step]:
    """From nothing to a message when no event comes in."""
    yield Step(
        tr(
            "Say where messages go, at the end of the file. A channel is a URL of Apprise: mail, Slack, Teams, your "
            "own webhook, and many more. These are examples: keep what you need, and name it where `ops` stands below."
        ),
        "[alert_channels]\n"
        'ops = "mailtos://user:password@smtp.example.com?from=ventes@example.com&to=ops@example.com"\n'
        'chat = "slack://TokenA/TokenB/TokenC/#sales"\n'
        'hook = "json://192.168.1.7:8080/path"   # a POST of JSON to http://192.168.1.7:8080/path; jsons:// for https',
        "toml",
    )
    yield Step(tr("A URL is a secret, so only you may read the file. Then send a test message."), (
        f"{_only_mine(settings)}\n{ventes()} alerts test ops"
    ))  # fmt: skip
    yield Step(
        tr(
            "Say what to be told about, after the channels. This one: no {one} for 5 minutes. What else can be "
            "measured stands beside the examples in the file; a SELECT of your own can be a condition too.",
            one=settings.stream.shown.one,
        ),
        '[[alerts]]\nname = "no-events"\nmeasure = "seconds_since_last_event"\nabove = 300\nseverity = "critical"\n'
        'channels = ["ops"]',
        "toml",
    )
    yield Step(
        tr(
            "Start it. What is declared, what fires and what was sent is in the Alerts tab of this page, and in "
            "`alerts list`."
        ),
        f"{ventes()} start\n{ventes()} alerts test no-events\n{ventes()} alerts list",
    )
    yield Step(
        tr("Silence it for a while, for example during maintenance."),
        f'{ventes()} alerts silence no-events --for "2 h"',
    )


def _code(path: Path) -> str:
    return f"`{str(path).replace('`', '')}`"


def _only_mine(settings: Settings) -> str:
    return f"chmod 600 {quoted_path(settings.config_file)}"
