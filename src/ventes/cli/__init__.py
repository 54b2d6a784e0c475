"""The command line: the list of commands, and the exit codes of errors.

0 ok · 1 error · 2 wrong usage or settings · 130 ended by Ctrl-C.
A command module imports nothing heavy at its top, so that `ventes --help` answers at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from ventes import __version__
from ventes.cli import terminal
from ventes.errors import VentesError
from ventes.runtime.umask import keep_private

INTERRUPTED = 130
"""128 + SIGINT: what shells expect of a program that Ctrl-C ended."""

app = typer.Typer(
    name="ventes",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings, highest precedence first: a flag, VENTES_<SECTION>__<KEY>, ventes.toml (see there), default.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ventes {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Live sales: Kafka → Delta Lake → a dashboard whose numbers can be verified."""


def mount() -> None:
    """Add each command to `app`, in the order in which `--help` shows them. Safe to repeat."""
    if app.registered_commands:
        return
    # here: the root scripts need `run`, not every command
    from ventes.cli import alerts, doctor, lake, lifecycle, metrics, produce, reading, rebuild, recover, stream, verify

    for command in (lifecycle.start, lifecycle.stop, lifecycle.restart, lifecycle.status, lifecycle.logs):
        app.command()(command)
    app.command()(metrics.metrics)
    app.command()(produce.produce)
    app.command()(verify.verify)
    app.command()(reading.query)
    app.command()(reading.export)
    app.add_typer(reading.rejects, name="rejects")
    app.add_typer(stream.stream, name="stream")
    app.add_typer(alerts.alerts, name="alerts")
    app.add_typer(lake.lake, name="lake")
    app.command()(doctor.doctor)
    app.command()(recover.recover)
    app.command()(rebuild.rebuild)
    app.command()(lifecycle.reset)


def run(
    application: typer.Typer,
    arguments: Sequence[str] | None = None,
    name: str = "ventes",
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Run a typer application and return its exit code; an expected error becomes one line on stderr.

    `prepare` is called first: its imports can be interrupted, too.
    """
    terminal.guard()
    keep_private()
    _hear_ctrl_c_once()
    try:
        prepare()
        application(args=None if arguments is None else list(arguments), prog_name=name)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except VentesError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if (expected := _expected(error)) is None:
            raise
        print(f"{name}: {expected}", file=sys.stderr)
        return expected.exit_code
    return 0


def _expected(error: Exception) -> VentesError | None:
    """A full disk, or damage of a table, that another library reports; None for a fault of this program."""
    from ventes.config import load
    from ventes.lake import damage  # here: Arrow takes 0.2 s to import
    from ventes.runtime import disk

    if (isinstance(error, OSError) and disk.is_full(error)) or disk.is_told_full(str(error)):
        which = ""
        with suppress(VentesError):
            which = disk.full_disk(load())
        return VentesError(which or f"disk full: {error}", "free some space, and run the command again")
    return damage.of_error(error)


def _hear_ctrl_c_once() -> None:
    """Let the first Ctrl-C end the command, and later ones change nothing: they would break off its clearing-up, and
    show a traceback. To be called in the main thread; what another handler or `nohup` does with SIGINT stays so."""

    def heard(number: int, _: object) -> None:
        signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, heard)


def run_alone(command: Callable[..., None], name: str) -> int:
    """Run one command as a separate program: for the root scripts."""
    alone = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    alone.command()(command)
    return run(alone, name=name)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `ventes`. `arguments` default to the process's own."""
    return run(app, arguments, prepare=mount)
