"""The bill of materials names every wheel and jar; a failed audit never counts as a good result."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from supply_chain import audit
from supply_chain.parts import parts
from ventes.config import PROJECT
from ventes.install import jars

# -- what is installed ------------------------------------------------------------------------


def test_every_wheel_and_jar_is_a_part_with_its_hashes() -> None:
    found = {part.purl: part for part in parts()}
    for lock in ("base", "spark", "java", "dev"):
        text = (PROJECT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE):
            assert found[f"pkg:pypi/{name.replace('_', '-').replace('.', '-').lower()}@{version}"].sha256
        assert len(re.findall(r"--hash=", text)) <= sum(len(part.sha256) for part in found.values())
    digests = {part.sha256[0] for part in found.values() if part.ecosystem == "Maven"}
    assert digests == {jar.sha256 for jar in jars.pinned()}
    assert found["pkg:pypi/pyspark@4.2.0"].use == "optional"
    assert next(part for part in found.values() if part.name == "pytest").use == "excluded"


def test_the_bill_is_valid_cyclonedx_and_the_same_each_time() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    from supply_chain.sbom import bill

    text = bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == bill()
    document = json.loads(text)
    assert {one["purl"] for one in document["components"]} == {part.purl for part in parts()}
    hashes = {one["content"] for component in document["components"] for one in component["hashes"]}
    assert {jar.sha256 for jar in jars.pinned()} <= hashes
    (ours,) = [entry for entry in document["dependencies"] if entry["ref"] == "ventes"]
    assert len(ours["dependsOn"]) == len(document["components"])


# -- the audit --------------------------------------------------------------------------------

Answer = Callable[[list[str]], tuple[int, bytes]]
OURS = [part for part in parts() if part.name in ("typer", "re2j")]


@pytest.fixture
def service() -> Iterator[Callable[[Answer], str]]:
    """`service(answer)` → the address of an advisory service with this answer to a list of package URLs."""
    servers = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, data = answer([query["package"]["purl"] for query in body["queries"]])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def knows(*vulnerable: str) -> Answer:
    def answer(purls: list[str]) -> tuple[int, bytes]:
        results = [{"vulns": [{"id": "X-1"}]} if purl in vulnerable else {} for purl in purls]
        return 200, json.dumps({"results": results}).encode()

    return answer


CONTROLS = tuple(part.purl for part in audit.CONTROLS)


def test_parts_without_known_vulnerabilities_are_ok(service: Callable[[Answer], str]) -> None:
    assert audit.audit(OURS, service(knows(*CONTROLS))) == {}
    assert audit.main(service(knows(*CONTROLS))) == audit.FINE


def test_a_known_vulnerability_is_reported(
    service: Callable[[Answer], str], capsys: pytest.CaptureFixture[str]
) -> None:
    jar = parts()[0]
    assert audit.main(service(knows(*CONTROLS, jar.purl))) == audit.VULNERABLE
    assert f"{jar.purl}: X-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        knows(),  # a service that knows nothing
        knows(CONTROLS[0]),  # … of jars
        lambda purls: (404, b"{}"),
        lambda purls: (500, b""),
        lambda purls: (200, b"<html>"),
        lambda purls: (200, b"{}"),
        lambda purls: (200, b'{"results": {}}'),
        lambda purls: (200, b'{"results": [{"vulns": [{"id": "X"}]}, {"vulns": [{"id": "Y"}]}]}'),
        lambda purls: (200, json.dumps({"results": ["?"] * len(purls)}).encode()),
    ],
)
def test_a_failed_audit_is_never_ok(
    service: Callable[[Answer], str], answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(service(answer)) == audit.NOT_AUDITED
    assert "NOT AUDITED" in capsys.readouterr().err


def test_an_unreachable_service_is_never_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main("http://127.0.0.1:1/") == audit.NOT_AUDITED
    assert "http://127.0.0.1:1/ gives no answer" in capsys.readouterr().err
