"""Random Kafka messages from a seed: any key, value, headers, record time, partition, size, codec, transaction.

python -m harness.fuzz_messages --bootstrap 127.0.0.1:9092 --topic ventes_stream --seed 7 --count 1000
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from harness.ingested import sale
from harness.producing import IN_ORDER

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LARGEST = 900_000


@dataclass
class Sent:
    """What a reader sees: partition → (key, value, headers) in the order of the log."""

    messages: dict[int, list[tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]]] = field(
        default_factory=dict
    )
    """Committed messages only."""
    aborted: int = 0


class Fuzzer:
    """Makes messages; the same seed gives the same messages."""

    def __init__(self, seed: int, now_ms: int, samples: Sequence[bytes | None] = ()) -> None:
        """`samples`: values to send unchanged, in addition to random ones."""
        self.random = random.Random(seed)
        self._now_ms = now_ms
        self._samples = samples or (None,)

    def key(self) -> bytes | None:
        return self._one(
            lambda: None,
            lambda: b"",
            lambda: self._bytes(1, 30),
            lambda: self._bytes(50_000, 60_000),
            weights=(3, 2, 10, 1),
        )

    def value(self, number: int) -> bytes | None:
        return self._one(
            lambda: sale(number),
            lambda: None,
            lambda: b"",
            lambda: self._bytes(1, 200),
            lambda: self.random.choice(self._samples),
            lambda: self._damaged(sale(number)),
            self._odd_json,
            lambda: self._bytes(200_000, LARGEST),
            weights=(30, 2, 2, 8, 20, 20, 10, 1),
        )

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        if self.random.random() < 0.6:
            return []
        names = ("trace", "trace", "é", "", "a" * 300, "content-type")
        return [
            (self.random.choice(names), self._one(lambda: None, lambda: b"", lambda: self._bytes(1, 50)))
            for _ in range(self.random.randint(1, 8))
        ]

    def time(self) -> int:
        """A record time in any unit that a sender may confuse with milliseconds; never 0, which means now."""
        return self._one(
            lambda: self._now_ms,
            lambda: self._now_ms // 1000,
            lambda: self._now_ms * 1000,
            lambda: self._now_ms * 1_000_000,
            lambda: self.random.randint(1, 2**63 - 1),
            lambda: self.random.randint(1, 10),
            lambda: self._now_ms + self.random.randint(-(10**11), 10**11),
        )

    def _one(self, *choices: Callable[[], Any], weights: tuple[int, ...] | None = None) -> Any:
        return self.random.choices(choices, weights or [1] * len(choices))[0]()

    def _bytes(self, least: int, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(least, most))

    def _damaged(self, value: bytes) -> bytes:
        data = bytearray(value)
        for _ in range(self.random.randint(1, 4)):
            place = self.random.randrange(max(1, len(data)))
            new = self.random.randbytes(self.random.randint(0, 2))  # a byte is removed, replaced, or becomes two
            data[place : place + 1] = new
        return bytes(data)

    def _odd_json(self) -> bytes:
        depth = self.random.choice((1, 10, 2_000, 50_000))
        return self._one(
            lambda: b"[" * depth + b"]" * depth,
            lambda: b'{"a":' * depth + b"1" + b"}" * depth,
            lambda: json.dumps({"vente_id": 10 ** self.random.randint(1, 400)}).encode(),
            lambda: b'{"vente_id": 1e' + str(self.random.randint(1, 10**6)).encode() + b"}",
            lambda: b'{"montant": NaN, "montant": Infinity}',
            lambda: json.dumps("\ud800").encode(),
            lambda: ("\ufeff" + "{}").encode(),
            lambda: "{}".encode("utf-16"),
        )


def send(
    bootstrap: str, topic: str, partitions: int, seed: int, count: int, samples: Sequence[bytes | None] = ()
) -> Sent:
    """Send `count` messages in portions: each by a producer with its own codec, some in transactions."""
    fuzzer = Fuzzer(seed, int(time.time() * 1000), samples)
    sent = Sent({number: [] for number in range(partitions)})
    done = 0
    while done < count:
        portion = min(count - done, fuzzer.random.randint(1, 60))
        codec = fuzzer.random.choice(CODECS)
        fate = fuzzer.random.choice(("plain", "plain", "committed", "aborted"))
        config = {
            "bootstrap.servers": bootstrap,
            "compression.type": codec,
            "message.max.bytes": 10_000_000,
            **IN_ORDER,
        }
        if fate != "plain":
            config["transactional.id"] = f"fuzz-{seed}-{done}"
        producer = Producer(config)
        if fate != "plain":
            producer.init_transactions(30)
            producer.begin_transaction()
        for number in range(done, done + portion):
            partition = fuzzer.random.randrange(partitions)
            message = (fuzzer.key(), fuzzer.value(number), fuzzer.headers())
            key, value, headers = message
            producer.produce(topic, value, key, partition, headers=[*headers], timestamp=fuzzer.time())
            if fate != "aborted":
                sent.messages[partition].append(message)
            else:
                sent.aborted += 1
        if fate == "committed":
            producer.commit_transaction(30)
        elif fate == "aborted":
            assert producer.flush(30) == 0
            producer.abort_transaction(30)
        assert producer.flush(30) == 0
        done += portion
    return sent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, help="address of the broker")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    print(f"seed {options.seed}")
    sent = send(options.bootstrap, options.topic, options.partitions, options.seed, options.count)
    print(f"{sum(map(len, sent.messages.values()))} committed, {sent.aborted} aborted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
