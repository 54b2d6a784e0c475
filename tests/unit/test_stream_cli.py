"""`ventes stream` as a user sees it: what it writes and prints, and its exit codes; and a declaration beside tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ventes import config
from ventes.check.declared_tables import Finding, compare
from ventes.config import Paths, Settings
from ventes.contract.tables import of_stream
from ventes.deltalog import create
from ventes.lake import fit
from ventes.lake.tables import path_of
from ventes.stream import Aggregate, Count, Event, Instant, Integer, Money, Stream, Sum, Text
from ventes.stream.loading import load

TOML = (
    '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n[kafka]\nport = 19493\ncontroller_port = 19494\n'
    "[page]\nport = 19495\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a pipeline that does not run, with some orders in a file."""
    (tmp_path / "ventes.toml").write_text(TOML, encoding="utf-8")
    lines = [
        json.dumps({"order_id": n, "created_at": f"2026-01-05T10:{n:02}:00Z", "amount": n + 0.5, "shop": "ab"[n % 2]})
        for n in range(60)
    ]
    (tmp_path / "orders.jsonl").write_text("\n".join([*lines, "oops"]), encoding="utf-8")
    return tmp_path


def ventes(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
    ours = {"VENTES_CONFIG": str(folder / "ventes.toml"), "PYTHONPATH": str(config.PROJECT / "src")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys; from ventes.cli import main; sys.exit(main())", *arguments],
        env={**kept, **ours, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_init_check_and_list(folder: Path) -> None:
    done = ventes(folder, "stream", "init", "orders", "--from", "orders.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert "streams/orders.py: 4 fields, 2 aggregate tables" in done.stdout
    assert "id order_id, time created_at, dimensions: shop" in done.stdout
    assert "it takes 60 of 61 messages and rejects 1\n" in done.stdout
    assert "1 not_json" in done.stdout
    assert "first: line 61" in done.stdout
    assert "\n  ventes stream check streams/orders.py\n" in done.stdout
    assert 'stream = "streams/orders.py"' in done.stdout
    declared = load(folder / "streams" / "orders.py")
    assert (declared.name, declared.topic, declared.event.names) == (
        "orders", "orders", ("order_id", "created_at", "amount", "shop"),
    )  # fmt: skip

    written = (folder / "streams" / "orders.py").read_bytes()
    again = ventes(folder, "stream", "init", "orders", "--from", "orders.jsonl")
    assert again.returncode == 2
    assert "orders.py is already there → --force replaces it" in again.stderr
    assert (folder / "streams" / "orders.py").read_bytes() == written
    assert ventes(folder, "stream", "init", "orders", "--from", "orders.jsonl", "--force").returncode == 0

    checked = ventes(folder, "stream", "check", "streams/orders.py")
    assert checked.returncode == 0
    assert "stream orders, topic orders" in checked.stdout
    assert "orders_par_shop is created" in checked.stdout
    assert not (folder / "lake").exists()  # it writes nothing

    (folder / "streams" / "wrong.py").write_text("from ventes.stream import Text\nSTREAM = Text('1')\n")
    listed = ventes(folder, "stream", "list", VENTES_STREAM="streams/orders.py")
    assert listed.returncode == 0
    lines = {line.split()[0 if line[0] == " " else 1]: line for line in listed.stdout.splitlines()}
    assert lines["orders"].startswith("* orders ")
    assert lines["ventes"].startswith("  ventes ")
    assert "wrong.py, line 2: field '1'" in lines["wrong"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["init", "orders"], "either --from-topic TOPIC or --from FILE.jsonl"),
        (["init", "orders", "--from", "orders.jsonl", "--from-topic", "orders"], "either --from-topic"),
        (["init", "../orders", "--from", "orders.jsonl"], "'../orders'"),
        (["init", "Orders", "--from", "orders.jsonl"], "use lower case"),
        (["init", "orders", "--from", "none.jsonl"], "none.jsonl cannot be read"),
        (["init", "orders", "--from-topic", "no spaces"], "no spaces"),
        (["check", "none.py"], "none.py cannot be read"),
    ],
)
def test_wrong_usage_is_exit_2_on_one_line(folder: Path, arguments: list[str], named: str) -> None:
    done = ventes(folder, "stream", *arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "streams").exists()


def test_a_mistake_in_a_declaration_is_exit_2_with_its_line(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text("from ventes.stream import *\n\nSTREAM = Stream('x', 'x', Event('id', 'at', (Text('id'),)))\n")
    done = ventes(folder, "stream", "check", "mine.py")
    assert done.returncode == 2
    assert f"{file}, line 3: at = 'at' is not one of the fields: id" in done.stderr


def test_a_broker_that_is_down_is_exit_1(folder: Path) -> None:
    done = ventes(folder, "stream", "init", "orders", "--from-topic", "orders")
    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:19493 does not answer" in done.stderr


def test_messages_without_an_event_are_counted(folder: Path) -> None:
    (folder / "bad.jsonl").write_bytes(b"[1]\n[2]\n{\n")
    done = ventes(folder, "stream", "init", "orders", "--from", "bad.jsonl")
    assert done.returncode == 1
    assert "none of the 3 messages has an event: not_object 2, not_json 1" in done.stderr


# -- a declaration beside tables --------------------------------------------------------------

SHOPS = Aggregate("orders_par_shop", by=("shop",), measures=(Count("nombre"), Sum("total", "amount")))
DECLARED = Stream(
    "orders",
    "orders",
    Event("order_id", "created_at", (Integer("order_id"), Instant("created_at"), Money("amount"), Text("shop"))),
    (SHOPS,),
)


class Fixed(Settings):
    """Settings whose stream is given."""

    declared: Any = None

    @property
    def stream(self) -> Stream:
        stream: Stream = self.declared
        return stream


def settings_of(folder: Path, stream: Stream) -> Settings:
    return Fixed(paths=Paths(lake=folder / "lake"), declared=stream)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The tables of DECLARED: 3 rows in Bronze, 2 in orders_clean."""
    settings = settings_of(tmp_path, DECLARED)
    ours = of_stream(DECLARED)
    for table in ours.all:
        create.ensure(path_of(settings, table), table, {fit.DECLARATION: fit.declaration_of(ours, table)})
    for table, rows in ((ours.bronze, 3), (ours.clean, 2)):
        day = datetime(2026, 1, 5, tzinfo=timezone.utc).date()
        columns = {
            field.name: pa.array([day] * rows, field.type) if field.name == "jour" else pa.nulls(rows, field.type)
            for field in table.schema
        }
        write_deltalake(path_of(settings, table), pa.table(columns, table.schema), mode="append")
    return tmp_path


def found(folder: Path, event: Event = DECLARED.event, tables: tuple[Aggregate, ...] = (SHOPS,)) -> dict[str, Finding]:
    """text → finding."""
    stream = replace(DECLARED, event=event, tables=tables)
    before = sorted(path for path in folder.rglob("*"))
    findings = compare(settings_of(folder, stream))
    assert sorted(path for path in folder.rglob("*")) == before  # it only reads
    return {finding.text: finding for finding in findings}


def with_fields(*fields: Any) -> Event:
    return replace(DECLARED.event, fields=fields)


def test_the_same_declaration_fits(lake: Path) -> None:
    assert list(found(lake)) == [
        "bronze fits: 3 rows",
        "orders_clean fits: 2 rows",
        "orders_rejets fits: 0 rows",
        "orders_par_shop fits: 0 rows",
    ]


def test_new_fields_appear_and_a_required_one_has_a_warning(lake: Path) -> None:
    ours = DECLARED.event.fields
    optional = found(lake, with_fields(*ours, Text("till", optional=True)))
    assert "bronze (3 rows) gets till: NULL in the rows that are there" in optional
    assert "orders_clean (2 rows) gets till: NULL in the rows that are there" in optional
    assert not any("not optional" in text or finding.refused for text, finding in optional.items())
    required = found(lake, with_fields(*ours, Text("till")))
    assert "till: not optional, so messages without it are rejected from now on" in required


def test_a_new_aggregate_and_a_new_measure_cost_the_rows_of_clean(lake: Path) -> None:
    more = replace(SHOPS, measures=(*SHOPS.measures, Sum("orders", "order_id")))
    hourly = Aggregate("orders_par_client", by=("order_id",), measures=(Count("nombre"),))
    findings = found(lake, tables=(more, hourly))
    assert findings["orders_par_shop gets orders: built again from 2 rows of orders_clean"].rows == 2
    assert findings["orders_par_client is created and filled from 2 rows of orders_clean"].rows == 2
    assert not any(finding.refused for finding in findings.values())


def test_an_aggregate_that_means_something_else_is_built_again(lake: Path) -> None:
    """The columns and their types are the same."""
    counted = replace(SHOPS, where="amount > 10")
    findings = found(lake, tables=(counted,))
    assert findings["orders_par_shop means something else now: built again from 2 rows of orders_clean"].rows == 2


def test_another_id_is_refused(lake: Path) -> None:
    numbered = replace(DECLARED.event, id="shop")
    (refused,) = [finding for text, finding in found(lake, numbered).items() if "orders_clean" in text]
    assert refused.refused
    assert "ventes rebuild silver" in refused.next_step


def test_a_changed_type_and_a_dropped_field_are_refused_with_the_way_out(lake: Path) -> None:
    findings = found(lake, with_fields(Text("order_id"), *DECLARED.event.fields[1:2], Money("amount"), Text("shop")))
    refused = {text: finding.next_step for text, finding in findings.items() if finding.refused}
    assert list(refused) == [
        "bronze.order_id is long on disk, declared string",
        "orders_clean.order_id is long on disk, declared string",
        "orders_rejets.order_id is long on disk, declared string",
    ]
    assert "paths.lake" in refused["bronze.order_id is long on disk, declared string"]
    assert refused["orders_clean.order_id is long on disk, declared string"] == "ventes rebuild silver"
    dropped = found(lake, with_fields(*DECLARED.event.fields[:2], Text("shop")), ())
    assert dropped["bronze has columns that are not declared: amount"].refused
    assert "orders_par_shop is on disk and not declared: left as it is" in dropped
