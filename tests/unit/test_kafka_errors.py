"""Which errors of a Kafka client are a broker's answer, and which mean that no answer came."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ventes.config import Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.kafka import admin

LOCAL = {
    name: code
    for name, code in vars(KafkaError).items()
    if name.startswith("_") and name.isupper() and isinstance(code, int)
}
"""Every code that the client makes itself."""

ANSWERS = {"_INVALID_ARG", "_NOT_IMPLEMENTED", "_UNSUPPORTED_FEATURE", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"}


class FailingAdmin:
    """An admin client whose every request fails with `code`."""

    def __init__(self, code: int) -> None:
        self._code = code

    def poll(self, _seconds: float) -> int:
        return 0

    def describe_topics(self, _asked: object, **_options: object) -> dict[str, Future[Any]]:
        failed: Future[Any] = Future()
        failed.set_exception(KafkaException(KafkaError(self._code, "as the broker or the client says")))
        return {"ventes_stream": failed}


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_an_error_of_the_client_itself_means_no_answer(name: str) -> None:
    assert admin.is_answer(LOCAL[name]) == (name in ANSWERS)


def test_there_are_codes_of_the_client() -> None:
    assert LOCAL["_DESTROY_BROKER"] < -1
    assert len(LOCAL) > 50


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (KafkaError._DESTROY_BROKER, BrokerUnavailable),
        (KafkaError._WAIT_CACHE, BrokerUnavailable),
        (KafkaError.LEADER_NOT_AVAILABLE, BrokerUnavailable),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, VentesError),
    ],
)
def test_a_request_without_an_answer_is_made_again_later(
    monkeypatch: pytest.MonkeyPatch, code: int, error: type[VentesError]
) -> None:
    monkeypatch.setattr(admin, "AdminClient", lambda _config: FailingAdmin(code))
    monkeypatch.setattr(admin, "unreachable", lambda *_given: "")
    with admin.Admin(Settings()) as asked, pytest.raises(VentesError) as raised:
        asked.topic_id(timeout=0.1)
    assert type(raised.value) is error or (error is VentesError and not isinstance(raised.value, BrokerUnavailable))
