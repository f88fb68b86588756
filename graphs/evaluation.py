"""The evaluation graph: arms play the same cells, and are compared as a paired experiment."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from tutelage.agents.advice.tactics import GENERIC_ADVICE
from tutelage.agents.teacher import TeacherAtDesk
from tutelage.environments import Environment, Split
from tutelage.strategy_store import Library, Status, always
from typing_extensions import TypedDict

from .log.run_log import Log, MemoryLog
from .log.states import Played, played
from .play.desk import Desk, fitting_concurrency
from .play.dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .play.rollouts import play
from .statistics.experiment import BOUNDS, Cell, Outcome, scenario_differences
from .statistics.sequential import decided
from .statistics.uplift import ABLATED, coin_of

Arm = Literal["none", "generic", "library", "invented", "teacher", "ablated", "playbook", "global"]
"""`generic` gets GENERIC_ADVICE at every turn, `invented` is the library without what came from the
handbook; see `desk_of` for the others."""
FROM_LIBRARY: frozenset[Arm] = frozenset({"library", "invented", ABLATED})
ARMS: tuple[Arm, ...] = ("none", "generic", "library", "teacher")
GOOD_FROM = 4.0
"""Satisfaction (1-5) from which a dialogue may count as good; its checks by code must hold too."""
FEWEST_LOOKED_AT = 6
"""Scenarios before the first look of a sequential evaluation."""


@dataclass
class EvaluationFault(Exception):
    """An evaluation that would not mean anything; one sentence, and what a command exits with."""

    message: str
    exit_code: int = 1

    def __str__(self) -> str:
        """The sentence."""
        return self.message


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is played: each of `dialogues` cases in every arm, `repeats` times with new seeds."""

    arms: tuple[Arm, ...] = ARMS
    split: Split = "test"
    dialogues: int = 8
    repeats: int = 1
    max_exchanges: int = MAX_EXCHANGES
    concurrency: int | None = None
    seed: int = 0
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The texts that are always in the prompt, for the arms playbook and global."""
    sequential: bool = False
    """Stop as soon as library and none differ (or the first and last arm, where one is missing)."""


class EvaluationState(TypedDict, total=False):
    """How many scenarios have been played in all arms, and why it ended."""

    scenarios: int
    stop: str


def plan_cells(environment: Environment, options: EvaluationOptions) -> list[DialogueRequest]:
    """The cells that every arm plays: scenarios of the split in a shuffled order, the personas that
    fit them in turn, each case `repeats` times. Repeats of a case stand together.

    Raises:
        EvaluationFault: where the firm has no such split.
    """
    scenarios = environment.split(options.split)
    if not scenarios:
        there = ", ".join(environment.config.splits)
        raise EvaluationFault(
            f"{environment.name} has no scenarios in split {options.split!r} (it has {there})", 2
        )
    order = random.Random(f"{options.seed}-cells").sample(scenarios, len(scenarios))  # noqa: S311
    cells: list[DialogueRequest] = []
    for number in range(options.dialogues):
        lap, at = divmod(number, len(order))
        scenario = order[at]
        personas = environment.personas_for(scenario)
        persona = personas[(options.seed + at + lap) % len(personas)].name
        for repeat in range(options.repeats):
            cells.append(
                DialogueRequest(
                    scenario=scenario.id,
                    persona=persona,
                    seed=options.seed + number * options.repeats + lap + repeat,
                    round=0,
                    purpose=options.split,
                    coin=coin_of(scenario.id, persona, repeat + lap * options.repeats),
                )
            )
    return cells


def leaks(
    library: Library, statuses: Sequence[Status], environment: Environment, scenarios: set[str]
) -> list[str]:
    """The strategies that were learned in a scenario they would be evaluated on, in words. What is given
    in every state was learned in all training scenarios, and none of them is named in its provenance.
    """
    trained_on = {scenario.id for scenario in environment.split("train")}
    found: list[str] = []
    for strategy in (s for entry in library.entries(tuple(statuses)) for s in entry.strategies):
        origin = strategy.provenance
        learned_in = origin.learned_in or trained_on
        if origin.environment == environment.name and learned_in & scenarios:
            where = ", ".join(sorted(origin.learned_in)) or "all training scenarios"
            found.append(f"{strategy.id} ({strategy.text!r}, learned in {where})")
    return found


def refuse_unfit_library(
    library: Library | None,
    statuses: Sequence[Status],
    environment: Environment,
    options: EvaluationOptions,
) -> None:
    """Refuse what the arms that retrieve cannot be measured with.

    Raises:
        EvaluationFault: where such an arm has no library, or one that learned in a scenario of the
            evaluation; where the split is missing.
    """
    tested = {cell.get("scenario", "") for cell in plan_cells(environment, options)}
    needing = FROM_LIBRARY & set(options.arms)
    if not needing:
        return
    if library is None:
        arm = sorted(needing)[-1]
        raise EvaluationFault(f"the arm `{arm}` needs a library: name one with --library", 2)
    if found := leaks(library, statuses, environment, tested):
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise EvaluationFault(
            "the library has strategies that were learned in scenarios of this evaluation, which "
            f"would measure memory and not help: {'; '.join(found[:3])}{more}. Evaluate on another "
            "split."
        )


def desk_of(desk: Desk, arm: Arm, given: Sequence[str] = ()) -> Desk:
    """The same desk with the student of an arm: alone, generally advised, coached, coached without
    the handbook's tactics, always given the same texts, or the teacher with its hindsight.
    """
    match arm:
        case "none":
            return replace(desk, library=None, fixed=())
        case "generic":
            return replace(desk, library=None, fixed=always([GENERIC_ADVICE]))
        case "playbook" | "global":
            return replace(desk, library=None, fixed=always(given))
        case "library" | "ablated":
            # An entry never helps in the very scenario that it was learned from.
            return replace(desk, retrieval=replace(desk.retrieval, leave_out_own=True))
        case "invented":
            retrieval = replace(desk.retrieval, leave_out_own=True, leave_out_sources=("handbook",))
            return replace(desk, retrieval=retrieval)
        case "teacher":
            return replace(
                desk,
                library=None,
                fixed=(),
                student=TeacherAtDesk(desk.teacher.voice, desk.environment),
            )


def _at_once(
    desk: Desk, options: EvaluationOptions, scenarios: int, cells: int, concurrency: int
) -> int:
    """How many scenarios are played in one arm before the next arm plays them: all, but few where the
    run may end before all are played, so that what it leaves are pairs.
    """
    if options.sequential:
        return 2
    if not desk.meter.bounded:
        return scenarios
    return max(2, math.ceil(concurrency * scenarios / cells))


def compile_evaluation(
    desk: Desk,
    options: EvaluationOptions,
    *,
    student: str = "",
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """The evaluation graph for agents that are already seated. Invoke it with `{}`, then read the
    log with `outcomes_of`.

    Args:
        desk: the agents; its library and retrieval are what the arm `library` uses.
        options: arms, split, cells.
        student: a prefix of the dialogues' names, where several students share one log.
        checkpointer: LangGraph's, for those who nest the graph.

    Raises:
        EvaluationFault: where a strategy was learned in a scenario it would be evaluated on, the
            split is missing, or the arm `library` has no library.
    """
    log: Log = desk.log or MemoryLog()
    desk.log = log
    environment = desk.environment
    cells = plan_cells(environment, options)
    refuse_unfit_library(desk.library, desk.retrieval.statuses, environment, options)
    scenarios = list(dict.fromkeys(cell.get("scenario", "") for cell in cells))
    graphs = {
        arm: compile_dialogue(desk_of(desk, arm, options.given.get(arm, ())), options.max_exchanges)
        for arm in options.arms
    }
    concurrency = options.concurrency or fitting_concurrency(desk)
    batch = _at_once(desk, options, len(scenarios), len(cells), concurrency)

    async def play_next(state: EvaluationState) -> dict[str, Any]:
        """The next scenarios, whole, in every arm."""
        done = state.get("scenarios", 0)
        now = set(scenarios[done : done + batch])
        for arm, graph in graphs.items():
            plan: list[DialogueRequest] = [
                {
                    **cell,
                    "arm": arm,
                    "dialogue": dialogue_name(cell, arm, student),
                    "coin": cell.get("coin", "") if arm == ABLATED else "",
                }
                for cell in cells
                if cell.get("scenario") in now
            ]
            await play(desk, graph, plan, concurrency)
        done += len(now)
        return {"scenarios": done, "stop": await why_stop(done)}

    async def why_stop(done: int) -> str:
        if desk.meter.spent and len(await ended()) < len(cells) * len(graphs):
            return "the budget is spent"
        if done >= len(scenarios):
            return "all cells are played"
        if options.sequential and done >= FEWEST_LOOKED_AT:
            first, second = contrast(options.arms)
            # Of a scenario that a run was cut off in, some arms alone are played.
            whole = set(scenarios[:done])
            found = outcomes_of(await played(log), student)
            outcomes = [one for one in found if one.scenario in whole]
            differences = scenario_differences(
                [o for o in outcomes if o.arm == first],
                [o for o in outcomes if o.arm == second],
                "csat",
            )
            if decided(differences, BOUNDS["csat"]):
                return f"{second} and {first} differ for certain after {done} scenarios"
        return ""

    async def ended() -> list[str]:
        names = {dialogue_name(cell, arm, student) for cell in cells for arm in graphs}
        return [name for name, one in (await played(log)).items() if one.ended and name in names]

    def go_on(state: EvaluationState) -> Literal["play", "__end__"]:
        return "__end__" if state.get("stop") else "play"

    graph = StateGraph(EvaluationState)
    graph.add_node("play", play_next)
    graph.add_edge(START, "play")
    graph.add_conditional_edges("play", go_on)
    compiled = graph.compile(checkpointer=checkpointer, name="evaluation")
    return compiled.with_config(recursion_limit=len(scenarios) + 5)


def contrast(arms: Sequence[Arm]) -> tuple[Arm, Arm]:
    """The two arms that the evaluation is about: none and library where both are played."""
    if "none" in arms and "library" in arms:
        return ("none", "library")
    return (arms[0], arms[-1])


def dialogue_name(cell: DialogueRequest, arm: str, student: str = "") -> str:
    """The id of a cell's dialogue in an arm."""
    parts = (student, arm, cell.get("scenario"), cell.get("persona"), cell.get("seed"))
    return ".".join(str(part) for part in parts if part != "")


def outcomes_of(dialogues: dict[str, Played], student: str = "") -> list[Outcome]:
    """What the ended dialogues of a log come to; those of one student where it is named.

    A cell in which a person spoke for the student is left out in every arm: people step in where it
    goes badly, and an arm that lost its worst dialogue would look better beside the others.
    """
    left_out = taken_over_cells(dialogues, student)
    return [one for one in map(_outcome, _ended(dialogues, student)) if one.cell not in left_out]


def taken_over_cells(dialogues: dict[str, Played], student: str = "") -> set[Cell]:
    """The cells in which a person spoke for the student in some arm."""
    return {_outcome(one).cell for one in _ended(dialogues, student) if one.taken_over}


def _ended(dialogues: dict[str, Played], student: str) -> list[Played]:
    prefix = f"{student}." if student else ""
    return [
        one for name, one in dialogues.items() if one.ended is not None and name.startswith(prefix)
    ]


def _outcome(one: Played) -> Outcome:
    judged = one.judged if one.valid else None
    replies = [event for event in one.spoken if event.speaker == "student" and not event.replayed]
    good = (
        judged is not None
        and judged.satisfaction >= GOOD_FROM
        and all(score >= 1.0 for score in judged.checks.values())
    )
    return Outcome(
        arm=one.started.arm,
        scenario=one.started.scenario,
        persona=one.started.persona,
        seed=one.started.seed,
        csat=judged.satisfaction if judged else None,
        rubric=judged.rubric if judged else None,
        checks=judged.by_code if judged else None,
        questions=judged.by_judge if judged else None,
        items={**judged.checks, **judged.questions} if judged else {},
        good=good,
        tokens=sum(event.tokens for event in replies),
        usd=sum(event.usd for event in replies),
        seconds=sum(event.seconds for event in replies) / len(replies) if replies else 0.0,
        valid=judged is not None,
    )
