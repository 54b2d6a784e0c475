"""What a cluster says about itself: its brokers, and where the replicas of the topic are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_REPLICAS = 3
"""Of a topic that is created here without `kafka.replication`: with three, one broker can be repaired while another one
fails, and every message is still there. More cost as much disk and network again and protect against little."""


@dataclass(frozen=True)
class Cluster:
    """The brokers that are in the cluster now."""

    cluster_id: str
    brokers: Mapping[int, tuple[str, int]]
    """Broker id → the address that it tells its clients."""


@dataclass(frozen=True)
class Partition:
    """One partition of the topic; brokers by their ids."""

    number: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def under_replicated(self) -> bool:
        return len(self.in_sync) < len(self.replicas)


def replicas(asked: int, cluster: Cluster, servers: int) -> int:
    """The replication factor of a new topic. `asked`: kafka.replication; `servers`: how many the settings name.

    A broker that is down at this moment is not in `cluster`; but its server is named, and the cluster may place a
    replica there: the number of copies must not depend on the moment of the creation.
    """
    return asked or min(MOST_REPLICAS, max(1, servers, len(cluster.brokers)))


def least_in_sync(asked: int, replicas: int) -> int:
    """`min.insync.replicas` of a new topic. One less than the replicas, so that one broker may be away without stopping
    the producers, and, of three, an acknowledged message is on two brokers."""
    return asked or max(1, replicas - 1)


def numbers(partitions: Iterable[Partition]) -> str:
    """'0, 2 and 5', at most eight of them."""
    found = sorted(partition.number for partition in partitions)
    shown = ", ".join(map(str, found[:8]))
    return f"{shown} and {len(found) - 8} more" if len(found) > 8 else shown
