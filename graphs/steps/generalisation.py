"""The generalisation gate: what was accepted goes to other states only where it does good there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tutelage.agents.transcript import as_messages
from tutelage.strategy_store import Entry, query_of

from ..log.states import State
from ..play.desk import Desk
from ..statistics.acceptance import Pair, gain, null_threshold
from .trials import compare, draw, reached, similarities

GATE_SEED = 3000
RETESTS = 3
"""Fresh pairs at each state of the home scenario where the first one was bad: only these say whether
it harms."""
MOST_RETESTED = 4
KEEP_SHARE = 0.5
"""Of its own scenario's states, the least share that a narrowed entry still reaches."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What came of the gate: the entry as it may enter the library, None where it may not."""

    entry: Entry | None
    reason: str
    narrowed: str
    pairs: list[Pair]
    gain: float | None


async def generalise(
    desk: Desk,
    name: str,
    entry: Entry,
    home: State,
    others: Sequence[State],
    null: Sequence[Pair],
    unit: float,
    *,
    most: int,
    seed: int,
) -> Gate:
    """Try an accepted entry on the other states that would retrieve it.

    One pair each on up to `most` states, at least one of every scenario that is reached while there
    is room. Advice for one scenario has no business in another unless it does good there: where the
    pairs of another scenario show no gain, the entry is kept away from what is nearer to its states
    than to its own, by their words as counter-examples. In other dialogues of its own scenario it is
    at home, and a bad pair makes the state a suspect, no more: of several noisy pairs some are always
    bad. Suspects are compared anew, RETESTS times each on fresh seeds, and only where the mean of
    those lies below what two replies of the same student give by chance does the entry harm, and is
    kept away from there as well. It is dropped where that would cost it its own state or most others
    of its scenario; that it goes to other scenarios is no more than welcome. From those for which there
    was no room it is kept away, too, unless that would cost it the same.

    Args:
        desk: the agents.
        name: the proposal's, for the log.
        entry: what was accepted.
        home: the state it was learned at.
        others: states of other dialogues.
        null: comparisons of the student with itself.
        unit: see `acceptance.spread`.
        most: states at most, at least 5 to mean much.
        seed: the run's seed.
    """
    all_near = await reached(desk, entry, home, others)
    near = _spread_out(all_near, most)
    if not near:
        return Gate(entry, "no other state would retrieve it", "", [], None)

    pairs: list[Pair] = await desk.side_by_side(
        list(enumerate(near)),
        lambda item: _tried(desk, name, entry, item[1], seed + GATE_SEED + item[0]),
    )
    gains = [gain(pair, unit) for pair in pairs]
    mean = float(np.mean(gains))
    at_home = [place for place, state in enumerate(near) if state.scenario == home.scenario]
    suspects = {at: near[at] for at in at_home if gains[at] < 0}
    worst = dict(sorted(suspects.items(), key=lambda item: gains[item[0]])[:MOST_RETESTED])
    # The first, chosen pairs are left out: they were looked for because they were bad.
    harmed, fresh = await harmed_among(desk, name, entry, worst, null, unit, seed)
    pairs += fresh
    useless = _useless(near, gains, home.scenario)
    away = [near[place] for place in (*harmed, *useless)]
    known, lines = {home.scenario, *(s.scenario for s in near)}, {s.customer_says for s in near}
    untried = [s for _, s in all_near if s.scenario not in known and s.customer_says not in lines]
    own = [near[place] for place in at_home if place not in harmed]
    found = f"welcome on all {len(near)} other states that would retrieve it (gain {mean:+.2f})"
    if away:
        found = (
            f"of {len(near)} other states that would retrieve it, it harms {len(harmed)} and does "
            f"nothing for {len(useless)}"
        )
    if untried:
        more = len({state.scenario for state in untried})
        found += f", of {more} scenario{'s' if more > 1 else ''} more nothing is known"
    apart = await told_apart(desk, entry, home, own, [*away, *untried])
    if apart is None and untried:
        apart = await told_apart(desk, entry, home, own, away)
    if apart is None:
        return Gate(None, f"{found}, and it cannot be told apart from them", "", pairs, mean)
    narrowed, how = apart
    return Gate(narrowed, f"{found}, and was narrowed {how}" if how else found, how, pairs, mean)


async def harmed_among(
    desk: Desk,
    name: str,
    entry: Entry,
    suspects: Mapping[int, State],
    null: Sequence[Pair],
    unit: float,
    seed: int,
) -> tuple[list[int], list[Pair]]:
    """Which of several states, by number, an entry harms, by RETESTS fresh pairs at each; the pairs."""
    again = [
        (place, seed + GATE_SEED + 100 * (number + 1) + place)
        for place in suspects
        for number in range(RETESTS)
    ]
    pairs = await desk.side_by_side(
        again, lambda item: _tried(desk, name, entry, suspects[item[0]], item[1])
    )
    by_place: dict[int, list[float]] = {}
    for (place, _), pair in zip(again, pairs, strict=True):
        by_place.setdefault(place, []).append(gain(pair, unit))
    means = {place: float(np.mean(found)) for place, found in by_place.items()}
    return (_harmed(means, null, unit) if means else []), pairs


async def _tried(desk: Desk, name: str, entry: Entry, state: State, seed: int) -> Pair:
    return await compare(desk, name, "elsewhere", await draw(desk, state, seed, entry))


async def told_apart(
    desk: Desk, entry: Entry, home: State, own: Sequence[State], away: Sequence[State]
) -> tuple[Entry, str] | None:
    """An entry that reaches none of the states it is to be kept from, and how it was narrowed ("" where
    there are none); None where that would cost it its home or most of its own scenario's other states.
    """
    if not away:
        return entry, ""
    async for narrowed, how in _narrower(desk, entry, home, away):
        looked = await similarities(desk, narrowed, [home, *away, *own])
        stays, *rest = map(bool, looked)
        still, reached_now = rest[: len(away)], rest[len(away) :]
        if stays and not any(still) and sum(reached_now) >= KEEP_SHARE * len(own):
            return narrowed, how
    return None


async def _narrower(
    desk: Desk, entry: Entry, home: State, away: Sequence[State]
) -> AsyncIterator[tuple[Entry, str]]:
    """Entries that reach less, the one that carries over best first: what is compared with a neighbour
    keeps its own field, however near the two are.
    """
    # What is looked up with, so that it is told apart in the same words that it is found by.
    lines = list(dict.fromkeys(query_of(as_messages(state.turns)) for state in away))
    apart = entry.model_copy(update={"unless": [*entry.unless, *lines]})
    yield apart, f"by {len(lines)} counter-examples"
    nearest = max((near for near, _ in await reached(desk, entry, home, away)), default=0.0)
    if 0 < nearest < 0.99:
        least = round(nearest + 0.01, 2)
        raised = entry.model_copy(update={"threshold": least})
        yield raised, f"to a similarity of {least:.2f}"


def _useless(near: Sequence[State], gains: Sequence[float], home: str) -> list[int]:
    """The states of the other scenarios whose pairs show no gain. A scenario is judged as one: what is
    looked up with at a later turn holds the line before it, so its states are not told apart.
    """
    by_scenario: dict[str, list[int]] = {}
    for place, state in enumerate(near):
        if state.scenario != home:
            by_scenario.setdefault(state.scenario, []).append(place)
    return [
        place
        for places in by_scenario.values()
        if np.mean([gains[at] for at in places]) <= 0
        for place in places
    ]


def _harmed(means: dict[int, float], null: Sequence[Pair], unit: float) -> list[int]:
    """Which suspects are harmed, by the means of their fresh pairs."""
    if np.mean(list(means.values())) < -null_threshold(null, unit, len(means) * RETESTS):
        return [place for place, value in means.items() if value < 0]
    # Some of several suspects may be harmed where the others are not.
    limit = max(-2 * null_threshold(null, unit, RETESTS), -1.0)
    return [place for place, value in means.items() if value <= limit]


def _spread_out(found: Sequence[tuple[float, State]], most: int) -> list[State]:
    """At most so many states, going round the scenarios, the most similar of each first; a line that
    was said twice counts once.
    """
    lines: set[str] = set()
    by_scenario: dict[str, list[State]] = {}
    for _, state in found:
        if state.customer_says not in lines:
            lines.add(state.customer_says)
            by_scenario.setdefault(state.scenario, []).append(state)
    chosen: list[State] = []
    while by_scenario and len(chosen) < most:
        for scenario in list(by_scenario):
            chosen.append(by_scenario[scenario].pop(0))
            if not by_scenario[scenario]:
                del by_scenario[scenario]
            if len(chosen) == most:
                break
    return chosen
