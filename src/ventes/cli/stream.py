"""`ventes stream`: propose a declaration, compare one with the tables, list those that are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ventes import config
from ventes.cli import terminal
from ventes.config import Settings
from ventes.errors import UsageError, VentesError

if TYPE_CHECKING:
    from ventes.propose.proposal import Proposal
    from ventes.propose.rejected import Rejected
    from ventes.propose.sample import Sample

FOLDER = "streams"
MOST_MESSAGES = 100_000

stream = typer.Typer(
    help="Declarations of streams: propose one, compare it with the tables, list.", no_args_is_help=True
)


@stream.command()
def init(
    name: Annotated[str, typer.Argument(help="The stream's name: of streams/NAME.py and of its tables.")],
    topic: Annotated[str | None, typer.Option("--from-topic", metavar="TOPIC", help="Look at messages of it.")] = None,
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE.jsonl", help="Look at this file, a message a line.")
    ] = None,
    messages: Annotated[
        int, typer.Option(min=1, max=MOST_MESSAGES, help="How many: most of them the oldest, some the newest.")
    ] = 1000,
    force: Annotated[bool, typer.Option("--force", help="Replace streams/NAME.py.")] = False,
) -> None:
    """Look at some messages and write streams/NAME.py: a proposal, with a remark for each doubt.

    Says which of the messages the proposal rejects, and why. Nothing else is written, and the topic is only read.
    """
    from ventes.judging.verdict import Judging  # here: Arrow and the Kafka client take 0.5 s to import
    from ventes.propose.proposal import propose
    from ventes.propose.rejected import rejected
    from ventes.propose.source_text import source_text

    if (topic is None) == (file is None):
        raise UsageError("give either --from-topic TOPIC or --from FILE.jsonl", "ventes stream init --help")
    _require_name(name)
    settings = config.load(**({} if topic is None else {"kafka": {"topic": topic}}))
    target = settings.config_file.parent / FOLDER / f"{name}.py"
    if target.exists() and not force:
        raise UsageError(f"{target} is already there", "--force replaces it")
    sample = _sample(settings, file, messages)
    terminal.progress(f"looking at {len(sample.messages):,} messages")  # a second for 10,000
    proposal = propose(name, topic or name, sample.messages)
    terminal.progress("")
    if proposal is None:
        raise VentesError(
            f"none of the {len(sample.messages):,} messages has an event: {_codes_of(sample)}",
            "an event is a JSON object; docs/streams.md has the forms that are read",
        )
    origin = f"the topic {topic}" if file is None else file.name
    _write(target, source_text(proposal, f"{len(sample.messages):,} messages of {origin}"))
    found = rejected(Judging(proposal.stream, settings.source_zone, settings.business_zone), sample.messages)
    _print_proposal(target, proposal, sample, found)
    _print_next(settings, target)


def _require_name(name: str) -> None:
    """Refuse a name before the work of reading, and before it becomes part of a path."""
    from ventes.stream import DeclarationError, Event, Instant, Stream, Text

    try:
        Stream(name, "topic", Event("id", "at", (Text("id"), Instant("at"))))
    except DeclarationError as error:
        raise UsageError(error.what, "for example: ventes stream init orders --from-topic orders") from None


def _sample(settings: Settings, file: Path | None, count: int) -> Sample:
    from ventes.propose import sample

    try:
        return sample.from_topic(settings, count, terminal.progress) if file is None else sample.from_file(file, count)
    finally:
        terminal.progress("")


def _codes_of(sample: Sample) -> str:
    """'not_json 60, empty 2'."""
    from ventes.propose.wrapping import wrapping_of
    from ventes.stream.strict_json import Refused

    wrapping = wrapping_of(message.value for message in sample.messages)
    codes: Counter[str] = Counter()
    for message in sample.messages:
        try:
            wrapping.open(message.value)
            codes["duplicate_key"] += 1
        except Refused as refusal:
            codes[refusal.reason] += 1
    return ", ".join(f"{code} {times:,}" for code, times in codes.most_common())


def _write(target: Path, text: str) -> None:
    from ventes.runtime.files import write_atomically

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text, 0o644)
    except OSError as error:
        raise VentesError(f"{target} cannot be written: {error.strerror}", "make its folder writable") from None


def _print_proposal(target: Path, proposal: Proposal, sample: Sample, found: Rejected) -> None:
    from ventes.stream.reasons import sentence

    event, shown = proposal.stream.event, _from_here(target)
    dimensions = ", ".join(field.name for field in event.read if field.dimension) or "none"
    print(f"{shown}: {len(event.read)} fields, {len(proposal.stream.tables)} aggregate tables")
    print(f"  id {event.id}, time {event.at}, dimensions: {dimensions}")
    remarks = [f"{field + ': ' if field else ''}{each}" for field, all_ in proposal.remarks.items() for each in all_]
    for remark in (*sample.remarks, *remarks):
        print(f"  remark: {remark}")
    count = len(sample.messages)
    print(f"it takes {count - found.messages:,} of {count:,} messages and rejects {found.messages:,}")
    for reason in found.reasons:
        said = sentence(reason.code, proposal.stream)
        print(f"  {reason.messages:>6,} {reason.code:<28} first: {reason.first:<12} {said}")


def _print_next(settings: Settings, target: Path) -> None:
    """The commands that follow, and what is still to be set for them."""
    shown = _from_here(target)
    print("next:")
    print(f"  $EDITOR {shown}     # the lines with a remark")
    print(f"  ventes stream check {shown}")
    wanted = []
    if settings.declaration != target:
        wanted.append(f'stream = "{FOLDER}/{target.name}"')
        if (settings.lake / "bronze").is_dir():
            wanted.append(f"[paths] of its own: {settings.lake} has another stream")
    if settings.producer.enabled:
        wanted.append("[producer] enabled = false")
    if wanted:
        print(f"  # in {_from_here(settings.config_file)}: {'; '.join(wanted)} (docs/streams.md has a whole example)")
    print("  ventes start")


def _from_here(path: Path) -> Path:
    """The path as it can be typed in this folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


@stream.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A declaration. Default: the one in force.")] = None,
) -> None:
    """Load a declaration and compare it with the tables on disk: what a start would do, and what it would refuse.

    Reads only. Exit code 2 for a mistake in the declaration, 1 if it does not fit the tables.
    """
    from ventes.check.declared_tables import compare  # here: Arrow takes 0.2 s to import

    settings = config.load(**({} if file is None else {"stream": str(file.resolve())}))
    declared = settings.stream
    event = declared.event
    print(f"{_from_here(settings.declaration)}: stream {declared.name}, topic {settings.topic}")
    print(f"  {len(event.read)} fields, {len(declared.tables)} aggregate tables, {len(declared.rules)} rules")
    print("at the next start:")
    findings = compare(settings)
    for finding in findings:
        print(f"{'REFUSED' if finding.refused else 'ok' if not finding.rows else 'work':<8}{finding.text}")
        if finding.next_step:
            print(f"{'':8}→ {finding.next_step}")
    if any(finding.refused for finding in findings):
        raise typer.Exit(VentesError.exit_code)


@stream.command("list")
def list_streams() -> None:
    """The declarations in streams/: name, topic, file; * marks the one in force."""
    from ventes.stream.declared import DeclarationError
    from ventes.stream.loading import load

    settings = config.load()
    folders = dict.fromkeys((settings.config_file.parent / FOLDER, config.PROJECT / FOLDER))
    files = {
        path.resolve() for folder in folders for path in folder.glob("*.py") if not path.name.startswith(("_", "."))
    }
    in_force = settings.declaration.resolve()
    for path in sorted({*files, in_force}):
        mark = "*" if path == in_force else " "
        try:
            declared = load(path)
        except DeclarationError as error:
            print(f"{mark} {path.stem:<20} {error}")
            continue
        topic = settings.topic if path == in_force else declared.topic
        print(f"{mark} {declared.name:<20} {topic:<28} {_from_here(path)}")
