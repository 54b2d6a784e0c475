"""Whether Spark is installed, and the default settings of its commands.

`.venv/bin/spark-submit`, `spark-sql` and `pyspark` read the conf folder inside the pyspark package: jars, Delta, local
addresses only. The jobs set everything themselves (engines/spark); these defaults are for manual use, and write nothing
to the current folder. Standard library only.
"""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from ventes.errors import InstallError
from ventes.install import jars
from ventes.install.java import Java
from ventes.runtime.files import write_if_changed

ADD = "bash start_pipeline.sh --engine spark"
"""The command that installs it."""


def package() -> Path | None:
    """The folder of the pyspark package, which is Spark's home; None if it is not installed."""
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def missing(folder: Path) -> str:
    """What of Spark is not installed, as text; '' if nothing. `folder` is that of the jars."""
    packages = [name for name in ("pyspark", "delta") if find_spec(name) is None]
    if packages:
        return f"the Python package{'s' if len(packages) > 1 else ''} {' and '.join(packages)}"
    return "" if jars.ready(folder, "spark") else f"its pinned jars in {folder / 'spark'}"


def require(folder: Path) -> None:
    """Raise InstallError if Spark is not installed. `folder` is that of the jars."""
    if lacking := missing(folder):
        raise InstallError(f"Spark is not installed here ({lacking})", f"`{ADD}` adds it")


def write_defaults(folder: Path, scratch: Path, java: Java) -> None:
    """Write the conf files if they differ. `folder` is that of the jars, `scratch` a folder for temporary files."""
    home = package()
    if home is None:
        raise InstallError("pyspark is not installed", f"`{ADD}` installs it")
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / "conf").mkdir(exist_ok=True)
    write_if_changed(home / "conf" / "spark-defaults.conf", _defaults(folder / "spark", scratch), 0o644)
    write_if_changed(home / "conf" / "log4j2.properties", _LOG4J, 0o644)
    # Each of Spark's commands sources this file to find its home. pyspark's own version uses the first python3 on
    # PATH, which has no pyspark unless .venv is activated, and does not find a Java from a wheel. (conf/spark-env.sh
    # could set the Java, but Spark sources it unquoted: that fails in a path with a space.)
    write_if_changed(Path(sys.executable).parent / "find-spark-home", _home(home, java), 0o755)


def _defaults(jars: Path, scratch: Path) -> str:
    options = (f'-Dderby.system.home="{scratch}"', "-XX:-UsePerfData")
    values = {
        # The driver's class path: spark.jars would copy 20 MB at each start. For a cluster add --jars.
        "spark.driver.extraClassPath": f"{jars}/*",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.extraJavaOptions": " ".join(options),
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.databricks.delta.snapshotPartitions": "2",
        # No metastore_db and spark-warehouse in the current folder.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:metastore;create=true",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    head = "# Written by `python -m ventes.install`; changes are lost. Override with --conf.\n"
    return head + "".join(f"{name} {value}\n" for name, value in values.items())


def _home(home: Path, java: Java) -> str:
    return f"""\
# Written by `python -m ventes.install`; changes are lost.
if [ -z "${{SPARK_HOME}}" ]; then
  export SPARK_HOME={shlex.quote(str(home))}
fi
if [ -n "${{VENTES_JAVA_HOME}}" ]; then
  export JAVA_HOME="${{VENTES_JAVA_HOME}}"
else
  export JAVA_HOME={shlex.quote(str(java.home))}
fi
export SPARK_LOCAL_IP="${{SPARK_LOCAL_IP:-127.0.0.1}}"
"""


_LOG4J = """\
# Written by `python -m ventes.install`; changes are lost.
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
# Logged at each start on every machine without Hadoop's C library.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""
