"""The errors that a user sees.

    VentesError              something is wrong; the message names the value and the next step (exit 1)
    ├── UsageError           the request itself cannot be carried out as written            (exit 2)
    ├── ConfigError          ventes.toml, VENTES_* or a flag holds a wrong value            (exit 2)
    │   └── DeclarationError a declaration in streams/ holds a mistake (ventes.stream.declared)
    ├── InstallError         Java, a jar or a package is missing or is not the expected one
    ├── UnsafePlace          a folder or a log belongs to another user, or others may write it
    ├── AlreadyRunning       another process holds the lock
    │   └── WrittenElsewhere another machine, or another pipeline, writes this lake
    ├── LockLost             the lock file that this process held is gone
    ├── BrokerUnavailable    Kafka does not answer
    ├── StoreUnavailable     the object store of the lake does not answer: waiting may help
    ├── StoreRefused         it refuses: no such bucket, wrong key, no permission
    ├── SourceChanged        the topic is not the one that was read (re-created, shrunk, expired)
    └── LakeDamaged          a table or its log is damaged or was changed by another program

Errors of libraries are translated where they enter; only the command line turns these into exit codes.
"""

from __future__ import annotations


class VentesError(Exception):
    """Base of all. `hint` is the next step, a sentence or a command."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message


class UsageError(VentesError):
    exit_code = 2


class ConfigError(VentesError):
    exit_code = 2


class InstallError(VentesError):
    pass


class UnsafePlace(VentesError):
    pass


class AlreadyRunning(VentesError):
    pass


class WrittenElsewhere(AlreadyRunning):
    pass


class LockLost(VentesError):
    pass


class BrokerUnavailable(VentesError):
    pass


class StoreUnavailable(VentesError):
    pass


class StoreRefused(VentesError):
    pass


class SourceChanged(VentesError):
    pass


class LakeDamaged(VentesError):
    pass
