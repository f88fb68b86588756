"""Trials: the student answers a state without and with a strategy, and the judge compares blind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from tutelage.agents.advice.rule_orders import rules_said
from tutelage.agents.judge import checks_held
from tutelage.agents.models.faults import InvalidAnswer
from tutelage.agents.teacher import Description
from tutelage.agents.transcript import Reply, Turn, as_messages, with_actions
from tutelage.environments import Tactic, check_weight
from tutelage.strategy_store import (
    ANY_CUSTOMER,
    Entry,
    Index,
    Provenance,
    Source,
    Strategy,
    mask,
    query_of,
)

from ..log.events import Fault, NullCompared, StrategyTried
from ..log.states import State
from ..play.desk import Desk
from ..statistics.acceptance import Pair

Phase = Literal["choose", "accept", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Weak:
    """A state that was examined and found weak."""

    state: State
    description: Description
    teacher_reply: str
    tactics: tuple[Tactic, ...]


@dataclass
class Null:
    """Comparisons of two replies of the same student to the same state, gathered as the run goes."""

    pairs: list[Pair] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Strategies that are tried together; `tactics` are ids of the handbook."""

    texts: tuple[str, ...]
    source: Source
    tactics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Two replies to one state on one seed, without and with the strategy."""

    state: State
    seed: int
    before: Reply
    after: Reply


async def reply(desk: Desk, state: State, seed: int, trying: Entry | None = None) -> Reply:
    """What the student answers with the library as it is, or with an entry that is tried as well: as
    the nearest of those that are given at a time, or, where it is general, beside them.
    """
    scenario = desk.environment.scenarios[state.scenario]
    retrieved = await desk.retrieve(state.turns, state.scenario, trying)
    return await desk.student.reply(scenario, state.turns, retrieved, seed)


async def given_beside(desk: Desk, states: Sequence[State]) -> list[str]:
    """The strategies that the library gives in all of these states beside an entry that is tried."""
    nothing = Entry.new("what is tried")
    found = [await desk.retrieve(one.turns, one.scenario, nothing) or [] for one in states]
    texts = [{strategy.text for one in there for strategy in one.strategies} for there in found]
    return sorted(set[str].intersection(*texts)) if texts else []


async def draw(desk: Desk, state: State, seed: int, trying: Entry) -> Drawn:
    """Both replies to a state on one seed."""
    before = await reply(desk, state, seed)
    return Drawn(state, seed, before, await reply(desk, state, seed, trying))


async def compare(desk: Desk, name: str, phase: Phase, drawn: Drawn) -> Pair:
    """The judge's blind comparison of two replies and the checks by code on each, recorded."""
    pair = await _pair(desk, drawn.state, drawn.before, drawn.after)
    await desk.record(
        StrategyTried(
            proposal=name, phase=phase, dialogue=drawn.state.dialogue, turn=drawn.state.turn,
            seed=drawn.seed, customer_says=drawn.state.customer_says,
            before=drawn.before.text, after=drawn.after.text,
            tools_before=drawn.before.tools, tools_after=drawn.after.tools,
            preference=pair.preference,
            checks_before=pair.checks_before, checks_after=pair.checks_after, checks=pair.checks,
        )
    )  # fmt: skip
    return pair


async def extend_null(
    desk: Desk, state: State, plain: Sequence[Reply], null: Null, seed: int
) -> None:
    """Comparisons of the student with itself: each plain reply with the next; the first is on `seed`."""
    for place, (first, second) in enumerate(pairwise(plain)):
        pair = await _pair(desk, state, first, second)
        null.pairs.append(pair)
        await desk.record(
            NullCompared(
                dialogue=state.dialogue, turn=state.turn, seed=seed + place,
                preference=pair.preference, checks_before=pair.checks_before,
                checks_after=pair.checks_after, checks=pair.checks,
            )
        )  # fmt: skip


async def _pair(desk: Desk, state: State, before: Reply, after: Reply) -> Pair:
    scenario = desk.environment.scenarios[state.scenario]
    shown = with_actions(before), with_actions(after)
    preference = await desk.judge.prefer(scenario, state.turns, *shown)
    return Pair(
        state.customer_says, *shown, preference,
        checks_of(desk, state, before.text), checks_of(desk, state, after.text),
        check_weight(desk.environment.rubric_for(scenario)), state.scenario,
    )  # fmt: skip


async def teachers_reply(
    desk: Desk, state: State, tactics: Sequence[Tactic], seed: int, draws: int = 3
) -> str:
    """The teacher's reply to a state: the first with which all of the rubric's checks by code hold, or
    which none can tell apart; else of `draws`, the last asked for on the transcript, the one with which
    most hold.
    """
    scenario = desk.environment.scenarios[state.scenario]

    async def drawn(number: int) -> str:
        return await desk.teacher.reply(
            scenario,
            state.turns,
            tactics,
            seed + 31 * number,
            on_transcript=0 < number == draws - 1,
        )

    first = await drawn(0)
    if checks_of(desk, state, first) in (None, 1.0):
        return first
    others = await desk.side_by_side(range(1, draws), drawn)
    return max([first, *others], key=lambda text: checks_of(desk, state, text) or 0.0)


def checks_of(desk: Desk, state: State, reply: str) -> float | None:
    """The share of the rubric's checks by code that hold with a reply to a state (0-1)."""
    scenario = desk.environment.scenarios[state.scenario]
    return checks_held(desk.environment, scenario, state.turns, reply)


async def fresh_states(desk: Desk, state: State, count: int, seed: int) -> list[State]:
    """The same point of the dialogue with the customer's line said anew, by other customers where
    it is the opening and the scenario allows them.
    """
    scenario = desk.environment.scenarios[state.scenario]
    personas = desk.environment.personas_for(scenario)
    earlier = state.turns[:-1]
    fresh: list[State] = []
    for number in range(count):
        persona = desk.environment.personas[state.persona]
        if not earlier:
            persona = personas[(personas.index(persona) + 1 + number) % len(personas)]
        try:
            heard = await desk.customer.speak(
                persona, scenario, earlier, 2 * (seed + number) + 9001
            )
        except InvalidAnswer as error:
            await desk.record(Fault(where="coaching", message=str(error)))
            continue
        if heard.line is not None and not heard.line.goal_met:
            line = Turn(speaker="customer", text=heard.line.customer_says)
            fresh.append(replace(state, turns=(*earlier, line), persona=persona.name))
    return fresh


async def reached(
    desk: Desk, entry: Entry, home: State, others: Sequence[State]
) -> list[tuple[float, State]]:
    """The states of other dialogues that would retrieve an entry, the most similar (0-1) first."""
    elsewhere = [other for other in others if other.dialogue != home.dialogue]
    found = await similarities(desk, entry, elsewhere)
    near = [(near, other) for near, other in zip(found, elsewhere, strict=True) if near]
    return sorted(near, key=lambda pair: -pair[0])


async def similarities(desk: Desk, entry: Entry, states: Sequence[State]) -> list[float]:
    """How near each state is to an entry (0-1); 0 where it would not retrieve it. One that has no
    strategies yet is looked for as if it had some.
    """
    if not entry.strategies:
        some = Strategy.new(entry.scenario, Provenance(source="teacher"))
        entry = entry.model_copy(update={"strategies": [some]})

    def look() -> list[float]:
        index = Index([entry], desk.embeddings)
        queries = [query_of(as_messages(state.turns)) for state in states]
        hits = [index.search(q, top=1, threshold=desk.retrieval.threshold) for q in queries]
        return [hit[0].similarity if hit else 0.0 for hit in hits]

    return await asyncio.to_thread(look)


def entry_of(weak: Weak, candidate: Candidate, provenance: Provenance | None = None) -> Entry:
    """The entry that a candidate for a weak state would become."""
    provenance = provenance or Provenance(source="teacher")
    return Entry.new(
        scenario=mask(weak.description.scenario),
        wants=mask(weak.description.wants),
        feels=mask(weak.description.feels),
        cues=[mask(weak.state.customer_says)],
        strategies=[Strategy.new(text, provenance) for text in candidate.texts],
    )


def rules_at_stake(desk: Desk, scenarios: Iterable[str], candidate: Candidate) -> list[str]:
    """The ids of the rules that a candidate rests on: those it says; of a text that says none, those
    that the scenarios name it was written for.
    """
    environment = desk.environment
    named = [id_ for scenario in scenarios for id_ in environment.scenarios[scenario].rules]
    told = (rules_said(text, environment.policy) or named for text in candidate.texts)
    return list(dict.fromkeys(id_ for rules in told for id_ in rules))


def general_entry(candidate: Candidate, provenance: Provenance | None = None) -> Entry:
    """The entry that a candidate for every state would become."""
    provenance = provenance or Provenance(source="teacher")
    strategies = [Strategy.new(text, provenance) for text in candidate.texts]
    return Entry.new(ANY_CUSTOMER, general=True, strategies=strategies)
