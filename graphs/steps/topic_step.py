"""The topic step: what does good in all scenarios of a topic is learned once and found by each."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Collection, Sequence
from itertools import chain, zip_longest

import numpy as np
from tutelage.environments import Environment, Scenario
from tutelage.strategy_store import OF_MATTER, Entry, Provenance, Strategy, mask
from tutelage.strategy_store.given import CHARS_PER_TOKEN, TOKEN_BUDGET

from ..log.events import StrategyProposed
from ..log.states import State, weakest
from ..map.coverage import NO_TOPIC, topic_of
from ..play.desk import Desk
from ..statistics.acceptance import Decision, Pair, gain, spread
from .candidates import checked_for, first_allowed, proposals, screened, sources_of, told, written
from .generalisation import Gate, harmed_among, told_apart
from .keeping import provenance_of
from .selection import ATTEMPT_SEED, Attempt, Plain, accept, plain_replies, wins, wordings
from .strategy_step import StepOptions
from .trials import (
    Candidate,
    Null,
    Weak,
    extend_null,
    fresh_states,
    given_beside,
    rules_at_stake,
    similarities,
)

TOPIC_SEED = 7000
MOST_OF_TOPIC = 4
"""Orders of one entry at most: what a person wrote for these firms has as many (benchmarks/parts)."""
_LETTERS = TOKEN_BUDGET * CHARS_PER_TOKEN * 3 // 4
"""Letters of one entry at most: what is given in every state needs its room beside it."""
_CHOSEN_ON, _TRIED = 4, 12
"""Scenarios that the orders are chosen on, and orders that are tried there, at most."""
_TESTS = 2
"""The second is in those scenarios alone that gained in the first."""
_A_REASON = re.compile(r"\bbecause\b|, so ", re.IGNORECASE)
"""Why a good agent says something in a scenario holds there, not for all of its topic."""
_GOALS = 4
"""What customers want, in so many scenarios at most, describes a topic's entry."""


def topic_name(round_number: int, topic: str) -> str:
    """The name, in the log, of what a round tries for a topic."""
    return f"r{round_number}.topic.{_plain(topic)}"


def topics_to_teach(
    environment: Environment,
    weak: Sequence[Weak],
    known: Sequence[State],
    names: Collection[str],
    held: Collection[str],
    most: int,
) -> list[str]:
    """The topics whose turn it is: those of the weak states, then those with the most scenarios; each
    once a run, and none that the library holds an entry of. Scenarios without topic and rules are of
    none.

    Args:
        environment: the firm.
        weak: the weak states of this round.
        known: states of training scenarios.
        names: what the run has closed, by its name in the log; see `topic_name`.
        held: ids of the library's entries.
        most: how many at most.
    """
    done = {name.partition(".topic.")[2] for name in names if ".topic." in name}
    of_scenario = {id_: topic_of(environment, s) for id_, s in environment.scenarios.items()}
    met = [of_scenario[id_] for id_ in dict.fromkeys(state.scenario for state in known)]
    by_size = sorted(dict.fromkeys(met), key=lambda topic: -met.count(topic))
    order = dict.fromkeys([*(of_scenario[one.state.scenario] for one in weak), *by_size])
    new = [
        one
        for one in order
        if one != NO_TOPIC and _plain(one) not in done and Entry.new(_told(one)).id not in held
    ]
    return new[: max(0, most)]


async def topic_step(
    desk: Desk,
    topic: str,
    weak: Sequence[Weak],
    known: Sequence[State],
    null: Null,
    options: StepOptions,
    *,
    round_number: int,
    run: str = "",
    seed: int = 0,
) -> bool | None:
    """Learn what is given wherever a customer's matter is of one topic; says whether something was kept,
    None where nothing was tried.

    A strategy that was learned at one state is found again by customers who say much the same. Two
    customers with the same matter seldom do, so what decides a topic is collected from all of its
    scenarios: what their rules give and what their authors say a good agent does, as orders, and what
    the teacher writes for those of its states that were found weak; beside them stands what the checks
    by code that failed most anywhere ask of every reply. Each is tried in a state of every scenario.
    Those that win most checks by code are given together, MOST_OF_TOPIC at most, or all that the rules
    give, and put to the test that every strategy has to pass, on other seeds and in other words. Where
    that fails, they are tested once more, in those scenarios alone that gained. The entry is found by
    the first lines of its scenarios, and kept away from those that it harms, as the gate has it (see
    `generalisation`), and from what is nearer to any other training scenario. It is tried where it will
    be given: in the weakest state of each scenario that would retrieve it.

    Args:
        desk: the agents; its library takes what is kept, as proposed.
        topic: as `coverage.topic_of` has it.
        weak: the weak states of this round; those of other topics are passed over.
        known: states of training scenarios, those of dialogues and openings that nobody has met.
        null: the null comparisons so far; those of the states that are chosen on are added.
        options: how many pairs, proposals and fresh wordings.
        round_number: for the provenance.
        run: the run's name, for the provenance.
        seed: the run's seed.
    """
    environment = desk.environment
    own = [one for one in known if topic_of(environment, _scenario(environment, one)) == topic]
    if desk.library is None or desk.meter.spent or not own:
        return None
    found_by = _entry(environment, topic, weakest(own))
    near = await similarities(desk, found_by, own)
    places = weakest(state for state, found in zip(own, near, strict=True) if found)
    at = seed + TOPIC_SEED + round_number
    random.Random(f"{topic}{at}").shuffle(places)  # noqa: S311 - a plan, not a secret
    name = topic_name(round_number, topic)
    tried = Attempt(desk, name, name, 0, found_by.scenario)
    offers = await _offers(desk, weak, places, options.alternatives, at)
    given = await given_beside(desk, places)
    candidates, refused = screened(desk, [*checked_for(known), *offers], given=given)
    candidates = candidates[:_TRIED]
    await desk.record(
        StrategyProposed(
            proposal=name, dialogue=name, turn=0, attempt=0, scenario=found_by.scenario,
            texts=[one.texts[0] for one in candidates],
            source=sources_of(candidates) or "policy", refused=refused,
            tactics=list(dict.fromkeys(id_ for one in candidates for id_ in one.tactics)),
        )
    )  # fmt: skip
    if not candidates:
        await tried.dropped([], "nothing was proposed" + "".join(f"; {why}" for why in refused))
        return False

    chosen_on = places[:_CHOSEN_ON]
    drawn = max(2, len(chosen_on))
    plain = await plain_replies(desk, [*chosen_on * (3 if len(chosen_on) == 1 else 2)], at)
    for first, second in zip(plain, plain[len(chosen_on) :], strict=False):
        await extend_null(desk, first.state, [first.reply, second.reply], null, first.seed)
    unit, before = spread(null.pairs), list(null.pairs)
    sets = await _chosen(desk, name, found_by, candidates, plain[:drawn], plain[drawn:])
    if desk.meter.spent:
        return False
    if not sets:
        texts = [one.texts[0] for one in candidates]
        await tried.dropped(texts, "no orders were better", (), candidates[0].source)
        return False
    each = -(-wordings(plain, options.fresh_states) // len(chosen_on))
    fresh = [one for s in chosen_on for one in await fresh_states(desk, s, each, at)]
    where = [*places[_CHOSEN_ON:], *fresh, *chosen_on]
    allowed, broken = await first_allowed(desk, sets)
    if allowed is None:
        await tried.dropped(sets[0].texts, "refused: " + "; ".join(broken), (), sets[0].source)
        return False
    for number in range(_TESTS):
        # A second try is tested on what the first has not been tested on.
        start = at + ATTEMPT_SEED * number
        entry = _given(_entry(environment, topic, places), candidates, allowed)
        decision, pairs = await accept(
            desk, name, entry, where, before, unit, options.accept_pairs, start
        )
        gains = _gains(pairs, unit)
        if decision.kept:
            bad = {n: state for n, state in enumerate(places) if gains.get(state.scenario, 0) < 0}
            harmed, again = await harmed_among(desk, name, entry, bad, before, unit, start)
            home = [state for n, state in enumerate(places) if n not in harmed]
            entry = _given(_entry(environment, topic, home), candidates, allowed)
            gate = await _kept_apart(desk, entry, home, known, again)
            provenance = provenance_of(
                desk, None, allowed, decision, pairs, gate,
                states=len(where), round_number=round_number, run=run,
            ).model_copy(update={"scenarios": sorted(state.scenario for state in home)})  # fmt: skip
            return await _entered(tried, candidates, allowed, decision, pairs, gate, provenance)
        await tried.decided(allowed, decision, pairs)
        good = {scenario for scenario, found in gains.items() if found > 0}
        if desk.meter.spent or not good or good == {state.scenario for state in places}:
            return False
        places, where = ([s for s in found if s.scenario in good] for found in (places, where))
    return False


async def _entered(
    tried: Attempt,
    orders: Sequence[Candidate],
    allowed: Candidate,
    decision: Decision,
    pairs: Sequence[Pair],
    gate: Gate,
    provenance: Provenance,
) -> bool:
    """What passed the test enters the library, where the gate leaves something of it."""
    desk = tried.desk
    if gate.entry is None or desk.library is None:
        decision = Decision(False, gate.reason, decision.mean, decision.ci95)
        await tried.decided(allowed, decision, pairs, gate)
        return False
    learned = _given(gate.entry, orders, allowed, provenance).model_copy(
        update={"rules": rules_at_stake(desk, provenance.scenarios, allowed)}
    )
    await asyncio.to_thread(desk.library.add, learned, f"run {provenance.run}".strip())
    ids = [strategy.id for strategy in learned.strategies]
    await tried.decided(allowed, decision, pairs, gate, strategies=ids)
    return True


async def _offers(
    desk: Desk, weak: Sequence[Weak], places: Sequence[State], count: int, seed: int
) -> list[Candidate]:
    """What may be given, each scenario in turn: what decides it, then what the teacher writes for it."""
    weak_in = {one.state.scenario: one for one in weak}
    of_each: list[list[Candidate]] = []
    for state in places:
        offers = [
            one
            for one in told(desk.environment, state)
            if one.source != "scenario" or not _A_REASON.search(one.texts[0])
        ]
        if one := weak_in.get(state.scenario):
            offers += written(one, await proposals(desk, one, (), count, seed))
        of_each.append(offers)
    return [one for one in chain.from_iterable(zip_longest(*of_each)) if one is not None]


async def _chosen(
    desk: Desk,
    name: str,
    found_by: Entry,
    candidates: Sequence[Candidate],
    plain: Sequence[Plain],
    again: Sequence[Plain],
) -> list[Candidate]:
    """What may be given together, what wins most on other seeds first: the orders that by themselves win
    most, and all that the rules give, alone and with what is asked of every reply; [] where none wins.

    A weak student does what a single order says whether or not its case is at hand, so that each may
    lose in a sibling scenario by itself; all rules of a topic together have shown no such loss
    (benchmarks/parts).
    """

    def as_entry(one: Candidate) -> Entry:
        return _given(found_by, candidates, one)

    won = await wins(desk, name, candidates, as_entry, plain)
    rules: list[Candidate] = []
    for one in candidates:
        long = sum(len(rule.texts[0]) for rule in [*rules, one])
        if one.source == "policy" and long <= _LETTERS:
            rules.append(one)
    asked = [one for one in candidates if one.source == "rubric"][:1]
    together = [won.best(won.scenarios, MOST_OF_TOPIC, _LETTERS), rules, [*asked, *rules]]
    sets = list(dict.fromkeys(_all_of(orders) for orders in together if orders))
    return (await wins(desk, name, sets, as_entry, again)).ranked() if sets else []


def _gains(pairs: Sequence[Pair], unit: float) -> dict[str, float]:
    """The mean gain of the test's pairs in each scenario."""
    gains: dict[str, list[float]] = {}
    for pair in pairs:
        gains.setdefault(pair.scenario, []).append(gain(pair, unit))
    return {scenario: float(np.mean(found)) for scenario, found in gains.items()}


async def _kept_apart(
    desk: Desk, entry: Entry, home: Sequence[State], known: Sequence[State], pairs: Sequence[Pair]
) -> Gate:
    """The entry kept away from the states that would retrieve it and are not of the scenarios it is at
    home in. Of other topics nothing is tried: they have a step of their own. `pairs` told of its own.
    """
    own = {state.scenario for state in home}
    found = await similarities(desk, entry, known)
    reached = [state for state, near in zip(known, found, strict=True) if near]
    away = [state for state in reached if state.scenario not in own]
    at_home = [state for state in reached if state.scenario in own]
    apart = await told_apart(desk, entry, at_home[0], at_home[1:], away) if at_home else None
    if apart is None:
        return Gate(None, "it cannot be told apart from where it has no place", "", [*pairs], None)
    narrowed, how = apart
    reason = f"kept from where it has no place {how}" if how else "no other state would retrieve it"
    return Gate(narrowed, reason, how, [*pairs], None)


def _entry(environment: Environment, topic: str, places: Sequence[State]) -> Entry:
    """The entry of a topic, without strategies: it is found by what customers say first and want."""
    ordered = sorted(places, key=lambda state: state.scenario)
    goals = [_scenario(environment, state).goal for state in ordered[:_GOALS]]
    return Entry.new(
        _told(topic),
        wants=mask("; ".join(goals)),
        cues=[mask(state.turns[0].text) for state in ordered],
    )


def _given(
    entry: Entry,
    orders: Sequence[Candidate],
    allowed: Candidate,
    provenance: Provenance | None = None,
) -> Entry:
    """An entry with what of several orders is allowed, each with its own source."""
    of_text = {one.texts[0]: one for one in orders}
    origin = provenance or Provenance(source=allowed.source)
    strategies = [
        Strategy.new(
            text,
            origin.model_copy(
                update={"source": of_text[text].source, "tactics": list(of_text[text].tactics)}
            ),
        )
        for text in allowed.texts
    ]
    full = Entry.new(entry.scenario, strategies=strategies)
    return entry.model_copy(update={"strategies": full.strategies})


def _all_of(orders: Sequence[Candidate]) -> Candidate:
    """Several orders as one; the source is that of the best."""
    texts = tuple(text for one in orders for text in one.texts)
    tactics = tuple(dict.fromkeys(id_ for one in orders for id_ in one.tactics))
    return Candidate(texts, orders[0].source, tactics)


def _scenario(environment: Environment, state: State) -> Scenario:
    return environment.scenarios[state.scenario]


def _told(topic: str) -> str:
    """The scenario of a topic's entry, in words."""
    return f"{OF_MATTER}{mask(topic)}"


def _plain(topic: str) -> str:
    return re.sub(r"\W+", "_", topic.casefold()).strip("_")
