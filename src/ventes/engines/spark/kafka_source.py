"""Options of Spark's Kafka source: where to read, how much, and [kafka.security] in Java's names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ventes.config import Settings
from ventes.errors import ConfigError

ROWS_A_TASK = 50_000
"""A backlog is split into tasks of this many messages, so that one Kafka partition uses all cores (73k → 107k
messages/s on 2 cores), while a small batch stays one task. minPartitions would split the smallest batch too."""
BATCH_BYTES = 2_000_000_000
"""Bytes of a batch: 400,000 sales have 120 MB. Memory does not depend on it, because tasks pass their messages on; but
a batch that takes half an hour counts as stuck, and 400,000 messages of 5 MB would take a day."""


def options(settings: Settings, offsets: Mapping[int, int], message_bytes: float = 0.0) -> dict[str, str]:
    """Options for `spark.readStream.format("kafka")` that start a new query at exactly `offsets` (partition → offset).

    `message_bytes`: of a message on average, as far as is known, else 0; a batch has fewer of larger messages.
    The result holds the secrets of [kafka.security]: never log it.
    """
    most = min(settings.spark.max_rows_per_batch, max(1, int(BATCH_BYTES / max(1.0, message_bytes))))
    starting = {settings.topic: {str(partition): offset for partition, offset in offsets.items()}}
    return {
        "kafka.bootstrap.servers": settings.kafka.bootstrap,
        "subscribe": settings.topic,
        "startingOffsets": json.dumps(starting),
        "failOnDataLoss": "true",
        "includeHeaders": "true",
        # Aborted messages are not read; the embedded engine and `verify` read the same way.
        "kafka.isolation.level": "read_committed",
        "maxOffsetsPerTrigger": str(most),
        "maxRecordsPerPartition": str(min(ROWS_A_TASK, most)),
        # Spark asks the broker for the first and the last offset after every poll. With the default, 500, that was a
        # sixth of what the JVM did in a task. More than 2,000 live too long for the young part of the heap.
        "kafka.max.poll.records": "2000",
        # With the default, 500 ms, each small batch would wait that long at its end.
        "kafka.fetch.max.wait.ms": "20",
        # Without an answer of the broker the query fails after this time; it is started again from the table.
        "kafka.default.api.timeout.ms": "20000",
        "kafka.request.timeout.ms": "10000",
        "kafka.reconnect.backoff.max.ms": "1000",
        # Who leads a partition now is asked this often (the default is 5 min): a broker that hangs gives no error.
        "kafka.metadata.max.age.ms": "5000",
        # The rule of a secured cluster that lets the other clients in does for Spark's too.
        "groupIdPrefix": "ventes-spark",
        # A larger message is still returned, alone. Larger answers outlive the young part of the heap.
        "kafka.max.partition.fetch.bytes": "1000000",
        **{f"kafka.{key}": value for key, value in java_security(settings.kafka.client_security()).items()},
    }


def java_security(security: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's security settings with the names of Java's Kafka client. Files are PEM.

    Raises ConfigError for a login without a mechanism, or a file that cannot be used.
    """
    same = ("security.protocol", "sasl.mechanism", "ssl.endpoint.identification.algorithm", "ssl.key.password")
    java = {key: security[key] for key in same if key in security}
    if java.get("ssl.endpoint.identification.algorithm") == "none":
        java["ssl.endpoint.identification.algorithm"] = ""
    if "sasl.username" in security or "sasl.password" in security:
        java["sasl.jaas.config"] = _jaas(security)
    if "ssl.ca.location" in security:
        java |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _pem(security, "ssl.ca.location")}
    if "ssl.key.location" in security:
        java |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.key": _key(security),
            "ssl.keystore.certificate.chain": _pem(security, "ssl.certificate.location"),
        }
    return java


def _jaas(security: Mapping[str, str]) -> str:
    mechanism = security.get("sasl.mechanism", "")
    if mechanism == "PLAIN":
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    elif mechanism.startswith("SCRAM-"):
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    else:
        raise ConfigError(
            "kafka.security: user and password need a sasl.mechanism", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
        )
    return f"{module} required username={_quoted(security, 'username')} password={_quoted(security, 'password')};"


def _quoted(security: Mapping[str, str], name: str) -> str:
    text = security.get(f"sasl.{name}", "")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _key(security: Mapping[str, str]) -> str:
    """The private key. Java reads PKCS#8 only, librdkafka also older forms."""
    found = _pem(security, "ssl.key.location")
    if not re.search(r"-----BEGIN (ENCRYPTED )?PRIVATE KEY-----", found):
        raise ConfigError(
            "kafka.security ssl.key.location: Spark's Kafka client reads a private key in PKCS#8 only "
            "(BEGIN PRIVATE KEY, or BEGIN ENCRYPTED PRIVATE KEY)",
            "convert it: openssl pkcs8 -topk8 -in OLD.key -out NEW.key",
        )
    return found


def _pem(security: Mapping[str, str], key: str) -> str:
    """The blocks of a PEM file, without the comments between them, which bundles of authorities have in any script."""
    try:
        text = Path(security.get(key, "")).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(
            f"kafka.security {key}: the file cannot be read: {error.strerror}", "name a PEM file there"
        ) from None
    blocks = re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", text, re.DOTALL)
    if not blocks:
        raise ConfigError(f"kafka.security {key}: the file holds no PEM block", "name a PEM file there")
    return "".join(f"-----BEGIN {name}-----{content}-----END {name}-----\n" for name, content in blocks)
