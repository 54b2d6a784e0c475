"""User tabs: each *.py in the folder settings.page.tabs is a tab, without editing the page.

A file has `render(view)` and may have LABEL and LIVE; docs/dashboard.md shows one. Files are loaded again when they
change. A file that cannot be loaded gives a tab with the error.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ventes.dashboard import states, text
from ventes.dashboard.language import tr
from ventes.dashboard.tabs import Tab
from ventes.dashboard.view import View

_loaded: dict[Path, tuple[int, Tab]] = {}


def tabs_of(folder: Path) -> list[Tab]:
    """The tabs of the folder, by file name. Names that begin with `_` are no tabs."""
    if not folder.is_dir():
        return []
    return [tab_of(path) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


def tab_of(path: Path) -> Tab:
    """The tab of the file; one that says why, if there is no such file."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        return Tab(path.stem, _broken(path, f"{error.strerror}"))
    known = _loaded.get(path)
    if known is None or known[0] != changed:
        known = _loaded[path] = (changed, _load(path))
    return known[1]


def _load(path: Path) -> Tab:
    label = path.stem.replace("_", " ").capitalize()
    try:
        module = module_of(path)
        return Tab(str(getattr(module, "LABEL", label)), module.render, bool(getattr(module, "LIVE", True)))
    except Exception as error:  # a user's file: any exception is shown in its tab
        return Tab(label, _broken(path, f"{type(error).__name__}: {error}"))


def module_of(path: Path) -> ModuleType:
    """The file as a module."""
    spec = importlib.util.spec_from_file_location(f"dashboard_tabs.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks for the module of its annotations
    spec.loader.exec_module(module)
    return module


def _broken(path: Path, why: str) -> Callable[[View], None]:
    def render(view: View) -> None:
        cannot = tr("{file} cannot be loaded.", file=text.markdown(str(path)))
        states.wrong(f"{cannot} {text.markdown(why, 400)}")

    return render
