"""The output of a run: lines on the terminal, and files in its results folder.

steps.csv        each step: time, what, result
commands.txt     each `ventes` command: exit code, seconds, output
checks.csv       each check: seconds until started, until caught up, and of `ventes verify`
processes.csv    RSS, open files, threads per process over time
jobs.csv         each service in `ventes status` over time: state, lag, seconds of the last batch or lot
files.csv        files and MB of lake and state over time
summary.json     seed, engine, rate, result, every problem, peak memory per process
logs/            the pipeline's logs, if there is a problem
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.chaos.deployment import Command
from harness.chaos.hygiene import memory
from harness.chaos.watch import Watch


@dataclass(frozen=True)
class Problem:
    """A failed check. `at`: seconds since the run began."""

    at: float
    what: str
    text: str


class Report:
    """One run's output."""

    def __init__(self, folder: Path, terminal: TextIO = sys.stdout) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.problems: list[Problem] = []
        self._began = time.monotonic()
        self._terminal = terminal
        self._steps: list[dict[str, Any]] = []
        self._checks: list[dict[str, Any]] = []
        self._commands = (folder / "commands.txt").open("w", encoding="utf-8")

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {self.now:6.1f} s  {text}", file=self._terminal, flush=True)

    def step(self, number: int, what: str, came_of_it: str) -> None:
        self._steps.append({"at": round(self.now, 2), "number": number, "step": what, "result": came_of_it})
        self.say(f"{number:4}  {what}{f'  ({came_of_it})' if came_of_it else ''}")

    def check(self, **seconds: float) -> None:
        row = {"at": round(self.now, 1), **{name: round(value, 1) for name, value in seconds.items()}}
        self._checks.append(row)
        self.say("      checked: " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))

    def command(self, command: Command, code: int | None) -> None:
        took = "" if command.seconds is None else f", {command.seconds:.1f} s"
        self._commands.write(f"== {self.now:.1f} s  {command}: exit code {code}{took}\n{command.output()}\n")
        self._commands.flush()

    def problem(self, what: str, text: str) -> None:
        self.problems.append(Problem(round(self.now, 1), what, text))
        self.say(f"      PROBLEM, {what}: {text}")

    def close(
        self, watch: Watch | None, folders: Mapping[str, Path], files: Iterable[Path], facts: Mapping[str, Any]
    ) -> None:
        """Write the files. If there is a problem, copy `folders` under these names, and `files`."""
        self._commands.close()
        self._write("steps.csv", self._steps)
        self._write("checks.csv", self._checks)
        most: dict[str, dict[str, float]] = {}
        if watch is not None:
            self._write("processes.csv", (asdict(sample) for sample in watch.processes))
            self._write("files.csv", (asdict(sample) for sample in watch.files))
            self._write(
                "jobs.csv",
                (
                    {"at": round(sample.at, 1), "service": name, **asdict(said)}
                    for sample in watch.statuses
                    for name, said in sample.services.items()
                ),
            )
            most = memory(watch.processes)
        summary = {
            **facts,
            "ok": not self.problems,
            "seconds": round(self.now, 1),
            "steps": len(self._steps),
            "checks": len(self._checks),
            "problems": [asdict(problem) for problem in self.problems],
            "memory": most,
        }
        (self.folder / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
        if self.problems:
            self._keep(folders, files)

    def _keep(self, folders: Mapping[str, Path], files: Iterable[Path]) -> None:
        for name, folder in folders.items():
            if folder.is_dir():
                shutil.copytree(folder, self.folder / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
        for file in files:
            if file.is_file():
                shutil.copy(file, self.folder / file.name)

    def _write(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        with (self.folder / name).open("w", encoding="utf-8", newline="") as file:
            if rows:
                columns = list(dict.fromkeys(column for row in rows for column in row))
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)
