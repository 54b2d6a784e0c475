"""Rejected messages: all messages counted, the reasons why some are no events, and the messages themselves."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from ventes.dashboard import address, charts, explained, figures, file_cache, help_text, language, states, text
from ventes.dashboard.figures import Reconciliation, rows_of
from ventes.dashboard.language import marked, tr
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View
from ventes.stream.reasons import sentence

LABEL = "Rejected Messages"
SHOWN = 100
EVERY = marked("every reason")


def render(view: View) -> None:
    contract = view.contract
    read = (contract.bronze.name, contract.clean.name, contract.rejets.name)
    book, reasons, over_time = view.shared("rejects", read, lambda: _all(view))
    st.subheader(tr("Every message is accounted for"))
    view.say_unfiltered(tr("every message is counted"))
    _reconciled(view, book)
    if not reasons:
        states.good(tr("No message was rejected."))
        return
    help_text.heading(
        view,
        tr("Reasons over time"),
        "reasons",
        tr(
            "Rejected messages by the time of their arrival in Kafka; one with several reasons counts under each "
            "of them."
        ),
        (contract.rejets.name,),
        explained.rejected(contract.rejets.name),
    )
    zone = text.plotly(view.settings.rules.time_zone)
    view.chart(
        charts.stacked(over_time, "motif", "messages", tr("Rejected messages"), tr("Time ({zone})", zone=zone)),
        "reasons",
        alt=tr("Rejected messages over time, by reason"),
    )
    view.as_table(
        lambda: [
            {tr("Start"): row["start"], tr("Reason"): text.cell(row["motif"]), tr("Messages"): row["messages"]}
            for row in reversed(over_time.to_pylist())
        ],
        "reasons",
    )
    st.subheader(tr("The messages"))
    options = [EVERY, *(str(row["motif"]) for row in reasons)]
    counts = {str(row["motif"]): row["messages"] for row in reasons}
    address.adopt("reason", {EVERY: EVERY}, language.word)
    missing = address.refused("reason", frozenset(map(language.word, options)).__contains__)
    if missing:
        states.refused(address.sentence(tr("Reason"), missing, tr("{tab} is shown", tab=language.word(EVERY))))
    chosen = st.selectbox(
        tr("Reason"),
        options,
        format_func=language.word,
        key="reason",
        on_change=address.forget,
        args=("reason",),
        bind="query-params",
    )  # without the number of messages: it would be in the address, and out of date with the next one
    reason = None if chosen in (None, EVERY) else str(chosen)
    rows = view.shared(
        ("rejected", reason, language.current()), (contract.rejets.name,), lambda: _messages(view, reason)
    )
    of = text.count(counts.get(str(reason), book.rejected))
    newest = tr("The {n} newest of {all}.", n=text.count(len(rows)), all=of)
    if reason in counts:
        newest = tr("The {n} newest of {all} with this reason.", n=text.count(len(rows)), all=of)
    st.caption(f"{newest} {tr('A message with several reasons counts under each of them.')}")
    view.table(rows, "rejects", height=380, formats={view.stream.event.id: "%d"})
    many = view.page.many
    st.caption(
        tr(
            "After a rule in ventes.toml changed, judge them again; those that are valid now become {many}, once:",
            many=many,
        )
    )
    st.code("ventes rejects replay", language="bash")


def _reconciled(view: View, book: Reconciliation) -> None:
    again = tr("Same {one}, same content, again.", one=view.page.one)
    other = tr("Same {id}, other content.", id=view.stream.event.id)
    cards = st.columns(5, gap="small")
    cards[0].metric(tr("Messages"), text.count(book.messages), border=True, help=tr("Rows of Bronze."))
    cards[1].metric(tr("= clean {many}", many=view.page.many), text.count(book.clean), border=True)
    cards[2].metric(tr("+ invalid"), text.count(book.invalid), border=True)
    cards[3].metric(tr("+ duplicates"), text.count(book.duplicates), border=True, help=again)
    cards[4].metric(tr("+ conflicts"), text.count(book.conflicts), border=True, help=other)
    if book.waiting > 0:
        st.caption(tr("{n} more are in Bronze and on their way to Silver.", n=text.count(book.waiting)))


def _all(view: View) -> tuple[Reconciliation, list[Row], pa.Table]:
    snapshots, contract = view.snapshots, view.contract
    with snapshots.tables.connection() as con:
        answer = snapshots.tables.file_cache.answer(con, snapshots[contract.rejets.name], file_cache.REASONS)
        con.register("motifs", answer["motifs"])
        book = figures.reconciliation(
            snapshots[contract.bronze.name].rows, snapshots[contract.clean.name].rows, answer["kinds"]
        )
        over_time = figures.reasons_over_time(con, view.settings.rules.time_zone)
        return book, rows_of(figures.reasons(con)), over_time


def _messages(view: View, reason: str | None) -> list[Row]:
    rejects = view.snapshots[view.contract.rejets.name]
    where, values = ("WHERE list_contains(motifs, ?)", [reason]) if reason else ("", [])
    with view.snapshots.tables.connection() as con:
        found = con.execute(
            f'SELECT * FROM ({rejects.select()}) {where} ORDER BY kafka_ts DESC, "offset" DESC LIMIT {SHOWN}', values
        ).to_arrow_table()
    return [
        {
            tr("received"): view.local(row["kafka_ts"]),
            tr("reasons"): ", ".join(row["motifs"]),
            tr("why"): " ".join(sentence(code, view.settings.stream) for code in row["motifs"]),
            tr("message"): text.raw(row["value"]),
            view.stream.event.id: _shown(row[view.stream.event.id]),
            "partition": row["partition"],
            "offset": row["offset"],
        }
        for row in rows_of(found)
    ]


def _shown(identifier: int | str | None) -> int | str | None:
    return text.cell(identifier) if isinstance(identifier, str) else identifier
