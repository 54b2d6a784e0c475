"""The page's web server, as `ventes start` runs it: `streamlit run streamlit_server.py`.

The page is streamlit_dashboard.py, which Streamlit runs for each visitor. Nothing of yours belongs here: this file is
imported once, when the server starts.
"""

import sys
from pathlib import Path

from streamlit.starlette import App

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from ventes.dashboard import server

app = App("streamlit_dashboard.py", **server.options())
