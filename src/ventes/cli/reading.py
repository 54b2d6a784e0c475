"""`ventes query`, `ventes export`, `ventes rejects`: the tables on the command line. Readers: they change nothing.

Only `rejects replay` writes; it is `rebuild silver` under another name.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ventes import config
from ventes.cli import terminal
from ventes.config import Settings
from ventes.errors import UsageError
from ventes.runtime.counts import counted
from ventes.runtime.umask import persons_mode

if TYPE_CHECKING:
    import pyarrow as pa

    from ventes.deltalog.snapshot import Snapshot

QueryFormat = Literal["table", "csv", "json", "parquet"]
ExportFormat = Literal["csv", "parquet"]
SHOWN = 1000
"""Rows that `--format table` prints at most: more is for a file."""
WIDTH = 60
"""Characters of a cell that `--format table` and `rejects list` print."""

rejects = typer.Typer(help="Rejected messages: list them, read one, judge them again.", no_args_is_help=True)


def query(
    sql: Annotated[str, typer.Argument(help='One SELECT in Spark\'s dialect: "SELECT … FROM bronze_data …".')],
    output: Annotated[QueryFormat, typer.Option("--format", "-f", help="How to print the result.")] = "table",
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Give up after so long; 0: never.")] = 60.0,
    memory_mb: Annotated[int, typer.Option("--memory-mb", min=64, help="Memory the query may use.")] = 1024,
) -> None:
    """Run one SELECT over bronze_data and the Silver tables, and print all rows of the result.

    The query runs in a process of its own that can read these tables and nothing else. Columns of one name are told
    apart: the second `a` is printed as `a_2`.
    """
    from ventes.query.sandbox import Limits, stream
    from ventes.stream.declaration import BRONZE_VIEW  # here: the declarations take 0.06 s to import

    tables = {BRONZE_VIEW if name == "bronze" else name: found for name, found in _tables(config.load()).items()}
    with stream(sql, tables, Limits(seconds or None, None, memory_mb, None)) as (schema, batches):
        _print(schema, batches, output)


def export(
    table: Annotated[str, typer.Argument(help="bronze, a table of Silver, `systemd`, or `spark-environment`.")],
    output: Annotated[ExportFormat, typer.Option("--format", "-f", help="csv or parquet.")] = "csv",
    to: Annotated[Path | None, typer.Option("-o", "--output", help="A file; without it, standard output.")] = None,
) -> None:
    """Write a whole table as CSV or Parquet, streamed, with progress.

    `ventes export systemd` writes a unit file that runs this pipeline as a service of the present user;
    `ventes export spark-environment -o workers.pex` the packages that workers of a Spark cluster need.
    """
    if table == SYSTEMD:
        _export_unit(config.load(), to)
        return
    if table == SPARK_ENVIRONMENT:
        _export_environment(to)
        return
    from ventes.lake import readers
    from ventes.query import export as files
    from ventes.stream.declaration import BRONZE_VIEW

    settings = config.load()
    tables = _tables(settings)
    name = "bronze" if table == BRONZE_VIEW else table
    if name not in tables:
        raise UsageError(f"there is no table {table!r} to read", f"there are {', '.join(tables) or 'none yet'}")
    snapshot = tables[name]
    with readers.reading(settings), files.batches(snapshot) as (schema, batches), _target(to, output) as out:
        files.WRITERS[output](schema, batches, out, _progress(snapshot.rows))
    terminal.progress("")
    if to is not None:
        print(f"{counted(snapshot.rows, 'row')} of {name} (version {snapshot.version}) in {to}")


def _export_unit(settings: Settings, to: Path | None) -> None:
    import grp
    import pwd

    from ventes.operations import systemd

    text = systemd.unit(settings, pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    with _target(to, "csv") as out:
        out.write(text.encode())
    if to is not None:
        print(f"{to}: its first lines say how to install it")


def _export_environment(to: Path | None) -> None:
    from ventes.operations import spark_environment

    if to is None:
        raise UsageError("the packages are one large file, not text", "-o workers.pex names it")
    spark_environment.export(to)
    size = to.stat().st_size / 1_000_000
    print(f'{to} ({size:.0f} MB): spark.environment = "{to}" sends it to the workers')


SYSTEMD = "systemd"
SPARK_ENVIRONMENT = "spark-environment"


@rejects.command("list")
def list_rejects(
    reason: Annotated[str | None, typer.Option(help="Only those with this reason: not_json.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The newest rejected messages: position, reasons, beginning of the text."""
    from ventes.stream.reasons import sentence  # here: Arrow takes 0.2 s to import

    stream = config.load().stream
    rows = _rejected("list_contains(motifs, ?)" if reason else "true", [reason] if reason else [], limit)
    for row in rows:
        if as_json:
            print(json.dumps(row, ensure_ascii=False, default=str))
        else:
            print(f"{row['partition']}:{row['offset']}  {row['kafka_ts']}  {','.join(row['motifs'])}")
            print(f"    {' '.join(sentence(code, stream) for code in row['motifs'])}")
            print(f"    {_short(row['value'], 100)}")
    if not rows:
        print("no rejected message" + (f" with the reason {reason}" if reason else ""), file=sys.stderr)


@rejects.command("show")
def show_reject(
    position: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as `rejects list` prints it.")],
) -> None:
    """All of one rejected message: its reasons, where it came from, its text."""
    from ventes.stream.reasons import sentence

    partition, _, offset = position.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise UsageError(f"{position!r} is no position", "PARTITION:OFFSET, for example 0:1234")
    rows = _rejected('"partition" = ? AND "offset" = ?', [int(partition), int(offset)], 10)
    if not rows:
        raise UsageError(f"no rejected message at {position}", "`ventes rejects list` shows positions")
    stream = config.load().stream
    for row in rows:
        for name, value in row.items():
            print(f"{name:16} {_printable(', '.join(value) if isinstance(value, list) else str(value))}")
            if name == "motifs":
                for code in value:
                    print(f"{'':16} {sentence(code, stream)}")


@rejects.command()
def replay(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Judge every message again under the rules of now; rejected ones that are valid become clean, once.

    This rebuilds Silver from Bronze: the same as `ventes rebuild silver`.
    """
    from ventes.cli.rebuild import What, rebuild

    rebuild(What.silver, yes)


def _tables(settings: Settings) -> dict[str, Snapshot]:
    """Every table that is there. Raises LakeDamaged for one that cannot be read."""
    from ventes.contract import tables as contract
    from ventes.deltalog.snapshot import TableMissing
    from ventes.lake import tables

    found = {}
    for table in contract.of(settings).all:
        try:
            found[table.name] = tables.snapshot(settings, table)
        except TableMissing:
            continue
    return found


def _rejected(condition: str, values: list[Any], limit: int) -> list[dict[str, Any]]:
    from ventes.contract import tables as contract
    from ventes.deltalog.database import connect

    settings = config.load()
    rejected = _tables(settings).get(contract.of(settings).rejets.name)
    if rejected is None:
        return []
    with connect() as con:
        found = con.execute(
            f"SELECT * FROM ({rejected.select()}) WHERE {condition} "
            f'ORDER BY kafka_ts DESC, "offset" DESC LIMIT {limit:d}',
            values,
        ).to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    for row in rows:
        row["value"] = None if row["value"] is None else row["value"].decode("utf-8", "backslashreplace")
    return rows


def _print(schema: pa.Schema, batches: Iterator[pa.RecordBatch], output: QueryFormat) -> None:
    from ventes.query import values
    from ventes.query.export import WRITERS

    if output == "table":
        _print_table(schema, batches)
    elif output == "json":
        for batch in batches:
            for row in values.rows(batch):
                print(json.dumps(_for_json(row), ensure_ascii=False, allow_nan=False))
    else:
        with _target(None, output) as out:
            WRITERS[output](schema, batches, out)


def _print_table(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    from ventes.query import values

    rows: list[list[str]] = []
    more = False
    for batch in batches:
        for row in values.rows(batch):
            rows.append([_short(value, WIDTH) for value in row.values()])
        if len(rows) > SHOWN:
            more = True
            break
    rows = rows[:SHOWN]
    names = [_short(name, WIDTH) for name in schema.names]
    widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(names)]
    right = [_is_number(field.type) for field in schema]
    for line in (names, ["-" * width for width in widths], *rows):
        cells = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, right, strict=True)
        ]
        print("  ".join(cells).rstrip())
    note = f"the first {SHOWN:,} rows; --format csv has all" if more else counted(len(rows), "row")
    print(f"({note})", file=sys.stderr)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _for_json(value: Any) -> Any:
    """What JSON has no form for as text: exact decimals, times, bytes, NaN."""
    if isinstance(value, dict):
        return {str(name): _for_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(part) for part in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    return _plain(value)


def _plain(value: Any) -> str:
    """A value as text: bytes as UTF-8, a decimal without an exponent."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _printable(text: str) -> str:
    from ventes.runtime.logs import printable

    return printable(text)


def _short(value: Any, limit: int) -> str:
    """One line, safe for a terminal."""
    text = "" if value is None else _printable(_plain(value).replace("\n", " "))
    return text if len(text) <= limit else text[: limit - 1] + "…"


@contextmanager
def _target(path: Path | None, kind: str) -> Iterator[IO[bytes]]:
    """The file, complete or absent; or standard output."""
    if path is None:
        if sys.stdout.isatty():
            if kind == "parquet":
                raise UsageError("Parquet is a binary format, not for a terminal", "`> FILE` keeps it")
            print("(writing to the terminal; `> FILE` or -o FILE keeps it)", file=sys.stderr)
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as out:
            yield cast(IO[bytes], out)
        partial.chmod(persons_mode())  # a file that the person asked for by name, not one of ours
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "choose another file") from None
    finally:
        partial.unlink(missing_ok=True)


def _progress(total: int) -> Callable[[int], None]:
    return lambda done: terminal.progress(f"{done:,} of {total:,} rows ({100 * done / max(total, 1):.0f} %)")
