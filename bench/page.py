#!/usr/bin/env python3
"""Measures the page: server time of a refresh compared with a textbook page, first paint, and many viewers at once.

    python bench/page.py [--sizes 100000,1000000,10000000] [--folder DIR] [--sessions 50]

A refresh is the server's work after new sales: 200 are committed to every table, then the whole page runs once for one
viewer (median of --repeats). The sales are those of the last 5 seconds, and once more ("late") those of the last 200
seconds: then the comparisons and small lines change too. The textbook page reads all of Bronze into pandas at each
refresh and computes the same five figures and four tabs. First paint is what a person waits for in Chromium with an
empty cache, until the figures and the bars are there. Lakes are made once and kept in --folder. Each measurement runs
in a separate process; compare ratios of one run, not milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

GUIDE_TABS = ("Sales by Country", "Top 10 Products", "Sales Timeline", "Raw Data")
TEXTBOOK_COLUMNS = ["vente_id", "client_id", "produit_id", "timestamp", "quantite", "montant", "client_nom",
                    "produit_nom", "categorie", "pays", "segment"]  # fmt: skip
LIVE_SECONDS = 5
"""A page refreshes every 5 s."""
LATE_SECONDS = 200
WIDE = {"days": 365, "clients": 1_000_000, "countries": 400_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,1000000,10000000")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/ventes-bench-page"))
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--wide",
        type=int,
        default=0,
        help="also a lake of so many messages: a year, a million clients, 400,000 countries",
    )
    parser.add_argument("--one", choices=("refresh", "textbook"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps({"refresh": refresh, "textbook": textbook}[options.one](options.folder, options.repeats)))
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    results: dict[str, Any] = {"sizes": {}}
    for size in sizes:
        lake = options.folder / str(size)
        _make(lake, size)
        results["sizes"][size] = {
            "page": _child("refresh", lake, options.repeats),
            "textbook": _child("textbook", lake, 3 if size >= 5_000_000 else 5),
        }
        _print_size(size, results["sizes"][size])
    _print_flatness(results["sizes"])
    if options.wide:
        lake = options.folder / f"{options.wide}-wide"
        _make(lake, options.wide, WIDE)
        results["wide"] = {"page": _child("refresh", lake, options.repeats), "textbook": _child("textbook", lake, 3)}
        print("\na year, a million clients, 400,000 countries:")
        _print_size(options.wide, results["wide"])
    results["sessions"] = many(options.folder / str(sizes[-1]), options.sessions)
    print(
        f"\n{options.sessions} viewers at once over {sizes[-1]:,} messages: first paint "
        f"median {results['sessions']['median_s']:.2f} s, slowest {results['sessions']['slowest_s']:.2f} s; "
        f"server memory {results['sessions']['before_mb']:,} → {results['sessions']['after_mb']:,} MB"
    )
    results["paint"] = paint(options.folder / str(sizes[0]))
    print(f"first paint in Chromium over {sizes[0]:,} messages: first viewer {results['paint']['first_s']:.2f} s, "
          f"others median {results['paint']['median_s']:.2f} s, again in the same browser "
          f"{results['paint']['again_s']:.2f} s; CPU of the browser's main thread "
          f"{results['paint']['cpu_s']:.2f} s")  # fmt: skip
    target = ROOT / "bench" / "results" / "page.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1))


def _make(lake: Path, size: int, shape: Mapping[str, float] | None = None) -> None:
    from harness import sample_lake

    if not (lake / "ventes.toml").exists():
        lake.mkdir(parents=True, exist_ok=True)
        sample_lake.make(sample_lake.settings_at(lake), size, sample_lake.Shape(**(shape or {"days": 30})), lots=30)  # type: ignore[arg-type]
        (lake / "ventes.toml").write_text(
            f'[paths]\nlake = "{lake}/delta"\nlogs = "{lake}"\nstate = "{lake}/state"\n'
            "[kafka]\nport = 19890\ncontroller_port = 19891\n"
        )


def _child(what: str, lake: Path, repeats: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", what, "--folder", str(lake), "--repeats", str(repeats)],
        env={**os.environ, "VENTES_CONFIG": str(lake / "ventes.toml")},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def refresh(lake: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds of a refresh after new sales, for each of the guide's tabs, and without new sales."""
    from streamlit.testing.v1 import AppTest

    from harness import sample_lake

    logging.disable(logging.CRITICAL)
    settings = sample_lake.settings_at(lake)
    page = AppTest.from_file(str(ROOT / "streamlit_dashboard.py"), default_timeout=120)
    page.run()
    times: dict[str, list[float]] = {}
    late: list[float] = []
    cpu = 0.0

    def refreshed(seconds: float) -> float:
        """Milliseconds after 200 sales of the last `seconds`."""
        nonlocal cpu
        first = sample_lake.next_offset(settings)
        sample_lake.add(settings, sample_lake.messages(first, 200, datetime.now(timezone.utc), seconds=seconds))
        started, spent = time.perf_counter(), _spent()
        page.run()
        took = (time.perf_counter() - started) * 1000
        assert not page.exception, page.exception
        cpu += (_spent() - spent) if seconds == LIVE_SECONDS else 0
        return took

    for tab in GUIDE_TABS:
        page.query_params["tab"] = tab
        page.run()
        times[tab] = [refreshed(LIVE_SECONDS) for _ in range(repeats)]
        late += [refreshed(LATE_SECONDS) for _ in range(repeats)]
        started = time.perf_counter()
        page.run()
        times.setdefault("nothing new", []).append((time.perf_counter() - started) * 1000)
    medians = {tab: round(statistics.median(values), 1) for tab, values in times.items()}
    news = [value for tab in GUIDE_TABS for value in times[tab]]
    return {
        "ms": medians,
        "median_ms": round(statistics.median(news), 1),
        "late_ms": round(statistics.median(late), 1),
        "cpu_s_each": round(cpu / len(news), 3),
        "peak_mb": _peak_mb(),
    }


def textbook(lake: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds of the page that reads everything: the same figures and tabs from one pandas frame."""
    from deltalake import DeltaTable

    times = []
    spent = _spent()
    for _ in range(repeats):
        started = time.perf_counter()
        frame = DeltaTable(str(lake / "delta" / "bronze" / "ventes_stream")).to_pandas(columns=TEXTBOOK_COLUMNS)
        frame["montant"] = frame["montant"].astype(float)
        _ = (len(frame), frame["client_id"].nunique(), frame["produit_id"].nunique(), frame["montant"].sum(),
             frame["montant"].mean())  # fmt: skip
        _ = frame.groupby("pays")["montant"].sum()
        _ = frame.groupby("produit_nom")["quantite"].sum().nlargest(10)
        frame = frame.sort_values("timestamp")
        frame["cumulative"] = range(1, len(frame) + 1)
        _ = frame.tail(100)
        times.append((time.perf_counter() - started) * 1000)
    return {
        "median_ms": round(statistics.median(times), 1),
        "cpu_s_each": round((_spent() - spent) / repeats, 3),
        "peak_mb": _peak_mb(),
    }


def _print_size(size: int, found: dict[str, Any]) -> None:
    page, book = found["page"], found["textbook"]
    print(f"\n{size:,} messages              page    textbook    ratio")
    print(f"  refresh, median   {page['median_ms']:8,.0f} ms {book['median_ms']:8,.0f} ms "
          f"{book['median_ms'] / page['median_ms']:7.1f} x")  # fmt: skip
    print(f"  late sales, median{page['late_ms']:8,.0f} ms")
    print(f"  CPU per refresh   {page['cpu_s_each'] * 1000:8,.0f} ms {book['cpu_s_each'] * 1000:8,.0f} ms")
    print(f"  peak memory       {page['peak_mb']:8,} MB {book['peak_mb']:8,} MB")
    print("  " + ", ".join(f"{tab} {value:.0f} ms" for tab, value in page["ms"].items()))


def _print_flatness(sizes: dict[int, Any]) -> None:
    first, last = min(sizes), max(sizes)
    ratio = sizes[last]["page"]["median_ms"] / sizes[first]["page"]["median_ms"]
    print(f"\npage, {last:,} : {first:,} messages = {ratio:.2f}")


def many(lake: Path, sessions: int) -> dict[str, Any]:
    """`sessions` viewers connect at the same moment: seconds until each has the whole page, and the server's memory."""
    import psutil

    from harness.page_site import serve

    with serve(lake) as site:
        server = psutil.Process(site.pid)
        asyncio.run(_viewer(site.port))  # the first viewer includes the imports
        before = server.memory_info().rss >> 20
        times = sorted(asyncio.run(_crowd(site.port, sessions)))
        after = server.memory_info().rss >> 20
    return {"median_s": statistics.median(times), "slowest_s": times[-1], "before_mb": before, "after_mb": after}


def paint(lake: Path, viewers: int = 5) -> dict[str, float]:
    """Seconds until Chromium shows the figures and the bars: the first viewer after a start of the page, then others,
    each with an empty cache, then one that has Streamlit's files. `cpu_s`: of the thread that runs scripts and draws,
    for the others; other work on the machine hardly changes it."""
    import shutil

    from playwright.sync_api import BrowserContext, sync_playwright

    from harness.page_site import BROWSER_FLAGS, serve

    def opened(context: BrowserContext, url: str) -> tuple[float, float]:
        page = context.new_page()
        browser = context.new_cdp_session(page)
        browser.send("Performance.enable", {"timeDomain": "threadTicks"})
        started = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.locator(".st-key-figures [data-testid=stMetricValue]").first.wait_for()
        page.locator(".js-plotly-plot .barlayer .point path").first.wait_for()
        took = time.perf_counter() - started
        metrics = {found["name"]: found["value"] for found in browser.send("Performance.getMetrics")["metrics"]}
        page.close()
        return took, metrics["TaskDuration"]

    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as running, serve(lake) as site:
        browser = running.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        strange = browser.new_page()  # a person's browser runs already: its own start is not the page's
        strange.goto("data:text/html,<canvas></canvas><script>document.title = 1 + 1</script>")
        strange.close()
        contexts = [browser.new_context() for _ in range(viewers)]
        times = [opened(context, site.url) for context in contexts]
        again = [opened(contexts[0], site.url) for _ in range(viewers)]
        browser.close()
    return {
        "first_s": round(times[0][0], 2),
        "median_s": round(statistics.median(took for took, _ in times[1:]), 2),
        "again_s": round(statistics.median(took for took, _ in again), 2),
        "cpu_s": round(statistics.median(cpu for _, cpu in times[1:]), 2),
    }


async def _crowd(port: int, sessions: int) -> list[float]:
    return list(await asyncio.gather(*(_viewer(port) for _ in range(sessions))))


async def _viewer(port: int) -> float:
    """One viewer with Streamlit's protocol, as a browser: seconds until the script has drawn everything."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.asyncio.client import connect

    started = time.perf_counter()
    address = f"ws://localhost:{port}/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=60) as socket:  # type: ignore[list-item]
        hello = BackMsg()
        hello.rerun_script.query_string = ""
        await socket.send(hello.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(await socket.recv())  # type: ignore[arg-type]
            if message.WhichOneof("type") == "script_finished":
                return time.perf_counter() - started


if __name__ == "__main__":
    main()
