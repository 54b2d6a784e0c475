"""`ventes rebuild silver`."""

from __future__ import annotations

import logging.handlers
import sys
from enum import Enum
from typing import Annotated

import typer

from ventes import config
from ventes.cli import terminal
from ventes.errors import UsageError, VentesError


class What(str, Enum):
    """What can be rebuilt."""

    silver = "silver"


def rebuild(
    what: Annotated[What, typer.Argument(help="What to rebuild: the Silver tables.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Build Silver again from Bronze's raw messages, with the present rules.

    Use it after a change of [rules], [source] or the declaration, and for damaged tables: rejected messages that are
    valid now become clean, once. The Silver job is stopped meanwhile; readers use the old tables until the new ones are
    complete. After an interruption, call it again to continue.
    """
    from ventes.operations import rebuild as work  # here: DuckDB and Arrow take 0.3 s to import
    from ventes.runtime import logs
    from ventes.runtime.stop import Stopper
    from ventes.store import places

    settings = config.load()
    if not yes:
        question = f"Build {places.shown(settings.silver)} again from {places.shown(settings.bronze)}?"
        if not sys.stdin.isatty():
            raise UsageError(f"cannot ask here: {question}", "add --yes to agree")
        if not typer.confirm(question):
            raise VentesError("nothing was changed", "ventes rebuild silver --yes does not ask")
    logs.setup("silver", settings)
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if isinstance(one, logging.handlers.RotatingFileHandler)]
    result = work.rebuild(settings, lambda text: print(text, flush=True), terminal.progress, Stopper().install())
    terminal.progress("")
    if result is None:
        raise VentesError("interrupted; Silver is as it was", "ventes rebuild silver continues where it was")
    was = "" if result.before is None else f" (before: {result.before[0]:,} clean, {result.before[1]:,} rejected)"
    print(f"rebuilt in {result.seconds:.1f} s: {result.clean:,} clean, {result.rejected:,} rejected{was}")
