"""What a terminal gets: no control character from data, whatever the command; a pipe gets every byte."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from harness import sample_lake

ESCAPE = "SELECT chr(27) || ']0;title' || chr(7) || chr(155) || 'é' AS a"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    shape = sample_lake.Shape(bad_percent=30, hostile=("\x1b[2J\u202eevil\x07",))
    sample_lake.make(sample_lake.settings_at(folder), 100, shape)
    (folder / "ventes.toml").write_text(f'[paths]\nlake = "{folder}/delta"\nstate = "{folder}/state"\n')
    return folder


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from ventes.cli import main; sys.exit(main())", *arguments]


def on_a_terminal(lake: Path, *arguments: str) -> str:
    """Everything that the command writes to a terminal, without the line ends that the terminal makes."""
    master, slave = pty.openpty()
    env = {**os.environ, "VENTES_CONFIG": str(lake / "ventes.toml"), "TERM": "xterm"}
    with subprocess.Popen(program(*arguments), stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        written = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while block := os.read(master, 65536):
                written += block
        process.wait(60)
    os.close(master)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", ESCAPE),
        ("query", ESCAPE, "--format", "csv"),
        ("query", ESCAPE, "--format", "json"),
        ("query", "SELECT raise \x1b[31m FROM bronze_data"),
        ("query", "SELECT `\x1b[31mnope` FROM bronze_data"),
        ("query", "SELECT CAST(chr(27) || '[31m' AS INT)"),
        ("export", "ventes_rejets"),
        ("export", "\x1b[31m"),
        ("rejects", "list"),
        ("verify", "--no-topic"),
    ],
)
def test_no_command_sends_control_characters_to_a_terminal(lake: Path, arguments: tuple[str, ...]) -> None:
    shown = on_a_terminal(lake, *arguments).replace("\r\x1b[K", "")  # our own, before a line of progress
    assert shown.strip()
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown) == []


def test_parquet_is_not_sent_to_a_terminal(lake: Path) -> None:
    assert "Parquet is a binary format" in on_a_terminal(lake, "export", "ventes_clean", "--format", "parquet")


def test_a_pipe_gets_every_byte(lake: Path) -> None:
    env = {**os.environ, "VENTES_CONFIG": str(lake / "ventes.toml")}
    done = subprocess.run(program("query", ESCAPE, "--format", "csv"), capture_output=True, env=env, check=True)
    assert done.stdout == '"a"\n"\x1b]0;title\x07\x9bé"\n'.encode()
