"""Candidates: what the teacher proposes for a weak state, and what of it may be tried at all."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tutelage.agents.advice.expected_orders import expected_orders
from tutelage.agents.advice.policy_check import Breach, breach, plain_breach
from tutelage.agents.advice.rubric_orders import check_orders, rubric_orders
from tutelage.agents.advice.rule_orders import of_the_policy, orders_to_say, rule_orders
from tutelage.agents.advice.tactics import OVERLAP_FROM, policy_overlap
from tutelage.agents.models.faults import InvalidAnswer
from tutelage.agents.teacher import Proposal, Weakness
from tutelage.environments import Environment, Question, Tactic
from tutelage.strategy_store import Source, vet
from tutelage.strategy_store.given import CHARS_PER_TOKEN, TOKEN_BUDGET
from tutelage.strategy_store.wording import same_order, too_special

from ..log.events import Fault
from ..log.states import FAILED, State, missed_most
from ..play.desk import Desk
from ..statistics.acceptance import Decision, Pair
from .trials import Candidate, Weak

_RULINGS = 3
"""Candidates at most that are read against the policy, the best first."""
_QUOTED = 160
"""Characters of a reply that a lesson quotes."""
_NO_SENTENCE = re.compile(r"[\[\]{}]|//")
"""What a model writes into a list of sentences when it loses its thread."""
_FITTED_FROM = 0.5
"""Share of a strategy's content words found in a tactic from which it is that tactic, fitted."""


async def proposals(
    desk: Desk, weak: Weak, failures: Sequence[str], count: int, seed: int
) -> list[Proposal]:
    """What the teacher writes in `count` tries; see `tries`."""
    state = weak.state
    weakness = Weakness(
        scenario=desk.environment.scenarios[state.scenario],
        turns=state.turns,
        student_reply=state.reply,
        teacher_reply=weak.teacher_reply,
        reasons=state.reasons,
        ending=state.ending,
    )
    return await tries(
        desk, count, seed,
        lambda at: desk.teacher.propose(weakness, weak.tactics, failures, seed=at),
    )  # fmt: skip


async def tries(
    desk: Desk, count: int, seed: int, write: Callable[[int], Awaitable[Proposal]]
) -> list[Proposal]:
    """What a teacher writes in `count` tries with seeds of their own, side by side. An invalid answer is
    recorded and costs that try alone: what code finds is tried beside it.
    """

    async def one(at: int) -> Proposal | None:
        try:
            return await write(at)
        except InvalidAnswer as error:
            await desk.record(Fault(where="coaching", message=str(error)))
            return None

    written = await desk.side_by_side([seed + number for number in range(count)], one)
    return [proposal for proposal in written if proposal is not None]


def vetted(
    desk: Desk,
    weak: Weak,
    offered: Sequence[Proposal],
    refused_before: Sequence[str] = (),
    given: Sequence[str] = (),
) -> tuple[list[Candidate], list[str]]:
    """The candidates worth trying, and what code refused, with the reason.

    Each strategy is a candidate of its own, so that a good one is not judged by its company. The
    handbook tactics that the teacher chose (or those that fit best) compete with them, and so do the
    rules that decide the case and what a good agent says in it, put as orders to say it: one by one, and
    all of either together, as a case with two sides needs them. What orders the same is tried once.
    """
    offers = [*written(weak, offered), *told(desk.environment, weak.state)]
    candidates, refused = screened(desk, offers, refused_before, given)
    for source in ("policy", "scenario"):
        whole = tuple(one.texts[0] for one in candidates if one.source == source)
        if len(whole) > 1 and sum(map(len, whole)) <= TOKEN_BUDGET * CHARS_PER_TOKEN:
            candidates.append(Candidate(whole, source, ()))
    return candidates, refused


def written(weak: Weak, offered: Sequence[Proposal]) -> list[Candidate]:
    """What the teacher wrote for a weak state, and the tactics that it chose, or that fit best."""
    offers: list[Candidate] = []
    for proposal in offered:
        chosen = [tactic for tactic in weak.tactics if tactic.id in proposal.tactics]
        offers += [of_teacher(text, weak.tactics) for text in proposal.strategies]
        offers += [
            Candidate((tactic.do,), "handbook", (tactic.id,))
            for tactic in (chosen or list(weak.tactics))[:2]
        ]
    return offers


def told(environment: Environment, state: State) -> list[Candidate]:
    """What the rules that decide a state give, then what a good agent says there, each an order."""
    scenario = environment.scenarios[state.scenario]
    by_source: dict[Source, list[str]] = {
        "policy": rule_orders(environment.policy, scenario, state.turns),
        "scenario": expected_orders(scenario, environment.policy),
    }
    return [
        Candidate((order,), source, ()) for source, orders in by_source.items() for order in orders
    ]


def checked_for(states: Sequence[State]) -> list[Candidate]:
    """What the checks by code that failed most say of a good reply, each an order."""
    notes = [reason.removeprefix(FAILED) for reason in missed_most(states, FAILED)]
    return [Candidate((order,), "rubric", ()) for order in check_orders(notes)]


def screened(
    desk: Desk,
    offers: Sequence[Candidate],
    refused_before: Sequence[str] = (),
    given: Sequence[str] = (),
) -> tuple[list[Candidate], list[str]]:
    """Those of several candidates of one text each that code lets through, and what it refused, with
    the reason. Of those that order the same the first stands.

    Args:
        desk: the agents.
        offers: the candidates.
        refused_before: what was rejected or retired where they would stand: no library takes it in
            again.
        given: what stands beside them whichever is tried (see `trials.given_beside`): to order it
            once more is no news.
    """
    policy = desk.environment.policy
    rules = [rule.text for rule in policy.rules.values()]
    known = f"{policy.text}\n{desk.environment.config.title}"
    candidates: dict[str, Candidate] = {}
    refused: dict[str, None] = {}
    for offer in offers:
        text = " ".join(offer.texts[0].split()).strip(" -\"'")
        reasons = [*vet(text), *too_special(text, known)]
        if not orders_to_say(text) and policy_overlap(text, rules) >= OVERLAP_FROM:
            reasons.append("repeats a rule of the policy")
        if any(same_order(text, other) for other in refused_before):
            reasons.append("was rejected or retired in this library")
        if any(same_order(text, other) for other in given):
            reasons.append("is given there already")
        if _NO_SENTENCE.search(text):
            reasons.append("is no sentence to a person")
        if named := policy.named_in(text):
            reasons.append(f"names the rule {named}, which no customer knows")
        if not of_the_policy(text, policy) and (found := plain_breach(desk.environment, text)):
            reasons.append(str(found))
        if any(same_order(text, one.texts[0]) for one in candidates.values()):
            continue
        if reasons:
            refused[f"{text!r}: {', '.join(reasons)}"] = None
        else:
            candidates.setdefault(text.casefold(), replace(offer, texts=(text,)))
    return list(candidates.values()), list(refused)


def sources_of(candidates: Sequence[Candidate]) -> str:
    """Who proposed several candidates, in words; "" for none."""
    return ", ".join(dict.fromkeys(one.source for one in candidates))


def of_teacher(text: str, shown: Sequence[Tactic]) -> Candidate:
    """What the teacher wrote: its own, or one of the tactics that it was shown, fitted to the case."""
    fitted = [tactic.id for tactic in shown if policy_overlap(text, [tactic.do]) >= _FITTED_FROM]
    return Candidate((text,), "handbook" if fitted else "teacher", tuple(fitted))


def together(first: Candidate, second: Candidate) -> Candidate:
    """Two candidates as one; its source is the first one's unless either is of the handbook."""
    return Candidate(
        tuple(dict.fromkeys((*first.texts, *second.texts))),
        "handbook" if "handbook" in (first.source, second.source) else first.source,
        tuple(dict.fromkeys((*first.tactics, *second.tactics))),
    )


async def within_policy(desk: Desk, candidate: Candidate) -> tuple[Candidate | None, list[str]]:
    """The candidate without the texts that, as the judge reads them, would break a rule.

    Asked of the one that is about to be tested, not of all that were written: it costs up to
    three calls a text. What the policy says itself is not asked about, nor what the firm's rubric asks
    for.
    """
    environment = desk.environment
    items = list(environment.config.rubric)
    items += [item for scenario in environment.scenarios.values() for item in scenario.rubric]
    own = {*check_orders(item.note for item in items)}
    own |= {*rubric_orders(item.question for item in items if isinstance(item, Question))}

    async def broken(text: str) -> Breach | None:
        if text in own or of_the_policy(text, environment.policy):
            return None
        return await breach(environment, desk.judge.voice, text)

    found = await desk.side_by_side(candidate.texts, broken)
    refused = [f"{text!r}: {why}" for text, why in zip(candidate.texts, found, strict=True) if why]
    kept = tuple(text for text, why in zip(candidate.texts, found, strict=True) if not why)
    if not kept:
        return None, refused
    return Candidate(kept, candidate.source, candidate.tactics), refused


async def first_allowed(
    desk: Desk, ranked: Sequence[Candidate]
) -> tuple[Candidate | None, list[str]]:
    """The first of the best few candidates of which the policy leaves something, as it leaves it; and
    what it refused, with the rule.
    """
    refused: list[str] = []
    for candidate in ranked[:_RULINGS]:
        allowed, found = await within_policy(desk, candidate)
        refused += found
        if allowed is not None:
            return allowed, refused
    return None, refused


def lesson(candidate: Candidate, decision: Decision, pairs: Sequence[Pair]) -> str:
    """What the teacher is told of a try that failed: the words, why, and the reply that shows it."""
    told = f"{'; '.join(candidate.texts)} ({decision.reason})"
    if not pairs:
        return told
    worst = min(pairs, key=lambda pair: pair.preference)
    line, before, after = (
        " ".join(text.split())[:_QUOTED]
        for text in (worst.customer_says, worst.before, worst.after)
    )
    if worst.before.strip() == worst.after.strip():
        return f"{told}. The agent's reply to {line!r} did not change: be more concrete."
    return f"{told}. To {line!r} the agent then wrote {after!r} in place of {before!r}."
