"""All settings of all processes, read once into frozen objects.

Precedence, first wins: command-line flag > VENTES_* environment > ventes.toml > default.
`load(**flags)` is that expression. Unknown keys and impossible values are refused by name.
Relative paths are taken from the folder of the ventes.toml that was read.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ventes.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from importlib.abc import Traversable

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout: the guide's scripts, ventes.toml and .venv live here."""

CONFIG_VARIABLE = "VENTES_CONFIG"

Port = Annotated[int, Field(ge=1, le=65535)]
Engine = Literal["spark", "embedded"]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}; use a name such as 'UTC' or 'Europe/Paris'")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]

Money = Annotated[Decimal, Field(ge=0, max_digits=28, decimal_places=6, allow_inf_nan=False)]
"""An amount, as it is written in ventes.toml: never a float."""

HostName = Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$|^[0-9A-Fa-f:]+$")]
"""dash.example.com, *.example.com, an IP address. Not `*`: any web site could then speak to the page."""

_SERVER = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}"

KAFKA_SECURITY_KEYS = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
    }
)
"""librdkafka names that may stand in [kafka.security]; they reach producer, jobs and admin alike."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Kafka(_Section):
    host: str = "127.0.0.1"
    port: Port = 9092
    controller_port: Port = 9093
    topic: str = Field("ventes_stream", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    partitions: int = Field(1, ge=1, le=1000)
    managed: bool = True
    """True: `ventes start` runs the broker. False: it is somebody else's, only its address counts."""
    retention_hours: int = Field(168, ge=1)
    max_message_bytes: int = Field(10_485_760, ge=1_000_000)
    flush_every_message: bool = False
    heap_mb: int = Field(384, ge=128)
    servers: str = Field("", alias="bootstrap", pattern=rf"^({_SERVER}(\s*,\s*{_SERVER})*)?$")
    """`bootstrap` in ventes.toml: "h1:9092,h2:9092" of a cluster that is not managed here; else host and port count."""
    security: dict[str, str] = Field(default_factory=dict)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of each server that may be asked first."""
        if not self.servers:
            return ((self.host, self.port),)
        parts = (server.strip().rpartition(":") for server in self.servers.split(","))
        return tuple((host.strip("[]"), int(port)) for host, _, port in parts)

    @property
    def bootstrap(self) -> str:
        """The same as librdkafka and Java spell it."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses)

    @model_validator(mode="after")
    def _not_of_ours(self) -> Kafka:
        if self.servers and self.managed:
            raise ValueError("bootstrap is for a cluster of your own: set managed = false, or use host and port")
        return self

    @model_validator(mode="after")
    def _allowed_security(self) -> Kafka:
        for key in self.security:
            if key not in KAFKA_SECURITY_KEYS:
                raise ValueError(
                    f"security key {key!r} is not passed on; allowed: {', '.join(sorted(KAFKA_SECURITY_KEYS))}"
                )
        return self


class Paths(_Section):
    lake: Path = Path("/tmp/delta")
    logs: Path = Path("/tmp")
    state: Path = Path(".ventes")
    """Run records, Kafka's data, jars and caches. Not in /tmp: Debian empties that at boot."""


class Source(_Section):
    time_zone: Zone = "UTC"
    """How a timestamp without a zone is read."""


class Rules(_Section):
    """What the business decides. Changing one needs `ventes rebuild silver`."""

    time_zone: Zone = "UTC"
    """The zone whose midnight begins a `jour`."""
    watermark_minutes: int = Field(10, ge=0)
    loyal_from: int = Field(2, ge=1)
    standard_from: Money = Decimal(100)
    premium_from: Money = Decimal(500)

    @model_validator(mode="after")
    def _ordered(self) -> Rules:
        if self.premium_from < self.standard_from:
            raise ValueError(f"premium_from = {self.premium_from} is below standard_from = {self.standard_from}")
        return self


class Producer(_Section):
    enabled: bool = True
    rate: float = Field(0.5, gt=0)
    """Sales a second; 0.5 is one every 2 seconds."""
    clients: int = Field(300, ge=1, le=1_000_000)


class Page(_Section):
    address: str = "127.0.0.1"
    hosts: list[HostName] = Field(default_factory=list)
    """Names by which people reach the page, beside localhost and `address`; another name is refused."""
    port: Port = 8501
    refresh_seconds: int = Field(5, ge=5, le=30)
    currency: str = Field("$", min_length=1, max_length=5)
    sql: bool = True
    """Whether the page offers the SQL tab."""
    sql_seconds: float = Field(2.0, gt=0, le=60)
    sql_rows: int = Field(10_000, ge=1)
    sql_memory_mb: int = Field(512, ge=64)
    tabs: Path = Path("dashboard_tabs")
    """A folder whose *.py files each add a tab."""


class Spark(_Section):
    master: str = "local[2]"
    driver_memory: str = Field("1g", pattern=r"^[1-9]\d*[mg]$")
    bronze_trigger_seconds: float = Field(2.0, gt=0)
    silver_trigger_seconds: float = Field(2.0, gt=0)
    max_rows_per_batch: int = Field(400_000, ge=1)
    conf: dict[str, str] = Field(default_factory=dict)
    """Any further spark.* setting, passed through."""


class Embedded(_Section):
    max_rows_per_batch: int = Field(50_000, ge=1)
    memory_mb: int = Field(256, ge=64)


class Maintenance(_Section):
    history_hours: float = Field(6, gt=0)
    """How far back the tables can be read `as of`; older files are vacuumed."""
    compact_every: int = Field(50, ge=2)
    """Commits of a table between two compactions."""
    min_free_mb: int = Field(500, ge=0)
    """Ingestion pauses when a disk that it writes to has less."""


class Supervisor(_Section):
    backoff_seconds: float = Field(1.0, gt=0)
    backoff_max_seconds: float = Field(30.0, gt=0)
    give_up_after: int = Field(8, ge=1)
    """Crashes in a row, without a minute of health between them, before a service is FAILED."""


class Logs(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    max_mb: int = Field(20, ge=1)
    keep: int = Field(3, ge=1)


class _TomlFile(TomlConfigSettingsSource):
    """ventes.toml, with numbers as the decimals that are written there."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        read: dict[str, Any] = tomllib.loads(file_path.read_text(encoding="utf-8"), parse_float=Decimal)
        return read


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="VENTES_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    engine: Engine = "spark"
    kafka: Kafka = Kafka()
    paths: Paths = Paths()
    source: Source = Source()
    rules: Rules = Rules()
    producer: Producer = Producer()
    page: Page = Page()
    spark: Spark = Spark()
    embedded: Embedded = Embedded()
    maintenance: Maintenance = Maintenance()
    supervisor: Supervisor = Supervisor()
    logs: Logs = Logs()
    config_file: Path = Field(default=PROJECT / "ventes.toml", exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = _TomlFile(settings_cls, toml_file=config_path())
        return init_settings, env_settings, file

    # -- places -------------------------------------------------------------------------------

    def _resolve(self, path: Path) -> Path:
        return path if path.is_absolute() else (self.config_file.parent / path).resolve()

    @property
    def lake(self) -> Path:
        return self._resolve(self.paths.lake)

    @property
    def bronze(self) -> Path:
        """The Bronze Delta table; the guide has /tmp/delta/bronze/ventes_stream."""
        return self.lake / "bronze" / self.kafka.topic

    @property
    def silver(self) -> Path:
        """The folder of the Silver tables, one Delta table a sub-folder."""
        return self.lake / "silver"

    @property
    def checkpoints(self) -> Path:
        return self.lake / "checkpoints"

    @property
    def state(self) -> Path:
        return self._resolve(self.paths.state)

    @property
    def jars(self) -> Path:
        return PROJECT / ".ventes" / "jars"

    @property
    def tabs(self) -> Path:
        return self._resolve(self.page.tabs)

    def log(self, service: str) -> Path:
        """The log of a service, under the guide's names."""
        return self._resolve(self.paths.logs) / LOG_NAMES[service]

    @property
    def source_zone(self) -> ZoneInfo:
        return ZoneInfo(self.source.time_zone)

    @property
    def business_zone(self) -> ZoneInfo:
        return ZoneInfo(self.rules.time_zone)


LOG_NAMES = {
    "broker": "kafka_broker.log",
    "producer": "producer.log",
    "bronze": "spark_delta.log",
    "silver": "spark_silver.log",
    "page": "streamlit.log",
    "supervisor": "ventes.log",
}
"""Service → log file. Four of them are the guide's."""


def config_path() -> Path:
    """The ventes.toml in force: VENTES_CONFIG, else the one beside the guide's scripts."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named).resolve() if named else PROJECT / "ventes.toml"


def load(**flags: Any) -> Settings:
    """Read the settings. `flags` are sections or values from the command line; they win.

    Raises ConfigError naming each refused key and value, and where to mend it.
    """
    path = config_path()
    if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
        raise ConfigError(f"{CONFIG_VARIABLE} names {path}, which is not a file", "unset it or correct it")
    known = {f"VENTES_{name.upper()}" for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith("VENTES_") and name.split("__")[0] not in known | _OTHER_VARIABLES:
            raise ConfigError(
                f"environment variable {name} is no setting of this pipeline",
                "settings are VENTES_<SECTION>__<KEY>, for example VENTES_PAGE__PORT=8502",
            )
    try:
        return Settings(config_file=path, **flags)
    except ValidationError as error:
        lines = "; ".join(_explain(item) for item in error.errors())
        raise ConfigError(f"settings refused: {lines}", f"mend {path} (or VENTES_* / the flag)") from None
    except ValueError as error:  # a TOML file that does not parse
        raise ConfigError(f"{path} cannot be read: {error}", "mend the line it names") from None


_OTHER_VARIABLES = {CONFIG_VARIABLE, "VENTES_FAILPOINTS", "VENTES_JAVA_HOME", "VENTES_SUPERVISED"}
"""Names with our prefix that are not settings."""


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "ventes.toml"
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    return f"{key} = {item['input']!r}: {item['msg']}"
