"""Keeping: what passed enters the library as proposed, or is merged into what says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from tutelage.strategy_store import (
    Entry,
    Evidence,
    Library,
    LibraryFault,
    Provenance,
)
from tutelage.strategy_store.reshaping import worded_also
from tutelage.strategy_store.wording import same_order

from ..log.states import State
from ..play.desk import Desk
from ..statistics.acceptance import Decision, Pair, check_means, example_of, gain, null_threshold
from .generalisation import Gate
from .trials import Candidate, compare, draw

MERGE_SEED = 4000
MERGE_PAIRS = 4
"""Comparisons of a new strategy with one that the library gained meanwhile for the same state."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Ids of the strategies in the library; `merged` says into what, where nothing was added."""

    strategies: list[str]
    merged: str = ""


def provenance_of(
    desk: Desk,
    state: State | None,
    candidate: Candidate,
    decision: Decision,
    pairs: Sequence[Pair],
    gate: Gate | None = None,
    *,
    states: int,
    round_number: int,
    run: str,
) -> Provenance:
    """Where a strategy comes from and what its acceptance rested on; one for every state was learned at
    none (`state` is None), and no gate had to let it through.
    """
    models = desk.models
    shown = example_of(pairs, state.customer_says if state else "")
    before, after = check_means(pairs)
    checked = any(pair.checks_before is not None for pair in pairs)
    return Provenance(
        source=candidate.source,
        tactics=list(candidate.tactics),
        environment=desk.environment.name,
        run=run,
        round=round_number,
        scenario=state.scenario if state else "",
        persona=state.persona if state else "",
        dialogue=state.dialogue if state else "",
        turn=state.turn if state else 0,
        student=models["student"],
        teacher=models["teacher"],
        judge=models["judge"],
        evidence=Evidence(
            customer=shown.customer_says,
            before=shown.before,
            after=shown.after,
            preference=decision.mean,
            ci95=decision.ci95,
            pairs=len(pairs),
            states=min(states, len(pairs)),
            checks_before=before if checked else None,
            checks_after=after if checked else None,
            p=decision.p,
            gain=decision.gain,
            gain_threshold=decision.threshold,
            elsewhere=len({pair.customer_says for pair in gate.pairs}) if gate else 0,
            elsewhere_gain=gate.gain if gate else None,
        ),
    )


async def keep(
    desk: Desk,
    library: Library,
    name: str,
    entry: Entry,
    where: Sequence[State],
    null: Sequence[Pair],
    unit: float,
    *,
    known: Collection[str] = (),
    run: str,
    seed: int,
) -> Kept:
    """Write an entry into the library, or merge it into one that does the same.

    What the library would give at the entry's own state now may be newer than the trials, since
    states are taught side by side. Where it is, the new strategies are compared with it: if they are
    no better than that, they are the same advice in other words. Their wording is then kept with the
    old entry, as a version like any other, and nothing is added to what students are given.

    An entry described in the very same words that is there takes the new strategies in, and the limits
    that they were kept within, unless a person approved some of its own (see `reshaping.extended`).

    Args:
        desk: the agents.
        library: takes the entry.
        name: the proposal's, for the log.
        entry: what passed the test and the gate.
        where: the state it was learned at, then others of its kind.
        null, unit: see `acceptance`.
        known: ids of entries that were there when the trials began, which the entry has beaten.
        run: the run's name, the author of the version.
        seed: the run's seed.
    """
    by = f"run {run}".strip()
    home = where[0]
    rival = await _rival(desk, home, known)
    if rival is not None:
        told = _worded_alike(rival, entry)
        if not told:
            pairs: list[Pair] = []
            for number in range(MERGE_PAIRS):
                state = where[number % len(where)]
                # The plain reply of `draw` is one with the library as it is now: with the rival.
                drawn = await draw(desk, state, seed + MERGE_SEED + number, entry)
                pairs.append(await compare(desk, name, "elsewhere", drawn))
            gains = [gain(pair, unit) for pair in pairs]
            if np.mean(gains) <= null_threshold(null, unit, len(gains)):
                told = f"is no better than {rival.strategies[0].id}, which fits the same states"
        if told:
            # Somebody may have merged the rival away meanwhile; what passed is then kept by itself.
            with suppress(LibraryFault):
                await asyncio.to_thread(_merge, library, rival, entry, by, told)
                return Kept([s.id for s in rival.strategies], told)
    await asyncio.to_thread(library.add, entry, by)
    return Kept([strategy.id for strategy in entry.strategies])


async def _rival(desk: Desk, home: State, known: Collection[str]) -> Entry | None:
    """The nearest of the entries that are given at a state now and were not known."""
    found = await desk.retrieve(home.turns, home.scenario) or []
    new = (one.entry for one in found if not one.entry.general and one.entry.id not in known)
    return next(new, None)


def _worded_alike(rival: Entry, entry: Entry) -> str:
    """Why no comparison is needed, where each new text is one of the rival's in nearly its words."""
    for strategy in entry.strategies:
        if not any(same_order(old.text, strategy.text) for old in rival.strategies):
            return ""
    return f"says the same as {rival.strategies[0].id}"


def _merge(library: Library, rival: Entry, entry: Entry, by: str, told: str) -> None:
    """The other wordings join the entry that is there. It fits the state already, and reaches no
    state more than before: with another cue it would, and no gate has tried it there.
    """
    first = rival.strategies[0]
    wordings = [s.text for s in entry.strategies]
    library.replace(
        rival.id,
        lambda now: worded_also(now, first.id, wordings),
        by,
        f"merged another wording of {first.id} into {rival.id}: it {told}",
    )
