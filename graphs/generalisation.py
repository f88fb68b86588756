"""The generalisation gate: what was accepted must not harm the other states that would retrieve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tutelage.strategy_store import Entry, mask

from .acceptance import Pair, gain, null_threshold
from .desk import Desk
from .states import State
from .trials import as_retrieved, compare, draw, reached, similarities

GATE_SEED = 3000
RETESTS = 3
"""Fresh pairs at each state where the first one was bad: only these say whether it harms."""
MOST_RETESTED = 4
KEEP_SHARE = 0.5
"""Of the other states where it does no harm, the least share that a narrowed entry still reaches."""


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
    is room. A state whose pair was bad is a suspect, no more: of several noisy pairs some are always
    bad. Suspects are compared anew, RETESTS times each on fresh seeds, and only where the mean of
    those lies below what two replies of the same student give by chance does the entry harm. It is
    then narrowed so that it reaches those states no more, by a higher threshold or else by keeping
    their lines as counter-examples; dropped where that would cost it its own state or most others.

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
    given = as_retrieved(entry)
    near = _spread_out(await reached(desk, entry, home, others), most)
    if not near:
        return Gate(entry, "no other state would retrieve it", "", [], None)

    async def tried(state: State, at: int) -> Pair:
        return await compare(desk, name, "elsewhere", await draw(desk, state, at, given))

    pairs: list[Pair] = await desk.side_by_side(
        list(enumerate(near)), lambda item: tried(item[1], seed + GATE_SEED + item[0])
    )
    gains = [gain(pair, unit) for pair in pairs]
    mean = float(np.mean(gains))
    order = sorted(range(len(near)), key=lambda place: gains[place])
    suspects = [place for place in order if gains[place] < 0][:MOST_RETESTED]
    harmed: list[State] = []
    if suspects:
        again = [
            (place, seed + GATE_SEED + 100 * (number + 1) + place)
            for place in suspects
            for number in range(RETESTS)
        ]
        fresh = await desk.side_by_side(again, lambda item: tried(near[item[0]], item[1]))
        by_place: dict[int, list[float]] = {}
        for (place, _), pair in zip(again, fresh, strict=True):
            by_place.setdefault(place, []).append(gain(pair, unit))
        means = {place: float(np.mean(values)) for place, values in by_place.items()}
        pairs += fresh
        # The first, chosen pairs are left out: they were looked for because they were bad.
        if np.mean(list(means.values())) < -null_threshold(null, unit, len(fresh)):
            harmed = [near[place] for place, value in means.items() if value < 0]
        else:
            # Some of several suspects may be harmed where the others are not.
            limit = -null_threshold(null, unit, RETESTS)
            harmed = [
                near[place] for place, value in means.items() if value <= max(2 * limit, -1.0)
            ]
    if not harmed:
        told = f"no harm on {len(near)} other states that would retrieve it (gain {mean:+.2f})"
        return Gate(entry, told, "", pairs, mean)
    fine = [state for state in near if state not in harmed]
    for narrowed, how in await _narrower(desk, entry, home, harmed):
        looked = await similarities(desk, narrowed, [home, *harmed, *fine])
        at_home, *rest = map(bool, looked)
        still, stays = rest[: len(harmed)], rest[len(harmed) :]
        if at_home and sum(stays) >= KEEP_SHARE * len(fine) and not any(still):
            told = f"harmed {len(harmed)} of {len(near)} other states, and was narrowed {how}"
            return Gate(narrowed, told, how, pairs, mean)
    told = (
        f"it harms {len(harmed)} of {len(near)} other states that would retrieve it, and cannot be "
        "told apart from them"
    )
    return Gate(None, told, "", pairs, mean)


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


async def _narrower(
    desk: Desk, entry: Entry, home: State, harmed: Sequence[State]
) -> list[tuple[Entry, str]]:
    """Entries that reach less, the simplest first."""
    nearest = max((near for near, _ in await reached(desk, entry, home, harmed)), default=0.0)
    found: list[tuple[Entry, str]] = []
    if 0 < nearest < 0.99:
        least = round(nearest + 0.01, 2)
        raised = entry.model_copy(update={"threshold": least})
        found.append((raised, f"to a similarity of {least:.2f}"))
    lines = list(dict.fromkeys(mask(state.customer_says) for state in harmed))
    found.append(
        (
            entry.model_copy(update={"unless": [*entry.unless, *lines]}),
            f"by {len(lines)} counter-examples",
        )
    )
    return found
