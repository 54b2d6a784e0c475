"""`ventes verify`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from ventes import config
from ventes.cli import terminal
from ventes.errors import UsageError, VentesError

NOT_ASKED = 3
"""Exit code where nothing differs, and not everything could be compared."""


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    topic: Annotated[bool, typer.Option(help="Also read the topic and compare every byte with Bronze.")] = True,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="LOT|DATE", help="Judge only this lot and later ones, or what Silver took from this day (UTC) on."
        ),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="N%", help="Judge only about N percent of the messages, chosen at random.")
    ] = None,
) -> None:
    """Recompute everything from Bronze's raw bytes and compare it with the tables, exactly and both ways.

    Reads only, and may run while the pipeline does. Exit code 1 with the first differing rows if anything differs; 3 if
    nothing differs but something could not be asked, such as a broker that is down. With --since or --sample the report
    says what was not looked at.
    """
    if since is not None and sample is not None:
        raise UsageError("--since and --sample cannot be combined", "give one of them")
    from ventes.check.verify import Verification  # here: DuckDB and Arrow take 0.3 s to import

    report = Verification(
        config.load(),
        terminal.progress,
        read_topic=topic,
        since=since,
        sample=None if sample is None else _percent(sample),
    ).run()
    terminal.progress("")
    if as_json:
        print(report.as_json())
    else:
        for check in report.checks:
            print(check.line())
            for line in (*check.differences, *(f"note: {note}" for note in check.notes)):
                print(f"{'':14}{line}")
        print(f"{'figures':<13} {', '.join(_figure(name, value) for name, value in vars(report.figures).items())}")
        for sentence in report.unseen:
            print(f"{'partly':<13} {sentence}")
        for note in report.notes:
            print(f"{'note':<13} {note}")
        incomplete = "nothing differs, but not everything could be asked,"
        verified = "verified in part" if report.unseen else "verified"
        result = verified if report.ok else "NOT verified" if report.wrong else incomplete
        print(f"{result} as of lot {report.lot} in {report.seconds:.1f} s")
    if not report.ok:
        raise typer.Exit(VentesError.exit_code if report.wrong else NOT_ASKED)


def _percent(text: str) -> float:
    """`N%` or `N` as a number. Raises UsageError."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"--sample {text} is no percentage", "for example --sample 1%")
    return percent


def _figure(name: str, value: object) -> str:
    """A number of things before their name, another value after it."""
    if isinstance(value, int):
        return f"{value:,} {name}"
    return f"{name} {'–' if value is None else format(value, ',') if isinstance(value, Decimal) else value}"
