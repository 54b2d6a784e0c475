"""The producer's sales: the catalogue, the growth in the guide, and the events as written."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from harness.shipped import EVENT_FIELDS
from harness.verdicts import judge
from ventes.producer.catalogue import BASKET_WEIGHTS, BASKETS, PRODUCTS, client
from ventes.producer.events import BAD, Events
from ventes.producer.options import Options
from ventes.producer.sale import make_sale, message, moment
from ventes.producer.visits import Visits

NOW = datetime(2026, 1, 5, 10, 0, 0, 123_456, tzinfo=timezone.utc)

GROWTH = {
    # sales: (clients, revenue), the guide's "Expected data growth"
    30: ((5, 8), (1_000, 2_000)),
    150: ((15, 20), (5_000, 10_000)),
    300: ((25, 30), (10_000, 20_000)),
    1_800: ((50, 75), (50_000, 100_000)),
}


def events(population: int = 300, **options: Any) -> Events:
    return Events(Options(rate=1, **options), population, timedelta(minutes=10))


def values(made: Events, count: int) -> list[bytes]:
    return [each.value for each in made.batch(range(1, count + 1), NOW)]


def rows_missed(seed: int, population: int) -> list[int]:
    missed = []
    seen: set[int] = set()
    revenue = Decimal(0)
    made = [json.loads(value, parse_float=Decimal) for value in values(events(population, seed=seed), 1_800)]
    for number, sale in enumerate(made, 1):
        seen.add(sale["client_id"])
        revenue += sale["montant"]
        if number in GROWTH:
            (few, many), (low, high) = GROWTH[number]
            if not (few <= len(seen) <= many and low <= revenue <= high):
                missed.append(number)
    return missed


@pytest.mark.parametrize("population", [150, 300, 500])
def test_growth_is_the_guides_in_every_row_for_almost_every_seed(population: int) -> None:
    missed = {seed: rows for seed in range(50) if (rows := rows_missed(seed, population))}
    assert len(missed) <= 1, missed


def test_the_average_sale_is_near_44() -> None:
    weights = [after - before for before, after in zip((0, *BASKET_WEIGHTS), BASKET_WEIGHTS, strict=False)]
    mean = sum(w * float(b.montant) for w, b in zip(weights, BASKETS, strict=True)) / BASKET_WEIGHTS[-1]
    assert 43 <= mean <= 46


def test_a_client_number_gives_the_same_client_for_every_seed_and_population() -> None:
    people: dict[int, set[tuple[str, ...]]] = {}
    for seed, population in [(1, 300), (2, 300), (3, 20), (4, 5_000)]:
        for value in values(events(population, seed=seed), 2_000):
            sale = json.loads(value)
            people.setdefault(sale["client_id"], set()).add((sale["client_nom"], sale["pays"], sale["segment"]))
    assert len(people) > 60
    assert {number: len(known) for number, known in people.items() if len(known) > 1} == {}


def test_the_catalogue_is_varied_and_fits_the_contract() -> None:
    people = [client(number) for number in range(1, 301)]
    assert len({each.pays for each in people}) >= 8
    assert len({each.segment for each in people}) >= 4
    assert len({each.categorie for each in PRODUCTS}) >= 5
    assert len({each.produit_id for each in PRODUCTS}) == len({each.nom for each in PRODUCTS}) == len(PRODUCTS)
    for basket in BASKETS:
        assert basket.montant == basket.product.prix * basket.quantite > 0


def test_the_same_seed_makes_the_same_sales() -> None:
    assert values(events(seed=7), 500) == values(events(seed=7), 500)
    assert values(events(seed=7), 500) != values(events(seed=8), 500)


def test_an_event_is_the_contracts() -> None:
    rng = Random(5)
    for number in range(1, 200):
        sale = make_sale(rng, 2**53 - number, client(number), moment(NOW))
        key, value = message(sale)
        event = json.loads(value, parse_float=Decimal)
        assert tuple(event) == EVENT_FIELDS
        assert key == str(event["client_id"]).encode()
        assert event["timestamp"] == "2026-01-05T10:00:00.123+00:00"
        assert event["montant"] == sale.basket.montant
        assert event["montant"].as_tuple().exponent == -2, "a number with exactly two decimals"
        assert (event["client_nom"], event["produit_nom"]) == (sale.client.nom, sale.basket.product.nom)


def test_every_client_and_basket_is_judged_valid() -> None:
    rng = Random(1)
    for number in range(1, 1_000):
        judged = judge(message(make_sale(rng, number, client(number), moment(NOW))).value, NOW)
        assert judged.motifs == ()
        assert judged.extra is None


def test_clients_beyond_the_first_hours_follow_zipf() -> None:
    visits = Visits(Random(3), 400)
    often = Counter(visits.next() for _ in range(60_000))
    assert often[1] / often[2] == pytest.approx(2**1.9, rel=0.1)
    assert often[1] / often[8] == pytest.approx(8**1.9, rel=0.2)
    assert max(often) <= 400


@pytest.mark.parametrize("population", [1, 2, 5])
def test_few_clients_are_enough(population: int) -> None:
    visits = Visits(Random(3), population)
    assert {visits.next() for _ in range(3_000)} == set(range(1, population + 1))


# -- irregular ones ---------------------------------------------------------------------------


@pytest.mark.parametrize("reason", BAD)
def test_each_bad_message_is_rejected_for_its_reason_alone(reason: str) -> None:
    rng = Random(9)
    for number in range(1, 60):
        value = BAD[reason](make_sale(rng, number, client(number), moment(NOW)))
        assert judge(value, NOW).motifs == (reason,)
        assert b"\n" not in value, "a line break would tear the spool's lines"


def test_shares_are_exact() -> None:
    made = events(bad=2.5, late=10, duplicates=1, seed=1)
    sent = [value for start in range(0, 4_000, 100) for value in values(made, 100)]
    assert made.made.sales == 4_000
    assert made.made.bad.total() == 100
    assert made.made.late == pytest.approx(400, abs=1)
    assert made.made.duplicates == pytest.approx(40, abs=1)
    assert len(sent) == made.made.messages == made.made.sales + made.made.duplicates
    judged = [judge(value, NOW) for value in sent]
    assert Counter(reason for each in judged for reason in each.motifs) == made.made.bad


def test_all_bad_and_all_late_are_possible() -> None:
    assert all(judge(value, NOW).motifs for value in values(events(bad=100), 50))
    for value in values(events(late=100), 50):
        when = judge(value, NOW).timestamp
        assert when is not None
        assert NOW - when > timedelta(minutes=10)


def test_a_duplicate_is_the_same_message_again() -> None:
    made = events(duplicates=50)
    sent = made.batch(range(1, 101), NOW)
    assert len(sent) == 150
    assert len(set(sent)) == 100
