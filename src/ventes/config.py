"""All settings of all processes, read once into frozen objects.

Precedence, highest first: command-line flag > VENTES_* environment > ventes.toml > default.
`load(**flags)` applies it. Unknown keys and impossible values are refused by name.
Relative paths are taken from the folder of the ventes.toml that was read.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, model_validator

from ventes.alert_settings import Alert, AlertChannels, require_known_channels, require_own_names, secret_parts
from ventes.errors import ConfigError, VentesError
from ventes.setting_kafka import Kafka
from ventes.setting_login import CALLBACK, READ_AT_START, Login, is_safe_url
from ventes.setting_sources import Environment, Place, merged, read_environment, read_file
from ventes.setting_spark import Spark
from ventes.setting_types import (
    AUTHORITY,
    Folder,
    Fraction,
    Host,
    HostPattern,
    IpAddress,
    Lake,
    Megabytes,
    Money,
    Port,
    Seconds,
    Section,
    Targets,
    Zone,
    is_secret_name,
    refused_in_path,
    revealed,
    shown,
)
from ventes.store import places
from ventes.store.mirror import Limits
from ventes.store.settings_of import Options

if TYPE_CHECKING:
    from ventes.stream.declaration import Stream

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout: the guide's scripts, ventes.toml and .venv live here."""

CONFIG_VARIABLE = "VENTES_CONFIG"
SUPERVISED_VARIABLE = "VENTES_SUPERVISED"
"""Set for the processes that the supervisor starts."""

Engine = Literal["spark", "embedded"]

# -- values that are never shown --------------------------------------------------------------

_ALL_SECRET = ("alert_channels",)
"""The table whose values are all secrets: an address to which anybody could send."""
_NEVER_SHOWN = (("kafka", "security"), ("spark", "conf"), ("page", "login"), _ALL_SECRET)
"""The tables of these types, and the section with the client secret: no value of them is shown."""


# -- sections ---------------------------------------------------------------------------------


class Paths(Section):
    lake: Lake = Path("/tmp/delta")
    """A folder, or the address of a lake on an object store. Read Settings.lake, which is always a folder."""
    logs: Folder = Path("/tmp")
    state: Folder = Path(".ventes")
    """Run records, Kafka's data, jars and caches. Not in /tmp: Debian empties that at boot."""


class Source(Section):
    time_zone: Zone = "UTC"
    """How a timestamp without a zone is read."""


class Rules(Section):
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


class Producer(Section):
    enabled: bool = True
    rate: Fraction = Field(0.5, gt=0, le=10_000_000)
    """Sales per second; 0.5 is one every 2 seconds."""
    clients: int = Field(300, ge=1, le=1_000_000)


class Page(Section):
    address: Host = "127.0.0.1"
    hosts: list[HostPattern] = Field(default_factory=list)
    """Names by which people reach the page, beside localhost and `address`; another name is refused."""
    port: Port = 8501
    url: str = Field("", pattern=rf"^(https?://{AUTHORITY}(/[A-Za-z0-9._~-]+)*/?)?$")
    """The address by which people open the page, if it is another than that of the port: behind a proxy."""
    refresh_seconds: int = Field(5, ge=5, le=30)
    quiet_minutes: Fraction = Field(10, ge=0, le=525_600)
    """After so long without an event the page is amber, though every part is ready; 0: never."""
    currency: str = Field("$", min_length=1, max_length=5)
    language: Literal["auto", "en", "fr"] = "auto"
    """Of the page; auto: the browser's. Names of the data and `ventes status` stay as they are."""
    wall_seconds: int = Field(20, ge=5, le=3600)
    """How long the wall view (`?view=wall`) shows each tab."""
    sql: bool = True
    """Whether the page offers the SQL tab."""
    sql_seconds: Fraction = Field(2.0, gt=0, le=60)
    sql_rows: int = Field(10_000, ge=1, le=10_000_000)
    sql_memory_mb: Megabytes = Field(512, ge=64)
    tabs: Folder = Path("dashboard_tabs")
    """A folder whose *.py files each add a tab."""
    targets: Targets = Field(default_factory=dict)
    """Label of a figure → what it is to reach in a business day."""
    login: Login = Login()

    @property
    def base(self) -> str:
        """The path of `url`, without slashes at its ends: the page is served under it."""
        return urlsplit(self.url).path.strip("/")

    @property
    def public_url(self) -> str:
        """`url`, by default that of the port on this machine; without a slash at its end."""
        return self.url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def redirect_address(self) -> str:
        """Where the provider of the login sends people back to: it must know this address."""
        return f"{self.public_url}{CALLBACK}"

    @model_validator(mode="after")
    def _login_over_tls(self) -> Page:
        if self.login.issuer and not is_safe_url(self.public_url):
            raise ValueError(
                "with login.issuer, url must begin with https:// (or name localhost): "
                "without TLS others on the network could read the cookie of a login"
            )
        return self


_PAGE_AT_START: Any = {"address": True, "hosts": True, "port": True, "url": True, "login": READ_AT_START}
"""What the page's process reads when it starts, and not again."""


class Metrics(Section):
    enabled: bool = True
    """Whether the supervisor serves metrics."""
    address: IpAddress = "127.0.0.1"
    port: Port = 9464


class Embedded(Section):
    max_rows_per_batch: int = Field(50_000, ge=1, le=1_000_000_000)
    memory_mb: Megabytes = Field(256, ge=64)


class Maintenance(Section):
    history_hours: Fraction = Field(6, gt=0, le=876_000)
    """How far back the tables can be read `as of`; older files are vacuumed."""
    compact_every: int = Field(50, ge=2, le=1_000_000)
    """Commits of a table between two compactions."""
    min_free_mb: int = Field(500, ge=0, le=1_000_000_000)
    """Ingestion pauses when a disk that it writes to has less."""


class Store(Section):
    """Of a lake on an object store. A pace of 0.1 s, as on a disk, would cost 20 times as much in requests."""

    credentials: str = ""
    """A file with NAME=value lines, mode 0600; "": the environment has them."""
    cache_mb: Megabytes = Field(4_000, ge=100)
    poll_seconds: Seconds = 2.0
    """Between two requests for commits that another machine may have made."""
    pace_seconds: Fraction = Field(2.0, ge=0.1, le=3600)
    """Shortest time between two commits of Bronze, and between two lots of Silver."""
    rollup_seconds: Fraction = Field(10.0, ge=0.5, le=3600)
    """From a lot to the publication of its roll-ups."""


class Supervisor(Section):
    backoff_seconds: Seconds = 1.0
    backoff_max_seconds: Seconds = 30.0
    give_up_after: int = Field(8, ge=1, le=1_000_000)
    """Consecutive crashes, with less than one minute of healthy running between them, before a service is FAILED."""


class Logs(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: bool = Field(False, alias="json")
    """`json` in ventes.toml: each service also writes its log lines to standard output, each as a JSON object."""
    max_mb: Megabytes = Field(20, ge=1)
    keep: int = Field(3, ge=1, le=1_000)


class Settings(Section):
    engine: Engine = "spark"
    stream_file: Folder = Field(Path("streams/ventes.py"), alias="stream")
    """`stream` in ventes.toml: the file that declares the events."""
    kafka: Kafka = Kafka()
    paths: Paths = Paths()
    source: Source = Source()
    rules: Rules = Rules()
    producer: Producer = Producer()
    page: Page = Page()
    metrics: Metrics = Metrics()
    spark: Spark = Spark()
    embedded: Embedded = Embedded()
    maintenance: Maintenance = Maintenance()
    store: Store = Store()
    supervisor: Supervisor = Supervisor()
    logs: Logs = Logs()
    alert_channels: AlertChannels = Field(default_factory=dict)
    """Name → where messages are sent to, as a URL of Apprise. Secret as a whole."""
    alerts: list[Alert] = Field(default_factory=list, max_length=200)
    config_file: Path = Field(default=PROJECT / "ventes.toml", exclude=True)

    @model_validator(mode="after")
    def _of_alerts(self) -> Settings:
        require_own_names(self.alerts)
        require_known_channels(self.alerts, self.alert_channels)
        return self

    if TYPE_CHECKING:  # a section may be given as a table too

        def __init__(self, **sections: Any) -> None: ...

    @model_validator(mode="after")
    def _metrics_alone(self) -> Settings:
        """The supervisor is the first to listen: it would keep another part from its port."""
        others = {"page.port": self.page.port}
        if self.kafka.managed:
            others |= {"kafka.port": self.kafka.port, "kafka.controller_port": self.kafka.controller_port}
        for key, port in others.items():
            if self.metrics.enabled and port == self.metrics.port:
                raise ValueError(f"metrics.port = {port} is {key} too; each needs a port of its own")
        return self

    def fingerprint(self) -> str:
        """Equal for equal settings, secrets included; shows none of them."""
        values = f"{self.engine}{self.fingerprints()}{self.page.login.client_secret.get_secret_value()}"
        return hashlib.sha256(values.encode()).hexdigest()

    def fingerprints(self, service: str = "") -> dict[str, str]:
        """ "settings" (secrets included) and "declaration" → a hash that is equal for equal ones.

        Without the engine, and without [metrics], which no service reads. Without the secret of the login, which may
        be in the environment of the page alone. `service`: only of what its process reads at its start alone, so that
        a change of something else asks for no restart of it; "": of everything.
        """
        without: Any = {"engine": True, "metrics": True, "page": {"login": {"client_secret"}}}
        if service:
            without |= {"producer": {"enabled"}}  # the supervisor's: `ventes start` applies it
        if service == "page":
            only: Any = {"page": _PAGE_AT_START, "paths": True, "logs": True}
            values = f"{self.config_file}{self.model_dump_json(include=only)}"
        elif service == "alerts":
            page = set(Page.model_fields) - {"address", "port", "url"}  # its messages have a link
            values = f"{self._without({**without, 'page': page})}{sorted(self.channel_urls().items())}"
        elif service:
            values = self._without({**without, "page": True, "alerts": True, "alert_channels": True})
        else:
            values = f"{self._without(without)}{sorted(self.channel_urls().items())}"
        return {"settings": hashlib.sha256(values.encode()).hexdigest(), "declaration": self._declared()}

    def login_fingerprint(self) -> str:
        """Equal for logins that a page started with one of them serves; "none" without. It holds no secret: the
        client's may be in the environment of the page alone."""
        if not self.page.login.on:
            return "none"
        values = f"{self.page.login.model_dump_json(include=READ_AT_START)}{self.page.public_url}"
        return hashlib.sha256(values.encode()).hexdigest()

    def _without(self, keys: Any) -> str:
        hidden = [sorted(table.items()) for table in self._hidden()]
        return f"{self.config_file}{self.model_dump_json(exclude=keys)}{hidden}"

    def secrets(self) -> list[str]:
        """Passwords and similar values in clear text, for redaction only."""
        login = {"client_secret": self.page.login.client_secret.get_secret_value()}
        tables = (*self._hidden(), login)
        named = [value for table in tables for key, value in table.items() if value and is_secret_name(key)]
        if (mirror := places.of(self.lake)) is not None:
            with suppress(ConfigError):
                named += mirror.options.secrets()
        return [*named, *(part for url in self.channel_urls().values() for part in secret_parts(url))]

    def channel_urls(self) -> dict[str, str]:
        """[alert_channels] in clear text, to send to them. Never log or show it."""
        return revealed(self.alert_channels)

    def _hidden(self) -> tuple[dict[str, str], ...]:
        """Other tables with values that are never shown, in clear text."""
        return self.kafka.client_security(), self.spark.further_conf()

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
        """The folder of the lake. For one on an object store: its mirror on this machine (ventes.store)."""
        place = self.paths.lake
        if isinstance(place, Path):
            return self._resolve(place)
        root = self.state / "lake-cache" / hashlib.sha256(place.encode()).hexdigest()[:16]
        credentials = self._resolve(Path(self.store.credentials)) if self.store.credentials else None
        limits = Limits(self.store.cache_mb * 1_000_000, self.store.poll_seconds)
        places.register(root, Options(place, credentials), limits)
        return root

    @property
    def on_a_store(self) -> bool:
        """Whether the lake is on an object store."""
        return places.of(self.lake) is not None

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
    def worker_environment(self) -> Path | None:
        """The file with the packages of the workers of a Spark cluster: spark.environment; None if there is none."""
        named = self.spark.environment_file
        return self._resolve(Path(named)) if named else None

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
    "audit": "page_audit.log",
    "supervisor": "ventes.log",
    "alerts": "ventes_alerts.log",
}
"""Service → log file. Four of them are the guide's. The page writes "audit" too: who logged in, and what they took."""


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
    given = _Given(path, merged(file, environment.values, flags), environment, flags)  # the last one has precedence
    if "config_file" in given.values:  # a field that is no setting
        raise ConfigError(f"unknown key 'config_file' ({given.origin(('config_file',))})", "remove it")
    try:
        settings = Settings.model_validate({**given.values, "config_file": path})
    except ValidationError as error:
        refused = [_explain(item, given) for item in error.errors()]
    else:
        _require_plain_paths(settings)
        _require_known_targets(settings, given)
        return settings
    # Outside of the `except`: otherwise this error would reference pydantic's error, which contains the values.
    raise ConfigError(f"settings refused: {'; '.join(refused)}", "correct it there; ventes.toml explains each key")


@dataclass(frozen=True)
class _Given:
    """The values of all sources, and where each stands."""

    path: Path
    values: dict[str, Any]
    environment: Environment
    flags: dict[str, Any]

    def origin(self, loc: Sequence[int | str], said: str = "") -> str:
        """The source of the value at `loc`. Of a section or a table: of the keys in it that `said` names."""
        place: Place = tuple(part for part in loc if isinstance(part, str))
        found = _at(self.values, place)
        named = [place]
        if isinstance(found, dict):
            named = [(*place, *key) for key in _keys_of(found) if _names(said, ".".join(key))]
        return " or ".join(dict.fromkeys(map(self._source, named))) or f"in {self.path}"

    def _source(self, place: Place) -> str:
        if _at(self.flags, place) is not _ABSENT:
            return "on the command line"
        if _at(self.environment.values, place) is not _ABSENT:
            variables = self.environment.variables
            lengths = (length for length in range(len(place), 0, -1) if place[:length] in variables)
            return f"in the environment variable {variables[place[: next(lengths)]]}"
        return f"in {self.path}"


_ABSENT = object()


def _at(values: Any, place: Place) -> Any:
    """What is at `place`, or around it where that is no table; _ABSENT if nothing is."""
    for key in place:
        if isinstance(values, dict):
            values = values.get(key, _ABSENT)
    return values


def _keys_of(table: dict[str, Any]) -> Iterator[Place]:
    """The places of all values below `table`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((key, *rest) for rest in _keys_of(value))
        else:
            yield (key,)


def _names(text: str, key: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", text) is not None


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


def _explain(item: Any, given: _Given) -> str:
    """One refused value. Shown only for a known key and a plain value: a table may hold secrets."""
    place = tuple(str(part) for part in item["loc"])
    key = ".".join(_by_name(place, given.values)) or "ventes.toml"
    origin = given.origin(item["loc"], item["msg"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r} ({origin})"
    value = item["input"]
    hidden = any(place[: len(table)] == table for table in _NEVER_SHOWN)
    hidden |= not isinstance(value, str | int | float | Decimal | Path)
    hidden |= place[:1] == ("alerts",) and "://" in str(value)  # a channel's address in the wrong place
    # a value where a section is expected: it could be a secret of any of the section's keys
    hidden |= item["type"] == "model_type"
    said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    why = _PLAIN.get(item["type"], said.replace("String should have", "must have"))
    if item["type"] in _NO_NUMBER:
        why += _limits(place)
    return f"{key}{'' if hidden else f' = {shown(value)}'}: {why} ({origin})"


def _by_name(place: Place, values: dict[str, Any]) -> Place:
    """`place` with the name of an alert for its number: ("alerts", "lag", "for")."""
    if place[:1] != ("alerts",) or len(place) < 2:
        return place
    with suppress(LookupError, TypeError, ValueError):
        name = values["alerts"][int(place[1])]["name"]
        if isinstance(name, str) and len(name) <= 64 and "://" not in name:
            return ("alerts", name, *place[2:])
    return ("alerts", f"number {int(place[1]) + 1}" if place[1].isdigit() else place[1], *place[2:])


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
        if value and (place == _ALL_SECRET or is_secret_name(key))
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


def _require_known_targets(settings: Settings, given: _Given) -> None:
    """Refuse a target of a figure that the page does not have, or that has no value of the day."""
    if not settings.page.targets:
        return  # most commands do not need the declaration
    try:
        why = settings.stream.shown.refused_target(settings.page.targets)
    except VentesError:
        return  # a declaration that cannot be read is reported where it is needed
    if why:
        origin = given.origin(("page", "targets"), why)
        raise ConfigError(f"settings refused: page.targets: {why} ({origin})", "name one of these figures")


def _require_plain_paths(settings: Settings) -> None:
    """Refuse a relative path whose beginning, the folder of ventes.toml, cannot hold tables or logs."""
    for name, folder in settings.folders.items():
        if why := refused_in_path(str(folder)):
            raise ConfigError(
                f"paths.{name} = {shown(folder)} {why}", f"set another paths.{name} in {settings.config_file}"
            )
