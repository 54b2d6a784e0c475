"""A person's OPTIMIZE and VACUUM, by Spark SQL, under the running jobs and under readers of every table."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from harness.pipeline import Pipeline, sales
from harness.shipped import ALL, BRONZE, CLEAN, PAR_PAYS, REJETS
from ventes.deltalog.database import connect
from ventes.deltalog.log import VersionGone
from ventes.engines.spark.session import Session
from ventes.lake import damage, tables
from ventes.lake.tables import path_of

OPTIMIZED = (BRONZE, CLEAN, REJETS, PAR_PAYS)


class Reader(threading.Thread):
    """Reads whole tables again and again; `counts` never shrink in an append-only table."""

    def __init__(self, pipeline: Pipeline, vacuumed: bool) -> None:
        """`vacuumed`: without retention, so that a version may be gone while it is read."""
        super().__init__(daemon=True)
        self._pipeline = pipeline
        self._vacuumed = vacuumed
        self.ended = threading.Event()
        self.wrong: list[str] = []
        self.reads = 0

    def run(self) -> None:
        last = dict.fromkeys((table.name for table in ALL), 0)
        while not self.ended.wait(0.1):
            for table in ALL:
                try:
                    snapshot = tables.snapshot(self._pipeline.settings, table)
                    with connect() as con:
                        ((count,),) = con.execute(f"SELECT count(*) FROM ({snapshot.select()})").fetchall()
                except Exception as error:
                    if not (self._vacuumed and isinstance(damage.of_error(error), VersionGone)):
                        self.wrong.append(f"{table.name}: {error!r}")
                    continue
                if count < last[table.name]:
                    self.wrong.append(f"{table.name}: {count} rows after {last[table.name]}")
                last[table.name] = count
                self.reads += 1


@pytest.mark.long  # a VACUUM of Spark's takes seconds
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.parametrize("retain", ["", " RETAIN 0 HOURS"])
@pytest.mark.timeout(1500)
def test_optimize_and_vacuum_under_writers_and_readers(
    tmp_path: Path, session: Session, engine: str, retain: str
) -> None:
    session.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    with Pipeline(tmp_path / "pipeline", engine, extra="[maintenance]\ncompact_every = 10\n") as pipeline:
        for job in ("bronze", "silver"):
            pipeline.start(job)
        pipeline.send([*sales(50), b"not json"])
        pipeline.catch_up()
        reader = Reader(pipeline, vacuumed=bool(retain))
        reader.start()
        done, refused = 0, []
        for turn in range(2):
            for number, table in enumerate(OPTIMIZED):
                for part in range(3):
                    pipeline.send([*sales(10, 1001 + 1000 * turn + 100 * number + 10 * part), b"not json"])
                path = path_of(pipeline.settings, table)
                for statement in ("OPTIMIZE delta.`{}`", "VACUUM delta.`{}`" + retain):
                    try:
                        session.spark.sql(statement.format(path)).collect()
                        done += 1
                    except (
                        PySparkException,
                        Py4JError,
                    ) as error:  # it met a commit of ours: Spark must try again
                        refused.append(str(error).splitlines()[0])
        pipeline.catch_up()
        reader.ended.set()
        reader.join(60)
        assert reader.wrong == []
        assert reader.reads > len(ALL)
        assert done > 2 * len(OPTIMIZED), refused
        pipeline.verify()
        assert pipeline.rows(CLEAN) == 50 + 2 * len(OPTIMIZED) * 30
        assert pipeline.rows(REJETS) == pipeline.rows(BRONZE) - pipeline.rows(CLEAN)
        for job in ("bronze", "silver"):
            assert pipeline.jobs[job].poll() is None
