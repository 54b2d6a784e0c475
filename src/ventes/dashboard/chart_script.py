"""Plotly's script for the browser: the part of it that draws bars and lines, and the whole.

The whole is 4.8 MB, which a browser needs most of a second to read, before the first chart. PARTS lists which bytes of
the installed file are needed for bars and lines: 1.0 MB. It is made by `python -m harness.plotly_parts`, for one
version of the file; with another one there is only the whole.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def _package() -> Path:
    """The folder of the plotly package, without importing it: that takes 0.3 s and the page needs only its script."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


WHOLE = _package() / "package_data" / "plotly.min.js"
PARTS = Path(__file__).with_name("plotly_parts.json")
KEPT = "public, max-age=31536000, immutable"
"""A browser keeps the answer for a year without asking: its address has a hash of it."""


@dataclass(frozen=True)
class Small:
    """The script for `traces` alone, as it is and compressed. `name`: the end of its address."""

    name: str
    traces: frozenset[str]
    plain: bytes
    packed: bytes


@cache
def small(file: Path = WHOLE) -> Small | None:
    """None if `file` is not the one that PARTS is about."""
    whole, parts = file.read_bytes(), json.loads(PARTS.read_text(encoding="utf-8"))
    if hashlib.sha256(whole).hexdigest() != parts["sha256"]:
        return None
    plain = b"".join(whole[start:end] for start, end in parts["keep"])
    name = f"plotly-{hashlib.sha256(plain).hexdigest()[:12]}.js"
    return Small(name, frozenset(parts["traces"]), plain, gzip.compress(plain, mtime=0))


@dataclass
class Served:
    """Whether this process serves the small script. `prefix`: its address, as far as its name; None on a page that was
    started by hand."""

    prefix: str | None = None


SERVED = Served()


def route(prefix: str) -> Route:
    """The server's route for the small script."""

    async def answer(request: Request) -> Response:
        found = small()
        if found is None or request.path_params["name"] != found.name:
            return Response(status_code=404)
        return as_accepted(request, found.plain, found.packed, "text/javascript", KEPT)

    return Route(f"{prefix}{{name}}", answer, methods=["GET"])


def as_accepted(request: Request, plain: bytes, packed: bytes, kind: str, kept: str) -> Response:
    """The answer compressed (`packed`, gzip) if the browser takes that. `kept`: its Cache-Control."""
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(plain, headers=headers, media_type=kind)
    return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)


def address(traces: Collection[str]) -> str | None:
    """The path of the small script, where it draws all of `traces` (kinds of traces) and this server has it."""
    found = small() if SERVED.prefix is not None else None
    return f"{SERVED.prefix}{found.name}" if found is not None and found.traces.issuperset(traces) else None
