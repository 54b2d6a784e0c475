"""Sales as the source of a run: new ids, and a sale for each."""

from __future__ import annotations

from datetime import datetime, timedelta

from ventes.config import Settings
from ventes.producer.events import Events
from ventes.producer.ids import Ids, lane_from_kafka
from ventes.producer.message import Message
from ventes.producer.options import Options


def require(_options: Options) -> None:
    """Sales can be made with all options."""


class Sales:
    """Makes sales without end."""

    noun = "sales"
    exhausted = False

    def __init__(self, ids: Ids, events: Events) -> None:
        self._ids = ids
        self._events = events

    @classmethod
    def of_a_run(cls, settings: Settings, options: Options, _topic_id: str) -> Sales:
        """Raises BrokerUnavailable: the lane of the ids comes from Kafka."""
        ids = Ids(settings.state / "spool" / "ids", lane_from_kafka(settings))
        watermark = timedelta(minutes=settings.rules.watermark_minutes)
        return cls(ids, Events(options, settings.producer.clients, watermark))

    @property
    def made(self) -> int:
        return self._events.made.sales

    def batch(self, count: int, now: datetime) -> list[Message]:
        return self._events.batch(self._ids.take(count), now)

    def kept(self) -> None:
        """Nothing to note: the ids were reserved when they were taken."""

    def last_line(self) -> str:
        sale = self._events.last
        if sale is None:
            return ""
        return (
            f"sale {sale.vente_id}: {sale.basket.quantite} × {sale.basket.product.nom} = {sale.basket.montant}, "
            f"client {sale.client.client_id} {sale.client.nom} ({sale.client.pays})"
        )

    def irregular(self) -> list[str]:
        made = self._events.made
        odd = [f"{made.late:,} late"] if made.late else []
        odd += [f"{made.duplicates:,} sent twice"] if made.duplicates else []
        kinds = ", ".join(f"{kind} {times}" for kind, times in sorted(made.bad.items()))
        return [*odd, f"{made.bad.total():,} bad ({kinds})"] if made.bad else odd

    def close(self) -> None:
        self._ids.close()
