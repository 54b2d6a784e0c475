"""What a tab is given: the tables of this refresh, what the viewer asked for, and calm ways to show things.

A tab never talks to Streamlit about keys, colours or formats where a method here does: that keeps zoom, sort and
selection in place while data changes, and data as text.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd
import streamlit as st

from ventes.config import Settings
from ventes.dashboard import plot, text
from ventes.dashboard.filters import Filters
from ventes.dashboard.source import Moment

if TYPE_CHECKING:
    from ventes.dashboard.spark import Spark

T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """One refresh of one session."""

    settings: Settings
    moment: Moment
    filters: Filters
    spark: Spark
    """`spark.sql("SELECT … FROM bronze_data …")`, for tabs of your own."""

    def shared(self, what: Hashable, tables: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()`, computed once for these filters and this state of `tables`. Raises NotReadable."""
        return self.moment.shared((what, self.filters), tables, make)

    def money(self, amount: Decimal | int | float | None) -> str:
        """An amount in the currency of ventes.toml, with cents."""
        return "–" if amount is None else text.money(Decimal(amount), self.settings.page.currency)

    def local(self, moment: datetime | None) -> datetime | None:
        """A time of the tables (UTC) in the business zone, naive, for tables and axes that name the zone."""
        if moment is None:
            return None
        return moment.astimezone(self.settings.business_zone).replace(tzinfo=None)

    # -- ways to show ---------------------------------------------------------------------------

    def nothing(self) -> None:
        """Say that there is nothing to show, and why."""
        if self.filters.used:
            st.info("No sale matches these filters.", icon=":material/filter_alt:")
        else:
            st.info(
                "No sales yet. They appear here by themselves as soon as the first ones arrive.",
                icon=":material/hourglass_empty:",
            )

    def chart(self, figure: Any, key: str, alt: str, zoom: bool = False) -> None:
        """A Plotly figure, or the dictionary of one, that keeps its place while its data changes."""
        config = {
            "displaylogo": False,
            "displayModeBar": "hover" if zoom else False,
            "scrollZoom": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "toImage"],
        }
        if zoom and isinstance(figure, dict):
            figure = {**figure, "layout": {**figure["layout"], "dragmode": "zoom"}}
        plot.show(figure, key, config, alt)

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        key: str,
        money: Sequence[str] = (),
        height: int | Literal["auto"] = "auto",
        formats: Mapping[str, str] | None = None,
    ) -> None:
        """Rows as a sortable, searchable table. Text must have gone through text.cell.

        `money` columns are in the currency; `formats` are Streamlit's, by column, where the usual one is not meant.
        """
        currency = self.settings.page.currency.replace("%", "%%")
        pattern = f"{currency}%,.2f" if len(self.settings.page.currency) == 1 else f"%,.2f {currency}"
        frame = pd.DataFrame(list(rows))
        shown = {**dict.fromkeys(money, pattern), **(formats or {})}
        st.dataframe(
            frame,
            key=f"table-{key}",
            hide_index=True,
            column_config={name: _column(name, frame[name], shown.get(name)) for name in frame.columns},
            height=height,
        )

    def choice(self, label: str, options: Sequence[str], key: str) -> str:
        """One of a few options, the first by default; kept in the URL."""
        chosen = st.segmented_control(
            label,
            options,
            default=options[0],
            key=key,
            format_func=str.capitalize,
            required=True,
            bind="query-params",
        )
        return str(chosen or options[0])

    def text(self, label: str, key: str, placeholder: str = "") -> str:
        """A line of text; kept in the URL."""
        return str(st.text_input(label, key=key, placeholder=placeholder, bind="query-params") or "")


def _column(name: str, values: pd.Series, pattern: str | None) -> Any:
    """Thousands separated, but in numbers that only name something; times without a zone as they are."""
    if pattern is None and pd.api.types.is_integer_dtype(values):
        pattern = "%d" if name.endswith("_id") or name in ("Client", "partition", "offset") else "%,d"
    if pd.api.types.is_datetime64_any_dtype(values):
        return st.column_config.DatetimeColumn(name, format=pattern or "YYYY-MM-DD HH:mm:ss")
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return st.column_config.NumberColumn(name, format=pattern)
    return st.column_config.Column(name)
