"""All settings of all processes, read once into frozen objects.

Precedence, highest first: command-line flag > VENTES_* environment > ventes.toml > default.
`load(**flags)` applies it. Unknown keys and impossible values are refused by name.
Relative paths are taken from the folder of the ventes.toml that was read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ventes.errors import ConfigError
from ventes.setting_sources import Environment, Place, merged, read_environment, read_file
from ventes.setting_types import (
    Folder,
    Fraction,
    Host,
    HostPattern,
    Megabytes,
    Money,
    Port,
    Seconds,
    Zone,
    has_secret_option,
    is_secret_name,
    refused_in_path,
    shown,
)

if TYPE_CHECKING:
    from ventes.stream.declaration import Stream

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout: the guide's scripts, ventes.toml and .venv live here."""

CONFIG_VARIABLE = "VENTES_CONFIG"
SUPERVISED_VARIABLE = "VENTES_SUPERVISED"
"""Set for the processes that the supervisor starts."""

Engine = Literal["spark", "embedded"]

_SERVER = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}"

# -- values that are never shown --------------------------------------------------------------

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
"""librdkafka names that are allowed in [kafka.security]; producer, jobs and admin client all use them."""

_SECURITY_CHOICES = {
    "security.protocol": {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"},
    "sasl.mechanism": {"plain", "scram-sha-256", "scram-sha-512", "gssapi", "oauthbearer"},
    "ssl.endpoint.identification.algorithm": {"https", "none"},
}
"""Checked here: librdkafka and Java would repeat a wrong value in their errors."""


def _allowed_security(security: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for key, value in security.items():
        if key not in KAFKA_SECURITY_KEYS:
            raise ValueError(f"the key {key!r} is not passed on; allowed: {', '.join(sorted(KAFKA_SECURITY_KEYS))}")
        choices = _SECURITY_CHOICES.get(key)
        if choices and value.get_secret_value().lower() not in choices:
            raise ValueError(f"{key} must be one of {', '.join(sorted(choices))}")
    return security


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


Security = Annotated[dict[str, SecretStr], AfterValidator(_allowed_security)]
SparkConf = Annotated[dict[str, SecretStr], AfterValidator(_allowed_conf)]

_NEVER_SHOWN = (("kafka", "security"), ("spark", "conf"))
"""The tables of these two types."""


def _revealed(table: dict[str, SecretStr]) -> dict[str, str]:
    return {key: value.get_secret_value() for key, value in table.items()}


# -- sections ---------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class Kafka(_Section):
    host: Host = "127.0.0.1"
    port: Port = 9092
    controller_port: Port = 9093
    other_topic: str = Field("", alias="topic", pattern=r"^[A-Za-z0-9._-]{0,200}$")
    """`topic` in ventes.toml; "": the stream's own. Read Settings.topic, which has the answer."""
    partitions: int = Field(1, ge=1, le=1000)
    managed: bool = True
    """True: `ventes start` runs the broker. False: an external broker; only its address is used."""
    retention_hours: int = Field(168, ge=1, le=876_000)
    max_message_bytes: int = Field(10_485_760, ge=1_000_000, le=1_000_000_000)
    flush_every_message: bool = False
    heap_mb: Megabytes = Field(384, ge=128)
    servers: str = Field("", alias="bootstrap", pattern=rf"^({_SERVER}(\s*,\s*{_SERVER})*)?$")
    """`bootstrap` in ventes.toml: "h1:9092,h2:9092" of a cluster that is not managed here; else host and port count."""
    security: Security = Field(default_factory=dict)
    """Secret as a whole: no value of it is shown anywhere."""

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of each bootstrap server."""
        if not self.servers:
            return ((self.host, self.port),)
        parts = (server.strip().rpartition(":") for server in self.servers.split(","))
        return tuple((host.strip("[]"), int(port)) for host, _, port in parts)

    @property
    def bootstrap(self) -> str:
        """The same in the form that librdkafka and Java expect."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses)

    @model_validator(mode="after")
    def _not_of_ours(self) -> Kafka:
        if self.servers and self.managed:
            raise ValueError("bootstrap is for a cluster of your own: set managed = false, or use host and port")
        return self

    def client_security(self) -> dict[str, str]:
        """[kafka.security] in clear text, for a Kafka client. Never log or show it."""
        return _revealed(self.security)


class Paths(_Section):
    lake: Folder = Path("/tmp/delta")
    logs: Folder = Path("/tmp")
    state: Folder = Path(".ventes")
    """Run records, Kafka's data, jars and caches. Not in /tmp: Debian empties that at boot."""


class Source(_Section):
    time_zone: Zone = "UTC"
    """How a timestamp without a zone is read."""


class Rules(_Section):
    """Business rules. Changing one needs `ventes rebuild silver`."""

    time_zone: Zone = "UTC"
    """The zone whose midnight begins a `jour`."""
    watermark_minutes: int = Field(10, ge=0, le=5_256_000)
    loyal_from: int = Field(2, ge=1, le=1_000_000_000)
    standard_from: Money = Decimal(100)
    premium_from: Money = Decimal(500)

    @model_validator(mode="after")
    def _ordered(self) -> Rules:
        if self.premium_from < self.standard_from:
            raise ValueError(f"premium_from = {self.premium_from} is below standard_from = {self.standard_from}")
        return self


class Producer(_Section):
    enabled: bool = True
    rate: Fraction = Field(0.5, gt=0, le=10_000_000)
    """Sales per second; 0.5 is one every 2 seconds."""
    clients: int = Field(300, ge=1, le=1_000_000)


class Page(_Section):
    address: Host = "127.0.0.1"
    hosts: list[HostPattern] = Field(default_factory=list)
    """Names by which people reach the page, beside localhost and `address`; another name is refused."""
    port: Port = 8501
    refresh_seconds: int = Field(5, ge=5, le=30)
    quiet_minutes: Fraction = Field(10, ge=0, le=525_600)
    """After so long without an event the page is amber, though every part is ready; 0: never."""
    currency: str = Field("$", min_length=1, max_length=5)
    sql: bool = True
    """Whether the page offers the SQL tab."""
    sql_seconds: Fraction = Field(2.0, gt=0, le=60)
    sql_rows: int = Field(10_000, ge=1, le=10_000_000)
    sql_memory_mb: Megabytes = Field(512, ge=64)
    tabs: Folder = Path("dashboard_tabs")
    """A folder whose *.py files each add a tab."""


class Spark(_Section):
    master: str = Field("local[2]", pattern=r"^[^@\s]+$")
    driver_memory: str = Field("1g", pattern=r"^[1-9]\d{0,5}[mg]$")
    bronze_trigger_seconds: Seconds = 2.0
    silver_trigger_seconds: Seconds = 2.0
    max_rows_per_batch: int = Field(400_000, ge=1, le=1_000_000_000)
    conf: SparkConf = Field(default_factory=dict)
    """Any further spark.* setting, passed through. Any of them may be a secret, so no value of it is shown."""

    def further_conf(self) -> dict[str, str]:
        """[spark.conf] in clear text, for Spark. Never log or show it."""
        return _revealed(self.conf)


class Embedded(_Section):
    max_rows_per_batch: int = Field(50_000, ge=1, le=1_000_000_000)
    memory_mb: Megabytes = Field(256, ge=64)


class Maintenance(_Section):
    history_hours: Fraction = Field(6, gt=0, le=876_000)
    """How far back the tables can be read `as of`; older files are vacuumed."""
    compact_every: int = Field(50, ge=2, le=1_000_000)
    """Commits of a table between two compactions."""
    min_free_mb: int = Field(500, ge=0, le=1_000_000_000)
    """Ingestion pauses when a disk that it writes to has less."""


class Supervisor(_Section):
    backoff_seconds: Seconds = 1.0
    backoff_max_seconds: Seconds = 30.0
    give_up_after: int = Field(8, ge=1, le=1_000_000)
    """Consecutive crashes, with less than one minute of healthy running between them, before a service is FAILED."""


class Logs(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: bool = Field(False, alias="json")
    """`json` in ventes.toml: each service also writes its log lines to standard output, each as a JSON object."""
    max_mb: Megabytes = Field(20, ge=1)
    keep: int = Field(3, ge=1, le=1_000)


class Settings(_Section):
    engine: Engine = "spark"
    stream_file: Folder = Field(Path("streams/ventes.py"), alias="stream")
    """`stream` in ventes.toml: the file that declares the events."""
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

    if TYPE_CHECKING:  # a section may be given as a table too

        def __init__(self, **sections: Any) -> None: ...

    def fingerprint(self) -> str:
        """Equal for equal settings, secrets included; shows none of them."""
        return hashlib.sha256(f"{self.engine}{self.fingerprints()}".encode()).hexdigest()

    def fingerprints(self) -> dict[str, str]:
        """ "settings" (secrets included, not the engine) and "declaration" → a hash that is equal for equal ones."""
        hidden = [sorted(table.items()) for table in (self.kafka.client_security(), self.spark.further_conf())]
        values = f"{self.config_file}{self.model_dump_json(exclude={'engine'})}{hidden}"
        return {"settings": hashlib.sha256(values.encode()).hexdigest(), "declaration": self._declared()}

    def secrets(self) -> list[str]:
        """Passwords and similar values in clear text, for redaction only."""
        tables = (self.kafka.client_security(), self.spark.further_conf())
        return [value for table in tables for key, value in table.items() if value and is_secret_name(key)]

    def _declared(self) -> str:
        """The hash of the declaration; "" if it cannot be read."""
        try:
            return hashlib.sha256(self.declaration.read_bytes()).hexdigest()
        except OSError:
            return ""

    # -- places -------------------------------------------------------------------------------

    def _resolve(self, path: Path) -> Path:
        return path if path.is_absolute() else (self.config_file.parent / path).resolve()

    @property
    def lake(self) -> Path:
        return self._resolve(self.paths.lake)

    @property
    def bronze(self) -> Path:
        """The Bronze Delta table; the guide has /tmp/delta/bronze/ventes_stream."""
        return self.lake / "bronze" / self.topic

    @property
    def silver(self) -> Path:
        """The folder of the Silver tables, one sub-folder per Delta table."""
        return self.lake / "silver"

    @property
    def folders(self) -> dict[str, Path]:
        """The folders that the pipeline writes, by their key under [paths]."""
        return {"lake": self.lake, "state": self.state, "logs": self._resolve(self.paths.logs)}

    @property
    def declaration(self) -> Path:
        """The file that declares the stream. One that ships is found from any folder."""
        return _declaration(self.config_file.parent, self.stream_file)

    @property
    def stream(self) -> Stream:
        """The declared stream. Raises DeclarationError."""
        from ventes.stream.loading import load as load_stream  # it needs pyarrow: not every command does

        return load_stream(self.declaration)

    @property
    def topic(self) -> str:
        """The Kafka topic: kafka.topic, by default the stream's."""
        return self.kafka.other_topic or self.stream.topic

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
        return self.folders["logs"] / LOG_NAMES[service]

    @property
    def source_zone(self) -> ZoneInfo:
        return ZoneInfo(self.source.time_zone)

    @property
    def business_zone(self) -> ZoneInfo:
        return ZoneInfo(self.rules.time_zone)


@lru_cache(maxsize=16)  # asked for with each batch
def _declaration(folder: Path, named: Path) -> Path:
    there = folder / named
    return there.resolve() if named.is_absolute() or there.is_file() else PROJECT / named


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


_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "VENTES_FAILPOINTS", "VENTES_JAVA_HOME", SUPERVISED_VARIABLE})
"""Names with our prefix that are not settings."""


def load(**flags: Any) -> Settings:
    """Read the settings. `flags` are sections or values from the command line; they have the highest precedence.

    Raises ConfigError naming each refused key, with its value unless it may be a secret, and where it was written.
    """
    path = config_path()
    if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
        raise ConfigError(f"{CONFIG_VARIABLE} names {path}, which is not a file", "unset it or correct it")
    file = read_file(path)
    environment = read_environment(os.environ, Settings, _OTHER_VARIABLES)
    _require_private(path, file)
    values = merged(file, environment.values, flags)  # the last mapping has the highest precedence
    if "config_file" in values:  # a field that is no setting
        where = _origin(("config_file",), path, environment, flags)
        raise ConfigError(f"unknown key 'config_file' ({where})", "remove it")
    try:
        settings = Settings.model_validate({**values, "config_file": path})
    except ValidationError as error:
        refused = [_explain(item, _origin(item["loc"], path, environment, flags)) for item in error.errors()]
    else:
        _require_plain_paths(settings)
        return settings
    # Outside of the `except`: otherwise this error would reference pydantic's error, which contains the values.
    raise ConfigError(f"settings refused: {'; '.join(refused)}", "correct it there; ventes.toml explains each key")


def _origin(loc: tuple[int | str, ...], path: Path, environment: Environment, flags: dict[str, Any]) -> str:
    """The source of the value at `loc` that is in force."""
    place: Place = tuple(part for part in loc if isinstance(part, str))
    inner: Any = flags
    for depth, key in enumerate(place, 1):
        if not isinstance(inner, dict) or key not in inner:
            break
        inner = inner[key]
        if depth == len(place) or not isinstance(inner, dict):
            return "on the command line"
    for length in range(len(place), 0, -1):
        if place[:length] in environment.variables:
            return f"in the environment variable {environment.variables[place[:length]]}"
    parts = [name for there, name in environment.variables.items() if there[: len(place)] == place and place]
    return " or ".join((f"in {path}", *(f"in the environment variable {name}" for name in parts)))


_PLAIN = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "is_instance_of": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text, in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a section with keys",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "does not have the form that ventes.toml shows",
}
"""Our texts for pydantic's error types; other types keep the rest of pydantic's text."""
_NO_NUMBER = ("int_type", "float_type", "is_instance_of", "finite_number")


def _explain(item: Any, origin: str) -> str:
    """One refused value. Shown only for a known key and a plain value: a table may hold secrets."""
    place = tuple(str(part) for part in item["loc"])
    key = ".".join(place) or "ventes.toml"
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r} ({origin})"
    value = item["input"]
    hidden = place[:2] in _NEVER_SHOWN or not isinstance(value, str | int | float | Decimal | Path)
    # a value where a section is expected: it could be a secret of any of the section's keys
    hidden |= item["type"] == "model_type"
    said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    why = _PLAIN.get(item["type"], said.replace("String should have", "must have"))
    if item["type"] in _NO_NUMBER:
        why += _limits(place)
    return f"{key}{'' if hidden else f' = {shown(value)}'}: {why} ({origin})"


def _limits(place: Place) -> str:
    """From where to where the numbers of a key go, as text; "" if it has no limits."""
    model: Any = Settings
    limits: list[Any] = []
    for key in place:
        fields = getattr(model, "model_fields", {})
        info = next((info for name, info in fields.items() if key in (name, info.alias)), None)
        if info is None:
            return ""
        model, limits = info.annotation, info.metadata
    bounds = {name: getattr(limit, name) for limit in limits for name in _BOUNDS if hasattr(limit, name)}
    return "".join(f", {words} {bounds[name]:,}" for name, words in _BOUNDS.items() if name in bounds)


_BOUNDS = {"gt": "more than", "ge": "at least", "le": "at most"}


def _require_private(path: Path, file: dict[str, Any]) -> None:
    """Refuse a ventes.toml that other users may write, and one with a secret that they may read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # no file: nothing in it
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"every user of this machine may write {path} (mode {mode:04o}), and so decide what this pipeline runs",
            f"chmod go-w {path}",
        )
    secrets = _secret_keys(file)
    if secrets and mode & 0o077:
        raise ConfigError(
            f"{path} holds a secret ({', '.join(secrets)}), and other users may read the file (mode {mode:04o})",
            f"chmod 600 {path}",
        )


def _secret_keys(values: dict[str, Any]) -> list[str]:
    """The keys of these values that hold a secret, dotted."""
    return [
        ".".join((*place, key))
        for place in _NEVER_SHOWN
        for key, value in _table(values, place).items()
        if value and is_secret_name(key)
    ]


def where_secrets_are(settings: Settings) -> dict[str, str]:
    """Dotted key → the path of ventes.toml or "the environment", for each secret of the settings. No secret itself."""
    environment = read_environment(os.environ, Settings, _OTHER_VARIABLES)
    file = dict.fromkeys(_secret_keys(read_file(settings.config_file)), str(settings.config_file))
    return {**file, **dict.fromkeys(_secret_keys(environment.values), "the environment")}


def _table(values: Any, place: Place) -> dict[str, Any]:
    for key in place:
        values = values.get(key) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def _require_plain_paths(settings: Settings) -> None:
    """Refuse a relative path whose beginning, the folder of ventes.toml, cannot hold tables or logs."""
    for name, folder in settings.folders.items():
        if why := refused_in_path(str(folder)):
            raise ConfigError(
                f"paths.{name} = {shown(folder)} {why}", f"set another paths.{name} in {settings.config_file}"
            )
