"""Every key has one home among the files, and a small lot changes few of them, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.shipped import AGGREGES, PAR_PAYS
from harness.silver_engine import START
from harness.silver_run import publisher_of, settings_of
from tests.unit.test_rollups import assert_equal_to_recomputation, clean_rows, partials
from ventes.config import Settings
from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.table import Table
from ventes.lake import rollup_files, rollup_merge
from ventes.lake.rollup_files import Flags, Places
from ventes.lake.rollups import Publisher

DAY, NUMBER, TEXT = (
    st.sampled_from([None, date(2026, 3, 1), date(2026, 3, 2)]),
    st.one_of(st.none(), st.integers(-3, 9)),
    st.sampled_from([None, "a", "b", "é"]),
)
KEYS = st.sets(st.tuples(DAY, NUMBER, TEXT), max_size=25)
SCHEMA = pa.schema([("day", pa.date32()), ("number", pa.int64()), ("text", pa.string())])
COLUMNS = SCHEMA.names
Key = tuple[Any, ...]


def as_rows(keys: list[Key]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(COLUMNS, key, strict=True)) for key in keys], schema=SCHEMA)


def written(keys: set[Key], cuts: list[int]) -> list[tuple[DataFile, list[Key]]]:
    """The keys in sorted files, cut at some places, with the statistics that a writer gives them."""
    ordered = as_rows(list(keys)).sort_by([(name, "ascending") for name in COLUMNS])
    ends = sorted({0, *(cut % (len(keys) + 1) for cut in cuts), len(keys)})
    table = Table("t", SCHEMA, tuple(COLUMNS), stats=tuple(COLUMNS))
    files = []
    for begin, end in pairwise(ends):
        part = ordered.slice(begin, end - begin)
        stats = json.dumps(data_files.statistics(table, part))
        files.append((DataFile(f"f{begin}", 1, {}, 0, stats), [tuple(row.values()) for row in part.to_pylist()]))
    return files


@given(stored=KEYS, cuts=st.lists(st.integers(0, 25), max_size=5), asked=KEYS, some=st.sets(st.integers(0, 24)))
def test_a_key_that_is_stored_has_its_file_as_home_and_every_other_at_most_one(
    stored: set[Key], cuts: list[int], asked: set[Key], some: set[int]
) -> None:
    keys = list(asked | {key for place, key in enumerate(stored) if place in some})
    files = dict[str, tuple[DataFile, list[Key]]]((file.path, (file, held)) for file, held in written(stored, cuts))
    ordered = rollup_files.in_order(COLUMNS, [file for file, _ in files.values()])

    def holds(file: DataFile, places: Places) -> Flags:
        return np.array([keys[place] in files[file.path][1] for place in places], np.bool_)

    homes = rollup_files.homes(COLUMNS, ordered, as_rows(keys), holds)
    found: dict[Key, str] = {}
    for file, places in zip(ordered, homes, strict=True):
        for place in places.tolist():
            assert keys[place] not in found
            found[keys[place]] = file.path
    for path, (_, held) in files.items():
        for key in set(held) & set(keys):
            assert found[key] == path


def test_a_few_files_are_searched_of_many() -> None:
    """Of three days with 400 numbers each, in files of 32: those with the end of a day and the begin of the next."""
    days = [date(2026, 3, 1) + timedelta(days=day) for day in range(3)]
    stored = {(day, number, "a") for day in days for number in range(0, 800, 2)}
    files = rollup_files.in_order(COLUMNS, [file for file, _ in written(stored, list(range(0, 1_200, 32)))])
    searched: list[str] = []

    def holds(file: DataFile, places: Places) -> Flags:
        searched.append(file.path)
        return np.zeros(len(places), np.bool_)

    for key in ((days[1], 400, "a"), (days[1], 401, "a"), (days[2], 798, "b"), (days[0], 0, "a")):
        searched.clear()
        homes = rollup_files.homes(COLUMNS, files, as_rows([key]), holds)
        assert sum(len(places) for places in homes) <= 1
        assert len(searched) <= 2, key
    assert len(files) == 38


@given(rows=st.integers(1, 100), size=st.integers(1, 30))
def test_cut_in_parts_of_nearly_the_same_size(rows: int, size: int) -> None:
    parts = rollup_files.cut(pa.table({"n": list(range(rows))}), size)
    assert [value for part in parts for value in part["n"].to_pylist()] == list(range(rows))
    assert max(part.num_rows for part in parts) <= size
    assert max(part.num_rows for part in parts) - min(part.num_rows for part in parts) <= 1


# -- the work of a lot ------------------------------------------------------------------------


def sale(client: int, day: int = 0) -> dict[str, Any]:
    return {
        "client_id": client, "client_nom": "Ana", "pays": f"P{client:05d}", "segment": "B2C",
        "produit_id": 1, "produit_nom": "Sac", "categorie": "Mode", "quantite": 1,
        "montant": Decimal(7) / 100, "timestamp": START + timedelta(days=day),
    }  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(rollup_files, "CHUNK", 64)
    return settings_of(tmp_path)


def work(publisher: Publisher, lot: list[dict[str, Any]], number: int) -> dict[str, tuple[int, int, int]]:
    """Table → (files removed, files written, rows written) by a lot."""
    before = {name: dict(log.files) for name, log in publisher.logs.items()}
    publisher.publish(partials(clean_rows(lot, number)), number)
    done = {}
    for name, log in publisher.logs.items():
        new = [file for path, file in log.files.items() if path not in before[name]]
        removed = len(before[name].keys() - log.files.keys())
        done[name] = (removed, len(new), sum(file.rows or 0 for file in new))
    return done


ONE_SALE = {
    "a client of today": sale(2 * 500),
    "a new client among them": sale(2 * 500 + 1),
    "a new client after them": sale(10**6),
    "a client of yesterday": sale(3, day=-1),
    "a new day": sale(3, day=1),
}


@pytest.mark.parametrize("clients", [1_000, 6_000])
def test_a_lot_of_one_sale_rewrites_two_files_at_most(config: Settings, clients: int) -> None:
    publisher = publisher_of(config)
    lots = [[sale(2 * number) for number in range(clients)], [sale(number, day=-1) for number in range(10)]]
    for number, lot in enumerate(lots, 1):
        publisher.publish(partials(clean_rows(lot, number)), number)
    assert len(publisher.logs[AGGREGES.name].files) >= clients // 64
    assert len(publisher.logs[PAR_PAYS.name].files) >= clients // 64
    for number, (what, one) in enumerate(ONE_SALE.items(), 3):
        lots.append([one])
        for name, (removed, written, rows) in work(publisher, [one], number).items():
            assert removed <= 2, (what, name)
            assert 1 <= written <= 2, (what, name)
            assert rows <= 2 * 64, (what, name)
    assert_equal_to_recomputation(config, lots)


def test_new_clients_of_a_day_do_not_leave_many_small_files(config: Settings) -> None:
    publisher = publisher_of(config)
    lots = [[sale(100 * lot + number) for number in range(5)] for lot in range(60)]
    most = 0
    for number, lot in enumerate(lots, 1):
        _, written, rows = work(publisher, lot, number)[AGGREGES.name]
        most = max(most, len(publisher.logs[AGGREGES.name].files))
        assert written <= 2
        assert rows <= 2 * 64
    assert most <= 60 * 5 // 32 + rollup_files.SMALL_FILES
    assert_equal_to_recomputation(config, lots)


def test_a_publication_of_all_clients_is_made_in_steps(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_merge, "GROUP", 128)
    publisher = publisher_of(config)
    lots = [[sale(number) for number in range(2_000)], [sale(number) for number in range(0, 2_000, 7)]]
    publisher.publish(partials(clean_rows(lots[0], 1)), 1)
    log = publisher.logs[AGGREGES.name]
    before, steps = dict(log.files), 0
    for _ in counted_until_committed(publisher, lots[1]):
        steps += 1
        assert log.files == before, "nothing is committed before the last step"
        on_disk = {path.name for path in log.path.glob("*.parquet")}
        assert len(on_disk) - len(before) <= 2 * steps * 128 // 32
    assert steps >= 2_000 // 128
    assert_equal_to_recomputation(config, lots)


def counted_until_committed(publisher: Publisher, lot: list[dict[str, Any]]) -> Iterator[None]:
    """The steps of the first table; then the publication is finished."""
    publication = publisher.publication(partials(clean_rows(lot, 2)), 2)
    version = publisher.logs[AGGREGES.name].version
    for _ in publication:
        if publisher.logs[AGGREGES.name].version != version:
            break
        yield
    for _ in publication:
        pass


def test_a_publication_that_is_given_up_leaves_no_file(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_merge, "GROUP", 128)
    publisher = publisher_of(config)
    publisher.publish(partials(clean_rows([sale(number) for number in range(1_000)], 1)), 1)
    path = publisher.logs[AGGREGES.name].path
    before = sorted(path.glob("*.parquet"))
    steps = publisher.publication(partials(clean_rows([sale(number) for number in range(1_000)], 2)), 2)
    next(steps)
    next(steps)
    assert len(sorted(path.glob("*.parquet"))) > len(before)
    steps.close()  # type: ignore[attr-defined]
    assert sorted(path.glob("*.parquet")) == before
