"""`ventes recover`: continue after the topic has changed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer


def recover(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Continue after the topic was created again, expired, or lost its end.

    The Bronze job stops instead of skipping messages silently. This command shows the differences and the consequences
    of continuing, asks, and records the gaps in gaps.jsonl in the lake, which `ventes verify` reads. No row is changed.
    """
    from ventes import config
    from ventes.lake import accepted_gaps
    from ventes.operations import recover as operation
    from ventes.store import places

    settings = config.load()
    found = operation.compare(settings, datetime.now(timezone.utc))
    if not found.differences:
        print("nothing to recover: the topic continues where Bronze ends")
        return
    for difference in found.differences:
        print(difference.text)
    print("Continuing means:")
    for line in found.lines():
        print(f"  {line}")
    print(f"  {found.lost} messages will never be read" if found.lost else "  no message that still exists is skipped")
    if not (yes or typer.confirm("Record this?")):
        print("nothing was recorded")
        raise typer.Exit(1)
    operation.record(settings, found)
    where = places.shown(settings.lake / "gaps" if settings.on_a_store else accepted_gaps.path_of(settings.lake))
    print(f"recorded in {where}; `ventes start` continues")
