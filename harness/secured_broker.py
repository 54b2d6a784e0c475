"""One real broker that asks for a login: a listener for each kind, its certificates, two users.

scram      SASL_SSL with SCRAM-SHA-512          mtls       TLS with a certificate of the client
expired    TLS with a certificate that expired  other_name TLS with a certificate for another host
plain      neither (the tests' own access, and the broker's)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from harness.certificates import Authority
from harness.kafka_process import KafkaProcess
from harness.pipeline import free_ports, wait_for
from ventes.config import Settings

USER, PASSWORD = "ventes", 'pass "w\\ord; 5ecr3t'
"""A password with every character that Java's JAAS syntax could read as its own."""
LISTENERS = {"plain": "PLAINTEXT", "scram": "SASL_SSL", "mtls": "SSL", "expired": "SSL", "other_name": "SSL"}
_SCRAM = ScramMechanism.SCRAM_SHA_512
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_NOBODY = "User:ANONYMOUS"
"""Who comes through the listeners without a login: the tests, and the broker itself."""


class SecuredBroker:
    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority, self.other_authority = Authority(folder), Authority(folder, "other-ca")
        self.client = self.authority.sign("client", common=USER)
        *numbers, self._controller = free_ports(len(LISTENERS) + 1)
        self.ports = dict(zip(LISTENERS, numbers, strict=True))
        self.process = KafkaProcess(settings, folder / "broker", self._properties())

    def address(self, listener: str, host: str = "localhost") -> str:
        return f"{host}:{self.ports[listener]}"

    def start(self) -> None:
        self.process.format()
        self.process.start()
        wait_for(self._answers, "the secured broker answers", 150)
        self.set_password(PASSWORD)

    def set_password(self, password: str) -> None:
        """Of the user with SCRAM."""
        wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(_SCRAM, 4096), password.encode())
        with self.admin() as admin:
            admin.alter_user_scram_credentials([wanted])[USER].result(30)

    def admin(self) -> AdminClient:
        """With every right."""
        return AdminClient({"bootstrap.servers": self.address("plain", "127.0.0.1"), "log_level": 0})

    def _answers(self) -> bool:
        assert self.process.running, self.process.output
        try:
            with self.admin() as admin:
                return bool(admin.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def security(self, listener: str) -> dict[str, str]:
        """[kafka.security] of a client that is let in."""
        ca = {"ssl.ca.location": str(self.authority.file)}
        if listener == "scram":
            login = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER, "sasl.password": PASSWORD}
            return {"security.protocol": "SASL_SSL", **ca, **login}
        if listener == "mtls":
            files = {
                "ssl.certificate.location": str(self.client.certificate),
                "ssl.key.location": str(self.client.key),
            }
            return {"security.protocol": "SSL", **ca, **files}
        return {"security.protocol": "SSL", **ca}

    def _properties(self) -> dict[str, object]:
        names = {name: name.upper().replace("_", "") for name in LISTENERS}
        ours = ("localhost", "127.0.0.1")
        pairs = {
            "scram": self.authority.sign("scram", ours),
            "mtls": self.authority.sign("mtls", ours),
            "expired": self.authority.sign("expired", ours, expired=True),
            "other_name": self.authority.sign("other_name", ("kafka.example.com",)),
        }
        stores: dict[str, object] = {}
        for name, pair in pairs.items():
            prefix = f"listener.name.{names[name].lower()}."
            stores |= {f"{prefix}ssl.keystore.type": "PEM", f"{prefix}ssl.keystore.location": pair.both}
        trust = f"listener.name.{names['mtls'].lower()}."
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": ",".join(f"{names[name]}://127.0.0.1:{port}" for name, port in self.ports.items())
            + f",CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": ",".join(f"{names[name]}://localhost:{port}" for name, port in self.ports.items()),
            "listener.security.protocol.map": ",".join(f"{names[name]}:{kind}" for name, kind in LISTENERS.items())
            + ",CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAIN",
            "controller.listener.names": "CONTROLLER",
            f"listener.name.{names['scram'].lower()}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"listener.name.{names['scram'].lower()}.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            **stores,
            f"{trust}ssl.truststore.type": "PEM",
            f"{trust}ssl.truststore.location": self.authority.file,
            f"{trust}ssl.client.auth": "required",
            # the user of a certificate is its common name
            f"{trust}ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "authorizer.class.name": _AUTHORIZER,
            "super.users": _NOBODY,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }


TOPIC_RIGHTS = ("DESCRIBE", "READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS")
GROUPS = "ventes-"


def grant(broker: SecuredBroker, topics: str) -> None:
    """The rights that docs/kafka-cluster.md names, and no others, on the topics whose names begin with `topics`."""
    rights = [(ResourceType.TOPIC, topics, operation) for operation in TOPIC_RIGHTS]
    bindings = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for kind, name, operation in [*rights, (ResourceType.GROUP, GROUPS, "READ")]
    ]
    with broker.admin() as admin:
        for made in admin.create_acls(bindings).values():
            made.result(60)


@contextmanager
def running_secured_broker(settings: Settings, folder: Path) -> Iterator[SecuredBroker]:
    """A broker that is ready; always ended."""
    broker = SecuredBroker(settings, folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.process.kill()
