"""A visit of the page by its own server when it starts, so that the first viewer does not wait for what is done once.

That is 0.8 s of CPU: modules, the tables' logs, the figures, what Streamlit finds out about its process.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

LIMIT_SECONDS = 60.0

_log = logging.getLogger("ventes.page")


async def visit(app: ASGIApp, home: str) -> None:
    """Open the page below `home` as a browser does, until it is drawn. An error is logged: the page needs no visit."""
    try:
        await asyncio.wait_for(_visit(app, home), LIMIT_SECONDS)
    except Exception as error:
        _log.warning("the page was not loaded in advance: %s", error or type(error).__name__)


async def _visit(app: ASGIApp, home: str) -> None:
    drawn = asyncio.Event()
    hello = BackMsg()
    hello.rerun_script.query_string = ""
    says: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "bytes": hello.SerializeToString()},
    ]

    async def receive() -> Message:
        if says:
            return says.pop(0)
        await drawn.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            raise ConnectionError("the visit was refused")
        if message.get("bytes") and ForwardMsg.FromString(message["bytes"]).WhichOneof("type") == "script_finished":
            drawn.set()

    path = f"{home}_stcore/stream"
    scope = {
        "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "ws",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "subprotocols": ["streamlit"],
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0),
    }  # fmt: skip
    await app(scope, receive, send)
