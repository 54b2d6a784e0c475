"""What a run sends, by the name of the stream: sales that are made as it runs, or recorded events that are replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ventes.config import Settings
from ventes.errors import UsageError
from ventes.producer import flights, sales
from ventes.producer.message import Message
from ventes.producer.options import Options


class Source(Protocol):
    """Messages, batch after batch. The loop spools each batch, and says so with `kept`."""

    @property
    def noun(self) -> str:
        """What its events are called: "sales"."""
        ...

    @property
    def made(self) -> int:
        """Events so far; the repeats of `--duplicates` are not counted."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether it has no more of them."""
        ...

    def batch(self, count: int, now: datetime) -> list[Message]:
        """The next `count` events, at `now` (aware) where it makes them; fewer where it is exhausted."""
        ...

    def kept(self) -> None:
        """The last batch is in the spool: it will be sent, whatever happens."""

    def last_line(self) -> str:
        """The last event, for the log."""
        ...

    def irregular(self) -> list[str]:
        """Counts of irregular events, for the log."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Kind:
    """`open`: with the topic's id. `require`: raises VentesError if it cannot run with these options."""

    open: Callable[[Settings, Options, str], Source]
    require: Callable[[Options], None]


_KINDS = {
    "ventes": Kind(sales.Sales.of_a_run, sales.require),
    "vols": Kind(flights.replay, flights.require),
}


def kind_for(settings: Settings) -> Kind | None:
    """What makes the events of the stream in force; None if only other programs do."""
    return _KINDS.get(settings.stream.name)


def require(settings: Settings, options: Options) -> None:
    """Raise VentesError if a run with these options cannot send events of the stream in force."""
    kind = kind_for(settings)
    if kind is None:
        raise UsageError(
            f"no events of the stream {settings.stream.name!r} are made here",
            f"your programs send them to {settings.topic!r}; there are events of {' and '.join(_KINDS)}",
        )
    kind.require(options)
