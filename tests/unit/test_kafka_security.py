"""[kafka.security] for both Kafka clients, and what librdkafka's texts mean. No broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.certificates import Authority
from ventes import kafka
from ventes.config import Settings
from ventes.engines.spark.kafka_source import java_security
from ventes.errors import ConfigError
from ventes.kafka import refusals

HANDSHAKE = "SASL {} mechanism handshake failed: Broker: {}: broker's supported mechanisms: {}"


@pytest.mark.parametrize(
    ("said", "kind", "step"),
    [
        (
            "h:9093/1: SASL authentication error: Authentication failed during authentication due to invalid "
            "credentials with SASL mechanism SCRAM-SHA-512 (after 372ms in state AUTH_REQ)",
            "login",
            "sasl.password",
        ),
        (HANDSHAKE.format("PLAIN", "Unsupported SASL mechanism", "SCRAM-SHA-512"), "mechanism", "SCRAM-SHA-512"),
        (HANDSHAKE.format("PLAIN", "Request not valid in current SASL state", ""), "protocol", "SSL"),
        (
            "ssl://h:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: "
            "SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
            "own_certificate",
            "ssl.certificate.location",
        ),
        (
            "h:9092/1: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a "
            "PLAINTEXT broker listener? (after 3ms in state SSL_HANDSHAKE)",
            "protocol",
            "PLAINTEXT",
        ),
    ],
)
def test_what_a_text_of_librdkafka_means(said: str, kind: str, step: str) -> None:
    found = refusals.of_text(said)
    assert found is not None
    assert found.kind == kind
    assert step in found.next_step
    assert refusals.is_one(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "h:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
        "h:9092/1: Disconnected (after 20041ms in state UP)",
        "Failed to resolve 'kafka.example.com:9092': Name or service not known",
        "Failed while waiting for controller: Local: Timed out",
    ],
)
def test_a_server_that_is_away_refuses_nobody(said: str) -> None:
    assert refusals.of_text(said) is None
    assert not refusals.is_one(said)


def test_both_clients_get_protocol_and_mechanism_as_java_spells_them() -> None:
    login = {"sasl.username": "anna", "sasl.password": 'a"b\\c; d'}
    written = {"security.protocol": "sasl_ssl", "sasl.mechanism": "scram-sha-512", **login}
    settings = Settings(kafka={"bootstrap": "h:9093", "security": written})
    ours = kafka.client_config(settings)
    theirs = java_security(settings.kafka.client_security())
    for config in (ours, theirs):
        assert (config["security.protocol"], config["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert theirs["sasl.jaas.config"] == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="anna" password="a\\"b\\\\c; d";'
    )


def test_spark_gets_the_blocks_of_pem_files_and_refuses_a_key_that_java_cannot_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("client")
    certificate = authority.file.read_text(encoding="ascii")
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(f"# Főtanúsítvány\n{certificate}\n# another\n{certificate}", encoding="utf-8")
    files = {
        "ssl.ca.location": str(bundle),
        "ssl.certificate.location": str(pair.certificate),
        "ssl.key.location": str(pair.key),
    }
    java = java_security(files)
    assert java["ssl.truststore.certificates"] == certificate * 2
    assert java["ssl.keystore.key"] == pair.key.read_text(encoding="ascii")
    old = tmp_path / "old.key"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    old.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    with pytest.raises(ConfigError, match=r"ssl\.key\.location.*PKCS#8.*openssl pkcs8 -topk8"):
        java_security({**files, "ssl.key.location": str(old)})
    with pytest.raises(ConfigError, match=r"ssl\.ca\.location: the file holds no PEM block"):
        java_security({**files, "ssl.ca.location": __file__})
