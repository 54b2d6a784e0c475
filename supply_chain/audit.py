"""Queries OSV (https://osv.dev) for known vulnerabilities of every wheel and jar: `make audit`, part of `make check`.

If the service does not answer, the copy of its advisories is asked (advisories.py), if there is one that is not too
old. Exit code 0: every part was queried, none has a known vulnerability. 1: some have. 2: the audit failed; this never
counts as a good result. Two old releases with known vulnerabilities are also queried: if they are not reported (a
cache, a proxy, an empty database), the other answers are not accepted.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supply_chain.advisories import FOLDER, Copy, NoCopy
from supply_chain.parts import Part, parts

URL = "https://api.osv.dev/v1/querybatch"
SECONDS = 60.0
CONTROLS = (
    Part("PyPI", "", "urllib3", "1.24.1", (), "excluded"),
    Part("Maven", "org.apache.logging.log4j", "log4j-core", "2.14.1", (), "excluded"),
)
"""CVE-2019-11324 and others; CVE-2021-44228."""

FINE, VULNERABLE, NOT_AUDITED = 0, 1, 2


class NotAudited(Exception):
    """There is no reliable answer; the message has the reason."""


def audit(asked: Sequence[Part], url: str = URL) -> dict[Part, list[str]]:
    """Each part with known vulnerabilities, and their ids. Raises NotAudited."""
    questions = [*CONTROLS, *asked]
    answers = _ask(url, [{"package": {"purl": part.purl}} for part in questions])
    if len(answers) != len(questions):
        raise NotAudited(f"{url} gave {len(answers)} answers to {len(questions)} questions")
    found = {part: _ids(answer) for part, answer in zip(questions, answers, strict=True)}
    for control in CONTROLS:
        if not found.pop(control):
            raise NotAudited(f"{url} knows nothing of {control.purl}, which has well-known holes: it is not believed")
    return {part: ids for part, ids in found.items() if ids}


def _ask(url: str, queries: list[dict[str, Any]]) -> list[Any]:
    request = urllib.request.Request(
        url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            results = json.load(answer)["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAudited(f"{url} gives no answer: {getattr(error, 'reason', error)}") from None
    if not isinstance(results, list):
        raise NotAudited(f"{url} gives an answer of another form")
    return results


def _ids(answer: Any) -> list[str]:
    if not isinstance(answer, dict):
        raise NotAudited("an answer has another form")
    return sorted(str(one["id"]) for one in answer.get("vulns") or ())


def audit_copy(asked: Sequence[Part], folder: Path = FOLDER) -> tuple[dict[Part, list[str]], str]:
    """The same, from the copy of the advisories; and the day of its newest one. Raises NotAudited."""
    try:
        copy = Copy(folder, [*CONTROLS, *asked])
    except NoCopy as error:
        raise NotAudited(str(error)) from None
    for control in CONTROLS:
        if not copy.of(control):
            raise NotAudited(
                f"{folder} knows nothing of {control.purl}, which has well-known holes: it is not believed"
            )
    return {part: ids for part in asked if (ids := copy.of(part))}, f"{copy.newest:%Y-%m-%d}"


def main(url: str = URL, folder: Path = FOLDER) -> int:
    asked = parts()
    source = url
    try:
        found = audit(asked, url)
    except NotAudited as unanswered:
        try:
            found, day = audit_copy(asked, folder)
        except NotAudited as error:
            print(
                f"audit: NOT AUDITED. {unanswered}; {error} → run it where {url} can be reached (HTTPS_PROXY), "
                "or make advisories there and copy its folder",
                file=sys.stderr,
            )
            return NOT_AUDITED
        print(f"audit: {unanswered}: the copy of its advisories of {day} is asked", file=sys.stderr)
        source = f"the copy of {day}"
    for part, ids in found.items():
        print(f"{part.purl}: {', '.join(ids)}  → https://osv.dev/vulnerability/{ids[0]}")
    wheels = sum(part.ecosystem == "PyPI" for part in asked)
    jars = len(asked) - wheels
    print(f"audit: {source} knows {len(found)} with vulnerabilities among {wheels} wheels and {jars} jars")
    return VULNERABLE if found else FINE


if __name__ == "__main__":
    sys.exit(main())
