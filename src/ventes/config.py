"""Reads all settings of a process once, into frozen objects.

Precedence, highest first: command-line flag > VENTES_* environment > ventes.toml > default.
`load(**flags)` applies it. Unknown keys and impossible values are refused by name.
Relative paths are taken from the folder of the ventes.toml that was read. What there is to set: ventes.settings.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ventes.errors import ConfigError, VentesError
from ventes.settings.page import Page
from ventes.settings.refused import Given, explain
from ventes.settings.secret_keys import require_private, secret_keys
from ventes.settings.sections import Metrics, Paths, Rules, Source, Supervisor
from ventes.settings.sources import merged, read_environment, read_file
from ventes.settings.value_types import refused_in_path, shown
from ventes.settings.whole import LOG_NAMES, PROJECT, Engine, Settings

__all__ = [
    "CONFIG_VARIABLE",
    "LOG_NAMES",
    "PROJECT",
    "SUPERVISED_VARIABLE",
    "Engine",
    "Metrics",
    "Page",
    "Paths",
    "Rules",
    "Settings",
    "Source",
    "Supervisor",
    "config_path",
    "load",
    "where_secrets_are",
]

CONFIG_VARIABLE = "VENTES_CONFIG"
SUPERVISED_VARIABLE = "VENTES_SUPERVISED"
"""Set for the processes that the supervisor starts."""


def config_path() -> Path:
    """The ventes.toml in force: VENTES_CONFIG, else the one beside the guide's scripts."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named).resolve() if named else PROJECT / "ventes.toml"


_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "VENTES_FAILPOINTS", "VENTES_JAVA_HOME", SUPERVISED_VARIABLE})
"""Names with our prefix that are not settings."""


def load(**flags: Any) -> Settings:
    """Read the settings. `flags` are sections or values from the command line; they have the highest precedence.

    Raises ConfigError naming each refused key, with its value unless it may be a secret, and where it was written.
    """
    path = config_path()
    if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
        raise ConfigError(f"{CONFIG_VARIABLE} names {path}, which is not a file", "unset it or correct it")
    file = read_file(path)
    environment = read_environment(os.environ, Settings, _OTHER_VARIABLES)
    require_private(path, file)
    given = Given(path, merged(file, environment.values, flags), environment, flags)  # the last one has precedence
    if "config_file" in given.values:  # a field that is no setting
        raise ConfigError(f"unknown key 'config_file' ({given.origin(('config_file',))})", "remove it")
    try:
        settings = Settings.model_validate({**given.values, "config_file": path})
    except ValidationError as error:
        refused = [explain(item, given) for item in error.errors()]
    else:
        _require_plain_paths(settings)
        _require_known_targets(settings, given)
        return settings
    # Outside of the `except`: otherwise this error would reference pydantic's error, which contains the values.
    raise ConfigError(f"settings refused: {'; '.join(refused)}", "correct it there; ventes.toml explains each key")


def where_secrets_are(settings: Settings) -> dict[str, str]:
    """Dotted key → the path of ventes.toml or "the environment", for each secret of the settings. No secret itself."""
    environment = read_environment(os.environ, Settings, _OTHER_VARIABLES)
    file = dict.fromkeys(secret_keys(read_file(settings.config_file)), str(settings.config_file))
    return {**file, **dict.fromkeys(secret_keys(environment.values), "the environment")}


def _require_known_targets(settings: Settings, given: Given) -> None:
    """Refuse a target of a figure that the page does not have, or that has no value of the day."""
    if not settings.page.targets:
        return  # most commands do not need the declaration
    try:
        why = settings.stream.shown.refused_target(settings.page.targets)
    except VentesError:
        return  # a declaration that cannot be read is reported where it is needed
    if why:
        origin = given.origin(("page", "targets"), why)
        raise ConfigError(f"settings refused: page.targets: {why} ({origin})", "name one of these figures")


def _require_plain_paths(settings: Settings) -> None:
    """Refuse a relative path whose beginning, the folder of ventes.toml, cannot hold tables or logs."""
    for name, folder in settings.folders.items():
        if why := refused_in_path(str(folder)):
            raise ConfigError(
                f"paths.{name} = {shown(folder)} {why}", f"set another paths.{name} in {settings.config_file}"
            )
