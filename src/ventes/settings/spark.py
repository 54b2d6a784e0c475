"""The section [spark]: where the jobs run, what they ask of a cluster, and further settings of Spark."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from ventes.settings.value_types import AUTHORITY, Seconds, Section, has_secret_option, revealed

_PAGE = rf"https?://{AUTHORITY}/?"
_ADDRESS = r"^[A-Za-z0-9._:-]*$"
"""A name or an IP address, or "" for the default."""
_JAVA_MEMORY = r"^[1-9]\d{0,5}[mg]$"


def _allowed_conf(conf: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for key, value in conf.items():
        if not key.startswith("spark."):
            raise ValueError(f"the key {key!r} is no Spark setting; they begin with spark.")
        if key.endswith("JavaOptions") and has_secret_option(value.get_secret_value()):
            raise ValueError(
                f"{key} holds a secret, and everybody on this machine can read a command line: "
                "write the options into a file with mode 0600 and set the key to @/path/of/that/file"
            )
    return conf


SparkConf = Annotated[dict[str, SecretStr], AfterValidator(_allowed_conf)]


class Spark(Section):
    master: str = Field("local[2]", pattern=r"^[^@\s]+$")
    master_page: str = Field("", pattern=rf"^({_PAGE}(\s*,\s*{_PAGE})*)?$")
    """Where the pages of the masters of a standalone cluster answer; "": port 8080 of each host in `master`."""
    driver_memory: str = Field("1g", pattern=_JAVA_MEMORY)
    executor_memory: str = Field("1g", pattern=_JAVA_MEMORY)
    bronze_cores: int = Field(0, ge=0, le=100_000)
    silver_cores: int = Field(0, ge=0, le=100_000)
    """Cores of a standalone cluster that the job asks for; 0: half of those that no other application has."""
    driver_host: str = Field("", pattern=_ADDRESS)
    """By which the workers of a cluster reach the jobs; "": this machine's address on the way to the master."""
    driver_bind: str = Field("", pattern=_ADDRESS)
    """Where the jobs listen for them; "": at driver_host."""
    python: str = Field("", pattern=r"^\S*$")
    """Python on the workers of a cluster; "": the one of `environment`, or the path of this one."""
    environment_file: str = Field("", alias="environment", pattern=r"^[^,#\s]*$")
    """`environment` in ventes.toml: a file made by `ventes export spark-environment`, sent to the workers. Read
    Settings.worker_environment."""
    bronze_trigger_seconds: Seconds = 2.0
    silver_trigger_seconds: Seconds = 2.0
    max_rows_per_batch: int = Field(400_000, ge=1, le=1_000_000_000)
    conf: SparkConf = Field(default_factory=dict)
    """Any further spark.* setting, passed through. Any of them may be a secret, so no value of it is shown."""

    @property
    def on_cluster(self) -> bool:
        return not self.master.startswith("local")

    @property
    def standalone(self) -> bool:
        """Whether the cluster is Spark's own: not YARN, not Kubernetes."""
        return self.master.startswith("spark://")

    def cores_of(self, job: str) -> int:
        """The setting; 0 for a job without one."""
        return {"bronze": self.bronze_cores, "silver": self.silver_cores}.get(job, 0)

    def further_conf(self) -> dict[str, str]:
        """[spark.conf] in clear text, for Spark. Never log or show it."""
        return revealed(self.conf)
