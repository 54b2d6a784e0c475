"""`ventes doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ventes import config
from ventes.errors import VentesError

_MARKS = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair damage where nothing is lost; copies go to <state>/repairs.")
    ] = False,
) -> None:
    """Check the environment and the tables; name each cause and the next step.

    Java, jars, ports, disks, paths, access to ports and files, a Kafka cluster, tables, checkpoint, and the entries of
    the dashboard guide's Troubleshooting. Exit code 1 if a finding is BAD.
    """
    from ventes.check.doctor import diagnose  # here: Arrow and the Kafka client take 0.5 s to import

    findings = diagnose(config.load(), repair)
    healthy = all(finding.level != "bad" for finding in findings)
    if as_json:
        print(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            print(f"{_MARKS[finding.level]} {finding.sentence()}")
            if finding.next_step:
                print(f"{'':5}→ {finding.next_step}")
    if not healthy:
        raise typer.Exit(VentesError.exit_code)
