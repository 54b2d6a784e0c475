"""A secret in every place where a user may put one; no output, log, record or command line repeats it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from harness.pipeline import SCRIPTS, free_ports, wait_for
from ventes import config
from ventes.config import PROJECT, Settings
from ventes.errors import ConfigError
from ventes.runtime import heartbeat

CANARY = "canary-5ecr3t"
USUAL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": f"{CANARY}-user",
    "sasl.password": CANARY,
    "ssl.key.password": f"{CANARY}-key",
}


def table(values: dict[str, str]) -> str:
    return "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in values.items())


# -- settings that are refused ----------------------------------------------------------------

WRONG = [
    "[kafka.security]\n" + table({**USUAL, "sasl.pasword": CANARY}),
    f'[kafka.security]\n"{"sasl.password"}" = ["{CANARY}"]\n',
    f'[kafka]\nsecurity = "{CANARY}"\n',
    f'[kafka]\n"sasl.password" = "{CANARY}"\n',
    f'[kafka]\nsasl_password = "{CANARY}"\n',
    f'kafka = "{CANARY}"\n',
    f"[kafka]\nreplication = 3\n[kafka.security]\n{table(USUAL)}",  # refused as a whole: managed
    f'[kafka]\nbootstrap = "SASL_SSL://user:{CANARY}@h:9092"\n',
    f'[kafka]\nhost = "user:{CANARY}@h"\n',
    f'[kafka]\nport = "{CANARY}@h"\n',
    "[kafka.security]\n" + table({**USUAL, "security.protocol": CANARY}),
    "[kafka.security]\n" + table({**USUAL, "sasl.mechanism": CANARY}),
    "[kafka.security]\n" + table({**USUAL, "ssl.endpoint.identification.algorithm": CANARY}),
    f'[paths]\nlake = "s3://key:{CANARY}@bucket/lake"\n',
    f'[spark]\nmaster = "spark://user:{CANARY}@h:7077"\n',
    f'[spark]\nconf = "{CANARY}"\n',
    f'[spark.conf]\nfs.s3a.secret.key = "{CANARY}"\n',
    f'[spark.conf]\n"fs.s3a.secret.key" = "{CANARY}"\n',
    f'[spark.conf]\n"spark.x.password" = {{a = "{CANARY}"}}\n',
    f'[spark.conf]\n"spark.driver.extraJavaOptions" = "-Djavax.net.ssl.keyStorePassword={CANARY}"\n',
    f'[page]\naddress = "http://user:{CANARY}@h"\n',
    f'[page]\nhosts = ["user:{CANARY}@h"]\n',
    f'[page]\nhosts = "password={CANARY}"\n',
    f'[page.login]\nclient_secret = "{CANARY}"\n',  # refused as a whole: no issuer
    f'[page.login]\nissuer = "https://user:{CANARY}@h"\n',
    f'[page.login]\nissuer = "https://h"\nclient_id = "x"\nclient_secret = ["{CANARY}"]\nviewers = ["*"]\n',
    f'[page.login]\nviewers = ["{CANARY}"]\n',
    f'[page]\nlogin = "{CANARY}"\n',
    f'[page]\nurl = "https://user:{CANARY}@h"\n',
    f'[pages]\npassword = "{CANARY}"\n',
    f'secret = "{CANARY}"\n',
    f'[kafka.security]\n"sasl.password" = "{CANARY}\n',  # no TOML
    f'[kafka.security]\n"sasl.password" = {CANARY}\n',
]


@pytest.mark.parametrize("text", WRONG)
def test_no_error_of_the_settings_repeats_a_secret(toml: Path, text: str) -> None:
    toml.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load()
    error = caught.value
    assert CANARY not in str(error)
    assert CANARY not in "".join(traceback.format_exception(error))
    assert error.__context__ is None or CANARY not in "".join(traceback.format_exception(error.__context__))
    assert error.hint


def test_a_mistyped_key_is_named_with_those_that_are_allowed(toml: Path) -> None:
    toml.write_text(WRONG[0], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"kafka\.security: the key 'sasl\.pasword' is not passed on; allowed: ") as e:
        config.load()
    assert str(toml) in str(e.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VENTES_KAFKA", f'{{"security": {{"sasl.password": "{CANARY}"}}, "x": 1}}'),
        ("VENTES_KAFKA", f'{{"security": {{"sasl.password": "{CANARY}"'),
        ("VENTES_KAFKA", CANARY),
        ("VENTES_KAFKA__SECURITY", f'{{"sasl.pasword": "{CANARY}"}}'),
        ("VENTES_KAFKA__SECURITY", f"sasl.password={CANARY}"),
        ("VENTES_KAFKA__SECURITY__SASL_PASWORD", CANARY),
        ("VENTES_KAFKA__SASL_PASSWORD", CANARY),
        ("VENTES_SPARK__CONF__FS_SECRET_KEY", CANARY),
        ("VENTES_SPARK__CONF", CANARY),
        ("VENTES_KAFKA__BOOTSTRAP", f"SASL_SSL://user:{CANARY}@h:9092"),
        ("VENTES_PAGE__LOGIN__CLIENT_SECRET", CANARY),
        ("VENTES_PAGE__LOGIN__SECRET", CANARY),
        ("VENTES_PAGE__LOGIN", f'{{"client_secret": "{CANARY}"'),
        ("VENTES_PASSWORD", CANARY),
    ],
)
def test_no_error_of_the_environment_repeats_a_secret(
    toml: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert name in str(caught.value)


# -- settings that are accepted ---------------------------------------------------------------


def test_settings_do_not_show_them_however_they_are_turned_into_text(toml: Path) -> None:
    toml.write_text(
        f'[kafka]\nmanaged = false\n[kafka.security]\n{table(USUAL)}[spark.conf]\n"spark.x" = "{CANARY}"\n',
        encoding="utf-8",
    )
    settings = config.load()
    forms = [repr(settings), str(settings), repr(settings.kafka), f"{settings.kafka.security}", str(vars(settings))]
    forms += [str(settings.model_dump()), settings.model_dump_json(), str(settings.model_dump(mode="json"))]
    forms += [json.dumps(settings.model_dump(), default=str), settings.fingerprint(), str(dict(settings.spark.conf))]
    with pytest.raises(ValidationError) as caught:
        Settings(kafka={"security": {**USUAL, "x": CANARY}})
    forms += [str(caught.value), "".join(traceback.format_exception(caught.value))]
    assert [form for form in forms if CANARY in form] == []
    assert settings.kafka.client_security() == USUAL
    assert settings.spark.further_conf() == {"spark.x": CANARY}


def test_another_password_is_another_fingerprint(toml: Path) -> None:
    prints = set()
    for password in ("a", "b"):
        prints.add(Settings(kafka={"managed": False, "security": {"sasl.password": password}}).fingerprint())
        prints.add(Settings(spark={"conf": {"spark.x": password}}).fingerprint())
    assert len(prints) == 4


def test_kafka_clients_get_them_in_clear_text_and_a_missing_key_file_is_not_repeated() -> None:
    from ventes import kafka
    from ventes.engines.spark.kafka_source import java_security

    config = kafka.client_config(Settings(kafka={"managed": False, "security": USUAL}))
    assert {key: config[key] for key in USUAL} == USUAL
    assert f'password="{CANARY}"' in java_security(USUAL)["sasl.jaas.config"]
    for key in ("ssl.ca.location", "ssl.key.location", "ssl.certificate.location"):
        named = Settings(kafka={"managed": False, "security": {key: f"/{CANARY}.pem"}})
        with pytest.raises(ConfigError, match=f"kafka.security {key}") as caught:
            kafka.client_config(named)
        assert CANARY not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        java_security({"ssl.ca.location": f"/{CANARY}.pem"})
    assert CANARY not in str(caught.value)


# -- programs ---------------------------------------------------------------------------------


@pytest.fixture
def silent_broker() -> Iterator[int]:
    """A port that accepts connections and closes them, as a broker with other security settings does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


class Place:
    """A pipeline with secrets in its ventes.toml and its environment, and all output of its programs."""

    def __init__(self, folder: Path, port: int) -> None:
        (page,) = free_ports(1)
        self.folder = folder
        self.said: dict[str, str] = {}
        toml = folder / "ventes.toml"
        toml.write_text(
            f'engine = "embedded"\n[kafka]\nport = {port}\nmanaged = false\n[page]\nport = {page}\n'
            "[metrics]\nenabled = false\n"
            '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n[maintenance]\nmin_free_mb = 1\n'
            f'[spark.conf]\n"spark.hadoop.fs.s3a.secret.key" = "{CANARY}"\n[kafka.security]\n{table(USUAL)}',
            encoding="utf-8",
        )
        toml.chmod(0o600)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        self.environment = {
            **kept,
            "VENTES_CONFIG": str(toml),
            "VENTES_KAFKA__SECURITY__SASL_PASSWORD": f"{CANARY}-environment",
            "PYTHONPATH": str(PROJECT / "src"),
        }

    def command(self, *arguments: str) -> int:
        code = "import sys; from ventes.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.said[" ".join(arguments)] = done.stdout + done.stderr
        return done.returncode

    def leaks(self) -> list[str]:
        """Every output and file except ventes.toml that contains the canary."""
        found = [name for name, text in self.said.items() if CANARY in text]
        for file in self.folder.rglob("*"):
            if file.is_file() and file.name != "ventes.toml" and CANARY.encode() in file.read_bytes():
                found.append(str(file))
        return found


def command_lines() -> list[str]:
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return lines


def test_commands_do_not_print_them(tmp_path: Path, silent_broker: int) -> None:
    place = Place(tmp_path, silent_broker)
    assert place.command("status") == 1
    assert place.command("status", "--json") == 1
    place.command("doctor")
    assert place.command("produce", "--count", "1", "--bootstrap", f"user:{CANARY}@h:x") == 2
    assert place.command("produce", "--count", "1", "--bootstrap", f"user:{CANARY}@h:9092") == 2
    toml = tmp_path / "ventes.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("sasl.username", "sasl.user"), encoding="utf-8")
    for command in ("start", "status", "doctor", "stop"):
        assert place.command(command) == 2
    assert "'sasl.user'" in place.said["start"]
    assert place.leaks() == []
    assert (tmp_path / "ventes.toml").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("job", ["bronze", "producer"])
def test_a_job_that_cannot_connect_logs_no_secret(tmp_path: Path, silent_broker: int, job: str) -> None:
    place = Place(tmp_path, silent_broker)
    output = tmp_path / f"{job}.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / SCRIPTS[job])],
            env=place.environment,
            cwd=tmp_path,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        state = tmp_path / "state"

        def complained() -> bool:
            record = heartbeat.read(state, job)
            ended = process.poll() is not None
            return ended or (record is not None and bool(record.last_error or record.reason))

        wait_for(complained, f"{job} says that it has no broker")
        assert [line for line in command_lines() if CANARY in line] == []
        place.command("status")
        place.command("logs")
    finally:
        process.terminate()
        process.wait(30)
    assert (tmp_path / "logs").is_dir()
    assert place.leaks() == []


def test_a_library_that_repeats_one_is_blanked_in_log_and_record(tmp_path: Path) -> None:
    """Our messages never do; an error of a library may."""
    code = """
import os, sys
from ventes import config
from ventes.engines import job
def body(job): raise RuntimeError("cannot parse " + os.environ["VENTES_KAFKA__SECURITY__SASL_PASSWORD"])
sys.exit(job.run(config.load(), "bronze", "embedded", body))
"""
    place = Place(tmp_path, 1)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot parse" in (tmp_path / "logs" / "spark_delta.log").read_text(encoding="utf-8")
    assert place.leaks() == []
