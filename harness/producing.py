"""producer.py as a process of a test, and a reader of its topic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from ventes import kafka
from ventes.config import CONFIG_VARIABLE, PROJECT, Settings

IN_ORDER = {"max.in.flight": 1}
"""Of a producer whose order a test compares: a batch that must be sent again stays before the next one."""

MakeSettings = Callable[..., Settings]
"""Settings of a separate pipeline on the shared broker; keywords change [kafka]."""


class Topic:
    """The content of a topic, read by a consumer that shares no code with the producer."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def size(self) -> int:
        """Number of messages; 0 if the topic does not exist yet."""
        return sum(high - low for low, high in kafka.end_offsets(self.settings).values())

    def exceeds(self, messages: int) -> bool:
        """Whether it holds more than `messages` messages."""
        return self.size > messages

    def values(self) -> list[bytes]:
        """Every message's value, partition by partition."""
        ends = kafka.end_offsets(self.settings)
        consumer = Consumer(
            {"bootstrap.servers": self.settings.kafka.bootstrap, "group.id": "test", "enable.auto.commit": False}
        )
        read: list[bytes] = []
        try:
            for partition, (low, high) in ends.items():
                consumer.assign([TopicPartition(self.settings.topic, partition, low)])
                position = low
                while position < high:
                    for message in consumer.consume(min(10_000, high - position), 5.0):
                        assert message.error() is None, message.error()
                        offset = message.offset()
                        assert offset is not None
                        position = offset + 1
                        read.append(message.value() or b"")
        finally:
            consumer.close()
        return read

    def ids(self) -> list[int]:
        return [json.loads(value)["vente_id"] for value in self.values()]


class Producers:
    """producer.py as a process, with the settings of the test. All of them end with the test."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._toml = folder / "ventes.toml"
        self._toml.write_text(
            f'[kafka]\nport = {settings.kafka.port}\ntopic = "{settings.topic}"\n'
            'controller_port = 1\n[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n'
        )
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "producer.py"), *arguments],
            env={**os.environ, CONFIG_VARIABLE: str(self._toml), **environment},
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, *arguments: str, seconds: float = 60) -> str:
        """Run it until it ends, with exit code 0; returns its output."""
        process = self.start(*arguments)
        _, said = process.communicate(timeout=seconds)
        assert process.returncode == 0, said
        return said

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
