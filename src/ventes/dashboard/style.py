"""How the page looks beyond Streamlit's theme (.streamlit/config.toml): icon, style sheets."""

from __future__ import annotations

from pathlib import Path

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2f6fde"/>'
    '<path d="M7 22l6-7 5 4 7-9" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)
"""An inline icon: Streamlit would fetch a named icon from the network."""


def _sheet(name: str) -> str:
    return f"<style>\n{Path(__file__).with_name(name).read_text(encoding='utf-8')}</style>"


SHEET = _sheet("page.css")
WALL = _sheet("wall.css")
"""Added to SHEET for the wall view."""
