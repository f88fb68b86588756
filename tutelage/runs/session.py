"""One run from the command line: its folder, its event loop, its lines on the screen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from rich.text import Text

from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import is_priced
from tutelage.console import results_alone, talk
from tutelage.graphs.log.events import Fault, RunEnded, RunStarted
from tutelage.graphs.log.run_log import RunFault, RunLog, log_path
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.play.desk import Desk
from tutelage.runs.detached import option_of
from tutelage.runs.talking_log import TalkingLog

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


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
        folder = Path("runs") / f"{stamp}-{Path(environment).name}"
        others = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
        return next(one for one in chain([folder], others) if not one.exists())
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
    return request_of(run, started, request)


def request_of(run: Path, started: RunStarted, request: type[M]) -> M:
    """The request that a run's beginning names.

    Raises:
        RunFault: where it is no valid one.
    """
    try:
        return request.model_validate(started.options)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise RunFault(f"{run}: its log names no valid request: {said}") from error


def gone_on_with(begun: M, now: M, free: Sequence[str]) -> M:
    """The request of a run that goes on: as it was begun, but for what may change. Says which other
    options were given in vain.

    Args:
        begun: what the run was begun with.
        now: what is asked for now, of the same firm.
        free: fields that may change; one that is None now stays as it was.
    """
    given = now.model_dump(exclude_defaults=True, exclude_none=True)
    vain = [
        option_of(name, value)
        for name, value in given.items()
        if name not in free and value != getattr(begun, name)
    ]
    if vain:
        told = f"note: the run goes on as it was begun: {', '.join(vain)} "
        talk().print(Text(f"{told}change{'s' if len(vain) == 1 else ''} nothing"), soft_wrap=True)
    return begun.model_copy(update={name: given[name] for name in free if name in given})


def run_until_done(work: Coroutine[Any, Any, T], kept: str, folder: Path | None = None) -> T:
    """Run a coroutine; the first Ctrl-C ends it in good order, a second one at once. What code of
    others prints in it goes to stderr.

    Args:
        work: what to run.
        kept: said when something stops it: what was kept, and how to go on.
        folder: of its run; a model that fails once this has a log is no loss of what is in there.

    Raises:
        Stopped: where a person stopped it.
        RunFault: where code of others ended the program.
        ModelFault: the work's own; once the run has a log, with what was kept.
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
        with results_alone():
            return asyncio.run(guarded())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Stopped(f"stopped; {kept}") from None
    except SystemExit as error:
        # Of an app or a graph under coaching: the loop itself lets it through every `except` of ours.
        told = f"an app or a tool ended the program (sys.exit({error.code!r}))"
        raise RunFault(f"{told}; {kept}") from error
    except ModelFault as fault:
        if folder is None or not log_path(folder).exists():
            raise
        told = f"{str(fault).rstrip('.')}. {kept[0].upper()}{kept[1:]}"
        raise ModelFault(told, exit_code=fault.exit_code, retryable=fault.retryable) from fault


@dataclass
class Ending:
    """Why a run ended; whoever runs it says so before it ends."""

    reason: str = "done"


@asynccontextmanager
async def under_way(
    log: TalkingLog, desk: Desk, started: RunStarted, work: int | None = None
) -> AsyncIterator[Ending]:
    """A run's beginning and end in its log, whatever happens in between; says that work goes on.

    Usage and the end are written also where the run fails or a person stops it.

    Args:
        log: the run's.
        desk: what writes into it, and whose usage is told.
        started: how it begins.
        work: all that is to do, in dialogues (`talking_log.WORK`); None where nobody can know.

    Raises:
        RunFault: where another process goes on with this run; nothing is written then.
    """
    with _alone_in(log.path.parent):
        async with _begun(log, desk, started, work) as ending:
            yield ending


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two that went on with one run would each play what the other plays."""
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as taken:
        told = f"{folder}: another process goes on with this run; watch it, or wait until it ends"
        raise RunFault(told, 2) from taken
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def _begun(
    log: TalkingLog, desk: Desk, started: RunStarted, work: int | None
) -> AsyncIterator[Ending]:
    desk.log = log
    await log.recall()
    earlier, _ = await summarise(log)
    desk.meter.earlier_tokens, desk.meter.earlier_usd = earlier.tokens, earlier.usd
    if desk.meter.spent:
        talk().print("note: what the run has used already is its whole budget; give a larger one")
    if desk.meter.budget_usd is not None:
        _say_unpriced(started.models.values())
    await log.append(started)
    began = time.monotonic()
    heartbeat = asyncio.create_task(log.keep_talking(work))
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
        # Its bar is off the screen before anything else is said.
        await asyncio.gather(heartbeat, return_exceptions=True)
        with contextlib.suppress(RunFault):
            await desk.record_usage()
            await log.append(RunEnded(reason=ending.reason, seconds=time.monotonic() - began))


def _say_unpriced(models: Iterable[str]) -> None:
    """A budget in dollars only counts what has a price; says which models have none."""
    # Of an evaluation the student is all of its students.
    specs = {spec for model in models for spec in model.split(", ")}
    if free := sorted(spec for spec in specs if not is_priced(spec)):
        told = f"note: no list price is known for {', '.join(free)}; counted as free"
        talk().print(Text(told), soft_wrap=True)
