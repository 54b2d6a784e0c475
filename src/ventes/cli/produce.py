"""`ventes produce`, and the same as `producer.py`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ventes.errors import UsageError


def produce(
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Events of another stream: `vols` replays flights.")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Events per second, or `max`. Default: producer.rate.")] = None,
    count: Annotated[int | None, typer.Option(help="End after this many. Default: no limit.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same sales (except ids and times).")] = None,
    bad: Annotated[float, typer.Option(metavar="PERCENT", help="Share of malformed sales.")] = 0.0,
    late: Annotated[float, typer.Option(metavar="PERCENT", help="Share of sales older than the watermark.")] = 0.0,
    duplicates: Annotated[float, typer.Option(metavar="PERCENT", help="Share of sales followed by a repeat.")] = 0.0,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,…", help="Another cluster.")] = None,
    topic: Annotated[str | None, typer.Option(help="Another topic. Default: the stream's.")] = None,
) -> None:
    """Send sales to Kafka until Ctrl-C. None is lost: the next run sends what Kafka has not acknowledged.

    With another stream its recorded events, each once: a run goes on where the one before it ended.
    """
    from ventes import config
    from ventes.producer import loop, sources
    from ventes.producer.options import Options, read_rate
    from ventes.runtime.heartbeat import Reporter
    from ventes.runtime.stop import Stopper

    settings = config.load(**_flags(bootstrap, topic, stream))
    if stream is not None and not settings.declaration.is_file():
        raise UsageError(f"there is no declaration {settings.declaration}", "`ventes stream list` shows them")
    options = Options(
        rate=settings.producer.rate if rate is None else read_rate(rate),
        count=count,
        seed=seed,
        bad=bad,
        late=late,
        duplicates=duplicates,
    )
    elsewhere = bootstrap is not None or topic is not None or stream is not None
    service = not elsewhere and loop.is_the_service(settings, options)
    if not service:  # the service says it in its heartbeat
        sources.require(settings, options)
    _log_to(settings, service)
    report = Reporter(settings.state, "producer", **settings.fingerprints("producer")) if service else None
    stopper = Stopper().install(report.stopping if report is not None else None)
    raise typer.Exit(loop.run(settings, options, stopper, report))


def main() -> int:
    """The program producer.py."""
    from ventes.cli import run_alone

    return run_alone(produce, "producer.py")


def _flags(bootstrap: str | None, topic: str | None, stream: str | None) -> dict[str, Any]:
    """The flags as settings; they override file and environment."""
    kafka: dict[str, Any] = {}
    if stream is not None:
        kafka["topic"] = ""  # that of its declaration: another stream's topic may be set in ventes.toml
    if topic is not None:
        kafka["topic"] = topic
    if bootstrap is not None:
        kafka["bootstrap"] = bootstrap
    flags: dict[str, Any] = {} if stream is None else {"stream": f"streams/{stream}.py"}
    return {**flags, "kafka": kafka} if kafka else flags


def _log_to(settings: Any, service: bool) -> None:
    """The service logs to its log file; any other run logs to the terminal."""
    import logging

    from ventes.runtime import logs

    if service:
        logs.setup("producer", settings)
    else:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s")
        logging.getLogger("ventes").setLevel(settings.logs.level.upper())
