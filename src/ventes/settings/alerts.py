"""[[alerts]] and [alert_channels] of ventes.toml: what can be measured, and what a declaration may say.

A condition is a measure or a SELECT, and a limit. Whether the SQL can be run, and whether a channel's URL is one that
Apprise knows, is checked when the service starts: neither is imported for `ventes status`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from ventes.settings.value_types import Duration, Number, Section

# -- measures ---------------------------------------------------------------------------------

JOBS = ("bronze", "silver")
SERVICES = ("broker", "producer", "bronze", "silver", "page")
FOLDERS = ("lake", "state", "logs")


@dataclass(frozen=True)
class Measure:
    """Something that is measured. `unit` stands behind its value.

    `said`: what its alert says without a sentence of its own, to people who know the stream and no measures; with
    {value}, {detail}, {within}, and the stream's {one} and {many}. The limit is added.
    """

    text: str
    said: str
    unit: str = ""
    of: tuple[str, ...] = ()
    """What `of` may name; without it the worst of them counts."""
    windowed: bool = False
    """Whether it counts what arrived within the duration `within`, which must be given."""


MEASURES: Mapping[str, Measure] = {
    "lag_seconds": Measure(
        "age of the oldest message that a job has still to process",
        "{detail}: the oldest message still to process is {value} s old",
        "s",
        JOBS,
    ),
    "lag_messages": Measure(
        "messages that a job has still to process", "{detail}: messages still to process: {value}", of=JOBS
    ),
    "failed_services": Measure(
        "services that are down, failed, or being restarted after a crash",
        "Services that have failed: {value} ({detail})",
        of=SERVICES,
    ),
    "services_not_ready": Measure(
        "services that should run and are not ready, whatever the reason",
        "Services that are not ready: {value} ({detail})",
        of=SERVICES,
    ),
    "seconds_since_last_event": Measure("seconds since the newest valid event arrived", "No {one} for {value} s", "s"),
    "events": Measure("valid events that arrived", "New {many} within {within}: {value}", windowed=True),
    "rejected": Measure("rejected messages that arrived", "Rejected messages within {within}: {value}", windowed=True),
    "rejected_percent": Measure(
        "rejected messages, as a share of all that arrived",
        "Rejected within {within}: {value} % of the messages ({detail})",
        "%",
        windowed=True,
    ),
    "disk_free_mb": Measure(
        "free megabytes on the disk of a folder of [paths]",
        "Free space on the disk of {detail}: {value} MB",
        "MB",
        FOLDERS,
    ),
}

# -- channels ---------------------------------------------------------------------------------

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CHANNEL_FORM = "lower case letters, digits, _ and -"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def _usable_channels(channels: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, url in channels.items():
        if not _CHANNEL.fullmatch(name):
            raise ValueError(f"{'a name' if '://' in name else repr(name)} is no name of a channel: {_CHANNEL_FORM}")
        if url.get_secret_value() and not _URL.fullmatch(url.get_secret_value()):
            raise ValueError(f"the value of {name!r} is no URL of Apprise, such as mailto://… or slack://…")
    return channels


AlertChannels = Annotated[dict[str, SecretStr], AfterValidator(_usable_channels)]
"""An empty URL is one that the environment of the service has."""

_TOKEN = re.compile(r"(?=.*[0-9A-Z]).{8,}|.{16,}", re.DOTALL)
"""A part of an address that is no word such as `services`: words must stay readable in logs."""


def secret_parts(url: str) -> Iterator[str]:
    """The URL and those of its parts that a library might repeat alone: password, tokens in path and query."""
    if not url:
        return
    yield url
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if parts.password:
        yield parts.password
        yield unquote(parts.password)
    host = parts.netloc.rpartition("@")[2]
    tokens = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.path, parts.username or ""]
    if "." not in host and ":" not in host:  # of slack://TokenA/TokenB it is a token; localhost:25 is a host
        tokens.append(host)
    for token in tokens:
        if _TOKEN.fullmatch(token):
            yield token
            yield unquote(token)


# -- alerts -----------------------------------------------------------------------------------

PLACEHOLDERS = ("value", "limit", "detail", "name")


def _plain_sentence(sentence: str) -> str:
    try:
        parts = list(string.Formatter().parse(sentence))
    except ValueError as error:
        raise ValueError(f"{error}; a brace that is meant is written twice") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            allowed = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} cannot stand in a sentence; allowed: {allowed}")
    return sentence


def _known_measure(name: str) -> str:
    if name and name not in MEASURES:
        near = get_close_matches(name, MEASURES, 1)
        meant = f"; perhaps {near[0]} is meant" if near else ""
        raise ValueError(f"is not measured; allowed: {', '.join(MEASURES)}{meant}")
    return name


class Alert(Section):
    """One [[alerts]]. Durations are seconds."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    measure: Annotated[str, AfterValidator(_known_measure)] = ""
    of: str = ""
    """Which job, service or folder; "": the worst of them."""
    sql: str = Field("", max_length=20_000)
    """Instead of a measure: one SELECT whose answer is one number, or one boolean."""
    above: Number | None = None
    below: Number | None = None
    within: Duration = 0.0
    """How far back a measure counts what arrived."""
    hold: Duration = Field(0.0, alias="for")
    """How long the condition must hold, at each check, before the alert fires."""
    every: Duration = 0.0
    """Time between two checks; 0: 10 s for a measure, a minute for a SELECT."""
    remind: Duration = 4 * 3600.0
    """Time between two reminders; 0: none."""
    severity: Literal["info", "warning", "critical"] = "warning"
    sentence: Annotated[str, Field(max_length=1_000), AfterValidator(_plain_sentence)] = ""
    channels: list[str] = Field(default_factory=list, max_length=20)

    @property
    def check_seconds(self) -> float:
        return self.every or (60.0 if self.sql else 10.0)

    @property
    def limit(self) -> str:
        """The limit as text: 'above 60'; '' for a SELECT that answers true or false."""
        if self.above is not None:
            return f"above {self.above:f}"
        return f"below {self.below:f}" if self.below is not None else ""

    @property
    def unit(self) -> str:
        """What stands behind the value, with a blank; "" for a SELECT, and for what is counted."""
        unit = MEASURES[self.measure].unit if self.measure else ""
        return f" {unit}" if unit else ""

    @property
    def limit_said(self) -> str:
        """The limit for people: 'the limit is 120 s'; '' for a SELECT that answers true or false."""
        if self.above is not None:
            return f"the limit is {self.above:,f}{self.unit}"
        return f"the least allowed is {self.below:,f}{self.unit}" if self.below is not None else ""

    @model_validator(mode="after")
    def _one_condition(self) -> Alert:
        if bool(self.measure) == bool(self.sql.strip()):
            raise ValueError(f"give either measure or sql; measures are {', '.join(MEASURES)}")
        if self.above is not None and self.below is not None:
            raise ValueError("give either above or below, not both")
        if self.every and self.every < 1:
            raise ValueError("every must be at least 1 s")
        if self.remind and self.remind < 10:
            raise ValueError("remind must be at least 10 s, or 0 s for none")
        if self.sql:
            if self.of or self.within:
                raise ValueError("of and within belong to a measure; a SELECT says it itself")
            return self
        self._require_measurable(MEASURES[self.measure])
        return self

    def _require_measurable(self, measure: Measure) -> None:
        if self.above is None and self.below is None:
            raise ValueError(f"{self.measure} needs a limit: above or below")
        if self.of and self.of not in measure.of:
            raise ValueError(
                f"of = {self.of!r}: {self.measure} is one of {', '.join(measure.of)}"
                if measure.of
                else f"{self.measure} takes no of"
            )
        if measure.windowed and not 10 <= self.within <= 31 * 86_400:
            raise ValueError(f'{self.measure} needs within, from "10 s" to "31 d"')
        if not measure.windowed and self.within:
            raise ValueError(f"{self.measure} takes no within; a duration that it must hold is `for`")


def require_own_names(alerts: Sequence[Alert]) -> None:
    """Raise ValueError for the first name that two alerts have."""
    names = [alert.name for alert in alerts]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"two alerts are called {name!r}: the name is what `ventes alerts silence` takes")


def require_known_channels(alerts: Sequence[Alert], channels: Mapping[str, SecretStr]) -> None:
    """Raise ValueError for the first channel of an alert that [alert_channels] does not have."""
    for alert in alerts:
        for name in alert.channels:
            if name in channels:
                continue
            if not _CHANNEL.fullmatch(name):  # an address, perhaps: it is not repeated
                raise ValueError(
                    f"alerts.{alert.name}.channels holds what is no name of a channel ({_CHANNEL_FORM}): "
                    "its URL belongs in [alert_channels], under a name"
                )
            there = ", ".join(sorted(channels)) or "none"
            raise ValueError(f"alerts.{alert.name}.channels: there is no channel {name!r} in [alert_channels]: {there}")
