"""Logs are followed through rotation and truncation, and nothing is lost or shown twice."""

from __future__ import annotations

import logging.handlers
from pathlib import Path

import pytest

from ventes.cli.follow_logs import Tail, follow
from ventes.runtime.log_files import last_lines, last_message


def test_the_last_lines_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(5000)), encoding="utf-8")
    assert [line.split()[1] for line in last_lines(path, 3)] == ["4997", "4998", "4999"]
    assert len(last_lines(path, 9999)) == 5000
    assert last_lines(path, 0) == last_lines(tmp_path / "none.log", 5) == []


def test_a_java_stack_trace_gives_its_cause_and_other_output_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.out"
    stack = "java.io.IOException: No locks available\n" + "\tat a.B.c(B.java:1)\n" * 60 + "\t... 9 more\n"
    path.write_text("NOTE: Picked up JDK_JAVA_OPTIONS: -Dx\n" + stack, encoding="utf-8")
    assert last_message(path) == "java.io.IOException: No locks available"
    path.write_text("Traceback (most recent call last):\n  File x, line 1\nValueError: no\n\n", encoding="utf-8")
    assert last_message(path) == "ValueError: no"
    assert last_message(tmp_path / "none.out") == ""


def test_every_line_comes_once_through_many_rotations(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=300, backupCount=50, encoding="utf-8")
    tail = Tail(path)
    came: list[str] = []
    for number in range(200):
        handler.emit(logging.LogRecord("x", 20, "", 0, f"line {number}", None, None))
        came += tail.lines()
    handler.close()
    tail.close()
    assert came == [f"line {number}" for number in range(200)]


def test_it_begins_at_the_end_waits_for_whole_lines_and_notices_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\n", encoding="utf-8")
    tail = Tail(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("ha")
        file.flush()
        assert list(tail.lines()) == []
        file.write("lf\n")
        file.flush()
        assert list(tail.lines()) == ["half"]
    path.write_text("n\n", encoding="utf-8")
    assert list(tail.lines()) == ["n"]
    tail.close()


def test_a_file_that_appears_later_is_followed_from_its_beginning(tmp_path: Path) -> None:
    waits = 0

    def wait(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 1:
            (tmp_path / "late.log").write_text("first\n", encoding="utf-8")
        if waits == 3:
            raise KeyboardInterrupt

    came: list[tuple[str, str]] = []
    with pytest.raises(KeyboardInterrupt):
        came += follow({"bronze": tmp_path / "late.log"}, wait)
    assert came == [("bronze", "first")]
