"""A baseline from request to file: learns a playbook or one prompt on a budget of model calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import BaseModel

import tutelage
from tutelage.agents.models.meter import Meter
from tutelage.console import refuse_database, result, result_json, talk, write_file
from tutelage.environments import is_none, load_environment
from tutelage.graphs.baselines.baseline import METHODS, Baseline, BaselineFault, Method, Used
from tutelage.graphs.baselines.evolved_prompt import evolve_prompt
from tutelage.graphs.baselines.playbook import grow_playbook
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.play.desk import open_desk
from tutelage.graphs.play.rollouts import training_scenarios
from tutelage.runs.session import (
    TalkingLog,
    asked_in,
    gone_on_with,
    new_run_folder,
    run_until_done,
    under_way,
)

LEARNERS: dict[Method, Callable[..., Awaitable[Baseline]]] = {
    "playbook": grow_playbook,
    "global": evolve_prompt,
}


class BaselineRequest(BaseModel):
    """What a baseline was asked to learn."""

    method: str
    environment: str
    calls: int | None = None
    like: str | None = None
    student: str | None = None
    teacher: str | None = None
    customer: str | None = None
    judge: str | None = None
    exchanges: int = 6
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0

    def checked(self) -> Method:
        """The method by name.

        Raises:
            BaselineFault: for an unknown method, or where not exactly one of calls and like is given.
        """
        if self.method not in METHODS:
            raise BaselineFault(is_none(self.method, "baseline", METHODS), 2)
        if (self.calls is None) == (self.like is None):
            raise BaselineFault("give either --calls N or --like RUN, a coaching run to match", 2)
        return self.method  # type: ignore[return-value]


def resumed_request(run: Path, now: BaselineRequest) -> BaselineRequest:
    """The request of the run to go on with; only its calls may grow, and the budgets change.

    Raises:
        BaselineFault: where it is another baseline's.
        RunFault: where the folder holds no run of a baseline.
    """
    request = asked_in(run, "baseline", BaselineRequest)
    if (request.method, request.environment) != (now.method, now.environment):
        raise BaselineFault(f"{run}: is of {request.method} for {request.environment}", 2)
    calls = max(now.calls or 0, request.calls or 0)
    now = now.model_copy(update={"calls": calls or None})
    return gone_on_with(request, now, ("calls", "budget_tokens", "budget_usd"))


def baseline_run(
    request: BaselineRequest,
    run: Path | None,
    out: Path | None,
    *,
    resume: bool = False,
    as_json: bool = False,
) -> None:
    """Learn a baseline and write it.

    Raises:
        BaselineFault, EnvironmentFault, FileFault, ModelFault, RunFault, Stopped: one clear sentence
            each; what was played and written is in the run's log.
    """
    if out is not None:
        refuse_database(out)
    if resume and run is not None:
        request, folder = resumed_request(run, request), run
    else:
        folder = new_run_folder(request.environment, run)
    method = request.checked()
    calls = request.calls or asyncio.run(calls_of(Path(request.like or "")))
    kept = f"what was played is kept; go on with: tutelage baseline {method} " + (
        f"{request.environment} --calls {calls} --run {folder} --resume"
        + (f" --out {out}" if out else "")
    )
    request = request.model_copy(update={"calls": calls, "like": None})
    learned = run_until_done(_learn(request, method, calls, folder, resume), kept, folder)
    path = out or folder / f"{method}.json"
    write_file(path, learned.model_dump_json(indent=2) + "\n")
    if as_json:
        result_json(json.loads(learned.model_dump_json()) | {"file": str(path)})
        return
    for text in learned.texts:
        result(f"- {text}")
    result(
        f"{len(learned.texts)} texts from {learned.calls:,} calls and {learned.tokens:,} tokens "
        f"({learned.stop}): {path}"
    )
    result(
        f"compare it: tutelage evaluate {request.environment} --arms none,{method} --{method} {path}"
    )


async def calls_of(run: Path) -> int:
    """The model calls of a finished coaching run, of all roles together.

    Raises:
        BaselineFault: where the run made none.
        RunFault: where the folder holds no run.
    """
    async with await RunLog.open(run, create=False) as log:
        used = await _used_in(log)
    if not used.calls:
        raise BaselineFault(f"{run}: made no model call to match", 2)
    return used.calls


async def _used_in(log: RunLog) -> Used:
    summary, _ = await summarise(log)
    return Used(sum(one.calls for one in summary.usage.values()), summary.tokens)


async def _learn(
    request: BaselineRequest, method: Method, calls: int, folder: Path, resume: bool
) -> Baseline:
    environment = await asyncio.to_thread(load_environment, request.environment)
    training_scenarios(environment)
    desk = await asyncio.to_thread(
        lambda: open_desk(
            environment, student=request.student, teacher=request.teacher,
            customer=request.customer, judge=request.judge,
            meter=Meter(request.budget_tokens, request.budget_usd),
        )
    )  # fmt: skip
    async with await TalkingLog.open(folder) as log, await Speech.open(folder) as speech:
        desk.speech = speech
        before = await _used_in(log) if resume else None
        started = RunStarted(
            command="baseline", environment=environment.name, models=desk.models,
            options=request.model_dump(), version=tutelage.__version__, resumed=resume,
        )  # fmt: skip
        talk().print(f"run {folder} - watch it live with: tutelage watch {folder}", soft_wrap=True)
        async with under_way(log, desk, started) as ending:
            learned = await LEARNERS[method](
                desk, calls, before=before, seed=request.seed, max_exchanges=request.exchanges
            )
            ending.reason = learned.stop
    return learned
