"""The guide's troubleshooting with its present answers: each entry, whether it is so now, the cause, the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import commands, states, text
from ventes.dashboard.as_of import AsOf
from ventes.dashboard.language import tr
from ventes.dashboard.login import gate
from ventes.runtime.pipeline_status import Status, Symptom

EVERY_SECONDS = 5
"""The answers are asked again as often, while they are open."""
NOT_UPDATING = "Charts Not Updating"
"""The entry that the viewer's own choices can be the cause of."""

Explain = Callable[[Settings, Status], Iterable[Symptom]]
"""The answers for a status of the pipeline."""


def show(settings: Settings, latest: Callable[[], Status | None], explain: Explain, as_of: AsOf | None) -> None:
    """`latest`: the pipeline's status, None where it is not known; `as_of`: since when the page is kept as it is."""
    gate.fragment(_answers, run_every=EVERY_SECONDS)(settings, latest, explain, as_of)
    for question, answer, command in commands.troubles(settings):
        st.markdown(f"**{question}** {answer}")
        st.code(command, language="bash", wrap_lines=True)


def _answers(settings: Settings, latest: Callable[[], Status | None], explain: Explain, as_of: AsOf | None) -> None:
    answer = latest()
    if answer is None:
        states.waiting(tr("The pipeline does not answer yet; this is asked again."))
        return
    age = text.duration(datetime.now(timezone.utc).timestamp() - answer.asked_at)
    lines = [line(symptom) for symptom in of_this_page(explain(settings, answer), as_of)]
    st.markdown("\n\n".join([*lines, tr("Checked {age} ago.", age=age)]))


def of_this_page(symptoms: Iterable[Symptom], as_of: AsOf | None) -> list[Symptom]:
    """The answers, and what the page itself knows: charts stand still where the viewer went back in time. Pure."""
    back = tr("this page shows an earlier time, or is paused: it does not follow the tables")
    step = tr("switch Pause off, or press “Back to now” in the sidebar")
    return [
        Symptom(one.name, "warn", back, step) if as_of is not None and one.name == NOT_UPDATING else one
        for one in symptoms
    ]


def line(symptom: Symptom) -> str:
    """One entry as Markdown."""
    name = text.markdown(symptom.name)
    if symptom.level == "ok":
        return f":green[:material/check_circle: **{name}**: {tr('not now.')}] {with_code(symptom.cause)}"
    colour, icon = ("red", "error") if symptom.level == "bad" else ("orange", "warning")
    step = f" {tr('Next step:')} {with_code(symptom.next_step)}" if symptom.next_step else ""
    return f":{colour}[:material/{icon}: **{name}**: {tr('yes, now.')}] {with_code(symptom.cause)}.{step}"


def with_code(sentence: str) -> str:
    """Escaped, but what stands between backquotes shown as a command."""
    pieces = sentence.split("`")
    return "".join(_escaped(piece) if index % 2 == 0 else f"`{piece}`" for index, piece in enumerate(pieces))


def _escaped(piece: str) -> str:
    """With the blanks at its ends, which stand beside a command."""
    before, after = piece[: len(piece) - len(piece.lstrip())], piece[len(piece.rstrip()) :] if piece.strip() else ""
    return f"{' ' if before else ''}{text.markdown(piece, 400)}{' ' if after else ''}"
