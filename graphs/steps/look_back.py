"""Looking back: an entry given where it was not learned is kept from there if it did no good."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tutelage.agents.transcript import Reply, Turn
from tutelage.environments import Environment
from tutelage.strategy_store import ChangedMeanwhile, Entry

from ..log.events import EntryNarrowed
from ..log.states import Played, State, states_of
from ..play.desk import Desk
from ..statistics.acceptance import gain, spread
from .generalisation import told_apart
from .trials import Drawn, Null, compare, extend_null, reply, similarities

BACK_SEED = 6000
LEAST_NULL = 4
"""Comparisons of the student with itself before anything is measured in them."""


@dataclass(frozen=True, slots=True)
class _Gift:
    """An entry that a student was given at a state of a scenario it was not learned in."""

    entry: str
    state: State
    reply: Reply
    seed: int


async def look_back(
    desk: Desk,
    dialogues: Sequence[Played],
    met: Sequence[State],
    null: Null,
    *,
    round_number: int,
    run: str = "",
    seed: int = 0,
) -> int:
    """Ask of each entry that a round's students were given in another scenario than its own whether it
    did good there; says how many were narrowed.

    The reply with it is the one that was spoken, so a question costs one reply, without it, and one
    comparison. Where those of a scenario show no gain together, its customers' words become
    counter-examples, as at the gate, which cannot try what no dialogue has met. An entry that a person
    approved stays as it is, and so do general ones and those that cannot be told apart from the state.

    Args:
        desk: the agents, and the library.
        dialogues: those that the round played.
        met: the states of all training dialogues so far.
        null: the comparisons that say what a clear preference is; where there are hardly any, some are
            added.
        round_number: for the log.
        run: the run's name, the author of the version.
        seed: the run's seed.
    """
    if desk.library is None:
        return 0
    held = {entry.id: entry for entry in await asyncio.to_thread(desk.library.entries)}
    narrowed = 0
    by_place: dict[tuple[str, str], list[_Gift]] = {}
    for gift in _gifts(dialogues, held, desk.environment, seed + BACK_SEED):
        by_place.setdefault((gift.entry, gift.state.scenario), []).append(gift)
    for (id_, scenario), gifts in by_place.items():
        if desk.meter.spent:
            break
        name = f"r{round_number}.back.{id_}"
        answered = await desk.side_by_side(gifts, lambda gift: _without(desk, gift))
        drawn = [one for one in answered if one is not None]
        for one in drawn[: max(0, LEAST_NULL - len(null.pairs))]:
            again = await reply(desk, one.state, one.seed + 1)
            await extend_null(desk, one.state, [one.after, again], null, one.seed)
        unit = spread(null.pairs)
        pairs = await desk.side_by_side(drawn, partial(compare, desk, name, "elsewhere"))
        gains = [gain(pair, unit) for pair in pairs]
        if not gains or np.mean(gains) > 0:
            continue
        entry = held[id_]
        at_home_in = _at_home_in(entry, desk.environment)
        likeness = await similarities(desk, entry, met)
        near = [state for state, near_by in zip(met, likeness, strict=True) if near_by]
        home = _home(entry, near, at_home_in)
        siblings = [state for state in near if state.scenario in {home.scenario, *at_home_in}]
        own = [state for state in siblings if state.dialogue != home.dialogue]
        found = await told_apart(desk, entry, home, own, [one.state for one in drawn])
        if found is None:
            continue
        new, how = found
        try:
            await asyncio.to_thread(
                desk.library.replace, id_, lambda _, new=new: new, f"run {run}".strip(),
                f"narrowed {id_} {how}", seen=entry,
            )  # fmt: skip
        except ChangedMeanwhile:
            continue
        held[id_] = new
        narrowed += 1
        await desk.record(
            EntryNarrowed(
                entry=id_, scenario=scenario, how=how, gain=float(np.mean(gains)),
                dialogue=home.dialogue, turn=home.turn, learned_for=entry.scenario,
            )
        )  # fmt: skip
    return narrowed


def _gifts(
    dialogues: Sequence[Played], held: dict[str, Entry], environment: Environment, seed: int
) -> list[_Gift]:
    gifts: list[_Gift] = []
    for dialogue in dialogues:
        spoken = {one.turn: one for one in dialogue.spoken if one.speaker == "student"}
        for state in states_of(dialogue, environment):
            said = spoken[state.turn]
            for id_ in dict.fromkeys(given.entry for given in said.strategies):
                entry = held.get(id_)
                if entry is not None and _may_narrow(entry, state.scenario, environment):
                    spoke = Reply(said.text, said.tools)
                    gifts.append(_Gift(id_, state, spoke, seed + 2 * len(gifts)))
    return gifts


def _may_narrow(entry: Entry, scenario: str, environment: Environment) -> bool:
    if entry.general or scenario in _at_home_in(entry, environment):
        return False
    return all(strategy.status == "proposed" for strategy in entry.strategies)


def _at_home_in(entry: Entry, environment: Environment) -> set[str]:
    """Ids of the scenarios that an entry was learned in; of one that nobody learned, as a drafted one,
    of those that its rules decide.
    """
    learned_in = set[str]().union(*(s.provenance.learned_in for s in entry.strategies))
    decided = (
        s.id for s in environment.scenarios.values() if not {*entry.rules}.isdisjoint(s.rules)
    )
    return learned_in or {*decided}


async def _without(desk: Desk, gift: _Gift) -> Drawn | None:
    """The reply to a gift's state without it; None where it would not be given there any more."""
    found = await desk.retrieve(gift.state.turns, gift.state.scenario) or []
    rest = [one for one in found if one.entry.id != gift.entry]
    if len(rest) == len(found):
        return None
    scenario = desk.environment.scenarios[gift.state.scenario]
    before = await desk.student.reply(scenario, gift.state.turns, rest, gift.seed)
    return Drawn(gift.state, gift.seed, before, gift.reply)


def _home(entry: Entry, near: Sequence[State], at_home_in: Collection[str]) -> State:
    """Of the states that would retrieve an entry the one that it was learned at; of one learned in
    several scenarios, or in none, an opening of one that it is at home in; of one that no dialogue of
    this run tells of, a state in which the customer says what it is found by.
    """
    origins = {(s.provenance.dialogue, s.provenance.turn) for s in entry.strategies}
    for state in near:
        if (state.dialogue, state.turn) in origins:
            return state
    for state in near:
        if state.scenario in at_home_in and len(state.turns) == 1:
            return state
    line = entry.cues[0] if entry.cues else entry.scenario
    return State(
        dialogue="", turn=0, scenario="", persona="",
        turns=(Turn(speaker="customer", text=line),),
        reply="", score=3.0, ending="", reasons=(),
    )  # fmt: skip
