"""The first answer to a browser, Streamlit's index.html, with links to the scripts that this page needs and with its
style sheet.

Streamlit asks for the scripts of an element when the element comes, and each asks for those it is made of: five rounds
one after the other, in each of which the browser then reads what came. With the links it does so from the start, in
threads of its own. SCRIPTS lists them. It is made by `python -m harness.early_scripts`, for one version of index.html;
with another one the page is as Streamlit serves it.

The style sheet comes as an element of the page as well, for a server without this route. It comes after other elements
then, which would be drawn without it for a moment and move.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit import file_util

from ventes.dashboard import chart_script, style

INDEX = Path(file_util.get_static_dir()) / "index.html"
SCRIPTS = Path(__file__).with_name("early_scripts.json")
END = b"</head>"
BODY_END = b"</body>"
"""Where the style sheet stands: after the styles that Streamlit's scripts write into the head, as its element does."""


@cache
def index(charts: str) -> bytes | None:
    """index.html with the links; None if SCRIPTS is not about it. `charts`: the address of the small Plotly script,
    as far as its name."""
    plain, known = INDEX.read_bytes(), json.loads(SCRIPTS.read_text(encoding="utf-8"))
    if hashlib.sha256(plain).hexdigest() != known["index_sha256"]:
        return None
    links = [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in known["scripts"]]
    if (found := chart_script.small()) is not None:
        links.append(f'<link rel="preload" as="script" href="{charts}{found.name}">')
    linked = plain.replace(END, "\n".join(links).encode() + END)
    return linked.replace(BODY_END, style.SHEET.encode() + BODY_END)


def routes(home: str, charts: str) -> list[Route]:
    """The server's route for the page's address; none where Streamlit's own answer is as good."""
    found = index(charts)
    if found is None:
        return []
    packed = gzip.compress(found, mtime=0)

    async def answer(request: Request) -> Response:
        return chart_script.as_accepted(request, found, packed, "text/html", "no-cache")

    return [Route(home, answer, methods=["GET"])]
