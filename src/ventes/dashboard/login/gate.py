"""Who runs the page's script; the pages for those who may not come in.

`admit` is called before anything of the tables is read. A fragment of the page runs again by itself, without `admit`:
so each is made by `fragment`, which looks again whether the person may still come in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import language, page_state, script_run, states, text, translated
from ventes.dashboard.language import tr
from ventes.dashboard.login import failed
from ventes.dashboard.login.people import ANYONE, Person, Refused
from ventes.dashboard.login.running import RunningLogin, at_start
from ventes.errors import VentesError

_PERSON = f"{__name__}.person"
_SINCE = f"{__name__}.since"
_REFUSED = f"{__name__}.refused"
"""Keys of the session's state: who it is, since when the session is, which refusal has been noted."""
THIS_MACHINE = "127.0.0.1"
"""Streamlit names no other address for it."""
_NOBODY = Person("", "viewer", 0.0)


def admit(settings: Settings) -> Person:
    """The person of this session. For somebody who may not come in: shows why, and ends the run of the script."""
    found = _who(settings)
    known = st.session_state.get(_PERSON)
    if isinstance(found, Refused):
        st.session_state.pop(_PERSON, None)
        _explain(found, settings)
        script_run.end()
    st.session_state[_PERSON] = found
    if known is None and settings.page.login.header:
        note("login")  # with a provider its answer is: requests.py
    return found


def person() -> Person:
    """The person whom `admit` let in, in this run."""
    found: Person | None = st.session_state.get(_PERSON)
    return found or (ANYONE if at_start() is None else _NOBODY)


def for_role(settings: Settings, person: Person) -> Settings:
    """The settings as they are for this person: a viewer has no SQL."""
    if person.analyst:
        return settings
    return settings.model_copy(update={"page": settings.page.model_copy(update={"sql": False})})


def account(person: Person) -> None:
    """In the sidebar: who is logged in, and the way out."""
    if not person.name:
        return
    with st.sidebar:
        st.caption(f"{text.markdown(person.name)} · {language.word(person.role)}")
        running = at_start()
        if running is not None and not running.header:
            _log_out()


def fragment(show: Callable[..., None], **options: Any) -> Callable[..., None]:
    """st.fragment; if the person may no longer come in, the whole script runs instead, and says so."""

    @wraps(show)
    def checked(*arguments: Any, **named: Any) -> None:
        if not _unchanged():
            st.rerun()
        show(*arguments, **named)

    made: Callable[..., None] = st.fragment(checked, **options)
    return made


def note(event: str, **what: str) -> None:
    """A line of the audit log, if the page has a login."""
    if (running := at_start()) is not None:
        who = person()
        running.audit.note(event, who.name, st.context.ip_address or THIS_MACHINE, role=who.role, **what)


def _who(settings: Settings) -> Person | Refused:
    running = at_start()
    if running is None:
        return Refused("not set up") if settings.page.login.on else ANYONE
    since = st.session_state.setdefault(_SINCE, time.time())
    return running.judge(settings, st.user.to_dict(), since)


def _unchanged() -> bool:
    if at_start() is None:
        return True
    try:
        return _who(page_state.settings_in_force()) == st.session_state.get(_PERSON)
    except VentesError:
        return False


# -- the pages --------------------------------------------------------------------------------


def _explain(refused: Refused, settings: Settings) -> None:
    running, login = at_start(), settings.page.login
    st.title(translated.page_of(settings.stream).title, anchor=False)
    if running is None or refused.why == "not set up":
        states.wrong(
            tr(
                "The page was not started with the login that ventes.toml asks for. Next step: `.venv/bin/ventes "
                "stop --all`, which also ends a page that was started by hand, then `.venv/bin/ventes start`."
            )
        )
        return
    name = text.markdown(refused.name)
    if refused.why in ("not allowed", "no address"):
        _note(running, refused)
        if refused.why == "no address":
            claim = text.markdown(login.address_claim)
            states.wrong(
                tr(
                    "The login service gave no address for the account **{name}** (claim {claim}): without it nobody "
                    "can tell whether it may see this page.",
                    name=name,
                    claim=claim,
                )
            )
        else:
            states.wrong(tr("**{name}** may not see this page.", name=name))
            if refused.detail:
                st.markdown(tr("The reason: {reason}.", reason=text.markdown(refused.detail)))
        asked = text.markdown(login.contact) if login.contact else tr("the people who run this page")
        st.markdown(
            tr(
                "For access ask {contact}, and name this account. If it is the wrong account, log out first.",
                contact=asked,
            )
        )
        if not running.header:
            _log_out()
        return
    if why := failed.noted(st.context.cookies):
        _explain_failure(why, login.contact)
    if refused.why == "ended":
        _note(running, refused)
        states.note(tr("Your session has ended: it lasts {hours} hours.", hours=f"{login.session_hours:g}"))
    else:
        states.note(tr("You are not logged in."))
    _log_in(running)


def _explain_failure(why: failed.Why, contact: str) -> None:
    if why == "cancelled":
        states.note(tr("The login was cancelled at the login service."))
        return
    if why == "silent":
        sentence = tr("The login service does not answer: nobody can log in now.")
    else:
        sentence = tr("The login did not work: the answer of the login service was not accepted.")
    asked = text.markdown(contact) if contact else tr("the people who run this page")
    states.wrong(f"{sentence} {tr('Try again in a minute. If it stays so, tell {contact}.', contact=asked)}")


def _log_in(running: RunningLogin) -> None:
    if running.header:
        st.markdown(tr("The login is that of the proxy in front of this page. Open the page again, at its address:"))
        st.link_button(tr("Open the page"), running.url, type="primary")
    elif (elsewhere := st.context.url) and "{0.scheme}://{0.netloc}".format(urlsplit(elsewhere)) != running.origin:
        st.markdown(tr("The login works under the address of the page only:"))
        st.link_button(tr("Open the page"), running.url, type="primary")
    else:
        st.button(tr("Log in"), type="primary", icon=":material/login:", on_click=st.login, key="_log_in")


def _log_out() -> None:
    st.button(tr("Log out"), icon=":material/logout:", on_click=st.logout, key="_log_out")


def _note(running: RunningLogin, refused: Refused) -> None:
    """A line of the audit log, once for a session."""
    if st.session_state.get(_REFUSED) != refused:
        st.session_state[_REFUSED] = refused
        running.audit.refused(refused.name, st.context.ip_address or THIS_MACHINE, refused.detail or refused.why)
