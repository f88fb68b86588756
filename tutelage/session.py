"""One run from the command line: its folder, its event loop, its lines on the screen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rich.text import Text

from tutelage.console import talk
from tutelage.graphs.desk import Desk
from tutelage.graphs.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    Event,
    Fault,
    LibrarySettled,
    RoundEnded,
    RunEnded,
    RunStarted,
    ScenarioGenerated,
    StateExamined,
    StrategyDecided,
    StrategyProposed,
    StrategyTried,
    TurnRejected,
    TurnSpoken,
)
from tutelage.graphs.run_log import RunFault, RunLog, log_path

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
QUIET_SECONDS = 4.0
"""Silence after which a line says that work goes on."""


class Stopped(Exception):
    """A person stopped the run; str() says what was kept."""

    exit_code = 1


def new_run_folder(environment: str, given: Path | None) -> Path:
    """The folder of a new run: the given one, or one under ./runs named after time and firm.

    Raises:
        RunFault: where the given folder holds a run already.
    """
    if given is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        return Path("runs") / f"{stamp}-{Path(environment).name}"
    if log_path(given).exists():
        raise RunFault(
            f"{given}: holds a run already; add --resume to go on with it, or name another folder",
            2,
        )
    return given


def asked_in(run: Path, command: str, request: type[M]) -> M:
    """The request that a run was begun with, to go on with it.

    Args:
        run: its folder.
        command: what it must be a run of: coach, baseline.
        request: the command's request.

    Raises:
        RunFault: where the folder holds no run of this command, or its log no valid request.
    """

    async def first() -> RunStarted | None:
        async with await RunLog.open(run, create=False) as log:
            for logged in await log.read(kinds=("run_started",)):
                if isinstance(logged.event, RunStarted):
                    return logged.event
        return None

    started = asyncio.run(first())
    if started is None or started.command != command:
        raise RunFault(f"{run}: holds no run of `tutelage {command}` to go on with", 2)
    try:
        return request.model_validate(started.options)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise RunFault(f"{run}: its log names no valid request: {said}") from error


def run_until_done(work: Coroutine[Any, Any, T], kept: str) -> T:
    """Run a coroutine; the first Ctrl-C ends it in good order, a second one at once.

    Args:
        work: what to run.
        kept: said when a person stops it: what was kept, and how to go on.

    Raises:
        Stopped: where a person stopped it.
    """

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        asked = False

        def interrupt() -> None:
            nonlocal asked
            if asked:
                talk().print(Text(f"stopped at once; {kept}"))
                os._exit(1)
            asked = True
            talk().print(Text("stopping... (Ctrl-C again to stop at once)"))
            if task is not None:
                task.cancel()

        for sign in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(sign, interrupt)
            except (NotImplementedError, RuntimeError):
                # Windows and threads other than the main one keep Python's own Ctrl-C.
                break
        return await work

    try:
        return asyncio.run(guarded())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Stopped(f"stopped; {kept}") from None


class TalkingLog(RunLog):
    """A run log that also says each event in a line, and says so when nothing happens."""

    last_said = 0.0

    async def append(self, event: Event) -> None:
        """Write one event, then say it."""
        await super().append(event)
        if line := line_of(event):
            self.last_said = time.monotonic()
            talk().print(line, soft_wrap=True)

    async def keep_talking(self) -> None:
        """Say every few seconds of silence that work goes on, until cancelled."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if now - self.last_said >= QUIET_SECONDS:
                self.last_said = now
                talk().print(f"  ... working, {now - began:.0f} s", style="dim")


@dataclass
class Ending:
    """Why a run ended; whoever runs it says so before it ends."""

    reason: str = "done"


@asynccontextmanager
async def under_way(log: TalkingLog, desk: Desk, started: RunStarted) -> AsyncIterator[Ending]:
    """A run's beginning and end in its log, whatever happens in between; says that work goes on.

    Usage and the end are written also where the run fails or a person stops it.
    """
    desk.log = log
    await log.append(started)
    began = time.monotonic()
    heartbeat = asyncio.create_task(log.keep_talking())
    ending = Ending()
    try:
        yield ending
    except asyncio.CancelledError:
        ending.reason = "stopped by a person"
        raise
    except Exception as error:
        ending.reason = f"failed: {error}"
        with contextlib.suppress(RunFault):
            await log.append(Fault(where="run", message=str(error)))
        raise
    finally:
        heartbeat.cancel()
        with contextlib.suppress(RunFault):
            await desk.record_usage()
            await log.append(RunEnded(reason=ending.reason, seconds=time.monotonic() - began))


_SPEAKER_STYLES = {"customer": "cyan", "student": "green"}
_WIDTH = 110


def line_of(event: Event) -> Text | None:
    """The line that the terminal says for an event; None for those that only the log needs."""
    match event:
        case DialogueStarted():
            return _line(event.dialogue, "bold", f"begins: {event.title} ({event.persona})")
        case TurnSpoken():
            mood = f" ({event.feeling})" if event.feeling else ""
            given = f"  [{len(event.strategies)} strategies]" if event.strategies else ""
            if event.tools:
                given += f"  [called {', '.join(used.name for used in event.tools)}]"
            style = _SPEAKER_STYLES[event.speaker]
            who = f"{event.by} for the {event.speaker}" if event.by else event.speaker
            return _line(event.dialogue, style, f"{who}{mood}: {event.text}{given}")
        case TurnRejected():
            return _line(
                event.dialogue,
                "dim",
                f"line drawn again ({', '.join(event.reasons)}): {event.text}",
            )
        case DialogueJudged():
            said = f"satisfaction {event.satisfaction:.2f} of 5, rubric {event.rubric:.2f}"
            return _line(event.dialogue, "bold", said)
        case DialogueEnded():
            return _line(event.dialogue, "dim", f"ended: {event.reason.replace('_', ' ')}")
        case StateExamined():
            verdict = "weak" if event.weak else "good enough"
            said = f"turn {event.turn + 1} is {verdict} ({event.preference:.2f}): {event.scenario}"
            return _line(event.dialogue, "magenta", said)
        case StrategyProposed():
            said = " / ".join(event.texts)
            return _line(event.proposal, "yellow", f"strategies written: {said}", _WIDTH * 2)
        case StrategyTried():
            said = f"tried ({event.phase}): preference {event.preference:.2f}"
            return _line(event.proposal, "dim", said)
        case StrategyDecided():
            style = "bold green" if event.verdict == "kept" else "red"
            return _line(event.proposal, style, f"{event.verdict}: {event.reason}", _WIDTH * 2)
        case ScenarioGenerated():
            style = "bold green" if event.taken else "red"
            said = f"{'taken' if event.taken else 'refused'}: {event.title}"
            why = f" ({event.reason})" if event.reason else ""
            return _line(event.gap, style, said + why, _WIDTH * 2)
        case RoundEnded():
            csat = "-" if event.csat is None else f"{event.csat:.2f}"
            said = f"satisfaction {csat}, kept {event.kept}, dropped {event.dropped}"
            return _line(f"round {event.round}", "bold", said)
        case LibrarySettled():
            return _line("library", "bold", event.reason, _WIDTH * 2)
        case Fault():
            return _line("fault", "bold red", event.message, _WIDTH * 3)
    return None


def _line(where: str, style: str, text: str, width: int = _WIDTH) -> Text:
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(clean) > width:
        clean = clean[: width - 3] + "..."
    return Text.assemble((f"{where}  ", "dim"), (clean, style))
