"""A coaching run from request to report: opens everything, runs the graph, says what came of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

import tutelage
from tutelage.agents.advice.drafting import drafted_entries
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, talk
from tutelage.environments import Environment, load_environment
from tutelage.graphs.coaching import (
    COACHING_STATUSES,
    CoachingOptions,
    compile_coaching,
)
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.graphs.log.summary import coach_json, summarise
from tutelage.graphs.play.desk import Desk, Retrieval, open_desk, placement_of
from tutelage.graphs.play.rollouts import training_scenarios
from tutelage.graphs.statistics.convergence import FEWEST
from tutelage.graphs.steps.strategy_step import StepOptions
from tutelage.reports.report import coach_table, write_report
from tutelage.runs.detached import arguments_of, run_detached
from tutelage.runs.session import (
    TalkingLog,
    asked_in,
    gone_on_with,
    new_run_folder,
    run_until_done,
    under_way,
)
from tutelage.runs.talking_log import A_STATE
from tutelage.strategy_store import Library

ROUNDS = 3


class CoachRequest(BaseModel):
    """What a coaching run was asked to do; written into its log, so that it can be resumed."""

    environment: str
    student: str | None = None
    teacher: str | None = None
    customer: str | None = None
    judge: str | None = None
    embeddings: str | None = None
    top: int | None = None
    threshold: float | None = None
    rounds: int | None = None
    """`ROUNDS` where None; in a run that goes on, as many as it was begun with."""
    dialogues: int = 8
    validation: int = 4
    states: int = 4
    pairs: int = 24
    refinements: int = 1
    general: bool = True
    draft: bool = False
    topics: int = 2
    exchanges: int = 6
    concurrency: int | None = None
    library: str | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0

    def options(self) -> CoachingOptions:
        """The same for the coaching graph."""
        return CoachingOptions(
            rounds=self.rounds or ROUNDS,
            dialogues=self.dialogues,
            validation_dialogues=self.validation,
            states_per_round=self.states,
            concurrency=self.concurrency,
            max_exchanges=self.exchanges,
            seed=self.seed,
            general=self.general,
            topics=self.topics,
            step=StepOptions(refinements=self.refinements, accept_pairs=self.pairs),
        )


def resumed_request(run: Path, now: CoachRequest) -> CoachRequest:
    """The request of the run to go on with; only rounds, budgets and concurrency may be changed.

    Raises:
        RunFault: where the folder holds no coaching run, or one of another firm.
    """
    request = asked_in(run, "coach", CoachRequest)
    if request.environment != now.environment:
        raise RunFault(
            f"{run}: coaches a student of {request.environment}, not of {now.environment}", 2
        )
    return gone_on_with(request, now, ("rounds", "budget_tokens", "budget_usd", "concurrency"))


def watch_coaching(request: CoachRequest, run: Path | None, resume: bool) -> None:
    """Coach in a process of its own and watch it."""
    folder = run if resume and run is not None else new_run_folder(request.environment, run)
    # Faults of the request are said here, before the screen is taken.
    training_scenarios(load_environment(request.environment))
    run_detached("coach", [*arguments_of(request), *(["--resume"] if resume else [])], folder)


def coach_run(
    request: CoachRequest, run: Path | None, *, resume: bool = False, as_json: bool = False
) -> None:
    """Run or resume the alternation, then print the table (or JSON) and write the report.

    Raises:
        EnvironmentFault, ModelFault, RunFault, LibraryFault: one clear sentence each; what was
            finished is in the run's log and the library.
        Stopped: where a person stopped it.
    """
    folder = run if resume and run is not None else new_run_folder(request.environment, run)
    kept = f"what was finished is kept; go on with: tutelage coach {request.environment} " + (
        f"--run {folder} --resume"
    )
    run_until_done(_coach(request, folder, resume, as_json), kept, folder)


async def _coach(request: CoachRequest, folder: Path, resume: bool, as_json: bool) -> None:
    environment = await asyncio.to_thread(load_environment, request.environment)
    training_scenarios(environment)
    library_path = Path(request.library) if request.library else folder / "library.db"
    meter = Meter(request.budget_tokens, request.budget_usd)
    # Seated once without a log, so that a model that cannot be had leaves no empty run behind.
    desk = await asyncio.to_thread(
        lambda: open_desk(
            environment,
            student=request.student,
            teacher=request.teacher,
            customer=request.customer,
            judge=request.judge,
            embeddings=request.embeddings,
            meter=meter,
            retrieval=Retrieval(request.top, request.threshold, statuses=COACHING_STATUSES),
        )
    )
    async with await TalkingLog.open(folder) as log, await Speech.open(folder) as speech:
        desk.speech = speech
        desk.library = await asyncio.to_thread(lambda: Library.open(library_path, create=True))
        if request.draft and not resume:
            drafted, _ = drafted_entries(environment, request.general)
            await asyncio.to_thread(desk.library.add_all, drafted, f"run {folder.name}")
            rules = sum(not entry.general for entry in drafted)
            beside = ", and generic advice" if request.general else ""
            talk().print(
                f"drafted into {library_path}: {rules} entries from the policy{beside}",
                soft_wrap=True,
            )
        placement = placement_of(desk.student.voice, desk.library, request.student or "")
        desk.student = replace(desk.student, placement=placement)
        started = RunStarted(
            command="coach",
            environment=environment.name,
            models=desk.models,
            options=request.model_dump(),
            version=tutelage.__version__,
            resumed=resume,
            library_version=desk.library.version,
        )
        talk().print(f"run {folder} - watch it live with: tutelage watch {folder}", soft_wrap=True)
        if not environment.split("validation"):
            talk().print("this firm has no validation split: progress is seen on training only")
        elif 0 < min(request.validation, len(environment.split("validation"))) < FEWEST:
            talk().print(
                f"fewer than {FEWEST} validation dialogues do not tell whether a round improved "
                "anything: the run ends by its rounds, or by rounds that keep nothing",
                soft_wrap=True,
            )
        options = request.options()
        async with under_way(log, desk, started, work_of(environment, options)) as ending:
            graph = compile_coaching(desk, options, run=folder.name)
            final = await graph.ainvoke({})
            ending.reason = final.get("stop") or ("the budget is spent" if meter.spent else "done")
        await _conclude(log, desk, folder, library_path, as_json)


def work_of(environment: Environment, options: CoachingOptions) -> int:
    """All that a coaching run has to do, in dialogues; less where it stops early."""
    validation = min(options.validation_dialogues, len(environment.split("validation")))
    a_round = options.dialogues + A_STATE * options.states_per_round + validation
    return validation + options.rounds * a_round


async def _conclude(
    log: RunLog, desk: Desk, folder: Path, library_path: Path, as_json: bool
) -> None:
    summary, dialogues = await summarise(log)
    assert desk.library is not None
    entries = await asyncio.to_thread(desk.library.entries)
    report = folder / "report.html"
    await asyncio.to_thread(write_report, report, summary, dialogues, entries)
    strategies = sum(len(entry.strategies) for entry in entries)
    document = coach_json(summary, str(folder), len(entries), strategies)
    await asyncio.to_thread((folder / "summary.json").write_text, json.dumps(document, indent=2))
    if as_json:
        result_json(document)
    else:
        result(coach_table(summary, dialogues, folder, library_path, report, strategies))
    await asyncio.to_thread(desk.library.close)
