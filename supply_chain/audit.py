"""Queries OSV (https://osv.dev) for known vulnerabilities of every wheel and jar: `make audit`.

Exit code 0: every part was queried, none has a known vulnerability. 1: some have. 2: the audit failed; this never
counts as a good result. Two old releases with known vulnerabilities are also queried: if a service does not report
them (a cache, a proxy, an empty database), its other answers are not accepted.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

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


def main(url: str = URL) -> int:
    asked = parts()
    try:
        found = audit(asked, url)
    except NotAudited as error:
        print(f"audit: NOT AUDITED, {error} → run it where {url} can be reached (HTTPS_PROXY)", file=sys.stderr)
        return NOT_AUDITED
    for part, ids in found.items():
        print(f"{part.purl}: {', '.join(ids)}  → https://osv.dev/vulnerability/{ids[0]}")
    wheels = sum(part.ecosystem == "PyPI" for part in asked)
    print(f"audit: {wheels} wheels and {len(asked) - wheels} jars asked about, {len(found)} with known vulnerabilities")
    return VULNERABLE if found else FINE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
