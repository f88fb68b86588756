"""The coaching graph: rollouts, scenario step, strategy step, validation, and round again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from tutelage.agents.app_student import Student
from tutelage.agents.faults import ModelFault
from tutelage.agents.meter import Meter
from tutelage.agents.tactics import fitting_tactics
from tutelage.agents.teacher import Description
from tutelage.agents.transcript import Turn
from tutelage.environments import Environment
from tutelage.strategy_store import Library, Placement
from typing_extensions import TypedDict

from .acceptance import SATISFACTION, Pair, gain, mean_interval, spread
from .convergence import best_round, of_no_use, step_between
from .desk import Desk, Model, Retrieval, fitting_concurrency, open_desk
from .dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .events import (
    DialogueEnded,
    Fault,
    LibrarySettled,
    RoundEnded,
    StateClosed,
    StateExamined,
    StrategyDecided,
    StrategyTried,
)
from .run_log import Log, MemoryLog
from .scenario_map import to_teach
from .states import Played, State, played, states_of
from .strategy_step import Null, StepOptions, Weak, strategy_step
from .trials import checks_of, teachers_reply

T = TypeVar("T")
R = TypeVar("R")

COACHING_STATUSES = ("approved", "proposed")
"""What the student uses while it is coached; production takes approved ones only."""


@dataclass(frozen=True, slots=True)
class CoachingOptions:
    """How long and how wide the alternation runs."""

    rounds: int = 3
    dialogues: int = 8
    validation_dialogues: int = 4
    states_per_round: int = 4
    weak_from: float = 0.5
    """Preference for the teacher's reply (0-1) above which the student's counts as weak."""
    quiet_rounds: int = 2
    """Rounds in a row that keep nothing, after which the alternation has converged."""
    stale_rounds: int = 2
    """Rounds in a row that keep something and yet do not improve the validation dialogues by more
    than one standard error, after which it has converged as well."""
    concurrency: int | None = None
    """Dialogues and states under way at a time; what the models serve best where None."""
    max_exchanges: int = MAX_EXCHANGES
    seed: int = 0
    step: StepOptions = field(default_factory=StepOptions)


class CoachingState(TypedDict, total=False):
    """Where the alternation stands; all else is in the log and in the library."""

    round: int
    quiet: int
    stale: int
    kept: int
    stop: str
    validation: dict[str, float]
    weak: list[dict[str, Any]]


def coaching_graph(
    environment: Environment,
    *,
    student: Student | None = None,
    teacher: Model | None = None,
    customer: Model | None = None,
    judge: Model | None = None,
    library: Library | None = None,
    options: CoachingOptions | None = None,
    retrieval: Retrieval | None = None,
    placement: Placement | None = None,
    meter: Meter | None = None,
    log: Log | None = None,
    embeddings: Any = None,
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """A compiled graph that coaches a student at a firm, round after round.

    Invoke it with `{}`; the result holds `round`, `kept` and `stop`, and the library holds what
    was learned, as proposed. Events stream in mode `custom` and go to the log.

    Args:
        environment: the firm.
        student: a spec string, a chat model, or any app: a Runnable, a compiled graph, a function.
        teacher, customer, judge: spec strings or chat models; the local one by default.
        library: takes what is kept; what it already holds is used by the student from the start.
        options: rounds, dialogues, concurrency, seed.
        retrieval: how strategies are looked up.
        placement: where in the student's prompt they stand; where None, as the library has it
            measured for this student, else what its provider takes.
        meter: counts usage and holds the budget, which ends the run when spent.
        log: a RunLog makes the run durable: with the same log, what is done is not done again.
        embeddings: a LangChain `Embeddings` or its spec string, for retrieval by meaning beside that
            by words.
        checkpointer: LangGraph's, for those who nest the graph.

    Raises:
        ModelFault: where a model cannot be had.
    """
    desk = open_desk(
        environment,
        student=student,
        teacher=teacher,
        customer=customer,
        judge=judge,
        library=library,
        retrieval=retrieval or Retrieval(statuses=COACHING_STATUSES),
        placement=placement,
        meter=meter,
        log=log,
        embeddings=embeddings,
    )
    return compile_coaching(desk, options or CoachingOptions(), checkpointer=checkpointer)


def compile_coaching(
    desk: Desk,
    options: CoachingOptions,
    *,
    run: str = "",
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """The coaching graph for agents that are already seated; `run` is named in the provenance."""
    log: Log = desk.log or MemoryLog()
    desk.log = log
    dialogue = compile_dialogue(desk, options.max_exchanges)
    null = Null()
    environment = desk.environment
    concurrency = options.concurrency or fitting_concurrency(desk)
    clock = {"round": time.time()}

    async def rollouts(state: CoachingState) -> dict[str, Any]:
        """Customers talk with the student, which uses the library as it is now."""
        number = state.get("round", 0) + 1
        clock["round"] = time.time()
        plan = plan_round(environment, options, number)
        await play(desk, dialogue, plan, concurrency)
        return {"round": number}

    async def scenario_step(state: CoachingState) -> dict[str, Any]:
        """The states that the map ranks first are compared with the teacher's reply; weak ones are
        described.
        """
        number = state.get("round", 1)
        closed = await _closed(log)
        ranked = await asyncio.to_thread(
            to_teach, await _trained(log), await _of_round(log, number), environment,
            options.states_per_round,
        )  # fmt: skip
        chosen = [found for found in ranked if (found.dialogue, found.turn, number) not in closed]
        examined = await gather(
            chosen, lambda found: _examine(desk, found, options, number), concurrency, desk
        )
        return {"weak": [_packed(weak) for weak in examined if weak is not None]}

    async def strategy_step_node(state: CoachingState) -> dict[str, Any]:
        """For each weak state the teacher writes strategies; only what really helps is kept."""
        number = state.get("round", 1)
        # States of earlier rounds too: a strategy must do no harm wherever it would be retrieved.
        others = [
            found
            for one in (await played(log)).values()
            if one.started.purpose == "train"
            for found in states_of(one, environment)
        ]

        async def teach(weak: Weak) -> bool:
            kept = await strategy_step(
                desk, weak, others, null, options.step, round_number=number, run=run,
                seed=options.seed,
            )  # fmt: skip
            if not desk.meter.spent:
                await desk.record(
                    StateClosed(dialogue=weak.state.dialogue, turn=weak.state.turn, round=number)
                )
            await desk.record_usage()
            return kept

        weak = [_unpacked(packed, environment) for packed in state.get("weak", [])]
        await gather(weak, teach, concurrency, desk)
        return {"weak": []}

    async def close_round(state: CoachingState) -> dict[str, Any]:
        """The student plays the validation dialogues where the library changed; the sums are drawn."""
        number = state.get("round", 1)
        decided = await _decided(log, number)
        kept = sum(event.verdict == "kept" for event in decided)
        validation = state.get("validation") or {}
        improved: bool | None = None
        if kept and not desk.meter.spent:
            plan = plan_validation(environment, options, number)
            await play(desk, dialogue, plan, concurrency)
            validation = await _validation(log, number) or validation
            scores = await validation_scores(log)
            earlier = {n: cells for n, cells in scores.items() if n < number}
            if number in scores and earlier:
                improved = step_between(earlier[best_round(earlier)], scores[number]).up
        await desk.record_usage()
        ended = round_sums(await _of_round(log, number), number, decided)
        await desk.record(
            ended.model_copy(
                update={
                    "validation_csat": validation.get("csat"),
                    "validation_rubric": validation.get("rubric"),
                    "improved": improved,
                    "library_version": await _version(desk),
                    "seconds": time.time() - clock["round"],
                }
            )
        )
        quiet = 0 if kept else state.get("quiet", 0) + 1
        stale = 0 if improved else state.get("stale", 0) + (improved is False)
        total = state.get("kept", 0) + kept
        stop = ""
        if desk.meter.spent:
            stop = "the budget is spent"
        elif not total and (useless := await _no_use(desk, log, null)):
            stop = useless
        elif stale >= options.stale_rounds:
            stop = (
                f"converged: {stale} rounds in a row improved nothing on the validation dialogues"
            )
        elif quiet >= options.quiet_rounds:
            stop = f"converged: {quiet} rounds in a row kept nothing"
        elif number >= options.rounds:
            stop = "all rounds are done"
        return {
            "quiet": quiet,
            "stale": stale,
            "kept": total,
            "validation": validation,
            "stop": stop,
        }

    async def settle(state: CoachingState) -> dict[str, Any]:
        """The library of the round that did best on the validation dialogues is the one that stays."""
        await _settle(desk, log, run)
        return {}

    async def baseline(state: CoachingState) -> dict[str, Any]:
        """The student plays the validation dialogues before anything is taught."""
        done = [e.event for e in await log.read(kinds=("round_ended",))]
        rounds = [event for event in done if isinstance(event, RoundEnded)]
        plan = plan_validation(environment, options, 0)
        await play(desk, dialogue, plan, concurrency)
        validation = await _validation(log, 0)
        if not rounds:
            return {"validation": validation}
        # A resumed run goes on after the last round that was closed.
        quiet = 0
        for event in reversed(rounds):
            if event.kept:
                break
            quiet += 1
        last = rounds[-1]
        if last.validation_csat is not None and last.validation_rubric is not None:
            validation = {"csat": last.validation_csat, "rubric": last.validation_rubric}
        stale = 0
        for event in reversed(rounds):
            if event.improved:
                break
            stale += event.improved is False
        stop = "all rounds are done" if last.round >= options.rounds else ""
        if stale >= options.stale_rounds:
            stop = (
                f"converged: {stale} rounds in a row improved nothing on the validation dialogues"
            )
        if quiet >= options.quiet_rounds:
            stop = f"converged: {quiet} rounds in a row kept nothing"
        kept = sum(event.kept for event in rounds)
        return {"round": last.round, "quiet": quiet, "stale": stale, "kept": kept,
                "validation": validation, "stop": stop}  # fmt: skip

    def go_on(state: CoachingState) -> Literal["rollouts", "settle"]:
        return "settle" if state.get("stop") or desk.meter.spent else "rollouts"

    def anything_weak(state: CoachingState) -> Literal["strategy_step", "close_round"]:
        return "strategy_step" if state.get("weak") and not desk.meter.spent else "close_round"

    graph = StateGraph(CoachingState)
    graph.add_node("baseline", baseline)
    graph.add_node("rollouts", rollouts)
    graph.add_node("scenario_step", scenario_step)
    graph.add_node("strategy_step", strategy_step_node)
    graph.add_node("close_round", close_round)
    graph.add_node("settle", settle)
    graph.add_edge(START, "baseline")
    graph.add_conditional_edges("baseline", go_on)
    graph.add_edge("rollouts", "scenario_step")
    graph.add_conditional_edges("scenario_step", anything_weak)
    graph.add_edge("strategy_step", "close_round")
    graph.add_conditional_edges("close_round", go_on)
    graph.add_edge("settle", END)
    compiled = graph.compile(checkpointer=checkpointer, name="coaching")
    return compiled.with_config(recursion_limit=4 * options.rounds + 10)


def plan_round(
    environment: Environment, options: CoachingOptions, number: int
) -> list[DialogueRequest]:
    """The dialogues of a round: the training scenarios in a shuffled order, going on where the
    round before left off, each with a persona that fits it.
    """
    scenarios = environment.split("train") or list(environment.scenarios.values())
    rng = random.Random(f"{options.seed}-plan")  # noqa: S311 - a plan, not a secret
    order = rng.sample(scenarios, len(scenarios))
    requests: list[DialogueRequest] = []
    for position in range(options.dialogues):
        place = (number - 1) * options.dialogues + position
        scenario = order[place % len(order)]
        requests.append(
            request_for(environment, scenario.id, number, "train", options.seed + place)
        )
    return requests


def plan_validation(
    environment: Environment, options: CoachingOptions, number: int
) -> list[DialogueRequest]:
    """The same validation dialogues every time, so that rounds are compared in pairs; empty where
    the firm has no validation split.
    """
    scenarios = environment.split("validation")[: options.validation_dialogues]
    return [
        request_for(environment, scenario.id, number, "validation", options.seed + position)
        for position, scenario in enumerate(scenarios)
    ]


def request_for(
    environment: Environment, scenario: str, number: int, purpose: str, seed: int
) -> DialogueRequest:
    """A dialogue of round `number`; of the personas that the scenario allows the seed takes one."""
    personas = environment.personas_for(environment.scenarios[scenario])
    persona = personas[seed % len(personas)].name
    prefix = "v" if purpose == "validation" else "r"
    return DialogueRequest(
        scenario=scenario, persona=persona, seed=seed, round=number, purpose=purpose,
        dialogue=f"{prefix}{number}.{scenario}.{persona}.{seed}",
    )  # fmt: skip


async def play(
    desk: Desk, dialogue: CompiledStateGraph, plan: Iterable[DialogueRequest], concurrency: int
) -> None:
    """Play the dialogues of a plan that the log has not finished, `concurrency` at a time.

    Each is one invocation of the dialogue graph and is recorded as it goes; one that fails is
    recorded as a fault, is not scored, and is played anew when the run is resumed. The budget is
    looked at before each.

    Raises:
        ModelFault: where every dialogue of the plan failed because of a model.
    """
    assert desk.log is not None
    finished = {
        id_
        for id_, one in (await played(desk.log)).items()
        if one.ended is not None and one.ended.reason != "fault"
    }
    todo = [request for request in plan if request.get("dialogue") not in finished]

    async def one(request: DialogueRequest) -> ModelFault | None:
        if desk.meter.spent:
            return None
        try:
            await dialogue.ainvoke(request)
        except ModelFault as error:
            name = request.get("dialogue", "")
            await desk.record(Fault(where="dialogue", message=str(error), dialogue=name))
            await desk.record(DialogueEnded(dialogue=name, reason="fault", turns=0, valid=False))
            return error
        await desk.record_usage()
        return None

    faults = await gather(todo, one, concurrency, desk)
    broken = [error for error in faults if error is not None]
    if todo and len(broken) == len(todo):
        raise broken[0]


async def gather(
    items: Sequence[T], work: Callable[[T], Awaitable[R]], concurrency: int, desk: Desk
) -> list[R]:
    """Work on all items, at most `concurrency` at a time; a first failure cancels the others.

    A ModelFault in one item is recorded and the item left out of the result.
    """
    gate = asyncio.Semaphore(concurrency)
    results: dict[int, R] = {}

    async def guarded(position: int, item: T) -> None:
        async with gate:
            try:
                results[position] = await work(item)
            except ModelFault as error:
                await desk.record(Fault(where="coaching", message=str(error)))

    try:
        async with asyncio.TaskGroup() as tasks:
            for position, item in enumerate(items):
                tasks.create_task(guarded(position, item))
    except* Exception as group:
        # One clear fault reads better than a group of them.
        raise group.exceptions[0] from None
    return [results[position] for position in sorted(results)]


def round_sums(
    dialogues: Sequence[Played], number: int, decided: Sequence[StrategyDecided]
) -> RoundEnded:
    """What a round came to: satisfaction with its interval, rubric, proposals kept and dropped."""
    judged = [one.judged for one in dialogues if one.valid and one.judged is not None]
    scores = [event.satisfaction for event in judged]

    def mean(values: Sequence[float]) -> float | None:
        return sum(values) / len(values) if values else None

    checks = [event.by_code for event in judged if event.by_code is not None]
    questions = [event.by_judge for event in judged if event.by_judge is not None]
    kept = sum(event.verdict == "kept" for event in decided)
    return RoundEnded(
        round=number,
        dialogues=len(dialogues),
        invalid=sum(not one.valid and not one.taken_over for one in dialogues),
        csat=mean(scores),
        csat_ci95=mean_interval(scores, SATISFACTION) if len(scores) > 1 else None,
        rubric=mean([event.rubric for event in judged]),
        checks=mean(checks),
        questions=mean(questions),
        proposed=len(decided),
        kept=kept,
        dropped=len(decided) - kept,
    )


async def _examine(desk: Desk, state: State, options: CoachingOptions, number: int) -> Weak | None:
    """Compare the student's reply with the teacher's; describe the state where it is weak: by the
    judge, or because more of the rubric's checks by code hold with the teacher's.
    """
    if desk.meter.spent:
        return None
    scenario = desk.environment.scenarios[state.scenario]
    description = await desk.teacher.describe(scenario, state.turns, options.seed)
    told = (state.customer_says, description.scenario, description.feels, *state.reasons)
    tactics = fitting_tactics(desk.environment, " ".join(told))
    reply = await teachers_reply(desk, state, tactics[:3], options.seed)
    preference = await desk.judge.prefer(scenario, state.turns, state.reply, reply)
    own, better = (checks_of(desk, state, text) or 0.0 for text in (state.reply, reply))
    is_weak = preference > options.weak_from or better > own
    await desk.record(
        StateExamined(
            dialogue=state.dialogue, turn=state.turn, round=number,
            scenario=description.scenario, customer_says=state.customer_says,
            student_reply=state.reply, teacher_reply=reply, preference=preference, weak=is_weak,
        )
    )  # fmt: skip
    if is_weak:
        return Weak(state, description, reply, tuple(tactics))
    await desk.record(StateClosed(dialogue=state.dialogue, turn=state.turn, round=number))
    return None


def _packed(weak: Weak) -> dict[str, Any]:
    """A weak state as plain data, so that any checkpointer can hold it."""
    state = {**asdict(weak.state), "turns": [turn.model_dump() for turn in weak.state.turns]}
    return {
        "state": state,
        "description": weak.description.model_dump(),
        "teacher_reply": weak.teacher_reply,
        "tactics": [tactic.id for tactic in weak.tactics],
    }


def _unpacked(packed: dict[str, Any], environment: Environment) -> Weak:
    fields = dict(packed["state"])
    fields["turns"] = tuple(Turn.model_validate(turn) for turn in fields["turns"])
    fields["reasons"] = tuple(fields["reasons"])
    return Weak(
        state=State(**fields),
        description=Description.model_validate(packed["description"]),
        teacher_reply=packed["teacher_reply"],
        tactics=tuple(environment.handbook[id_] for id_ in packed["tactics"]),
    )


async def _of_round(log: Log, number: int) -> list[Played]:
    return [
        one
        for one in (await played(log)).values()
        if one.started.round == number and one.started.purpose == "train"
    ]


async def _trained(log: Log) -> list[Played]:
    return [one for one in (await played(log)).values() if one.started.purpose == "train"]


async def _validation(log: Log, number: int) -> dict[str, float]:
    judged = [
        one.judged
        for one in (await played(log)).values()
        if one.started.round == number
        and one.started.purpose == "validation"
        and one.valid
        and one.judged is not None
    ]
    if not judged:
        return {}
    return {
        "csat": sum(event.satisfaction for event in judged) / len(judged),
        "rubric": sum(event.rubric for event in judged) / len(judged),
    }


async def validation_scores(log: Log) -> dict[int, dict[str, float]]:
    """Round to cell to satisfaction of the validation dialogues; round 0 is before the first."""
    scores: dict[int, dict[str, float]] = {}
    for one in (await played(log)).values():
        counts = one.started.purpose == "validation" and one.started.round >= 0
        if counts and one.valid and one.judged is not None:
            cell = f"{one.started.scenario}.{one.started.persona}.{one.started.seed}"
            scores.setdefault(one.started.round, {})[cell] = one.judged.satisfaction
    return scores


async def _version(desk: Desk) -> int | None:
    if desk.library is None:
        return None
    library = desk.library
    return await asyncio.to_thread(lambda: library.version)


async def _settle(desk: Desk, log: Log, run: str) -> None:
    """Roll the library back to its best round where the last is worse beyond noise.

    Nothing is undone where somebody else has changed the library meanwhile: that is a person's to
    decide, and the event says so.
    """
    scores = await validation_scores(log)
    events = [logged.event for logged in await log.read(kinds=("round_ended", "library_settled"))]
    rounds = [event for event in events if isinstance(event, RoundEnded)]
    if desk.library is None or not rounds or isinstance(events[-1], LibrarySettled):
        return
    versions = {event.round: event.library_version for event in rounds}
    measured = {n: cells for n, cells in scores.items() if n == 0 or versions.get(n) is not None}
    if 0 not in measured or len(measured) < 2:
        return
    best, last = best_round(measured), max(measured)
    library = desk.library
    history = await asyncio.to_thread(library.versions)
    by = f"run {run}".strip()
    own = [v.version for v in history if v.author == by]
    # Before the first round the library stood where this run had not yet written.
    version = versions.get(best) or (min(own) - 1 if own else 0)
    reason = f"the library after round {last} did best on the validation dialogues, within noise"
    rolled_back = False
    if best != last:
        change = step_between(measured[best], measured[last])
        since = "before the first round" if best == 0 else f"after round {best}"
        reason = f"the library {since} did better: {-change.mean:.2f} points of satisfaction"
        foreign = [v for v in history if v.version > version and v.author != by]
        if foreign:
            reason += f"; not rolled back, since {foreign[0].author} changed the library meanwhile"
        else:
            await asyncio.to_thread(library.rollback, version, by)
            rolled_back = True
    await desk.record(
        LibrarySettled(round=best, version=version, rolled_back=rolled_back, reason=reason)
    )


async def _no_use(desk: Desk, log: Log, null: Null) -> str:
    """Why coaching this student is of no use, or "". Never said of a library that holds something:
    the replies it is compared with are coached ones.
    """
    if desk.library is not None and await asyncio.to_thread(desk.library.entries):
        return ""
    unit = spread(null.pairs)
    tried = [
        logged.event
        for logged in await log.read(kinds=("strategy_tried",))
        if isinstance(logged.event, StrategyTried) and logged.event.phase != "elsewhere"
    ]
    gains = [
        gain(Pair("", e.before, e.after, e.preference, e.checks_before, e.checks_after), unit)
        for e in tried
    ]
    same = sum(event.before.strip() == event.after.strip() for event in tried)
    return of_no_use(gains, same)


async def _closed(log: Log) -> set[tuple[str, int, int]]:
    events = [logged.event for logged in await log.read(kinds=("state_closed",))]
    return {(e.dialogue, e.turn, e.round) for e in events if isinstance(e, StateClosed)}


async def _decided(log: Log, number: int) -> list[StrategyDecided]:
    """The decisions of a round; of a proposal decided twice (a resumed run) the last counts."""
    latest: dict[str, StrategyDecided] = {}
    of_round = f"r{number}."
    for logged in await log.read(kinds=("strategy_decided",)):
        event = logged.event
        if isinstance(event, StrategyDecided) and event.dialogue.startswith(of_round):
            latest[event.proposal] = event
    return list(latest.values())
