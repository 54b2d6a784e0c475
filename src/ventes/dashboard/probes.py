"""Answers for the probes of a supervisor of another kind (systemd, a load balancer, Kubernetes): two addresses.

`<base>/healthz` is 200 while the page's process answers. `<base>/readyz` is 200 while every service that the settings
ask for runs and is ready, else 503; its JSON names each service with its state and the reason. Both need no login and
tell nothing of the data. The status is the one that the page shows: however often it is asked, the services are asked
once in some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ventes.errors import VentesError
from ventes.runtime.pipeline_status import Status

NOT_KEPT = {"Cache-Control": "no-store"}
AT_ONCE = 4
"""Requests that may wait for the first answer at the same time, each in a thread; others wait their turn."""

Latest = Callable[[], Status | None]
"""The last known status, some seconds old at most; None if it is unknown. It may block for some seconds."""


def routes(base: str, latest: Latest) -> list[Route]:
    """`base`: the path under which the page is, without slashes."""
    places = anyio.CapacityLimiter(AT_ONCE)
    prefix = f"/{base}" if base else ""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=NOT_KEPT)

    async def readyz(request: Request) -> Response:
        try:
            found = await anyio.to_thread.run_sync(latest, limiter=places)
        except VentesError as error:
            return JSONResponse({"ok": False, "reason": str(error)}, 503, NOT_KEPT)
        if found is None:
            return JSONResponse({"ok": False, "reason": "the status is not known"}, 503, NOT_KEPT)
        return JSONResponse(answer(found), 200 if found.ok else 503, NOT_KEPT)

    return [
        Route(f"{prefix}/healthz", healthz, methods=["GET"]),
        Route(f"{prefix}/readyz", readyz, methods=["GET"]),
    ]


def answer(status: Status) -> dict[str, Any]:
    """The JSON of /readyz."""
    return {
        "ok": status.ok,
        "asked_at": status.asked_at,
        "services": {
            service.name: {
                "ready": service.ready,
                "state": service.state,
                "reason": service.reason,
                "lag_messages": service.lag_messages,
                "lag_seconds": service.lag_seconds,
            }
            for service in status.services
        },
    }
