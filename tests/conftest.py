"""Common to all tests: on a build server (CI=true) no test is skipped; the summary has the time of each layer."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Generator

import pytest
from hypothesis import settings

CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

settings.register_profile("no deadline", deadline=None)  # other load of the machine must not fail a test
settings.load_profile("no deadline")


def pytest_configure() -> None:
    """A shell starts background jobs with SIGINT ignored, and the programs under test would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be (CI is set): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The time of each layer: the folder below tests/."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, int] = defaultdict(int)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                layer = report.nodeid.split("/")[1] if report.nodeid.startswith("tests/") else "other"
                seconds[layer] += report.duration
                tests[layer] += report.when == "call"
    if len(seconds) > 1:
        terminalreporter.section("time of each layer")
        for layer in sorted(seconds, key=seconds.__getitem__, reverse=True):
            terminalreporter.write_line(f"{layer:10} {seconds[layer]:7.1f} s {tests[layer]:6} tests")
