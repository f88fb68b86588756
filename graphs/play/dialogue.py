"""The dialogue graph: customer and student alternate until it is over, then the judge reads it.

A scenario with a history goes on where that ends; its lines are neither counted nor judged.
"""

from __future__ import annotations

import operator
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal

from langgraph.channels import EphemeralValue
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite
from tutelage.agents.app_student import Student, as_student
from tutelage.agents.models.meter import Meter, tallied
from tutelage.agents.transcript import Turn
from tutelage.environments import Environment, Scenario
from tutelage.strategy_store import Library, Placement, Retrieved, Strategy
from tutelage.strategy_store.given import as_sent
from typing_extensions import TypedDict

from ..log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    EndReason,
    StrategyGiven,
    TurnRejected,
    TurnSpoken,
)
from ..log.run_log import Log
from ..statistics.uplift import parted
from .desk import Desk, Model, Retrieval, open_desk
from .known_names import check_known
from .takeover import person_reply

MAX_EXCHANGES = 6


class DialogueRequest(TypedDict, total=False):
    """What a dialogue is about: only `scenario` must be given. On a thread that had another dialogue
    nothing of what that was asked for stays.
    """

    scenario: Annotated[str, EphemeralValue]
    persona: Annotated[str, EphemeralValue]
    seed: Annotated[int, EphemeralValue]
    dialogue: Annotated[str, EphemeralValue]
    round: Annotated[int, EphemeralValue]
    purpose: Annotated[str, EphemeralValue]
    arm: Annotated[str, EphemeralValue]
    coin: Annotated[str, EphemeralValue]


class DialogueState(DialogueRequest, total=False):
    """A dialogue under way. `playing` is what was asked for, with what was chosen where it was left
    open; at the end it stands beside it as well. `turns` are {"speaker", "text"}, with "tools" where a
    student called some; `judgement` is there at the end.
    """

    playing: DialogueRequest
    turns: Annotated[list[dict[str, Any]], operator.add]
    reason: EndReason | None
    valid: bool
    judgement: dict[str, Any] | None
    started: float
    taken_over: bool


def dialogue_graph(
    environment: Environment,
    *,
    student: Student | None = None,
    customer: Model | None = None,
    judge: Model | None = None,
    library: Library | None = None,
    max_exchanges: int = MAX_EXCHANGES,
    retrieval: Retrieval | None = None,
    placement: Placement | None = None,
    meter: Meter | None = None,
    log: Log | None = None,
    embeddings: Any = None,
    stream_speech: bool = False,
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """A compiled graph that plays one dialogue and judges it.

    Invoke it with `{"scenario": id}` and, if wanted, `persona`, `seed` and `dialogue`; the result
    holds `turns`, `reason`, `valid` and `judgement`. Events stream in mode `custom` and go to the
    log. It nests as a subgraph and takes a checkpointer.

    Args:
        environment: the firm.
        student: a spec string, a chat model, or any app: a Runnable, a compiled graph, a function;
            the local model where not given, as for the others.
        customer, judge: spec strings or chat models.
        library: approved strategies are looked up in it at every student turn.
        max_exchanges: exchanges after which a dialogue is ended, 1 to 20.
        retrieval: how strategies are looked up.
        placement: where in the student's prompt they stand; where None, as the library has it
            measured for this student, else what its provider takes.
        meter: counts usage.
        log: where events are written; with a RunLog the dialogue can be watched and taken over.
            Whatever stands in it already, each request is played.
        embeddings: a LangChain `Embeddings` or its spec string, for retrieval by meaning beside that
            by words.
        stream_speech: whether mode `custom` also gives what is being said, as far as it has got,
            in dicts of kind `speaking` (dialogue, turn, speaker, text); the models are streamed.
        checkpointer: LangGraph's, for those who nest the graph. A new request on a thread begins a new
            dialogue; None goes on with one that was interrupted.

    Raises:
        ModelFault: where a model cannot be had. When invoked, EnvironmentFault for a scenario or
            persona that the firm has not.
    """
    desk = open_desk(
        environment,
        student=student,
        customer=customer,
        judge=judge,
        # Nobody teaches here; the seat must not ask for a model that nobody named.
        teacher=judge or (as_student(student) if student is not None else None),
        library=library,
        retrieval=retrieval,
        placement=placement,
        meter=meter,
        log=log,
        embeddings=embeddings,
    )
    desk.stream_speech = stream_speech
    return compile_dialogue(desk, max_exchanges, checkpointer)


def compile_dialogue(
    desk: Desk,
    max_exchanges: int = MAX_EXCHANGES,
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """The dialogue graph for agents that are already seated."""
    environment = desk.environment

    def playing(state: DialogueState) -> DialogueRequest:
        return state.get("playing", {})

    def dialogue_of(state: DialogueState) -> str:
        return playing(state).get("dialogue", "")

    def scenario_of(state: DialogueState) -> Scenario:
        return environment.scenarios[playing(state).get("scenario", "")]

    def turns_of(state: DialogueState) -> list[Turn]:
        return [Turn.model_validate(turn) for turn in state.get("turns", [])]

    async def open_dialogue(state: DialogueState) -> dict[str, Any]:
        check_known(environment, "scenario", state.get("scenario", ""))
        if named := state.get("persona"):
            check_known(environment, "persona", named)
        scenario = environment.scenarios[state.get("scenario", "")]
        personas = environment.personas_for(scenario)
        seed = state.get("seed", 0)
        persona = named or personas[seed % len(personas)].name
        dialogue = state.get("dialogue") or f"{scenario.id}.{persona}.{seed}"
        await desk.record(
            DialogueStarted(
                dialogue=dialogue,
                round=state.get("round", 0),
                purpose=state.get("purpose", "train"),  # type: ignore[arg-type]
                arm=state.get("arm", "library" if desk.library else "none"),
                scenario=scenario.id,
                title=scenario.title,
                persona=persona,
                seed=seed,
            )
        )
        for index, line in enumerate(scenario.history):
            await desk.record(
                TurnSpoken(
                    dialogue=dialogue, turn=index // 2, speaker=line.speaker, text=line.text,
                    replayed=True,
                )
            )  # fmt: skip
        asked = {key: state[key] for key in DialogueRequest.__annotations__ if key in state}
        before = [line.model_dump() for line in scenario.history]
        return {"playing": {**asked, "persona": persona, "dialogue": dialogue, "seed": seed},
                "started": time.time(),
                # A thread may have the turns of another dialogue, to which these would be added.
                "turns": Overwrite(before) if state.get("turns") else before,
                "valid": True, "reason": None, "judgement": None, "taken_over": False}  # fmt: skip

    async def customer(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        turn = len(turns) // 2
        persona = environment.personas[playing(state).get("persona", "")]
        dialogue = dialogue_of(state)
        heard = await desk.customer.speak(
            persona, scenario_of(state), turns, playing(state).get("seed", 0),
            desk.hearing(dialogue, turn, "customer"),
        )  # fmt: skip
        for text, reasons in heard.refused:
            await desk.record(
                TurnRejected(dialogue=dialogue, turn=turn, text=text, reasons=reasons)
            )
        if heard.line is None:
            return {"reason": "broken_customer", "valid": False}
        line = heard.line
        await desk.record(
            TurnSpoken(
                dialogue=dialogue, turn=turn, speaker="customer", text=line.customer_says,
                feeling=line.feeling, goal_met=line.goal_met,
            )
        )  # fmt: skip
        spoken = {"turns": [{"speaker": "customer", "text": line.customer_says}]}
        if line.goal_met:
            return {**spoken, "reason": "goal_met"}
        if turn + 1 - len(scenario_of(state).history) // 2 > persona.patience:
            return {**spoken, "reason": "patience_spent"}
        return spoken

    async def student(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        turn, dialogue = len(turns) // 2, dialogue_of(state)
        exchanges = turn + 1 - len(scenario_of(state).history) // 2
        last = {"reason": "turn_limit"} if exchanges >= max_exchanges else {}
        if said := await person_reply(desk.log, dialogue, turn):
            await desk.record(
                TurnSpoken(
                    dialogue=dialogue, turn=turn, speaker="student", text=said.text, by=said.by
                )
            )
            return {
                "turns": [{"speaker": "student", "text": said.text}],
                "taken_over": True,
                **last,
            }
        fitting = await desk.retrieve(turns, scenario_of(state).id)
        retrieved: list[Retrieved] | None = None
        withheld: list[tuple[Retrieved, Strategy]] = []
        if fitting is not None:
            retrieved, withheld = parted(fitting, playing(state).get("coin", ""))
        began = time.monotonic()
        with tallied() as used:
            reply = await desk.student.reply(
                scenario_of(state), turns, retrieved, seed=playing(state).get("seed", 0),
                hear=desk.hearing(dialogue, turn, "student"),
            )  # fmt: skip
        await desk.record(
            TurnSpoken(
                dialogue=dialogue, turn=turn, speaker="student", text=reply.text,
                strategies=[_shown(found, s) for found in retrieved or () for s in found.strategies],
                withheld=[_shown(found, strategy) for found, strategy in withheld],
                tools=reply.tools,
                tokens=used.input + used.output, usd=used.usd, seconds=time.monotonic() - began,
            )
        )  # fmt: skip
        said = Turn(speaker="student", text=reply.text, tools=reply.tools)
        spoken: dict[str, Any] = {"turns": [said.model_dump(exclude_defaults=True)]}
        return {**spoken, **last}

    async def judge(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        judgement = None
        scenario = scenario_of(state)
        answered = any(turn.speaker == "student" for turn in turns[len(scenario.history) :])
        # What a person said is not the student's: no score may come of it, and no lesson.
        if state.get("valid") and answered and not state.get("taken_over", False):
            found = asdict(await desk.judge.assess(scenario, turns))
            await desk.record(DialogueJudged(dialogue=dialogue_of(state), **found))
            judgement = found
        await desk.record(
            DialogueEnded(
                dialogue=dialogue_of(state),
                reason=state.get("reason") or "turn_limit",
                turns=len(turns),
                valid=judgement is not None,
                seconds=time.time() - state.get("started", time.time()),
                taken_over=state.get("taken_over", False),
            )
        )
        return {**playing(state), "judgement": judgement, "valid": judgement is not None}

    def after_open(state: DialogueState) -> Literal["customer", "student"]:
        return "student" if len(scenario_of(state).history) % 2 else "customer"

    def after_customer(state: DialogueState) -> Literal["student", "judge"]:
        return "judge" if state.get("reason") else "student"

    def after_student(state: DialogueState) -> Literal["customer", "judge"]:
        return "judge" if state.get("reason") else "customer"

    graph = StateGraph(DialogueState)
    graph.add_node("open", open_dialogue)
    graph.add_node("customer", customer)
    graph.add_node("student", student)
    graph.add_node("judge", judge)
    graph.add_edge(START, "open")
    graph.add_conditional_edges("open", after_open)
    graph.add_conditional_edges("customer", after_customer)
    graph.add_conditional_edges("student", after_student)
    graph.add_edge("judge", END)
    compiled = graph.compile(checkpointer=checkpointer, name="dialogue")
    # Each exchange is two steps; the graph ends itself long before, this only bounds a defect.
    return compiled.with_config(recursion_limit=2 * max_exchanges + 8)


def _shown(found: Retrieved, strategy: Strategy) -> StrategyGiven:
    sent = as_sent(found.entry, strategy)
    return StrategyGiven(
        id=strategy.id, entry=found.entry.id, text=strategy.text,
        scenario=found.entry.scenario, similarity=found.similarity,
        learned_in=strategy.provenance.dialogue, sent=sent if sent != strategy.text else "",
    )  # fmt: skip
