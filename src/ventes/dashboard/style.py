"""How the page looks beyond Streamlit's theme (.streamlit/config.toml): icon, style sheet."""

from __future__ import annotations

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2f6fde"/>'
    '<path d="M7 22l6-7 5 4 7-9" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)
"""An inline icon: Streamlit would fetch a named icon from the network."""

SHEET = """<style>
.stMainBlockContainer { padding-top: 3.6rem; padding-bottom: 3rem; }
.stMainBlockContainer h1 { padding: 0; }
[data-testid="stMetricValue"] { font-size: clamp(1.15rem, 1.9vw, 1.75rem); }
[data-testid="stMetricValue"] * { white-space: normal; overflow: visible; overflow-wrap: anywhere; }
a.ventes-download { display: block; padding: 0.45rem 0.9rem; border: 1px solid var(--st-border-color, #c8ced6);
  border-radius: 0.5rem; text-align: center; text-decoration: none; color: inherit !important; }
a.ventes-download:hover, a.ventes-download:focus-visible { border-color: #2f6fde; color: #2f6fde !important; }
.st-key-incident { min-height: 2rem; }
.st-key-incident details { border: none; }
.st-key-incident summary { min-height: 2rem; padding: 0; }
.st-key-incident summary p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ventes-line { display: flex; gap: 1px; height: 40px; border-bottom: 1px solid rgba(128, 128, 128, 0.35); }
.ventes-line i { flex: 1; position: relative; max-width: 14px; }
.ventes-line i:hover { background: rgba(128, 128, 128, 0.2); }
.ventes-line b { position: absolute; left: 0; right: 0; min-height: 1px; background: #2f6fde; opacity: 0.75; }
.ventes-span { font-size: 0.72rem; line-height: 1rem; opacity: 0.65; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .st-key-status { min-height: 8.5rem; }
  .st-key-figures [data-testid="stHorizontalBlock"] { gap: 0.5rem; }
  .st-key-figures [data-testid="stColumn"] { min-width: calc(50% - 0.25rem); flex: 1 1 calc(50% - 0.25rem); }
}
</style>"""
"""Smaller margins than Streamlit's; elements do not fade while they are refreshed."""
