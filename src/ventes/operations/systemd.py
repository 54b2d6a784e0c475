"""A systemd unit for this pipeline, generated from its settings. Pure.

One unit runs `ventes start --foreground`: the supervisor and its services belong to the unit's control group, SIGTERM
to the main process stops them in order, and systemd ends whatever is left. The hardening keeps what the parts need:
Java compiles code in memory, the SQL tab starts child processes, and everything writes below the configured folders.
"""

from __future__ import annotations

from pathlib import Path

from ventes.config import CONFIG_VARIABLE, PROJECT, Settings
from ventes.supervise import services

STOP_SECONDS = 90
"""A large Spark batch is finished before its job ends."""
OPEN_FILES = 65_536
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))


def unit(settings: Settings, user: str, group: str) -> str:
    """The text of ventes.service, for `user` and `group`."""
    folders = sorted({settings.lake, settings.state, *settings.folders.values()})
    shared = any(folder.is_relative_to(place) for folder in folders for place in TEMPORARY)
    made = "\n".join(f"ExecStartPre=+/bin/sh -c {_MAKE} sh {_word(folder)} {user} {group}" for folder in folders)
    writable = "\n".join(f"ReadWritePaths={_quoted(str(folder))}" for folder in folders)
    ventes = _word(PROJECT / ".venv" / "bin" / "ventes")
    secrets = PROJECT / "ventes.env"
    return f"""\
# Made by `ventes export systemd` from {_text(settings.config_file)}.
# It listens on {_ports(settings)}.
#   sudo cp ventes.service /etc/systemd/system/ && sudo systemctl daemon-reload && sudo systemctl enable --now ventes
# Settings that are secret may stand in {_text(secrets)} (mode 0600), as VENTES_<SECTION>__<KEY>=value.
[Unit]
Description=Live sales pipeline ({_text(settings.config_file)})
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User={user}
Group={group}
WorkingDirectory={_path(PROJECT)}
Environment={_quoted(f"{CONFIG_VARIABLE}={settings.config_file}")}
EnvironmentFile=-{_path(secrets)}
{made}
ExecStart={ventes} start --foreground
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
Restart=on-failure
RestartSec=5
LimitNOFILE={OPEN_FILES}
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
{writable}
PrivateTmp={"no" if shared else "yes"}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""


def _ports(settings: Settings) -> str:
    """Where the services and the supervisor listen, each with its key."""
    ports = [port for service in services.enabled(settings) for port in service.ports(settings)]
    if settings.metrics.enabled:
        ports.append(("metrics.port", settings.metrics.address, settings.metrics.port))
    return ", ".join(f"{f'[{host}]' if ':' in host else host}:{number} ({key})" for key, host, number in ports)


_MAKE = """'[ -d "$$1" ] || install -d -m 0700 -o "$$2" -g "$$3" "$$1"'"""
"""Makes a folder that is missing, for the service's user; with `+` it runs before the hardening is in force."""


def _text(value: Path) -> str:
    """A path within a comment or a description: one line, no specifiers."""
    return "".join(char if char.isprintable() else "?" for char in str(value)).replace("%", "%%")


def _path(value: Path) -> str:
    """The value of a setting that takes one path and no quotes."""
    return str(value).replace("%", "%%")


def _quoted(text: str) -> str:
    """An item of a list of values, which quotes and backslashes would end."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _word(value: Path) -> str:
    """A word of a command line, where `$` names a variable as well."""
    return _quoted(str(value)).replace("$", "$$")
