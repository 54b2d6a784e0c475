"""The dashboard: `streamlit run streamlit_dashboard.py`. The page itself is src/ventes/dashboard."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from ventes.dashboard import page

page.render()
