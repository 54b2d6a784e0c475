"""The sequence of messages that a run sends: sales, with the requested shares of irregular ones.

A share is exact, not on average: of 1,000 sales `--bad 2.5` makes 25 malformed, each kind in turn.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from ventes.producer.catalogue import client
from ventes.producer.message import Message
from ventes.producer.options import Options
from ventes.producer.sale import Sale, make_sale, message, moment
from ventes.producer.visits import Visits

REMEMBERED = 1000
"""A duplicate repeats one of the last so many sales."""
LATEST_MINUTES = 60
"""A late sale is at most this much older than the watermark."""


def _instead(part: Callable[[Sale], str], other: str) -> Callable[[Sale], bytes]:
    def spoil(sale: Sale) -> bytes:
        return message(sale).value.replace(part(sale).encode(), other.encode())

    return spoil


def _amount(sale: Sale) -> str:
    return f'"montant":{sale.basket.montant:.2f}'


def _quantity(sale: Sale) -> str:
    return f'"quantite":{sale.basket.quantite}'


BAD: dict[str, Callable[[Sale], bytes]] = {
    "not_json": lambda sale: message(sale).value.partition(b',"segment"')[0],
    "missing:montant": _instead(lambda sale: f",{_amount(sale)}", ""),
    "negative:montant": _instead(_amount, '"montant":-1.00'),
    "zero:montant": _instead(_amount, '"montant":0.00'),
    "not_cents:montant": _instead(_amount, '"montant":12.345'),
    "type:quantite": _instead(_quantity, '"quantite":"deux"'),
    "range:quantite": _instead(_quantity, '"quantite":0'),
    "time_unreadable": _instead(lambda sale: sale.horodatage, "hier soir"),
    "time_out_of_range": _instead(lambda sale: sale.horodatage, "2999-12-31T23:59:59+00:00"),
    "missing:client_nom": _instead(lambda sale: sale.client.json_nom, '"client_nom":" "'),
    "too_long:produit_nom": _instead(lambda sale: sale.basket.product.nom, "très " * 50),
    "duplicate_key": _instead(lambda sale: sale.client.json_tail, '"pays":"?",' + '"pays":"?","segment":"?"}'),
    "not_object": lambda sale: b"[%b]" % message(sale).value,
    "not_utf8": lambda sale: message(sale).value.replace(b'"client_nom":"', b'"client_nom":"\xe9'),
    "empty": lambda sale: b"",
}
"""Each kind of bad message under the reason that the pipeline gives for it."""


class Share:
    """Counts a percentage exactly: call `accrue` for each sale, and `take` where an irregular one is possible."""

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._owed = 0.0

    def accrue(self) -> None:
        self._owed += self._percent

    def take(self) -> bool:
        """Whether an irregular one is due; if so, it is counted as made."""
        if self._owed < 100:
            return False
        self._owed -= 100
        return True


@dataclass
class Made:
    """Counts of the messages made so far. `bad` by reason; `duplicates` are in addition to `sales`."""

    sales: int = 0
    late: int = 0
    duplicates: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        return self.sales + self.duplicates


class Events:
    """Makes the messages of a run. `watermark` is how old a sale must be to count as late."""

    def __init__(self, options: Options, population: int, watermark: timedelta) -> None:
        self._rng = Random(options.seed)
        self._visits = Visits(self._rng, population)
        self._watermark = watermark
        self._bad, self._late, self._repeat = Share(options.bad), Share(options.late), Share(options.duplicates)
        self._regular = not (options.bad or options.late or options.duplicates)
        self._recent: deque[Message] = deque(maxlen=REMEMBERED)
        self.made = Made()
        self.last: Sale | None = None

    def batch(self, ids: Iterable[int], now: datetime) -> list[Message]:
        """One sale for each id, at `now`, irregular ones included."""
        at = moment(now)
        rng, visit = self._rng, self._visits.next
        sales = [make_sale(rng, number, client(visit()), at) for number in ids]
        self.made.sales += len(sales)
        self.last = sales[-1] if sales else None
        if self._regular:
            return [message(sale) for sale in sales]
        return [each for sale in sales for each in self._perhaps_irregular(sale, now)]

    def _perhaps_irregular(self, sale: Sale, now: datetime) -> list[Message]:
        for share in (self._bad, self._late, self._repeat):
            share.accrue()
        if self._bad.take():
            kind = tuple(BAD)[self.made.bad.total() % len(BAD)]
            self.made.bad[kind] += 1
            return [Message(sale.client.key, BAD[kind](sale))]
        if self._late.take():
            self.made.late += 1
            back = self._watermark + timedelta(minutes=self._rng.uniform(1, LATEST_MINUTES))
            sale = sale._replace(horodatage=moment(now - back))
        sent = [message(sale)]
        self._recent.append(sent[0])
        if self._repeat.take():
            self.made.duplicates += 1
            sent.append(self._rng.choice(self._recent))
        return sent
