"""The section [kafka]: the managed broker or a cluster of somebody else, the topic, and how clients log in."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from ventes.settings.value_types import Host, Megabytes, Port, Section, revealed

# -- security: values that are never shown -----------------------------------------------------

_SECURITY_KEYS = frozenset(
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
    "sasl.mechanism": {"plain", "scram-sha-256", "scram-sha-512"},
    "ssl.endpoint.identification.algorithm": {"https", "none"},
}
"""Checked here: librdkafka and Java would repeat a wrong value in their errors."""


def _allowed_security(security: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for key, value in security.items():
        if key not in _SECURITY_KEYS:
            raise ValueError(f"the key {key!r} is not passed on; allowed: {', '.join(sorted(_SECURITY_KEYS))}")
        choices = _SECURITY_CHOICES.get(key)
        if choices and value.get_secret_value().lower() not in choices:
            raise ValueError(f"{key} must be one of {', '.join(sorted(choices))}")
    return {key: _as_spelt(key, value) for key, value in security.items()}


def _as_spelt(key: str, value: SecretStr) -> SecretStr:
    """A protocol and a mechanism as Java spells them: librdkafka takes that too, Java takes no other form."""
    upper = key in ("security.protocol", "sasl.mechanism")
    return SecretStr(value.get_secret_value().upper()) if upper else value


Security = Annotated[dict[str, SecretStr], AfterValidator(_allowed_security)]

# -- servers ------------------------------------------------------------------------------------

_SERVER = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def _servers(text: str) -> str:
    """The list without blanks. A wrong entry is named by its place only: it may hold a password."""
    if not text.strip():
        return ""
    found = []
    for number, server in enumerate(text.split(","), 1):
        match = _SERVER.fullmatch(server.strip())
        if match is None:
            raise ValueError(f'must be HOST:PORT, several divided by commas: "h1:9092,h2:9092"; number {number} is not')
        if not 1 <= int(match[2]) <= 65535:
            raise ValueError(f"the port of number {number} must be 1 to 65535")
        if server.strip() in found:
            raise ValueError(f"number {number} is there twice")
        found.append(server.strip())
    return ",".join(found)


Servers = Annotated[str, AfterValidator(_servers)]

# -- the section ------------------------------------------------------------------------------


class Kafka(Section):
    host: Host = "127.0.0.1"
    port: Port = 9092
    controller_port: Port = 9093
    other_topic: str = Field("", alias="topic", pattern=r"^[A-Za-z0-9._-]{0,200}$")
    """`topic` in ventes.toml; "": the stream's own. Read Settings.topic, which has the answer."""
    partitions: int = Field(1, ge=1, le=1000)
    own_broker: bool = Field(True, alias="managed")
    """`managed` in ventes.toml. Read the property `managed`, which has the answer."""
    retention_hours: int = Field(168, ge=1, le=876_000)
    max_message_bytes: int = Field(10_485_760, ge=1_000_000, le=1_000_000_000)
    flush_every_message: bool = False
    heap_mb: Megabytes = Field(384, ge=128)
    servers: Servers = Field("", alias="bootstrap")
    """`bootstrap` in ventes.toml: "h1:9092,h2:9092" of a cluster that somebody else runs; "": host and port count."""
    replication: int = Field(0, ge=0, le=100)
    """Replicas of a topic that is created on a cluster; 0: three, or as many as it has brokers."""
    min_insync_replicas: int = Field(0, ge=0, le=100)
    """How many replicas must have a message before it is acknowledged; 0: one less than `replication`, at least 1."""
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

    @property
    def managed(self) -> bool:
        """True: `ventes start` runs the broker. False: a broker or a cluster that somebody else runs."""
        return self.own_broker and not self.servers

    @model_validator(mode="after")
    def _replicas(self) -> Kafka:
        if self.managed and max(self.replication, self.min_insync_replicas) > 1:
            raise ValueError(
                "replication and min_insync_replicas are for a cluster, and the managed broker is only one: "
                "name the cluster's servers in bootstrap, or set both to 0"
            )
        if 0 < self.replication < self.min_insync_replicas:
            raise ValueError(
                f"min_insync_replicas = {self.min_insync_replicas} is more than replication = {self.replication}: "
                "no message could ever be acknowledged"
            )
        return self

    def client_security(self) -> dict[str, str]:
        """[kafka.security] in clear text, for a Kafka client. Never log or show it."""
        return revealed(self.security)
