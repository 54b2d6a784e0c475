"""The lake as Spark's tasks reach it: its folder, or the object store that it is on.

Tasks use the same mirrors as the jobs. Where they run on the driver's machine, they share the driver's. An executor on
another machine has a mirror of its own in Spark's folder for temporary files, which Spark removes with the application.

Endpoint and credentials of a store go to the tasks within the function that they run: not in a command line, nor in
Spark's settings, which its web page and its event log show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ventes.errors import StoreRefused, StoreUnavailable, VentesError
from ventes.store import places
from ventes.store.mirror import GENERATION, SILVER, Limits, Mirror, install
from ventes.store.settings_of import PREFIXES, Options

if TYPE_CHECKING:
    from pyspark import SparkContext

    from ventes.config import Settings
    from ventes.deltalog.actions import DataFile

_OF_THE_MACHINE = re.compile(r"AWS_CONTAINER_|.*_FILE$")
"""Variables that mean something on the driver's machine only."""
_RAISED = re.compile(r"\b(StoreUnavailable|StoreRefused): ([^\n]*)")


@dataclass(frozen=True)
class TaskLake:
    """Pickled with a task's function."""

    root: Path
    """The lake, or its mirror, on the driver's machine."""
    options: Options | None = None
    """Of the store, with what the driver's environment and the file of credentials hold; None for a folder."""
    limits: Limits | None = None
    elsewhere: bool = False
    """Whether tasks may run on machines that do not have `root`: those of a cluster, if the lake is on a store."""
    generation: int = 0
    """Of Silver."""

    @classmethod
    def of(cls, settings: Settings, context: SparkContext, *, generation: int = 0) -> TaskLake:
        """The lake of `settings` for the tasks of `context`. Raises ConfigError."""
        mirror = places.of(settings.lake)
        if mirror is None:
            return cls(settings.lake)
        elsewhere = not str(context.master).startswith("local")
        return cls(settings.lake, carried(mirror.options), mirror.limits, elsewhere, generation)

    # -- in a task ----------------------------------------------------------------------------

    def here(self, path: Path) -> Path:
        """Where a folder of the lake is on the machine of the task. Call it first: it makes the store known."""
        return self._open() / path.relative_to(self.root)

    def mirror(self) -> Mirror:
        """The mirror of a lake on a store on the machine of the task."""
        found = places.of(self._open())
        assert found is not None
        return found

    def uploaded(self, table: Path, files: Iterable[DataFile]) -> list[DataFile]:
        """The new files of `table` (as `here` named it), on the store: the driver may commit them.

        Raises StoreUnavailable, StoreRefused; then they are deleted.
        """
        written = list(files)
        if (mirror := places.of(table)) is not None:
            paths = [table / file.path for file in written]
            try:
                mirror.uploaded(paths)
            except BaseException:
                mirror.discard(paths)
                raise
        return written

    def _open(self) -> Path:
        """The root on this machine."""
        if self.options is None or self.limits is None:
            return self.root
        root = self.root
        if self.elsewhere:
            # the parent belongs to the application, its executors on this machine share it
            root = Path(os.environ["SPARK_LOCAL_DIRS"].partition(",")[0]).parent / self._name
        if (known := places.of(root)) is None or known.url != self.options.url.rstrip("/"):
            _take_over(self.options)
            places.register(root, Options(self.options.url), self.limits)
            if self.elsewhere:
                (root / SILVER).mkdir(parents=True, exist_ok=True, mode=0o700)
                install(root / SILVER / GENERATION, str(self.generation).encode())
        return root

    @property
    def _name(self) -> str:
        """Of the folder of a mirror on another machine. One with another Silver has another name."""
        return f"lake-{self.root.name}-{self.generation}"

    # -- in the driver ------------------------------------------------------------------------

    def told(self, said: str) -> VentesError | None:
        """What a task raised about the store, from Spark's text about it; None if it raised something else."""
        if match := _RAISED.search(said):
            message, _, hint = match[2].partition(" → ")
            return (StoreUnavailable if match[1] == "StoreUnavailable" else StoreRefused)(message, hint)
        return None

    def as_named_here(self, said: str) -> str:
        """Spark's text with the driver's names for the files of a task's mirror."""
        return re.sub(rf"/[^'\"\n]*?/{re.escape(self._name)}/", lambda _: f"{self.root}/", said)


def carried(options: Options) -> Options:
    """The same for a process of another machine, without what has a meaning on this one only."""
    values = {name: value for name, value in options.values().items() if not _OF_THE_MACHINE.match(name)}
    return Options(options.url, None, values)


def _take_over(options: Options) -> None:
    """Put what the driver sent into the environment, where the store's client looks.

    If it sent credentials, what the machine has of its own is not mixed with them.
    """
    if options.environment is os.environ:
        return
    if options.secrets():
        for name in [name for name in os.environ if name.startswith(PREFIXES[options.kind])]:
            del os.environ[name]
    os.environ.update(options.environment)
