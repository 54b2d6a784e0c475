"""Checks whether the answers of `ventes status` were true, over samples of them. Pure.

Four rules. A job that makes no progress while its backlog grows is not shown as running and ready for longer than
STILL_SECONDS. A service that is not ready, or whose lag is unknown, has a reason. No service is FAILED: every fault of
the schedule ends by itself or by `ventes start`, except a topic that was deleted and created anew, and that time is
excused. And no reason names a fault that the schedule does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

STILL_SECONDS = 15.0
SILENT_SECONDS = 5.0
UNTRUE = ("its end was lost", "something else answers", "expired before")
"""Parts of reasons that no step can cause."""
LEAST_SAMPLES = 5
"""Samples that such a stretch must have: on an overloaded machine two samples may be far apart."""


@dataclass(frozen=True)
class Said:
    """One service in one answer of `ventes status`."""

    state: str
    ready: bool
    reason: str
    pid: int | None = None
    batch: int | None = None
    batch_seconds: float | None = None
    lag_messages: int | None = None
    lag_seconds: float | None = None
    rows: int | None = None
    """Of the job's output: Bronze's table, or ventes_clean and ventes_rejets together."""

    @property
    def fine(self) -> bool:
        return self.state == "running" and self.ready and not self.reason


@dataclass(frozen=True)
class Sample:
    """One answer. `at`: seconds since the run began."""

    at: float
    services: Mapping[str, Said]


Span = tuple[float, float]
"""From and until, seconds since the run began."""


def complaints(samples: Sequence[Sample], excused: Sequence[Span] = ()) -> list[str]:
    """A sentence for each wrong or missing statement. `excused`: times when FAILED and any reason are right."""
    found = []
    for name in ("bronze", "silver"):
        found += [
            f"{name} was called running and ready from {first.at:.0f} s to {last.at:.0f} s, while nothing moved and "
            f"its lag grew from {first.services[name].lag_messages} to {last.services[name].lag_messages} messages"
            for first, last in _stretches(samples, _stands_still(name), STILL_SECONDS)
            if _lag(first, name) < _lag(last, name)
        ]
        found += [
            f"{name}'s lag was not known from {first.at:.0f} s to {last.at:.0f} s, and no reason given"
            for first, last in _stretches(samples, _lag_without_reason(name), STILL_SECONDS)
        ]
    for name in sorted({name for sample in samples for name in sample.services}):
        found += [
            f"{name} was {first.services[name].state} and not ready from {first.at:.0f} s to {last.at:.0f} s, and no "
            "reason given"
            for first, last in _stretches(samples, _not_ready_without_reason(name), SILENT_SECONDS)
        ]
    return found + _never_right([one for one in samples if not any(a <= one.at <= b for a, b in excused)])


def _never_right(samples: Sequence[Sample]) -> list[str]:
    """The first occurrence of each untrue sentence."""
    found: dict[str, float] = {}
    for sample in samples:
        for name, said in sample.services.items():
            if said.state == "failed" or any(part in said.reason for part in UNTRUE):
                found.setdefault(f"{name} was {said.state}: {said.reason!r}", sample.at)
    return [f"at {at:.0f} s {sentence}" for sentence, at in found.items()]


Follows = Callable[[Sample, Sample], bool]
"""Whether a stretch that contains the first sample continues with the second one, which comes right after it."""


def _stretches(samples: Iterable[Sample], follows: Follows, seconds: float) -> list[tuple[Sample, Sample]]:
    """First and last sample of each stretch that lasts at least `seconds`."""
    found: list[tuple[Sample, Sample]] = []
    stretch: list[Sample] = []
    for sample in samples:
        if stretch and follows(stretch[-1], sample):
            stretch.append(sample)
        else:
            found += _long_enough(stretch, seconds)
            stretch = [sample]
    return found + _long_enough(stretch, seconds)


def _long_enough(stretch: Sequence[Sample], seconds: float) -> list[tuple[Sample, Sample]]:
    if len(stretch) >= LEAST_SAMPLES and stretch[-1].at - stretch[0].at >= seconds:
        return [(stretch[0], stretch[-1])]
    return []


def _stands_still(name: str) -> Follows:
    def follows(before: Sample, after: Sample) -> bool:
        one, other = before.services.get(name), after.services.get(name)
        if one is None or other is None or not one.fine or not other.fine:
            return False
        same = (one.pid, one.batch, one.rows) == (other.pid, other.batch, other.rows)
        return same and _lag(after, name) > 0

    return follows


def _lag_without_reason(name: str) -> Follows:
    def silent(sample: Sample) -> bool:
        said = sample.services.get(name)
        return said is not None and said.lag_messages is None and not said.reason

    return lambda before, after: silent(before) and silent(after)


def _not_ready_without_reason(name: str) -> Follows:
    def silent(sample: Sample) -> bool:
        said = sample.services.get(name)
        return said is not None and not said.ready and not said.reason

    return lambda before, after: silent(before) and silent(after)


def _lag(sample: Sample, name: str) -> int:
    return sample.services[name].lag_messages or 0
