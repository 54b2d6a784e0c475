"""Rejected messages: all messages counted, the reasons why some are no events, and the messages themselves."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from ventes.dashboard import address, charts, figures, file_cache, text
from ventes.dashboard.figures import Reconciliation, rows_of
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View
from ventes.stream.reasons import sentence

LABEL = "Rejected Messages"
SHOWN = 100
EVERY = "every reason"


def render(view: View) -> None:
    contract = view.contract
    read = (contract.bronze.name, contract.clean.name, contract.rejets.name)
    book, reasons, over_time = view.shared("rejects", read, lambda: _all(view))
    st.subheader("Every message is accounted for")
    view.say_unfiltered("every message is counted")
    _reconciled(view, book)
    if not reasons:
        st.success("No message was rejected.", icon=":material/task_alt:")
        return
    st.subheader("Reasons over time")
    zone = text.plotly(view.settings.rules.time_zone)
    view.chart(
        charts.stacked(over_time, "motif", "messages", "Rejected messages", f"Time ({zone})"),
        "reasons",
        alt="Rejected messages over time, by reason",
    )
    view.as_table(
        lambda: [
            {"Start": row["start"], "Reason": text.cell(row["motif"]), "Messages": row["messages"]}
            for row in reversed(over_time.to_pylist())
        ],
        "reasons",
    )
    st.subheader("The messages")
    options = [EVERY, *(str(row["motif"]) for row in reasons)]
    counts = {str(row["motif"]): row["messages"] for row in reasons}
    missing = address.refused("reason", frozenset(options).__contains__)
    if missing:
        st.warning(address.sentence("Reason", missing, f"{EVERY} is shown"), icon=":material/link_off:")
    chosen = st.selectbox(
        "Reason",
        options,
        key="reason",
        on_change=address.forget,
        args=("reason",),
        bind="query-params",
    )  # without the number of messages: it would be in the address, and out of date with the next one
    reason = None if chosen in (None, EVERY) else str(chosen)
    rows = view.shared(("rejected", reason), (contract.rejets.name,), lambda: _messages(view, reason))
    of = f"{text.count(counts[reason])} with this reason" if reason in counts else f"{text.count(book.rejected)}"
    st.caption(f"The {len(rows)} newest of {of}. A message with several reasons counts under each of them.")
    view.table(rows, "rejects", height=380, formats={view.stream.event.id: "%d"})
    many = view.page.many
    st.caption(f"After a rule in ventes.toml changed, judge them again; those that are valid now become {many}, once:")
    st.code("ventes rejects replay", language="bash")


def _reconciled(view: View, book: Reconciliation) -> None:
    again = f"Same {view.page.one}, same content, again."
    other = f"Same {view.stream.event.id}, other content."
    cards = st.columns(5, gap="small")
    cards[0].metric("Messages", text.count(book.messages), border=True, help="Rows of Bronze.")
    cards[1].metric(f"= clean {view.page.many}", text.count(book.clean), border=True)
    cards[2].metric("+ invalid", text.count(book.invalid), border=True)
    cards[3].metric("+ duplicates", text.count(book.duplicates), border=True, help=again)
    cards[4].metric("+ conflicts", text.count(book.conflicts), border=True, help=other)
    if book.waiting > 0:
        st.caption(f"{book.waiting:,} more are in Bronze and on their way to Silver.")


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
            "received": view.local(row["kafka_ts"]),
            "reasons": ", ".join(row["motifs"]),
            "why": " ".join(sentence(code, view.settings.stream) for code in row["motifs"]),
            "message": text.raw(row["value"]),
            view.stream.event.id: _shown(row[view.stream.event.id]),
            "partition": row["partition"],
            "offset": row["offset"],
        }
        for row in rows_of(found)
    ]


def _shown(identifier: int | str | None) -> int | str | None:
    return text.cell(identifier) if isinstance(identifier, str) else identifier
