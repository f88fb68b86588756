"""The strategy step at one state: propose, try on some seeds, accept on others, refine or drop."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tutelage.agents.transcript import Reply
from tutelage.strategy_store import Entry, Source

from .acceptance import Decision, Pair, decide, example_of, merit, spread
from .candidates import lesson, proposals, together, vetted, within_policy
from .desk import Desk
from .events import StrategyDecided, StrategyProposed
from .generalisation import Gate, generalise
from .keeping import Kept, keep, provenance_of
from .states import State
from .trials import (
    Candidate,
    Drawn,
    Null,
    Weak,
    as_retrieved,
    checks_of,
    compare,
    draw,
    entry_of,
    extend_null,
    fresh_states,
    reached,
    reply,
)

__all__ = ["Null", "StepOptions", "Weak", "strategy_step"]

_CHOOSE_SEED, _ACCEPT_SEED, _ATTEMPT_SEED = 1000, 2000, 10_000
_RULINGS = 3
"""Candidates at most that are read against the policy, the best first."""
_DRAWN_FIRST, _DRAWN_NEXT = 4, 2
"""Pairs of replies drawn before the first look of the test, and between looks."""


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
    known = {entry.id for entry in desk.library.entries()} if desk.library else set()
    # All replies are drawn before any is judged, here and below: an endpoint that holds the
    # student's prompt then need not read it anew after each of the judge's.
    plain = await desk.side_by_side(
        [seed + _CHOOSE_SEED + number for number in range(options.choose_pairs)],
        lambda at: reply(desk, state, at),
    )
    await extend_null(desk, state, plain, null)
    for attempt in range(options.refinements + 1):
        if desk.meter.spent:
            return False
        name = _proposal_name(state, round_number, attempt)
        tried = _Try(desk, weak, name)
        offered = await proposals(desk, weak, failures, options.alternatives, seed + 17 * attempt)
        candidates, refused = vetted(desk, weak, offered)
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
        ranked = await _choose(desk, name, weak, candidates, plain, null, seed)
        unit = spread(null.pairs)
        better = [one for one in ranked if _mean_merit(one[1], unit) > 0]
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
        allowed = None
        broken: list[str] = []
        for best, _ in better[:_RULINGS]:
            allowed, found = await within_policy(desk, best)
            broken += found
            if allowed is not None:
                break
        failures += broken
        if allowed is None:
            best, _ = better[0]
            await tried.dropped(best.texts, "refused: " + "; ".join(broken), (), best.source)
            continue
        # A second try is tested on what its teacher has not been told about.
        at = seed + _ATTEMPT_SEED * attempt
        fresh = await fresh_states(desk, state, options.fresh_states, at)
        # What the test and the gate are measured by is fixed here, before their data.
        before = list(null.pairs)
        entry = entry_of(weak, allowed)
        # How it does in other scenarios is the gate's question: here they would only blur the answer.
        own = [other for other in others if other.scenario == state.scenario]
        similar = [near for _, near in await reached(desk, entry, state, own)]
        where = [state, *fresh, *similar[: options.similar_states]]
        decision, pairs = await _accept(
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
            desk, weak, allowed, decision, pairs, gate, states=len(where),
            round_number=round_number, run=run,
        )  # fmt: skip
        learned = entry_of(weak, allowed, provenance).model_copy(
            update={"threshold": gate.entry.threshold, "unless": gate.entry.unless}
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


async def _choose(
    desk: Desk,
    name: str,
    weak: Weak,
    candidates: Sequence[Candidate],
    plain: Sequence[Reply],
    null: Null,
    seed: int,
) -> list[tuple[Candidate, list[Pair]]]:
    """The candidates with their pairs, by mean merit over the plain replies to the state itself.

    All are tried on the first seed, and after each the better half goes on to the next (sequential
    halving: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits").
    A candidate with whose first reply fewer checks hold than without it is out before the judge is
    asked, for no test would pass it. The best two of the first seed go on as one candidate more: what
    each does may add up.
    """
    state, unit = weak.state, spread(null.pairs)
    candidates = list(candidates)
    pairs: list[list[Pair]] = [[] for _ in candidates]
    left = list(range(len(candidates)))

    def mean(place: int) -> float:
        return _mean_merit(pairs[place], unit)

    for number, before in enumerate(plain):
        at = seed + _CHOOSE_SEED + number

        async def drawn(place: int, at: int = at, before: Reply = before) -> Drawn:
            given = as_retrieved(entry_of(weak, candidates[place]))
            return Drawn(state, at, before, await reply(desk, state, at, given))

        async def judged(one: Drawn) -> Pair:
            return await compare(desk, name, "choose", one)

        tried = await desk.side_by_side(left, drawn)
        if number == 0:
            standing = [at for at, one in enumerate(tried) if not _fell(desk, one)]
            if not standing:
                return []
            left, tried = [left[at] for at in standing], [tried[at] for at in standing]
        found = await desk.side_by_side(tried, judged)
        for place, pair in zip(left, found, strict=True):
            pairs[place].append(pair)
        best = sorted(left, key=mean, reverse=True)
        left = best[: math.ceil(len(best) / 2)]
        if number == 0 and len(plain) > 1 and len(best) > 1:
            left.append(len(candidates))
            candidates.append(together(*(candidates[place] for place in best[:2])))
            pairs.append([])
    out = [place for place, own in enumerate(pairs) if own and place not in left]
    out.sort(key=mean, reverse=True)
    return [(candidates[place], pairs[place]) for place in [*left, *out]]


def _fell(desk: Desk, drawn: Drawn) -> bool:
    """Whether fewer checks by code hold with the strategy than without it."""
    before, after = (
        checks_of(desk, drawn.state, said.text) for said in (drawn.before, drawn.after)
    )
    return before is not None and after is not None and after < before


def _mean_merit(pairs: Sequence[Pair], unit: float) -> float:
    return float(np.mean([merit(pair, unit) for pair in pairs]))


async def _accept(
    desk: Desk,
    name: str,
    entry: Entry,
    where: Sequence[State],
    null: Sequence[Pair],
    unit: float,
    planned: int,
    seed: int,
) -> tuple[Decision, list[Pair]]:
    """Pairs on fresh seeds, going round the states, until the test has decided."""
    given = as_retrieved(entry)
    pairs: list[Pair] = []
    waiting: list[Drawn] = []
    while (decision := decide(pairs, null, planned, unit=unit)) is None:
        if desk.meter.spent:
            return Decision(False, "the budget was spent before the test had decided"), pairs
        if not waiting:
            first = len(pairs)
            many = min(_DRAWN_NEXT if pairs else _DRAWN_FIRST, planned - first)
            # Other states come first: what fails to carry over is found out soonest there.
            waiting = await desk.side_by_side(
                range(first, first + many),
                lambda number: draw(
                    desk, where[(number + 1) % len(where)], seed + _ACCEPT_SEED + number, given
                ),
            )
        pairs.append(await compare(desk, name, "accept", waiting.pop(0)))
    return decision, pairs


@dataclass(frozen=True, slots=True)
class _Try:
    """One attempt at a state, whose end is written into the log."""

    desk: Desk
    weak: Weak
    name: str

    async def dropped(
        self,
        texts: Sequence[str],
        reason: str,
        pairs: Sequence[Pair] = (),
        source: Source = "teacher",
    ) -> Decision:
        """Dropped before it came to a test."""
        mean = float(np.mean([pair.preference for pair in pairs])) if pairs else 0.5
        decision = Decision(False, reason, mean)
        await self.decided(Candidate(tuple(texts), source, ()), decision, pairs)
        return decision

    async def decided(
        self,
        candidate: Candidate,
        decision: Decision,
        pairs: Sequence[Pair],
        gate: Gate | None = None,
        strategies: Sequence[str] = (),
    ) -> None:
        """Kept or dropped, and why."""
        shown = example_of(pairs, self.weak.state.customer_says) if pairs else None
        reason = decision.reason
        if gate is not None and decision.kept:
            reason = f"{reason}; {gate.reason}"
        await self.desk.record(
            StrategyDecided(
                proposal=self.name,
                verdict="kept" if decision.kept else "dropped",
                reason=reason,
                dialogue=self.weak.state.dialogue,
                turn=self.weak.state.turn,
                scenario=self.weak.description.scenario,
                texts=list(candidate.texts),
                strategies=list(strategies),
                source=candidate.source,
                customer_says=shown.customer_says if shown else "",
                before=shown.before if shown else "",
                after=shown.after if shown else "",
                preference=decision.mean if pairs else None,
                ci95=decision.ci95 if len(pairs) > 1 else None,
                pairs=len(pairs),
                elsewhere=len({p.customer_says for p in gate.pairs}) if gate else 0,
                narrowed=gate.narrowed if gate else "",
            )
        )


def _proposal_name(state: State, round_number: int, attempt: int) -> str:
    digest = hashlib.sha256(f"{state.dialogue}|{state.turn}|{round_number}".encode()).hexdigest()
    return f"{digest[:8]}.{attempt}"
