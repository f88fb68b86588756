"""A simulation from request to result: dialogues played, judged, shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import BaseModel
from rich.text import Text

import tutelage
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, talk
from tutelage.environments import Environment, EnvironmentFault, Problem, load_environment
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.speech import Speech
from tutelage.graphs.log.states import Played
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.play.desk import Retrieval, fitting_concurrency, open_desk
from tutelage.graphs.play.dialogue import DialogueRequest, compile_dialogue
from tutelage.graphs.play.known_names import check_known
from tutelage.graphs.play.rollouts import play
from tutelage.runs.detached import arguments_of, run_detached
from tutelage.runs.session import TalkingLog, new_run_folder, run_until_done, under_way
from tutelage.strategy_store import Library
from tutelage.strategy_store.plain_text import clean


class SimulateRequest(BaseModel):
    """What a simulation was asked to do."""

    environment: str
    persona: str | None = None
    scenario: str | None = None
    split: str = "train"
    dialogues: int = 4
    student: str | None = None
    customer: str | None = None
    judge: str | None = None
    embeddings: str | None = None
    top: int | None = None
    threshold: float | None = None
    library: str | None = None
    exchanges: int = 6
    concurrency: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0


def plan_simulation(environment: Environment, request: SimulateRequest) -> list[DialogueRequest]:
    """The dialogues asked for: scenarios in order, each with the customers that fit in turn.

    Raises:
        EnvironmentFault: for an unknown persona, scenario or split, of which it offers the nearest, and
            for a split without scenarios.
    """
    if request.persona is not None:
        check_known(environment, "persona", request.persona)
    if request.scenario is not None:
        check_known(environment, "scenario", request.scenario)
    check_known(environment, "split", request.split)
    if request.scenario is not None:
        scenarios = [environment.scenarios[request.scenario]]
    else:
        scenarios = environment.split(request.split)  # type: ignore[arg-type]
        if not scenarios:
            there = [name for name, ids in environment.config.splits.items() if ids]
            problem = Problem(
                environment.path / "environment.yaml",
                "names no scenario",
                field=f"splits.{request.split}",
                expected=f"--split with one of {', '.join(there)}",
            )
            raise EnvironmentFault([problem], exit_code=2)
        if request.persona is not None:
            # Scenarios written for this customer come first; any other does where there is none.
            fitting = [s for s in scenarios if not s.personas or request.persona in s.personas]
            scenarios = fitting or scenarios
    plan: list[DialogueRequest] = []
    for number in range(request.dialogues):
        scenario = scenarios[number % len(scenarios)]
        seed = request.seed + number
        personas = environment.personas_for(scenario)
        persona = request.persona or personas[seed % len(personas)].name
        plan.append(
            DialogueRequest(
                scenario=scenario.id, persona=persona, seed=seed, round=0, purpose=request.split,
                dialogue=f"s.{scenario.id}.{persona}.{seed}",
            )
        )  # fmt: skip
    return plan


def simulate_run(request: SimulateRequest, run: Path | None, *, as_json: bool = False) -> None:
    """Play the dialogues and show them.

    Raises:
        EnvironmentFault, ModelFault, RunFault, LibraryFault, Stopped: one clear sentence each.
    """
    folder = new_run_folder(request.environment, run)
    kept = f"the dialogues so far are kept; see them with: tutelage watch {folder}"
    run_until_done(_simulate(request, folder, as_json), kept, folder)


def watch_simulation(request: SimulateRequest, run: Path | None) -> None:
    """Simulate in a process of its own and watch it."""
    folder = new_run_folder(request.environment, run)
    # Faults of the request are said here, before the screen is taken.
    plan_simulation(load_environment(request.environment), request)
    run_detached("simulate", arguments_of(request), folder)


async def _simulate(request: SimulateRequest, folder: Path, as_json: bool) -> None:
    environment = await asyncio.to_thread(load_environment, request.environment)
    plan = plan_simulation(environment, request)
    library = None
    if request.library:
        library = await asyncio.to_thread(Library.open, request.library)
        if not library.counts()["approved"]:
            talk().print(
                f"note: nothing in {request.library} is approved, so the student gets no strategy; "
                f"approve with: tutelage library approve {request.library} --all",
                soft_wrap=True,
            )
    desk = await asyncio.to_thread(
        lambda: open_desk(
            environment,
            student=request.student,
            customer=request.customer,
            judge=request.judge,
            embeddings=request.embeddings,
            teacher=request.judge,
            library=library,
            retrieval=Retrieval(request.top, request.threshold),
            meter=Meter(request.budget_tokens, request.budget_usd),
        )
    )
    async with await TalkingLog.open(folder) as log, await Speech.open(folder) as speech:
        desk.speech = speech
        models = {role: spec for role, spec in desk.models.items() if role != "teacher"}
        started = RunStarted(
            command="simulate", environment=environment.name, models=models,
            options=request.model_dump(), version=tutelage.__version__,
        )  # fmt: skip
        async with under_way(log, desk, started, len(plan)) as ending:
            concurrency = request.concurrency or fitting_concurrency(desk)
            await play(desk, compile_dialogue(desk, request.exchanges), plan, concurrency)
            ending.reason = "the budget is spent" if desk.meter.spent else "done"
        summary, dialogues = await summarise(log)
    if as_json:
        result_json(
            {
                "run": str(folder),
                "dialogues": [_as_document(one) for one in dialogues.values()],
                "tokens": {
                    role: {"input": used.input, "output": used.output, "cached": used.cached}
                    for role, used in summary.usage.items()
                },
                "usd": summary.usd,
                "seconds": round(summary.seconds, 1),
            }
        )
        return
    for one in dialogues.values():
        result(_as_text(one))
    talk().print(Text(f"run {folder} - see it again with: tutelage watch {folder}"), soft_wrap=True)


def _as_document(one: Played) -> dict[str, object]:
    return {
        "dialogue": one.started.dialogue,
        "scenario": one.started.scenario,
        "persona": one.started.persona,
        "seed": one.started.seed,
        "reason": one.ended.reason if one.ended else None,
        "valid": one.valid,
        "taken_over": one.taken_over,
        "csat": one.judged.satisfaction if one.judged else None,
        "rubric": one.judged.rubric if one.judged else None,
        "checks": one.judged.checks if one.judged else {},
        "questions": one.judged.questions if one.judged else {},
        "turns": [turn.model_dump() for turn in one.turns],
    }


def _as_text(one: Played) -> str:
    lines = [f"== {one.started.title} - {one.started.persona} ({one.started.dialogue})"]
    lines += [f"{turn.speaker:>8}: {' '.join(turn.text.split())}" for turn in one.turns]
    if one.judged is not None:
        lines.append(
            f"   judge: satisfaction {one.judged.satisfaction:.2f} of 5, "
            f"rubric {one.judged.rubric:.2f}"
        )
    if one.ended is not None:
        lines.append(f"          ended: {one.ended.reason.replace('_', ' ')}")
    if one.taken_over:
        lines.append("          a person spoke for the student; not judged")
    return clean("\n".join(lines)) + "\n"
