"""The strategy step at one state: propose, try on some seeds, accept on others, refine or drop."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from tutelage.agents.tactics import OVERLAP_FROM, policy_overlap
from tutelage.agents.teacher import Description, Proposal, Weakness
from tutelage.agents.transcript import Reply, Turn, as_messages, with_actions
from tutelage.environments import Tactic, check_mean
from tutelage.strategy_store import (
    Entry,
    Evidence,
    Index,
    Library,
    Provenance,
    Retrieved,
    Strategy,
    mask,
    query_of,
    vet,
)

from .acceptance import Decision, Pair, decide, hopeless
from .desk import Desk
from .events import StrategyDecided, StrategyProposed, StrategyTried
from .states import State

SAME_ENTRY_FROM = 0.8
"""Similarity (0-1) of two scenario sentences from which a strategy joins the entry that is there."""

_CHOOSE_SEED, _ACCEPT_SEED = 1000, 2000


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How hard a strategy is tried. Seeds of choosing and accepting never meet."""

    refinements: int = 1
    choose_pairs: int = 2
    accept_pairs: int = 6
    fresh_states: int = 2
    similar_states: int = 2


@dataclass(frozen=True, slots=True)
class Weak:
    """A state that was examined and found weak."""

    state: State
    description: Description
    teacher_reply: str
    tactics: tuple[Tactic, ...]


@dataclass
class Null:
    """Preferences between two replies of the same student, gathered as the run goes."""

    preferences: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Candidate:
    texts: tuple[str, ...]
    source: str
    tactics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Two replies to one state on one seed, without and with the strategy."""

    state: State
    seed: int
    before: Reply
    after: Reply


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

    The candidates (the teacher's own words, and the handbook tactics it chose) are compared on
    `choose_pairs` seeds of the state itself; the best is then put to the test on fresh seeds, on
    fresh wordings of the state and on similar states of other dialogues (DESIGN, section 4). A
    dropped one is refined with the reason, `refinements` times.

    Args:
        desk: the agents; its library takes what is kept, as proposed.
        weak: the state.
        others: states of other dialogues, among which similar ones are looked for.
        null: the null comparisons so far; those of this state are added.
        options: how many pairs, states and refinements.
        round_number: for the provenance.
        run: the run's name, for the provenance.
        seed: the run's seed.
    """
    state = weak.state
    failures: list[str] = []
    # All replies are drawn before any is judged, here and below: an endpoint that holds the
    # student's prompt then need not read it anew after each of the judge's.
    plain = [
        await _reply(desk, state, seed + _CHOOSE_SEED + number)
        for number in range(options.choose_pairs)
    ]
    await _extend_null(desk, state, plain, null)
    fresh = await _fresh_states(desk, state, options.fresh_states, seed)
    for attempt in range(options.refinements + 1):
        if desk.meter.spent:
            return False
        name = _proposal_name(state, round_number, attempt)
        proposal = await desk.teacher.propose(
            _weakness(desk, weak), weak.tactics, failures, seed=seed + 17 * attempt
        )
        candidates, refused = _vetted(desk, weak, proposal)
        await desk.record(
            StrategyProposed(
                proposal=name, dialogue=state.dialogue, turn=state.turn, attempt=attempt,
                scenario=weak.description.scenario, texts=list(proposal.strategies),
                source=candidates[0].source if candidates else "teacher",
                tactics=list(proposal.tactics), refused=refused,
            )
        )  # fmt: skip
        if not candidates:
            decision = Decision(False, "refused: " + "; ".join(refused), 0.5, (0, 1), 0.5, None)
            await _record_decision(desk, name, weak, proposal.strategies, "teacher", decision, [])
            failures += refused
            continue
        best, chosen = await _choose(desk, name, weak, candidates, plain, seed)
        tried = sum(pair.preference for pair in chosen) / len(chosen)
        if tried <= 0.5:
            decision = Decision(
                False, "the replies with it were no better on the first tries", tried, (0, 1), 0.5,
                None,
            )  # fmt: skip
            await _record_decision(desk, name, weak, best.texts, best.source, decision, chosen)
            failures.append(f"{'; '.join(best.texts)} ({decision.reason})")
            continue
        similar = _similar_states(weak, best, others, options.similar_states)
        where = [state, *fresh, *similar]
        pairs = await _accept(desk, name, weak, best, where, options.accept_pairs, seed)
        decision = decide(pairs, null.preferences)
        kept: list[str] = []
        if decision.kept and desk.library is not None:
            kept = await asyncio.to_thread(
                _keep,
                desk,
                desk.library,
                weak,
                best,
                decision,
                pairs,
                len(where),
                round_number,
                run,
            )
        await _record_decision(
            desk, name, weak, best.texts, best.source, decision, pairs, strategies=kept
        )
        if decision.kept:
            return True
        failures.append(f"{'; '.join(best.texts)} ({decision.reason})")
    return False


async def _choose(
    desk: Desk,
    name: str,
    weak: Weak,
    candidates: Sequence[_Candidate],
    plain: Sequence[Reply],
    seed: int,
) -> tuple[_Candidate, list[Pair]]:
    """The candidate with the highest mean preference over the plain replies to the state itself."""
    state = weak.state
    drawn = [
        [
            _Drawn(state, seed + number, before, await _reply(desk, state, seed + number, given))
            for number, before in enumerate(plain, start=_CHOOSE_SEED)
        ]
        for given in [_as_retrieved(weak, candidate) for candidate in candidates]
    ]
    best: tuple[float, _Candidate, list[Pair]] | None = None
    for candidate, draws in zip(candidates, drawn, strict=True):
        pairs = [await _compare(desk, name, "choose", draw) for draw in draws]
        mean = sum(pair.preference for pair in pairs) / len(pairs)
        if best is None or mean > best[0]:
            best = (mean, candidate, pairs)
    assert best is not None
    return best[1], best[2]


async def _accept(
    desk: Desk,
    name: str,
    weak: Weak,
    candidate: _Candidate,
    where: Sequence[State],
    count: int,
    seed: int,
) -> list[Pair]:
    """Pairs on fresh seeds, going round the states; ended early where the case is hopeless."""
    given = _as_retrieved(weak, candidate)
    drawn: list[_Drawn] = []
    for number in range(count):
        # Other states come first: what fails to carry over is found out soonest there.
        state = where[(number + 1) % len(where)]
        at = seed + _ACCEPT_SEED + number
        before, after = await _reply(desk, state, at), await _reply(desk, state, at, given)
        drawn.append(_Drawn(state, at, before, after))
    pairs: list[Pair] = []
    for draw in drawn:
        pairs.append(await _compare(desk, name, "accept", draw))
        if hopeless(pairs, count) or desk.meter.spent:
            break
    return pairs


async def _compare(desk: Desk, name: str, phase: Literal["choose", "accept"], draw: _Drawn) -> Pair:
    """The judge's blind comparison of two replies, and the checks by code on each."""
    state, before, after = draw.state, draw.before, draw.after
    scenario = desk.environment.scenarios[state.scenario]
    preference = await desk.judge.prefer(
        scenario, state.turns, with_actions(before), with_actions(after)
    )
    items = desk.environment.rubric_for(scenario)
    pair = Pair(
        state.customer_says, with_actions(before), with_actions(after), preference,
        check_mean(items, before.text), check_mean(items, after.text),
    )  # fmt: skip
    await desk.record(
        StrategyTried(
            proposal=name, phase=phase, dialogue=state.dialogue, turn=state.turn, seed=draw.seed,
            customer_says=state.customer_says, before=before.text, after=after.text,
            tools_before=before.tools, tools_after=after.tools, preference=preference,
            checks_before=pair.checks_before, checks_after=pair.checks_after,
        )
    )  # fmt: skip
    return pair


async def _reply(desk: Desk, state: State, seed: int, given: Retrieved | None = None) -> Reply:
    """What the student answers with the strategy given, or with the library as it is."""
    scenario = desk.environment.scenarios[state.scenario]
    retrieved = [given] if given else await desk.retrieve(state.turns, state.scenario)
    return await desk.student.reply(scenario, state.turns, retrieved, seed)


async def _extend_null(desk: Desk, state: State, plain: Sequence[Reply], null: Null) -> None:
    """Comparisons of the student with itself: each plain reply with the next."""
    scenario = desk.environment.scenarios[state.scenario]
    for first, second in pairwise(plain):
        null.preferences.append(
            await desk.judge.prefer(
                scenario, state.turns, with_actions(first), with_actions(second)
            )
        )


async def _fresh_states(desk: Desk, state: State, count: int, seed: int) -> list[State]:
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
        heard = await desk.customer.speak(persona, scenario, earlier, 2 * (seed + number) + 9001)
        if heard.line is not None and not heard.line.goal_met:
            line = Turn(speaker="customer", text=heard.line.customer_says)
            fresh.append(replace(state, turns=(*earlier, line), persona=persona.name))
    return fresh


def _similar_states(
    weak: Weak, candidate: _Candidate, others: Sequence[State], most: int
) -> list[State]:
    """States of other dialogues that would retrieve this entry, the most similar first."""
    index = Index([_entry(weak, candidate)])
    scored: list[tuple[float, State]] = []
    for other in others:
        if other.dialogue == weak.state.dialogue:
            continue
        found = index.search(query_of(as_messages(other.turns)), top=1, threshold=0.3)
        if found:
            scored.append((found[0].similarity, other))
    scored.sort(key=lambda pair: -pair[0])
    return [other for _, other in scored[:most]]


def _vetted(desk: Desk, weak: Weak, proposal: Proposal) -> tuple[list[_Candidate], list[str]]:
    """The candidates worth trying, and what was refused with the reason."""
    rules = [rule.text for rule in desk.environment.policy.rules.values()]
    named = [tactic for tactic in weak.tactics if tactic.id in proposal.tactics]
    fitting = (named or list(weak.tactics))[:2]
    offers = [
        (proposal.strategies, "handbook" if named else "teacher", [t.id for t in named]),
        ([tactic.do for tactic in fitting], "handbook", [t.id for t in fitting]),
    ]
    candidates: list[_Candidate] = []
    refused: list[str] = []
    for texts, source, tactics in offers:
        good: list[str] = []
        for text in texts:
            text = " ".join(text.split()).strip(" -\"'")
            reasons = vet(text)
            if any(character.isdigit() for character in text):
                reasons = [*reasons, "holds a number, which fits one customer only"]
            if policy_overlap(text, rules) >= OVERLAP_FROM:
                reasons = [*reasons, "repeats a rule of the policy"]
            if reasons:
                refused.append(f"{text!r}: {', '.join(reasons)}")
            elif text not in good:
                good.append(text)
        if good and tuple(good) not in [c.texts for c in candidates]:
            candidates.append(_Candidate(tuple(good), source, tuple(tactics)))
    return candidates, refused


def _weakness(desk: Desk, weak: Weak) -> Weakness:
    state = weak.state
    return Weakness(
        scenario=desk.environment.scenarios[state.scenario],
        turns=state.turns,
        student_reply=state.reply,
        teacher_reply=weak.teacher_reply,
        reasons=state.reasons,
        ending=state.ending,
    )


def _proposal_name(state: State, round_number: int, attempt: int) -> str:
    digest = hashlib.sha256(f"{state.dialogue}|{state.turn}|{round_number}".encode()).hexdigest()
    return f"{digest[:8]}.{attempt}"


def _entry(weak: Weak, candidate: _Candidate, provenance: Provenance | None = None) -> Entry:
    provenance = provenance or Provenance(source="teacher")
    state = weak.state
    return Entry.new(
        scenario=mask(weak.description.scenario),
        wants=mask(weak.description.wants),
        feels=mask(weak.description.feels),
        cues=[mask(state.customer_says)],
        strategies=[Strategy.new(text, provenance) for text in candidate.texts],
    )


def _as_retrieved(weak: Weak, candidate: _Candidate) -> Retrieved:
    entry = _entry(weak, candidate)
    return Retrieved(
        entry=entry, strategies=entry.strategies, similarity=1.0, lexical=1.0, dense=None
    )


def _keep(
    desk: Desk,
    library: Library,
    weak: Weak,
    candidate: _Candidate,
    decision: Decision,
    pairs: Sequence[Pair],
    states: int,
    round_number: int,
    run: str,
) -> list[str]:
    """Write what was kept into the library, as proposed; returns the strategies' ids."""
    shown = max(pairs, key=lambda pair: pair.preference)
    models = desk.models
    state = weak.state
    before = [pair.checks_before for pair in pairs if pair.checks_before is not None]
    after = [pair.checks_after for pair in pairs if pair.checks_after is not None]
    provenance = Provenance(
        source="handbook" if candidate.source == "handbook" else "teacher",
        tactics=list(candidate.tactics),
        environment=desk.environment.name,
        run=run,
        round=round_number,
        scenario=state.scenario,
        persona=state.persona,
        dialogue=state.dialogue,
        turn=state.turn,
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
            checks_before=sum(before) / len(before) if before else None,
            checks_after=sum(after) / len(after) if after else None,
            null_threshold=decision.threshold,
            p=decision.p,
        ),
    )
    entry = _entry(weak, candidate, provenance)
    statuses = ("proposed", "approved")
    there = library.index(statuses).search(entry.scenario, top=1, threshold=SAME_ENTRY_FROM)
    if there:
        entry = entry.model_copy(
            update={k: getattr(there[0].entry, k) for k in ("id", "scenario", "wants", "feels")}
        )
    library.add(entry, by=f"run {run}".strip())
    return [strategy.id for strategy in entry.strategies]


async def _record_decision(
    desk: Desk,
    name: str,
    weak: Weak,
    texts: Sequence[str],
    source: str,
    decision: Decision,
    pairs: Sequence[Pair],
    strategies: Sequence[str] = (),
) -> None:
    shown = max(pairs, key=lambda pair: pair.preference) if pairs else None
    await desk.record(
        StrategyDecided(
            proposal=name,
            verdict="kept" if decision.kept else "dropped",
            reason=decision.reason,
            dialogue=weak.state.dialogue,
            turn=weak.state.turn,
            scenario=weak.description.scenario,
            texts=list(texts),
            strategies=list(strategies),
            source=source,
            customer_says=shown.customer_says if shown else "",
            before=shown.before if shown else "",
            after=shown.after if shown else "",
            preference=decision.mean if pairs else None,
            ci95=decision.ci95 if len(pairs) > 1 else None,
            pairs=len(pairs),
        )
    )
