"""A broker that asks for a login: SCRAM over TLS, and certificates of clients. What it refuses is a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pipeline import Pipeline, patiently, wait_for
from harness.secured_broker import PASSWORD, SecuredBroker, grant, running_secured_broker
from tests.unit.test_secrets import command_lines
from ventes import kafka
from ventes.check.doctor import cluster as doctor
from ventes.check.doctor.finding import Finding
from ventes.config import Settings
from ventes.errors import BrokerUnavailable, ConfigError, VentesError
from ventes.lake.positions import positions
from ventes.producer.ids import lane_from_kafka

TOPIC = "secured"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with running_secured_broker(Settings(), tmp_path_factory.mktemp("secured")) as one:
        grant(one, TOPIC)
        yield one


def settings_of(broker: SecuredBroker, folder: Path, listener: str, **changes: str) -> Settings:
    return Settings(
        engine="embedded",
        kafka={
            "bootstrap": broker.address(listener),
            "topic": TOPIC,
            "security": {key: value for key, value in {**broker.security(listener), **changes}.items() if value},
        },
        paths={"state": folder / "state", "logs": folder / "logs", "lake": folder / "lake"},
    )


def said_by_doctor(settings: Settings) -> list[Finding]:
    return [finding for finding in doctor.findings(settings) if finding.level == "bad"]


def refusal(settings: Settings, cause: str) -> BrokerUnavailable:
    """What Kafka says to these settings, once it says `cause`: a busy machine may only have had a timeout before."""
    errors: list[BrokerUnavailable] = []

    def said() -> bool:
        with pytest.raises(BrokerUnavailable) as caught:
            kafka.topic_id(settings)
        errors.append(caught.value)
        return cause in caught.value.message

    wait_for(said, f"{cause!r}; it was {errors[-1:]}", 60)
    return errors[-1]


WRONG = {
    "a wrong password": ("scram", {"sasl.password": "wrong"}, "refuses user and password", "sasl.password"),
    "another mechanism": ("scram", {"sasl.mechanism": "PLAIN"}, "does not know this sasl.mechanism", "SCRAM-SHA-512"),
    "an unknown authority": ("scram", {"ssl.ca.location": "OTHER"}, "signed by none of the auth", "ssl.ca.location"),
    "an expired certificate": ("expired", {}, "has expired", "its owner must renew it"),
    "another host name": ("other_name", {}, "is for kafka.example.com, not for localhost", "kafka.bootstrap"),
    "no certificate": (
        "mtls",
        {"ssl.certificate.location": "", "ssl.key.location": ""},
        "does not accept this client's certificate",
        "ssl.certificate.location",
    ),
    "no TLS": ("scram", {"security.protocol": "PLAINTEXT"}, "speaks TLS, and this client does not", "SASL_SSL"),
    "TLS without a listener for it": ("plain", {}, "speaks no TLS on this port", "PLAINTEXT"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_a_sentence_with_the_next_step(broker: SecuredBroker, tmp_path: Path, name: str) -> None:
    """In the error of every program that waits for Kafka, and in doctor."""
    listener, changes, cause, step = WRONG[name]
    files = {key: str(broker.other_authority.file) if value == "OTHER" else value for key, value in changes.items()}
    settings = settings_of(broker, tmp_path, listener, **files)
    error = refusal(settings, cause)
    assert step in error.hint
    found = said_by_doctor(settings)
    assert any(cause in finding.cause and step in finding.next_step for finding in found), found
    hidden = [
        value for key, value in settings.kafka.client_security().items() if key.endswith(("password", "location"))
    ]
    assert [value for value in hidden if value in f"{error} {found}"] == []


@pytest.mark.parametrize(
    ("engine", "listener"),
    [
        ("embedded", "scram"),
        ("embedded", "mtls"),
        pytest.param("spark", "scram", marks=pytest.mark.long),
        pytest.param("spark", "mtls", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(1200)
def test_who_may_come_in_reads_and_sends(broker: SecuredBroker, tmp_path: Path, engine: str, listener: str) -> None:
    """The whole pipeline; nothing that it writes holds the password or the key, and no command line does."""
    security = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in broker.security(listener).items())
    extra = f"[kafka.security]\n{security}"
    topic = f"{TOPIC}_{engine}_{listener}"
    key = broker.client.key.read_text().splitlines()[1]  # the key itself, in base64
    with Pipeline(tmp_path, engine, bootstrap=broker.address(listener), topic=topic, extra=extra) as pipeline:
        settings = pipeline.settings
        patiently(kafka.ensure_topic, settings)
        pipeline.start("bronze")
        pipeline.start("silver", engine="embedded")  # it reads no Kafka
        pipeline.start("producer", "", None, "--rate", "max", "--count", "500")
        assert pipeline.died("producer", 300) == 0
        pipeline.catch_up(400)
        assert [line for line in command_lines() if PASSWORD in line or key in line] == []
        pipeline.verify()
        log = pipeline.settings.log("bronze").read_text(encoding="utf-8")
        assert "failed" not in log, log
        assert sum(last + 1 for last in positions(settings.bronze).values()) == 500
        assert said_by_doctor(settings) == []
        wait_for(lambda: kafka.cluster_ready(settings)[0], "it is ready", 60)
        status = pipeline.ventes("status", "--json", code=None)
        assert "elsewhere" in status
        assert PASSWORD not in status
        for job in ("bronze", "silver"):
            pipeline.stop(job, seconds=120)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "ventes.toml"]
    hidden = (PASSWORD.encode(), key.encode())
    assert [path for path in written if any(secret in path.read_bytes() for secret in hidden)] == []


def test_a_password_that_is_changed_is_waited_for(broker: SecuredBroker, tmp_path: Path) -> None:
    """By the same client: whoever waits goes on once the broker knows the password."""
    settings = settings_of(broker, tmp_path, "scram", **{"sasl.password": "the new one"})
    with kafka.Admin(settings) as admin:
        assert refusal(settings, "refuses user and password")
        with pytest.raises(BrokerUnavailable):
            admin.topic_id()
        broker.set_password("the new one")
        try:
            patiently(admin.topic_id)
            assert lane_from_kafka(settings, 60) >= 0
        finally:
            broker.set_password(PASSWORD)


def test_what_it_may_not_do_is_said(broker: SecuredBroker, tmp_path: Path) -> None:
    settings = settings_of(broker, tmp_path, "scram")
    other = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"other_topic": "not_ours"})})
    with pytest.raises(VentesError, match="rights of"):
        patiently(kafka.ensure_topic, other)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sasl.password": ""}, "sasl.password is not set"),
        ({"ssl.ca.location": "GARBAGE"}, "ssl.ca.location: that file holds no certificate"),
        ({"ssl.key.location": "GARBAGE"}, "ssl.key.location: no private key can be read"),
        ({"ssl.key.location": "OTHERS"}, "ssl.key.location: that key is not the one of the certificate"),
        ({"ssl.key.location": ""}, "a certificate and its key belong together"),
    ],
)
def test_files_that_cannot_be_used_are_named_by_their_key(
    broker: SecuredBroker, tmp_path: Path, changes: dict[str, str], named: str
) -> None:
    garbage = tmp_path / "canary-file"
    garbage.write_text("not a certificate")
    known = {"GARBAGE": str(garbage), "OTHERS": str(broker.authority.sign("another").key)}
    files = {key: known.get(value, value) for key, value in changes.items()}
    settings = settings_of(broker, tmp_path, "scram" if "sasl.password" in changes else "mtls", **files)
    with pytest.raises(ConfigError) as caught:
        kafka.topic_id(settings)
    assert named in str(caught.value)
    assert "canary-file" not in str(caught.value)
    assert caught.value.hint
    assert "kafka.security" in caught.value.message
    assert [finding.level for finding in doctor.findings(settings)][:1] == ["bad"] or "belong" not in named


def test_more_replicas_than_brokers_are_refused_with_the_key(broker: SecuredBroker, tmp_path: Path) -> None:
    servers = {"bootstrap": broker.address("plain"), "topic": "too_many"}
    settings = Settings(kafka={**servers, "replication": 3}, paths={"state": tmp_path})
    with pytest.raises(VentesError, match=r"with 3 replicas.*kafka\.replication to the number of its brokers"):
        patiently(kafka.ensure_topic, settings)
    least = Settings(kafka={**servers, "min_insync_replicas": 1}, paths={"state": tmp_path})
    assert patiently(kafka.ensure_topic, least)
