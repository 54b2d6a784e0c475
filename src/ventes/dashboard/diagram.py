"""A diagram of the pipeline: SVG in the colours of the page's theme."""

from __future__ import annotations

from html import escape

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import translated
from ventes.dashboard.language import tr, tr_n

_BOX, _GAP, _WIDTH = 58, 30, 280


def svg(settings: Settings, dark: bool) -> str:
    """Producer to browser, top to bottom, with the real names, ports and paths."""
    ink, quiet, line = ("#fafafa", "#a8b0bd", "#4b5563") if dark else ("#1f2937", "#6b7280", "#cbd5e1")
    fill = "#1c2430" if dark else "#f8fafc"
    page = f"http://{settings.page.address}:{settings.page.port}"
    ingest = "spark_streaming_delta.py" if settings.engine == "spark" else "ingestion (embedded)"
    stream = settings.stream
    steps = [
        ("producer.py", tr("{many} as JSON", many=translated.page_of(stream).many), "#e08a2c"),
        (
            f"Kafka :{settings.kafka.port}"
            if settings.kafka.managed
            else f"Kafka {_fit(settings.kafka.bootstrap, 26)}",
            tr("topic {topic}, {n} partition(s)", topic=settings.topic, n=settings.kafka.partitions),
            "#6b7785",
        ),
        (ingest, tr("every message, 1:1"), "#2f6fde"),
        ("Bronze", str(settings.bronze), "#a9713a"),
        (
            "streaming_silver.py",
            tr_n("clean, rejected, {n} roll-up", "clean, rejected, {n} roll-ups", len(stream.tables)),
            "#2f6fde",
        ),
        ("Silver", str(settings.silver), "#8b98a8"),
        ("streamlit_dashboard.py", page, "#2a9d8f"),
    ]
    height = len(steps) * (_BOX + _GAP) - _GAP + 8
    title = escape(tr("The pipeline, from producer to browser"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{title}">'
    ]
    for number, (name, note, colour) in enumerate(steps):
        top = 4 + number * (_BOX + _GAP)
        middle = _WIDTH // 2
        if number:
            parts.append(
                f'<path d="M{middle} {top - _GAP + 3} V{top - 6}" stroke="{line}" stroke-width="2"/>'
                f'<path d="M{middle - 5} {top - 10} L{middle} {top - 3} L{middle + 5} {top - 10}" fill="none" '
                f'stroke="{line}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>'
            )
        parts.append(
            f'<rect x="2" y="{top}" width="{_WIDTH - 4}" height="{_BOX}" rx="9" fill="{fill}" stroke="{line}"/>'
            f'<rect x="2" y="{top + 10}" width="4" height="{_BOX - 20}" rx="2" fill="{colour}"/>'
            f'<text x="18" y="{top + 25}" font-size="14" font-weight="600" fill="{ink}">{escape(name)}</text>'
            f'<text x="18" y="{top + 44}" font-size="11.5" fill="{quiet}">{escape(_fit(note))}</text>'
        )
    return "".join([*parts, "</svg>"])


def _fit(note: str, limit: int = 42) -> str:
    return note if len(note) <= limit else "…" + note[1 - limit :]


def show(settings: Settings) -> None:
    st.image(svg(settings, dark=st.context.theme.type == "dark"), width="stretch")
