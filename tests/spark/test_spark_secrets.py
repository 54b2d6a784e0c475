"""Secrets of [kafka.security] and [spark.conf] reach Spark, and no command line, log or error of it repeats them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.test_secrets import CANARY, Place, silent_broker
from ventes.config import PROJECT

__all__ = ["silent_broker"]  # a fixture

SCRIPT = """
import sys
import psutil
from ventes import config
from ventes.engines.spark import kafka_source
from ventes.engines.spark.session import open_session
from ventes.runtime import logs

settings = config.load()
log = logs.setup("bronze", settings)
session = open_session(settings, "bronze")
try:
    jvm = psutil.Process(session.jvm_pid)
    print("COMMAND", *jvm.cmdline(), *psutil.Process().cmdline())
    conf = dict(session.spark.sparkContext.getConf().getAll())
    secret = settings.spark.further_conf()["spark.hadoop.fs.s3a.secret.key"]
    print("REACHED", conf["spark.hadoop.fs.s3a.secret.key"] == secret)
    print("OPTION", session.jvm.java.lang.System.getProperty("ventes.test"))
    options = kafka_source.options(settings, {0: 0})
    print("JAAS", settings.kafka.client_security()["sasl.password"] in options["kafka.sasl.jaas.config"])
    options |= {"kafka.default.api.timeout.ms": "2000", "kafka.request.timeout.ms": "1000"}
    messages = session.spark.readStream.format("kafka").options(**options).load()
    messages.explain(True)
    query = messages.writeStream.format("noop").start()
    try:
        query.awaitTermination(60)
        print("ENDED")
    except Exception as error:
        print("FAILED", error)
        log.exception("the query failed")
finally:
    session.close()
"""


def test_they_reach_spark_and_nothing_shows_them(tmp_path: Path, silent_broker: int) -> None:
    place = Place(tmp_path, silent_broker)
    arguments = tmp_path / "java.args"
    arguments.write_text("-Dventes.test=from-a-file\n", encoding="ascii")
    toml = tmp_path / "ventes.toml"
    text = toml.read_text(encoding="utf-8")
    text = text.replace("[spark.conf]\n", f'[spark.conf]\n"spark.driver.extraJavaOptions" = "@{arguments}"\n')
    toml.write_text(text.replace(f'"ssl.key.password" = "{CANARY}-key"\n', ""), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**place.environment, "PYTHONPATH": f"{PROJECT / 'src'}{os.pathsep}{PROJECT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    place.said["spark"] = done.stdout + done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    for line in ("REACHED True", "OPTION from-a-file", "JAAS True", "FAILED"):
        assert line in done.stdout
    assert "org.apache.spark.deploy.SparkSubmit" in done.stdout
    assert place.leaks() == []
