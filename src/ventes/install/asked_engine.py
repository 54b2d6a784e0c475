"""Reads which engine the user asks for, before any package is installed. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ventes.errors import ConfigError

ENGINES = ("spark", "embedded")
DEFAULT = "spark"

_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_LINE = re.compile(r"""^\s*engine\s*=\s*(["'])(.*?)\1""", re.MULTILINE)


def asked_engine(arguments: Sequence[str], env: Mapping[str, str], project: Path) -> str:
    """The engine, with the precedence of ventes.config: --engine > VENTES_ENGINE > ventes.toml > default.

    `arguments` are those of `ventes start`; `project` is the folder of ventes.toml, unless VENTES_CONFIG names another
    file. Raises ConfigError for an engine that does not exist.
    """
    flags = _flags(arguments)
    if flags:
        name, where = flags[-1], "--engine"
    elif "VENTES_ENGINE" in env:
        name, where = env["VENTES_ENGINE"], "VENTES_ENGINE"
    else:
        file = Path(env.get("VENTES_CONFIG") or project / "ventes.toml")
        name, where = _in_file(file), str(file)
    if name not in ENGINES:
        raise ConfigError(f"{where}: there is no engine {name!r}", f"it is one of: {', '.join(ENGINES)}")
    return name


def _flags(arguments: Sequence[str]) -> list[str]:
    following = [*arguments[1:], ""]
    return [
        after if argument == "--engine" else argument.partition("=")[2]
        for argument, after in zip(arguments, following, strict=False)
        if argument == "--engine" or argument.startswith("--engine=")
    ]


def _in_file(file: Path) -> str:
    """The value before the first table. Without tomllib, which Python 3.10 lacks; config.py checks it later."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return DEFAULT
    found = _LINE.search(_TABLE.split(text, maxsplit=1)[0])
    return found[2] if found else DEFAULT
