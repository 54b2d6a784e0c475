"""`spark_streaming_delta.py` and `streaming_silver.py`: one job in the foreground; the engine is chosen here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

Engine = Annotated[str | None, typer.Option(help="spark or embedded. Default: `engine` in ventes.toml.")]


def bronze() -> int:
    """The program spark_streaming_delta.py."""

    def command(engine: Engine = None) -> None:
        """Read the Kafka topic into the Bronze table, every message, until Ctrl-C or SIGTERM."""
        _run("bronze", engine)

    from ventes.cli import run_alone

    return run_alone(command, "spark_streaming_delta.py")


def silver() -> int:
    """The program streaming_silver.py."""

    def command(engine: Engine = None) -> None:
        """Turn Bronze into the Silver tables, as it grows, until Ctrl-C or SIGTERM."""
        _run("silver", engine)

    from ventes.cli import run_alone

    return run_alone(command, "streaming_silver.py")


def _run(name: str, engine: str | None) -> None:
    from ventes import config
    from ventes.supervise import preflight

    settings = config.load(**({} if engine is None else {"engine": engine}))
    preflight.engine(settings)
    # Only the chosen engine is imported: the other's packages take a second, and memory.
    run: Callable[[config.Settings], int] = import_module(f"ventes.engines.{settings.engine}.{name}").run
    raise typer.Exit(run(settings))
