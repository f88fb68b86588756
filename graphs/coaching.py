"""The coaching graph: rollouts, scenario step, strategy step, validation, and round again."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from tutelage.agents.advice.tactics import fitting_tactics
from tutelage.agents.app_student import Student
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.agents.teacher import Description
from tutelage.agents.transcript import Turn
from tutelage.environments import Environment
from tutelage.strategy_store import Library, Placement
from typing_extensions import TypedDict

from .log.events import Fault, RoundEnded, StateClosed, StateExamined
from .log.run_log import Log, MemoryLog
from .log.states import State, openings, states_of
from .map.scenario_map import to_teach
from .play.desk import Desk, Model, Retrieval, fitting_concurrency, open_desk
from .play.dialogue import MAX_EXCHANGES, compile_dialogue
from .play.rollouts import gather, plan_round, plan_validation, play
from .statistics.convergence import best_round, step_between
from .steps.general_step import general_name, general_step
from .steps.look_back import look_back
from .steps.rounds import (
    closed_states,
    decided_in,
    dialogues_of,
    library_version,
    no_use,
    null_pairs,
    round_sums,
    settle_library,
    trained,
    validation_begun,
    validation_means,
    validation_scores,
)
from .steps.strategy_step import Null, StepOptions, Weak, strategy_step
from .steps.topic_step import topic_name, topic_step, topics_to_teach
from .steps.trials import checks_of, teachers_reply

COACHING_STATUSES = ("approved", "proposed")
"""What the student uses while it is coached; production takes approved ones only."""
SPENT = "the budget is spent"
"""Why a run ends that its budget ended."""


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
    than one standard error, after which it has converged as well. Never with fewer than
    `convergence.FEWEST` dialogues, which cannot tell."""
    general: bool = True
    """Whether strategies for every state are learned as well, in a step of their own."""
    topics: int = 2
    """Topics a round that strategies for all of their scenarios are learned for, in a step of their
    own; 0 leaves it out."""
    concurrency: int | None = None
    """Dialogues and states under way at a time, and of what is tried in all states together as many
    beside each other; what the models serve best where None."""
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
            Without one, what was kept stands in the log alone.
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
        ModelFault: where a model cannot be had; LibraryFault where the library may only be read.
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
    """The coaching graph for agents that are already seated; `run` is named in the provenance.

    Raises:
        LibraryFault: where the library may only be read.
    """
    if desk.library is not None:
        desk.library.check_writable()
    log: Log = desk.log or MemoryLog()
    desk.log = log
    dialogue = compile_dialogue(desk, options.max_exchanges)
    null = Null()
    environment = desk.environment
    concurrency = desk.at_once = options.concurrency or fitting_concurrency(desk)
    clock = {"round": time.time()}

    async def play_validation(number: int) -> None:
        plan = plan_validation(environment, number, options.validation_dialogues, options.seed)
        await play(desk, dialogue, plan, concurrency)

    async def rollouts(state: CoachingState) -> dict[str, Any]:
        """Customers talk with the student, which uses the library as it is now."""
        number = state.get("round", 0) + 1
        clock["round"] = time.time()
        plan = plan_round(environment, number, options.dialogues, options.seed)
        await play(desk, dialogue, plan, concurrency)
        return {"round": number}

    async def scenario_step(state: CoachingState) -> dict[str, Any]:
        """The states that the map ranks first are compared with the teacher's reply; weak ones are
        described.
        """
        number = state.get("round", 1)
        closed = await closed_states(log)
        ranked = await asyncio.to_thread(
            to_teach, await trained(log), await dialogues_of(log, number), environment,
            options.states_per_round,
        )  # fmt: skip
        chosen = [found for found in ranked if (found.dialogue, found.turn, number) not in closed]
        examined = await gather(
            chosen, lambda found: _examine(desk, found, options, number), concurrency, desk,
            before=len(ranked) - len(chosen),
        )  # fmt: skip
        return {"weak": [_packed(weak) for weak in examined if weak is not None]}

    async def states_so_far() -> tuple[list[State], list[State]]:
        """The states of all rounds, for a strategy must do no harm wherever it would be retrieved; and
        those in which customers will begin whom no round has met, for few entries are near to all.
        """
        found = [one for dialogue in await trained(log) for one in states_of(dialogue, environment)]
        return found, openings(environment, {one.scenario for one in found})

    async def look_back_node(state: CoachingState) -> dict[str, Any]:
        """Entries that were given in other scenarios than their own are kept from where they did no
        good.
        """
        number = state.get("round", 1)
        name = f"r{number}.back"
        if (name, 0, number) in await closed_states(log) or desk.meter.spent:
            return {}
        met, _ = await states_so_far()
        try:
            await look_back(
                desk, await dialogues_of(log, number), met, null, round_number=number, run=run,
                seed=options.seed,
            )  # fmt: skip
        except ModelFault as error:
            await desk.record(Fault(where="coaching", message=str(error)))
            return {}
        if not desk.meter.spent:
            await desk.record(StateClosed(dialogue=name, turn=0, round=number))
        await desk.record_usage()
        return {}

    async def general_step_node(state: CoachingState) -> dict[str, Any]:
        """Once a round, while there is room, the teacher writes what might help every customer."""
        number = state.get("round", 1)
        name = general_name(number)
        if not options.general or (name, 0, number) in await closed_states(log):
            return {}
        weak = [_unpacked(packed, environment) for packed in state.get("weak", [])]
        try:
            kept = await general_step(
                desk, weak, *await states_so_far(), null, options.step, round_number=number,
                run=run, seed=options.seed,
            )  # fmt: skip
        except ModelFault as error:
            # The weak states are taught all the same; where they fail too, the run ends with it.
            await desk.record(Fault(where="coaching", message=str(error)))
            return {}
        if kept or (kept is False and not desk.meter.spent):
            await desk.record(StateClosed(dialogue=name, turn=0, round=number))
        await desk.record_usage()
        return {}

    async def topic_step_node(state: CoachingState) -> dict[str, Any]:
        """A few topics a round, each once a run: what does good in all of its scenarios."""
        number = state.get("round", 1)
        weak = [_unpacked(packed, environment) for packed in state.get("weak", [])]
        met, unmet = await states_so_far()
        known = [*met, *unmet]
        closed = {dialogue for dialogue, _, _ in await closed_states(log)}
        entries = await asyncio.to_thread(desk.library.entries) if desk.library else []
        # Those that this round has closed before it was cut off are of its number.
        left = options.topics - sum(name.startswith(topic_name(number, "")) for name in closed)
        topics = topics_to_teach(
            environment, weak, known, closed, {entry.id for entry in entries}, left
        )

        async def teach(topic: str) -> bool | None:
            kept = await topic_step(
                desk, topic, weak, known, null, options.step, round_number=number, run=run,
                seed=options.seed,
            )  # fmt: skip
            if kept or not desk.meter.spent:
                name = topic_name(number, topic)
                await desk.record(StateClosed(dialogue=name, turn=0, round=number))
            await desk.record_usage()
            return kept

        # A fault is in the log by then, and the weak states are taught all the same.
        with suppress(ModelFault):
            await gather(topics, teach, concurrency, desk)
        return {}

    async def strategy_step_node(state: CoachingState) -> dict[str, Any]:
        """For each weak state the teacher writes strategies; only what really helps is kept."""
        number = state.get("round", 1)
        met, unmet = await states_so_far()

        async def teach(weak: Weak) -> bool:
            kept = await strategy_step(
                desk, weak, [*met, *unmet], null, options.step, round_number=number, run=run,
                seed=options.seed,
            )  # fmt: skip
            # What was kept is in the library, though the budget ended with it.
            if kept or not desk.meter.spent:
                await desk.record(
                    StateClosed(dialogue=weak.state.dialogue, turn=weak.state.turn, round=number)
                )
            await desk.record_usage()
            return kept

        weak = [_unpacked(packed, environment) for packed in state.get("weak", [])]
        await gather(weak, teach, concurrency, desk)
        return {"weak": []}

    async def cut_off(number: int, before: int) -> dict[str, Any]:
        """What round `number` has half done is not closed: a run that goes on does the rest of it. What
        it kept counts beside what was kept before it, for it is in the library.
        """
        await desk.record_usage()
        kept = sum(event.verdict == "kept" for event in await decided_in(log, number))
        return {"kept": before + kept, "stop": SPENT}

    async def close_round(state: CoachingState) -> dict[str, Any]:
        """The student plays the validation dialogues where the library changed; the sums are drawn."""
        number, before = state.get("round", 1), state.get("kept", 0)
        if desk.meter.spent:
            return await cut_off(number, before)
        decided = await decided_in(log, number)
        kept = sum(event.verdict == "kept" for event in decided)
        validation = state.get("validation") or {}
        improved: bool | None = None
        if kept:
            await play_validation(number)
            if desk.meter.spent:
                return await cut_off(number, before)
            validation = await validation_means(log, number) or validation
            scores = await validation_scores(log)
            earlier = {n: cells for n, cells in scores.items() if n < number}
            if number in scores and earlier:
                step = step_between(earlier[best_round(earlier)], scores[number])
                improved = step.up if step.tells else None
        await desk.record_usage()
        ended = round_sums(await dialogues_of(log, number), number, decided)
        await desk.record(
            ended.model_copy(
                update={
                    "validation_csat": validation.get("csat"),
                    "validation_rubric": validation.get("rubric"),
                    "improved": improved,
                    "library_version": await library_version(desk),
                    "seconds": time.time() - clock["round"],
                }
            )
        )
        quiet = 0 if kept else state.get("quiet", 0) + 1
        stale = 0 if improved else state.get("stale", 0) + (improved is False)
        total = before + kept
        if desk.meter.spent:
            stop = SPENT
        elif not total and (useless := await no_use(desk, log, null)):
            stop = useless
        else:
            stop = _over(number, stale, quiet, options)
        return {
            "quiet": quiet,
            "stale": stale,
            "kept": total,
            "validation": validation,
            "stop": stop,
        }

    async def settle(state: CoachingState) -> dict[str, Any]:
        """The library of the round that did best on the validation dialogues is the one that stays."""
        await settle_library(desk, log, run)
        return {}

    async def baseline(state: CoachingState) -> dict[str, Any]:
        """The student plays the validation dialogues before anything is taught."""
        null.pairs = await null_pairs(log)
        done = [e.event for e in await log.read(kinds=("round_ended",))]
        rounds = [event for event in done if isinstance(event, RoundEnded)]
        if not rounds and not any(event.verdict == "kept" for event in await decided_in(log, 1)):
            await play_validation(0)
        validation = await validation_means(log, 0)
        if not rounds:
            cut = await cut_off(1, 0) if desk.meter.spent else {}
            return {"round": 0, "validation": validation, **cut}
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
        stop = _over(last.round, stale, quiet, options)
        kept = sum(event.kept for event in rounds)
        cut = await cut_off(last.round + 1, kept) if desk.meter.spent and not stop else {}
        return {"round": last.round, "quiet": quiet, "stale": stale, "kept": kept,
                "validation": validation, "stop": stop, **cut}  # fmt: skip

    def go_on(state: CoachingState) -> Literal["rollouts", "settle"]:
        return "settle" if state.get("stop") or desk.meter.spent else "rollouts"

    async def measured(state: CoachingState) -> Literal["look_back", "close_round"]:
        """What a round is measured by is one library: nothing is taught once that has begun."""
        begun = await validation_begun(log, state.get("round", 1))
        return "close_round" if begun else "look_back"

    def anything_weak(state: CoachingState) -> Literal["general_step", "close_round"]:
        return "general_step" if state.get("weak") and not desk.meter.spent else "close_round"

    graph = StateGraph(CoachingState)
    graph.add_node("baseline", baseline)
    graph.add_node("rollouts", rollouts)
    graph.add_node("look_back", look_back_node)
    graph.add_node("scenario_step", scenario_step)
    graph.add_node("general_step", general_step_node)
    graph.add_node("topic_step", topic_step_node)
    graph.add_node("strategy_step", strategy_step_node)
    graph.add_node("close_round", close_round)
    graph.add_node("settle", settle)
    graph.add_edge(START, "baseline")
    graph.add_conditional_edges("baseline", go_on)
    graph.add_conditional_edges("rollouts", measured)
    graph.add_edge("look_back", "scenario_step")
    graph.add_conditional_edges("scenario_step", anything_weak)
    graph.add_edge("general_step", "topic_step")
    graph.add_edge("topic_step", "strategy_step")
    graph.add_edge("strategy_step", "close_round")
    graph.add_conditional_edges("close_round", go_on)
    graph.add_edge("settle", END)
    compiled = graph.compile(checkpointer=checkpointer, name="coaching")
    return compiled.with_config(recursion_limit=7 * options.rounds + 10)


def _over(number: int, stale: int, quiet: int, options: CoachingOptions) -> str:
    """Why the alternation ends with round `number`, or "" where it goes on."""
    if stale >= options.stale_rounds:
        return f"converged: {stale} rounds in a row improved nothing on the validation dialogues"
    if quiet >= options.quiet_rounds:
        return f"converged: {quiet} rounds in a row kept nothing"
    return "all rounds are done" if number >= options.rounds else ""


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
