"""Topics that a test creates itself, with its own client and settings."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

ANSWER_SECONDS = 10.0
ALL_SECONDS = 60.0


def create_topic(bootstrap: str, name: str, partitions: int = 1, replicas: int = 1, **config: str) -> None:
    """Create the topic `name`; keys of `config` have `_` for `.`. AssertionError if it is there already.

    librdkafka asks for the controller once. A broker that is not registered yet names none, and the request then
    waits until it times out, so each try has a client of its own.
    """
    topic = NewTopic(name, partitions, replicas, config={key.replace("_", "."): value for key, value in config.items()})
    until = time.monotonic() + ALL_SECONDS
    tries = 0
    while True:
        tries += 1
        client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        try:
            client.create_topics([topic])[name].result(ANSWER_SECONDS)
            return
        except TimeoutError:
            assert time.monotonic() < until, f"nobody created {name} within {ALL_SECONDS:.0f} s"
        except KafkaException as error:
            there = error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            if there and tries > 1:  # an earlier try was late, and not in vain
                return
            assert not there, f"{name} is there already"
            if not error.args[0].retriable() or time.monotonic() > until:
                raise
