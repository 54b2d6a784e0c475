#!/usr/bin/env python3
"""`make screenshots`: the pictures in this folder, from a page over a separate pipeline (or --url, a running page).

The pipeline is real: a broker and both jobs (embedded engine). It gets 30 days of sales, each with the time of the sale
as its arrival, including bad messages, duplicates and conflicts. Needs Chromium (`apt-get install chromium`).
It uses its own ports and folders: a running pipeline is not affected.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from harness import sample_lake  # noqa: E402
from harness.page_site import BROWSER_FLAGS, DESKTOP, serve  # noqa: E402
from harness.pipeline import Pipeline  # noqa: E402
from harness.shipped import BRONZE  # noqa: E402
from ventes import kafka  # noqa: E402
from ventes.config import Settings  # noqa: E402
from ventes.lake import tables  # noqa: E402

SALES = 40_000
CLIENTS = 9_000
PHONE = {"width": 390, "height": 844}
TALL = {"width": 1400, "height": 1480}
SCREEN = {"width": 1920, "height": 1080}
PICTURES: list[tuple[str, dict[str, Any], str, str]] = [
    ("page-light", dict(DESKTOP), "light", ""),
    ("page-dark", dict(DESKTOP), "dark", "?tab=Sales+Timeline&show=Revenue&period=Last+30+days"),
    ("page-phone", PHONE, "light", ""),
    ("page-screen", SCREEN, "light", ""),
    ("page-wall", SCREEN, "dark", "?view=wall"),
    ("page-french", dict(DESKTOP), "light", "?tab=Top+10+des+produits"),
    ("loyalty-light", {"width": 1400, "height": 1300}, "light", "?tab=Segments+%26+Loyalty"),
    ("rejected-light", TALL, "light", "?tab=Rejected+Messages"),
    ("sql-dark", TALL, "dark", "?tab=SQL&q=SELECT+categorie,+SUM(montant)+AS+revenue%0A"
     "FROM+ventes_clean%0AGROUP+BY+categorie%0AORDER+BY+revenue+DESC"),
]  # fmt: skip
"""Name, size, colours, query of the address. A name that ends in "french" is a French browser's."""
LARGE = 1600
"""Pixels of a width from which a picture is not drawn at twice its size."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of a running page, instead of one over sample sales")
    parser.add_argument("--to", type=Path, default=HERE)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on this machine → apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        with _running(Path(scratch)) if options.url is None else _elsewhere(options.url) as (url, sell):
            for name, size, scheme, query in PICTURES:
                sell()
                page = browser.new_page(
                    viewport=size,  # type: ignore[arg-type]
                    color_scheme=scheme,  # type: ignore[arg-type]
                    device_scale_factor=1 if size["width"] >= LARGE else 2,
                    locale="fr-FR" if name.endswith("french") else "en-US",
                )
                page.goto(url + query)
                if "tab=SQL" in query:  # a query from the address waits for this
                    page.get_by_role("button", name="Run").click()
                _settle(page)
                page.screenshot(path=str(options.to / f"{name}.png"))
                page.close()
                print(options.to / f"{name}.png")
        browser.close()


Running = tuple[str, Callable[[], None]]
"""The page's address, and a function that sends a new sale."""


@contextmanager
def _elsewhere(url: str) -> Iterator[Running]:
    yield url, lambda: None


@contextmanager
def _running(folder: Path) -> Iterator[Running]:
    """A pipeline with 30 days of sales. This process starts the broker and is the producer."""
    ours = {"MANAGED": "false", "RETENTION_HOURS": "9000"}  # otherwise Kafka deletes messages dated 30 days ago
    os.environ.update({f"VENTES_KAFKA__{key}": value for key, value in ours.items()}, VENTES_PRODUCER__ENABLED="false")
    past = _drawn(folder / "drawn")
    with Pipeline(folder / "live", engine="embedded") as pipeline:
        _arrival_is_what_the_message_says(pipeline.settings)
        pipeline.start("bronze")
        pipeline.start("silver")
        _send(pipeline.settings, past)
        pipeline.catch_up()
        numbers = iter(range(10**9, 2 * 10**9))

        def sell() -> None:
            sale = json.loads(past[-1][1])
            now = datetime.now(timezone.utc)
            sale.update(vente_id=next(numbers), timestamp=now.isoformat(), montant=64.9, quantite=1)
            _send(pipeline.settings, [(now, json.dumps(sale).encode())])
            pipeline.catch_up()

        sell()
        with serve(pipeline.folder) as site:
            yield site.url, sell


def _arrival_is_what_the_message_says(settings: Settings) -> None:
    """Set the topic to CreateTime: each message of the 30 days carries its own arrival."""
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, settings.topic, incremental_configs=[entry])
    admin = AdminClient(kafka.client_config(settings))
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(30)


Message = tuple[datetime, bytes]


def _drawn(folder: Path) -> list[Message]:
    """Sales of 30 days as (arrival, text), including the errors of a real topic."""
    settings = sample_lake.settings_at(folder)
    sample_lake.make(settings, SALES, sample_lake.Shape(days=30, clients=CLIENTS, bad_percent=0.4))
    rows = tables.snapshot(settings, BRONZE).arrow().select(["kafka_ts", "value"]).sort_by("kafka_ts").to_pylist()
    rng = random.Random(1)
    messages: list[Message] = []
    for row in rows:
        arrived, text = row["kafka_ts"], row["value"]
        messages.append((arrived, text))
        if rng.random() < 0.02:
            sale = json.loads(text)
            other = [
                text,
                json.dumps({**sale, "montant": sale["montant"] + 1}).encode(),
                text[:60],
                json.dumps({**sale, "vente_id": -sale["vente_id"]}).encode(),
                json.dumps({name: value for name, value in sale.items() if name != "client_id"}).encode(),
                json.dumps({**sale, "vente_id": 5 * 10**8 + sale["vente_id"], "timestamp": "hier matin"}).encode(),
            ]
            messages.append((arrived, rng.choices(other, weights=(6, 1, 2, 1, 3, 2))[0]))
    return messages


def _send(settings: Settings, messages: list[Message]) -> None:
    """Send messages, each with its arrival; returns when the broker has acknowledged all."""
    producer = Producer(kafka.client_config(settings, **{"acks": "all", "queue.buffering.max.messages": 200_000}))
    for arrived, text in messages:
        producer.produce(settings.topic, text, key=b"1", timestamp=int(arrived.timestamp() * 1000))
    assert producer.flush(60) == 0


def _settle(page: Page) -> None:
    """Wait until figures and chart are drawn and the script has ended."""
    page.locator(".st-key-figures [data-testid=stMetricValue]").nth(4).wait_for()
    page.locator(".js-plotly-plot .main-svg, [data-testid=stVegaLiteChart] .marks").first.wait_for()
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.wait_for_load_state("networkidle")
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
    page.wait_for_function("() => !/Asking|Interrog/.test(document.querySelector('.stMarkdownBadge').textContent)")


if __name__ == "__main__":
    main()
