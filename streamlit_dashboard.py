"""The dashboard: `streamlit run streamlit_dashboard.py`. The page itself is src/ventes/dashboard.

Streamlit runs this file again for each visitor and each click. What you add below is drawn on the page, under the tabs
or inside one of them; docs/dashboard.md has recipes. `tab5` appears as soon as something is written into it.
"""

import sys
from pathlib import Path

import streamlit as st  # noqa: F401 - for what you add below

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from ventes.cli import page

board = page.render(own_tabs=["Custom"])
spark = board.spark
tab1, tab2, tab3, tab4, tab5 = board.tabs

# -- your own code ------------------------------------------------------------------------------------------------
