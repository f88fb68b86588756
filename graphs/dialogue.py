"""The dialogue graph: customer and student alternate until it is over, then the judge reads it."""

from __future__ import annotations

import operator
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from tutelage.agents.meter import Meter, tallied
from tutelage.agents.transcript import Turn
from tutelage.environments import Environment
from tutelage.strategy_store import Library, Placement, Retrieved, Strategy

from .desk import Desk, Model, Retrieval, open_desk
from .events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    EndReason,
    StrategyGiven,
    TurnRejected,
    TurnSpoken,
)
from .uplift import parted

MAX_EXCHANGES = 6


class DialogueRequest(TypedDict, total=False):
    """What a dialogue is about: only `scenario` must be given."""

    scenario: str
    persona: str
    seed: int
    dialogue: str
    round: int
    purpose: str
    arm: str
    coin: str


class DialogueState(DialogueRequest, total=False):
    """A dialogue under way. `turns` are {"speaker", "text"}; `judgement` is there at the end."""

    turns: Annotated[list[dict[str, str]], operator.add]
    reason: EndReason | None
    valid: bool
    judgement: dict[str, Any] | None
    started: float


def dialogue_graph(
    environment: Environment,
    *,
    student: Model | None = None,
    customer: Model | None = None,
    judge: Model | None = None,
    library: Library | None = None,
    max_exchanges: int = MAX_EXCHANGES,
    retrieval: Retrieval | None = None,
    placement: Placement | None = None,
    meter: Meter | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """A compiled graph that plays one dialogue and judges it.

    Invoke it with `{"scenario": id}` and, if wanted, `persona`, `seed` and `dialogue`; the result
    holds `turns`, `reason`, `valid` and `judgement`. Events stream in mode `custom`. It nests as a
    subgraph and takes a checkpointer.

    Args:
        environment: the firm.
        student, customer, judge: spec strings or chat models; the local model where not given.
        library: approved strategies are looked up in it at every student turn.
        max_exchanges: exchanges after which a dialogue is ended, 1 to 20.
        retrieval: how strategies are looked up.
        placement: where in the student's prompt they stand; as the library knows where None.
        meter: counts usage.
        checkpointer: LangGraph's, for those who nest the graph.

    Raises:
        ModelFault: where a model cannot be had.
    """
    desk = open_desk(
        environment,
        student=student,
        customer=customer,
        judge=judge,
        # Nobody teaches here; the seat must not ask for a model that nobody named.
        teacher=judge or student,
        library=library,
        retrieval=retrieval,
        placement=placement,
        meter=meter,
    )
    return compile_dialogue(desk, max_exchanges, checkpointer)


def compile_dialogue(
    desk: Desk,
    max_exchanges: int = MAX_EXCHANGES,
    checkpointer: BaseCheckpointSaver | None = None,
) -> CompiledStateGraph:
    """The dialogue graph for agents that are already seated."""
    environment = desk.environment

    def scenario_of(state: DialogueState):
        return environment.scenarios[state.get("scenario", "")]

    def turns_of(state: DialogueState) -> list[Turn]:
        return [Turn.model_validate(turn) for turn in state.get("turns", [])]

    async def open_dialogue(state: DialogueState) -> dict[str, Any]:
        scenario = scenario_of(state)
        personas = environment.personas_for(scenario)
        seed = state.get("seed", 0)
        persona = state.get("persona") or personas[seed % len(personas)].name
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
        return {"persona": persona, "dialogue": dialogue, "seed": seed, "started": time.time(),
                "valid": True, "reason": None, "judgement": None}  # fmt: skip

    async def customer(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        turn = len(turns) // 2
        persona = environment.personas[state.get("persona", "")]
        heard = await desk.customer.speak(persona, scenario_of(state), turns, state.get("seed", 0))
        dialogue = state.get("dialogue", "")
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
        if turn + 1 > persona.patience:
            return {**spoken, "reason": "patience_spent"}
        return spoken

    async def student(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        fitting = await desk.retrieve(turns, state.get("scenario", ""))
        retrieved, withheld = parted(fitting, state.get("coin", ""))
        began = time.monotonic()
        with tallied() as used:
            text = await desk.student.reply(
                scenario_of(state), turns, retrieved, seed=state.get("seed", 0)
            )
        turn = len(turns) // 2
        await desk.record(
            TurnSpoken(
                dialogue=state.get("dialogue", ""), turn=turn, speaker="student", text=text,
                strategies=[_shown(found, s) for found in retrieved for s in found.strategies],
                withheld=[_shown(found, strategy) for found, strategy in withheld],
                tokens=used.input + used.output, usd=used.usd, seconds=time.monotonic() - began,
            )
        )  # fmt: skip
        spoken: dict[str, Any] = {"turns": [{"speaker": "student", "text": text}]}
        return {**spoken, "reason": "turn_limit"} if turn + 1 >= max_exchanges else spoken

    async def judge(state: DialogueState) -> dict[str, Any]:
        turns = turns_of(state)
        judgement = None
        if state.get("valid") and any(turn.speaker == "student" for turn in turns):
            found = asdict(await desk.judge.assess(scenario_of(state), turns))
            await desk.record(DialogueJudged(dialogue=state.get("dialogue", ""), **found))
            judgement = found
        await desk.record(
            DialogueEnded(
                dialogue=state.get("dialogue", ""),
                reason=state.get("reason") or "turn_limit",
                turns=len(turns),
                valid=judgement is not None,
                seconds=time.time() - state.get("started", time.time()),
            )
        )
        return {"judgement": judgement, "valid": judgement is not None}

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
    graph.add_edge("open", "customer")
    graph.add_conditional_edges("customer", after_customer)
    graph.add_conditional_edges("student", after_student)
    graph.add_edge("judge", END)
    compiled = graph.compile(checkpointer=checkpointer, name="dialogue")
    # Each exchange is two steps; the graph ends itself long before, this only bounds a defect.
    return compiled.with_config(recursion_limit=2 * max_exchanges + 8)


def _shown(found: Retrieved, strategy: Strategy) -> StrategyGiven:
    return StrategyGiven(
        id=strategy.id, entry=found.entry.id, text=strategy.text,
        scenario=found.entry.scenario, similarity=found.similarity,
    )  # fmt: skip
