"""`ventes start | stop | restart | status | logs | reset`: their options and output."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ventes import config
from ventes.config import LOG_NAMES, Engine, Settings
from ventes.errors import UsageError, VentesError

EngineOption = Annotated[Engine | None, typer.Option(help="The engine that runs the two jobs; overrides ventes.toml.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def start(
    engine: EngineOption = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, show the logs, and stop everything on Ctrl-C or SIGTERM.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Start what is down; return when the topic's events are visible.

    That is: Silver has all messages of the topic, and the page answers. Safe to repeat: running services are not
    touched; one that the settings no longer ask for is ended. If the settings or the declaration changed since the
    services started, it says so. If a service fails, or after Ctrl-C, everything that was started is stopped again.
    Before a change of the running engine it asks.
    """
    from ventes.supervise import outdated, startup

    settings = _load(engine)
    say = _say_json if foreground and settings.logs.json_lines else _say
    result = startup.start(settings, engine, say, _asker(yes))
    if result.changed:
        say(_welcome(settings, result.engine, result.seconds))
    else:
        count = settings.stream.shown.counted(result.events)
        done = "the other services were not touched" if result.ended else "nothing had to be started"
        say(f"already running: engine {result.engine}, {count}, {_url(settings)} · {done}")
        if settings.engine != result.engine:
            say(
                f"the settings say engine = {settings.engine!r}: `ventes restart --engine {settings.engine}` changes it"
            )
    if stale := outdated.changed(settings):
        check = "; `ventes stream check` says what it does to the tables" if stale.declaration else ""
        say(f"{stale.sentence()}: {stale.remedy}{check}")
    if foreground:
        _stay(settings, say)


def stop(
    everything: Annotated[bool, typer.Option("--all", help="Also services that were started by hand.")] = False,
) -> None:
    """Stop everything, without loss.

    Each job finishes its batch; when the command returns, every process has ended. A service that was started by hand
    is named and not stopped, unless --all is given.
    """
    from ventes.supervise import services, shutdown

    settings = config.load()
    ran = shutdown.stop(settings, _say)
    if everything:
        shutdown.stop_by_hand(settings, _say)
    left = [(s, by_hand) for s in services.ALL if (by_hand := services.started_by_hand(settings, s)) is not None]
    for service, by_hand in left:
        _say(f"{service.title} ({by_hand}) keeps running; `ventes stop --all` ends it too")
    _say("stopped" if ran else "nothing ran" if not left else "nothing else ran")


def restart(engine: EngineOption = None, yes: YesOption = False) -> None:
    """Stop and start everything, or change engine.

    With an --engine other than the running one, only the two jobs are replaced: they continue from the tables.
    """
    from ventes.supervise import preflight, service_records, shutdown, startup

    settings = config.load()
    records = service_records.read(settings.state)
    running = records.supervisor() is not None
    if running and engine is not None and engine != records.engine:
        settings = _load(engine)
        preflight.engine(settings)
        result = startup.start(settings, engine, _say, lambda question: True)
    else:
        settings = _load(engine or (records.engine if running else None))  # type: ignore[arg-type]  # it is one of them
        preflight.engine(settings)
        settings.page.login.require_secret()
        shutdown.stop(settings, _say)
        result = startup.start(settings, engine, _say, _asker(yes))
    _say(_welcome(settings, result.engine, result.seconds))


def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Show the state, lag and problems of each service.

    Exit code 1 if a service is not ready. Everything is checked now: processes by pid and start time, the broker and
    the page by asking them, the lag by the positions of topic and tables.
    """
    from ventes.check.status import status as ask
    from ventes.cli import status_text
    from ventes.supervise import outdated

    settings = config.load()
    found = ask(settings)
    print(json.dumps(found.as_dict(), indent=2) if as_json else status_text.render(found))
    if not as_json and (stale := outdated.changed(settings)):
        _say(f"{stale.sentence()}: {stale.remedy}")
    if not found.ok:
        raise typer.Exit(VentesError.exit_code)


def logs(
    services: Annotated[
        list[str] | None, typer.Argument(help=f"Of these: {', '.join(LOG_NAMES)}. Default: all.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow new lines, also after a rotation.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Number of last lines of each log.")] = 10,
) -> None:
    """Show the services' logs, each line with its service's name."""

    from ventes.runtime.log_files import last_lines

    settings = config.load()
    for name in services or ():
        if name not in LOG_NAMES:
            raise UsageError(f"no service is called {name!r}", f"it is one of: {', '.join(LOG_NAMES)}")
    files = {name: settings.log(name) for name in services or LOG_NAMES}
    width = max(map(len, files)) + 1 if len(files) > 1 else 0
    show = _shown(settings, width)
    for name, path in files.items():
        for line in last_lines(path, lines):
            print(show(name, line))
    if services and not follow and not any(path.exists() for path in files.values()):
        raise VentesError(f"no log yet: {', '.join(map(str, files.values()))}", "ventes start")
    if follow:
        _follow(files, show)


def reset(yes: YesOption = False) -> None:
    """Remove topic, tables, checkpoints, unsent sales, and the history and silences of alerts.

    All together, after naming them and asking. Refused while anything runs.
    """
    from ventes.operations import reset as removal

    settings = config.load()
    wanted = removal.what_to_remove(settings)
    if not wanted.paths and not wanted.topic:
        _say("there is nothing to remove")
        return
    _say("this removes for ever:")
    for sentence in wanted.sentences():
        _say(f"  {sentence}")
    if not _asker(yes)("Remove all of it?"):
        raise VentesError("nothing was removed", "ventes reset --yes does not ask")
    removal.carry_out(settings, wanted, _say)


# -- printing and asking --------------------------------------------------------------------------


def _load(engine: Engine | None) -> Settings:
    flags: dict[str, Any] = {} if engine is None else {"engine": engine}
    return config.load(**flags)


def _say(text: str) -> None:
    print(text, flush=True)


def _say_json(text: str) -> None:
    from ventes.runtime.logs import as_json

    print(as_json("ventes", text), flush=True)


def _asker(yes: bool) -> Callable[[str], bool]:
    def agreed(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"cannot ask here: {question}", "add --yes to agree")
        return typer.confirm(question)

    return agreed


def _url(settings: Settings) -> str:
    from ventes.supervise.services import page_url

    return page_url(settings)


def _welcome(settings: Settings, engine: str, seconds: float) -> str:
    """The message after a start: address, logs, tables, next commands."""
    from ventes.store import places

    ventes = _called()
    logs = [settings.log(name) for name in ("producer", "bronze", "silver", "page", "alerts", "audit")]
    log_names = ", ".join(str(log) for log in logs if log.exists())  # without a producer it has none
    return "\n".join(
        (
            "",
            f"  Open     {_url(settings)}",
            *_login(settings),
            f"  Runs     engine {engine}, up after {seconds:.1f} s · what exactly: {ventes} status",
            f"  Logs     {log_names}",
            f"           or {ventes} logs -f",
            f"  Tables   {places.shown(settings.bronze)}, {places.shown(settings.silver)}",
            f"  Stop     {ventes} stop",
        )
    )


def _login(settings: Settings) -> list[str]:
    """The line of the welcome for a login at a provider."""
    if not settings.page.login.issuer:
        return []
    return [f"  Login    the provider must know this redirect address: {settings.page.redirect_address}"]


def _called() -> str:
    """The command that runs this program, for the current folder and the ventes.toml in force."""
    named = f"{config.CONFIG_VARIABLE}={shlex.quote(str(config.config_path()))} "  # else it would be another pipeline's
    return (named if os.environ.get(config.CONFIG_VARIABLE) else "") + _program()


def _program() -> str:
    found = shutil.which("ventes")
    program = Path(sys.executable).with_name("ventes")
    if found and Path(found).resolve() == program.resolve():
        return "ventes"
    here = Path.cwd()
    return str(program.relative_to(here)) if program.is_relative_to(here) else str(program)


def _prefixed(name: str, width: int, line: str) -> str:
    from ventes.runtime.logs import printable

    return f"{name:{width}}| {printable(line)}" if width else printable(line)


Show = Callable[[str, str], str]
"""A service's name and a line of its log → the line that is printed."""


def _shown(settings: Settings, width: int) -> Show:
    """Each line behind its service's name, in a column of `width`; with logs.json a JSON object."""
    from ventes.runtime.logs import as_json

    return as_json if settings.logs.json_lines else lambda name, line: _prefixed(name, width, line)


def _follow(files: dict[str, Path], show: Show, wait: Callable[[float], object] = time.sleep) -> None:
    from ventes.cli import follow_logs

    for name, line in follow_logs.follow(files, wait):
        print(show(name, line), flush=True)


class _Ended(Exception):
    """The supervisor has ended."""


def _stay(settings: Settings, say: Callable[[str], None]) -> None:
    """Show the logs until Ctrl-C or SIGTERM, then stop everything; exit 1 if the supervisor ends by itself."""
    from ventes.supervise import processes, service_records, shutdown

    def terminated(*_: object) -> None:
        raise KeyboardInterrupt

    supervisor = service_records.read(settings.state).supervisor()

    def wait(seconds: float) -> None:
        if supervisor is None or not processes.lives(supervisor):
            raise _Ended
        time.sleep(seconds)

    signal.signal(signal.SIGTERM, terminated)
    files = {name: settings.log(name) for name in LOG_NAMES}
    try:
        _follow(files, _shown(settings, max(map(len, files)) + 1), wait)
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("stopping")
        shutdown.stop(settings, say)
    except _Ended:
        raise VentesError("the supervisor has ended", f"look at {settings.log('supervisor')}") from None
