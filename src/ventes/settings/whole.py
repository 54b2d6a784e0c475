"""`Settings`: all sections together, and what follows from them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from ventes.errors import ConfigError
from ventes.settings.alerts import Alert, AlertChannels, require_known_channels, require_own_names, secret_parts
from ventes.settings.kafka import Kafka
from ventes.settings.login import READ_AT_START
from ventes.settings.page import PAGE_READ_AT_START, Page
from ventes.settings.sections import (
    Embedded,
    Logs,
    Maintenance,
    Metrics,
    Paths,
    Producer,
    Rules,
    Source,
    Store,
    Supervisor,
)
from ventes.settings.spark import Spark
from ventes.settings.value_types import Folder, Section, is_secret_name, revealed
from ventes.store import places
from ventes.store.mirror import Limits
from ventes.store.settings_of import Options

if TYPE_CHECKING:
    from ventes.stream.declaration import Stream

PROJECT = Path(__file__).resolve().parents[3]
"""The checkout: the guide's scripts, ventes.toml and .venv live here."""

Engine = Literal["spark", "embedded"]


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
            only: Any = {"page": PAGE_READ_AT_START, "paths": True, "logs": True}
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
