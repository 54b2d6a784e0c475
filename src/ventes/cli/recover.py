"""`ventes recover`: go on after the topic changed under the bronze job."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer


def recover(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Go on after the topic was created anew, expired, or lost its end.

    The bronze job stops rather than skip messages silently. This says what differs and what going on means, asks, and
    records it in gaps.jsonl beside the tables, where `ventes verify` takes it into account. No row is changed.
    """
    from ventes import config
    from ventes.lake import accepted_gaps
    from ventes.operations import recover as operation

    settings = config.load()
    found = operation.compare(settings, datetime.now(timezone.utc))
    if not found.differences:
        print("nothing to recover: the topic goes on where Bronze ends")
        return
    for difference in found.differences:
        print(difference.text)
    print("Going on means:")
    for line in found.lines():
        print(f"  {line}")
    print(f"  {found.lost} messages will never be read" if found.lost else "  no message that still exists is skipped")
    if not (yes or typer.confirm("Record this?")):
        print("nothing was recorded")
        raise typer.Exit(1)
    operation.record(settings, found)
    print(f"recorded in {accepted_gaps.path_of(settings.lake)}; `ventes start` goes on")
