"""The strategy step at one state: propose, try on some seeds, accept on others, refine or drop."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tutelage.strategy_store import Entry, mask

from ..log.events import StrategyProposed
from ..log.states import State
from ..play.desk import Desk
from ..statistics.acceptance import Decision, Pair, spread
from .candidates import first_allowed, lesson, proposals, vetted
from .generalisation import generalise
from .keeping import Kept, keep, provenance_of
from .selection import ATTEMPT_SEED, Attempt, accept, choose, mean_merit, plain_replies, wordings
from .trials import (
    Null,
    Weak,
    entry_of,
    extend_null,
    fresh_states,
    given_beside,
    reached,
    rules_at_stake,
)

__all__ = ["Null", "StepOptions", "Weak", "strategy_step"]


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How hard a strategy is tried. Seeds of choosing and accepting never meet."""

    refinements: int = 1
    alternatives: int = 2
    """Proposals that the teacher writes side by side, each a candidate beside the handbook's."""
    choose_pairs: int = 2
    accept_pairs: int = 24
    """Comparisons of the sequential test at most; a clear case takes 6, a hopeless one 4 or fewer."""
    fresh_states: int = 2
    similar_states: int = 2
    gate_states: int = 8
    """Other states on which an accepted strategy is tried, where so many would retrieve it."""


async def strategy_step(
    desk: Desk,
    weak: Weak,
    others: Sequence[State],
    null: Null,
    options: StepOptions,
    *,
    round_number: int,
    run: str = "",
    seed: int = 0,
) -> bool:
    """Teach one weak state; says whether something was kept.

    The candidates (what the teacher wrote in several tries, and the handbook tactics it chose) are
    compared on `choose_pairs` seeds of the state itself; the best is then put to the test on fresh
    seeds, on fresh wordings of the state and in other dialogues of its scenario, and, where it passes,
    tried on the other states that would retrieve it. A dropped one is refined with the reason,
    `refinements` times.

    Args:
        desk: the agents; its library takes what is kept, as proposed.
        weak: the state.
        others: states of other dialogues, among which those that would retrieve it are looked for.
        null: the null comparisons so far; those of this state are added.
        options: how many pairs, states and refinements.
        round_number: for the provenance.
        run: the run's name, for the provenance.
        seed: the run's seed.
    """
    state = weak.state
    failures: list[str] = []
    held = await asyncio.to_thread(desk.library.entries) if desk.library else []
    known = {entry.id for entry in held}
    own_id = Entry.new(mask(weak.description.scenario)).id
    own_texts = [one for entry in held if entry.id == own_id for one in entry.strategies]
    rejected = [strategy.text for strategy in own_texts if strategy.out_of_use]
    given = await given_beside(desk, [state])
    # All replies are drawn before any is judged, here and below: an endpoint that holds the
    # student's prompt then need not read it anew after each of the judge's.
    plain = await plain_replies(desk, [state] * options.choose_pairs, seed)
    await extend_null(desk, state, [one.reply for one in plain], null, plain[0].seed)
    for attempt in range(options.refinements + 1):
        if desk.meter.spent:
            return False
        name = _proposal_name(state, round_number, attempt)
        tried = Attempt(
            desk, name, state.dialogue, state.turn, weak.description.scenario, state.customer_says
        )
        offered = await proposals(desk, weak, failures, options.alternatives, seed + 17 * attempt)
        candidates, refused = vetted(desk, weak, offered, rejected, given)
        texts = list(dict.fromkeys(text for one in offered for text in one.strategies))
        await desk.record(
            StrategyProposed(
                proposal=name, dialogue=state.dialogue, turn=state.turn, attempt=attempt,
                scenario=weak.description.scenario, texts=texts,
                source=candidates[0].source if candidates else "teacher",
                tactics=list(dict.fromkeys(id_ for one in offered for id_ in one.tactics)),
                refused=refused,
            )
        )  # fmt: skip
        if not candidates:
            await tried.dropped(texts, "refused: " + "; ".join(refused))
            failures += refused
            continue
        unit = spread(null.pairs)
        ranked = await choose(desk, name, candidates, partial(entry_of, weak), plain, unit)
        better = [one for one, pairs in ranked if mean_merit(pairs, unit) > 0]
        if not better:
            best, chosen = ranked[0] if ranked else (candidates[0], [])
            why = (
                "the replies with it were no better on the first tries"
                if ranked
                else "of all that was proposed nothing keeps the checks by code that hold without it"
            )
            decision = await tried.dropped(best.texts, why, chosen, best.source)
            failures.append(lesson(best, decision, chosen))
            continue
        allowed, broken = await first_allowed(desk, better)
        failures += broken
        if allowed is None:
            best = better[0]
            await tried.dropped(best.texts, "refused: " + "; ".join(broken), (), best.source)
            continue
        # A second try is tested on what its teacher has not been told about.
        at = seed + ATTEMPT_SEED * attempt
        fresh = await fresh_states(desk, state, wordings(plain, options.fresh_states), at)
        # What the test and the gate are measured by is fixed here, before their data.
        before = list(null.pairs)
        entry = entry_of(weak, allowed)
        # How it does in other scenarios is the gate's question: here they would only blur the answer.
        own = [other for other in others if other.scenario == state.scenario]
        similar = [near for _, near in await reached(desk, entry, state, own)]
        where = [state, *fresh, *similar[: options.similar_states]]
        decision, pairs = await accept(
            desk, name, entry, where, before, unit, options.accept_pairs, at
        )
        if not decision.kept:
            await tried.decided(allowed, decision, pairs)
            failures.append(lesson(allowed, decision, pairs))
            continue
        gate = await generalise(
            desk, name, entry, state, others, before, unit, most=options.gate_states, seed=at
        )
        if gate.entry is None:
            decision = Decision(False, gate.reason, decision.mean, decision.ci95)
            await tried.decided(allowed, decision, pairs, gate)
            failures.append(lesson(allowed, decision, gate.pairs))
            continue
        provenance = provenance_of(
            desk, state, allowed, decision, pairs, gate, states=len(where),
            round_number=round_number, run=run,
        )  # fmt: skip
        learned = entry_of(weak, allowed, provenance).model_copy(
            update={
                "rules": rules_at_stake(desk, [state.scenario], allowed),
                "threshold": gate.entry.threshold,
                "unless": gate.entry.unless,
            }
        )
        kept = await _kept(desk, name, learned, where, before, unit, known, run, at)
        if kept.merged:
            decision = Decision(False, f"merged: it {kept.merged}", decision.mean, decision.ci95)
        await tried.decided(allowed, decision, pairs, gate, kept.strategies)
        return not kept.merged
    return False


async def _kept(
    desk: Desk,
    name: str,
    entry: Entry,
    where: Sequence[State],
    null: Sequence[Pair],
    unit: float,
    known: set[str],
    run: str,
    seed: int,
) -> Kept:
    if desk.library is None:
        return Kept([])
    async with desk.keeping:
        return await keep(
            desk, desk.library, name, entry, where, null, unit, known=known, run=run, seed=seed
        )


def _proposal_name(state: State, round_number: int, attempt: int) -> str:
    digest = hashlib.sha256(f"{state.dialogue}|{state.turn}|{round_number}".encode()).hexdigest()
    return f"{digest[:8]}.{attempt}"
