"""The bill of materials names every wheel and jar; a failed audit never counts as a good result."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from supply_chain import advisories, audit
from supply_chain.advisories import Copy
from supply_chain.parts import Part, parts
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
    service: Callable[[Answer], str], answer: Answer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(service(answer), tmp_path) == audit.NOT_AUDITED
    assert "NOT AUDITED" in capsys.readouterr().err


def test_an_unreachable_service_without_a_copy_is_never_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(NOBODY, tmp_path) == audit.NOT_AUDITED
    told = capsys.readouterr().err
    assert f"{NOBODY} gives no answer" in told
    assert f"there is no {tmp_path / 'PyPI.zip'}" in told


# -- the copy of the advisories ---------------------------------------------------------------

NOBODY = "http://127.0.0.1:1/"
TODAY = datetime.now(timezone.utc)


def advisory(part: Part, number: str, **affected: Any) -> dict[str, Any]:
    name = f"{part.group}:{part.name}" if part.group else part.name
    return {
        "id": number,
        "modified": TODAY.isoformat().replace("+00:00", "Z"),
        "affected": [{"package": {"ecosystem": part.ecosystem, "name": name}, **affected}],
    }


OF_CONTROLS = [advisory(one, "CONTROL", versions=[one.version]) for one in audit.CONTROLS]


def copied(folder: Path, *advisories: dict[str, Any]) -> Path:
    for ecosystem in ("PyPI", "Maven"):
        with zipfile.ZipFile(folder / f"{ecosystem}.zip", "w") as archive:
            for number, one in enumerate(advisories):
                if one["affected"][0]["package"]["ecosystem"] == ecosystem:
                    archive.writestr(f"{number}.json", json.dumps(one))
    return folder


def test_the_copy_is_asked_where_the_service_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(NOBODY, copied(tmp_path, *OF_CONTROLS)) == audit.FINE
    jar, wheel = (next(part for part in parts() if part.ecosystem == one) for one in ("Maven", "PyPI"))
    bad = [advisory(jar, "X-1", versions=["0", jar.version]), advisory(wheel, "X-2", versions=[wheel.version])]
    assert audit.main(NOBODY, copied(tmp_path, *OF_CONTROLS, *bad)) == audit.VULNERABLE
    told = capsys.readouterr().out
    assert f"{jar.purl}: X-1" in told
    assert f"{wheel.purl}: X-2" in told
    withdrawn = [{**one, "withdrawn": one["modified"]} for one in bad]
    assert audit.main(NOBODY, copied(tmp_path, *OF_CONTROLS, *withdrawn)) == audit.FINE


@pytest.mark.parametrize(
    ("affected", "is_affected"),
    [
        ({"versions": ["1.9", "2.1"]}, False),
        ({"versions": ["2.0"]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}, False),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0.1"}]}]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "2.0"}]}]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.10"}]}]}, False),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.10"}]}]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1.5"}, {"introduced": "1.10"}]}]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "nobody knows"}]}]}, True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
    ],
)
def test_which_version_of_a_wheel_an_advisory_of_the_copy_names(
    tmp_path: Path, affected: dict[str, Any], is_affected: bool
) -> None:
    part = Part("PyPI", "", "Some_Wheel", "2.0", (), "required")
    named = replace(part, name="some.wheel")
    copy = Copy(copied(tmp_path, *OF_CONTROLS, advisory(named, "X-1", **affected)), [part])
    assert copy.of(part) == (["X-1"] if is_affected else [])


def test_a_jar_whose_versions_the_copy_does_not_list_counts_as_affected(tmp_path: Path) -> None:
    jar = Part("Maven", "org.example", "jar", "2.0", (), "required")
    unlisted = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0"}]}]}
    assert Copy(copied(tmp_path, *OF_CONTROLS, advisory(jar, "X-1", **unlisted)), [jar]).of(jar) == ["X-1"]
    listed = {**unlisted, "versions": ["0.9"]}
    assert Copy(copied(tmp_path, *OF_CONTROLS, advisory(jar, "X-1", **listed)), [jar]).of(jar) == []


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "Maven.zip").unlink(), "there is no"),
        (lambda folder: (folder / "PyPI.zip").write_bytes(b"PK no archive"), "cannot be read"),
        (lambda folder: copied(folder), "the copy in"),
        (lambda folder: copied(folder, OF_CONTROLS[0], {**OF_CONTROLS[1], "modified": "2024-10-10T00:00:00Z"}), "ends"),
        (lambda folder: copied(folder, *OF_CONTROLS, {"id": "X", "affected": OF_CONTROLS[0]["affected"]}), "modified"),
        (
            lambda folder: copied(folder, OF_CONTROLS[0], advisory(audit.CONTROLS[1], "X", versions=["0"])),
            "it is not believed",
        ),
    ],
)
def test_a_copy_that_is_damaged_old_or_empty_is_never_ok(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copied(tmp_path, *OF_CONTROLS))
    assert audit.main(NOBODY, tmp_path) == audit.NOT_AUDITED
    assert reason in capsys.readouterr().err


def test_the_copy_is_fetched_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "there" / "PyPI").mkdir(parents=True)
    (tmp_path / "there" / "PyPI" / "all.zip").write_bytes(b"of OSV")
    with pytest.raises(OSError, match="Maven"):
        advisories.fetch(tmp_path / "here", (tmp_path / "there").as_uri())  # no Maven
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["PyPI.zip"]
    assert (tmp_path / "here" / "PyPI.zip").read_bytes() == b"of OSV"
