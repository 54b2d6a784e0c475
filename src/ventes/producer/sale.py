"""One sale, made from a random generator, an id and a time; and its JSON event as in docs/data-contract.md."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from random import Random
from typing import NamedTuple

from ventes.producer.catalogue import BASKET_WEIGHTS, BASKETS, Basket, Client
from ventes.producer.message import Message

_ALL_WEIGHTS = BASKET_WEIGHTS[-1]


class Sale(NamedTuple):
    vente_id: int
    client: Client
    basket: Basket
    horodatage: str
    """ISO 8601, UTC with offset, milliseconds."""


def moment(when: datetime) -> str:
    """An aware UTC time as an event shows it: 2026-01-05T10:00:00.123+00:00."""
    return when.isoformat(timespec="milliseconds")


def make_sale(rng: Random, vente_id: int, client: Client, horodatage: str) -> Sale:
    """A sale to `client`; `rng` chooses the basket. Pure except for `rng`."""
    return Sale(vente_id, client, BASKETS[bisect_right(BASKET_WEIGHTS, rng.random() * _ALL_WEIGHTS)], horodatage)


def message(sale: Sale) -> Message:
    """The sale as compact JSON (UTF-8, the contract's eleven fields in its order), keyed by its client."""
    number, client, basket, at = sale
    text = (
        f'{{"vente_id":{number},"client_id":{client.client_id},"produit_id":{basket.product.produit_id},'
        f'"timestamp":"{at}",{basket.json_amount},{client.json_nom},{basket.json_product},{client.json_tail}'
    )
    return Message(client.key, text.encode())
