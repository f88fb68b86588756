"""The general step: what does good whatever the customer writes is given in every state."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from tutelage.agents.advice.rubric_orders import rubric_orders
from tutelage.agents.advice.tactics import GENERIC_ADVICE, fitting_tactics, policy_overlap
from tutelage.agents.teacher import Exchange
from tutelage.strategy_store import ANY_CUSTOMER
from tutelage.strategy_store.wording import content_words, same_order

from ..log.events import StrategyProposed
from ..log.states import DOUBTFUL, State, missed_most, weakest
from ..play.desk import Desk
from ..statistics.acceptance import spread
from .candidates import checked_for, of_teacher, screened, sources_of, tries, within_policy
from .keeping import provenance_of
from .selection import ATTEMPT_SEED, Attempt, accept, plain_replies, wins
from .strategy_step import StepOptions
from .trials import Candidate, Null, Weak, extend_null, general_entry

GENERAL_SEED = 5000
LEAST_SCENARIOS = 4
"""Scenarios met before anything can be said of every customer: half are chosen on, half accepted on."""
MOST_GENERAL = 3
"""Strategies for every state that a library learns at most: a weak student follows few at a time."""
_CHOSEN_ON, _TESTS = 8, 2
"""States that the candidates are compared in, and how many of the best are tested at most."""
_PAIRS = 3
"""Times the pairs of another strategy's test, at most: what helps everybody helps each a little."""
_SHOWN, _TACTICS = 3, 4
"""Exchanges and handbook tactics at most that the teacher is shown."""
_FEW = 0.1
"""Share of the training scenarios that a word may have and still be of few."""
_OF_A_RULE = 0.5
"""Share of a strategy's content words found in one rule from which it says what that rule gives."""


async def general_step(
    desk: Desk,
    weak: Sequence[Weak],
    met: Sequence[State],
    unmet: Sequence[State],
    null: Null,
    options: StepOptions,
    *,
    round_number: int,
    run: str = "",
    seed: int = 0,
) -> bool | None:
    """Learn strategies that are given in every state, until the library holds MOST_GENERAL; says whether
    something was kept, None where nothing was tried.

    The teacher writes them on sight of several weak replies and of what reviewers found most often.
    The candidates (what the rubric asks for and was missed most, as orders, GENERIC_ADVICE, those, and
    the handbook's tactics that the teacher chose) are compared in one state each of half of the
    scenarios met and of some that nobody has met; the best is accepted, by the same test as any
    strategy, in the states of the others, and where it fails the next best. It is tried beside what the
    library gives there already, general ones too. Whatever is learned for one scenario later has to be
    better with it in place.

    Args:
        desk: the agents; its library takes what is kept, as proposed.
        weak: the weak states of this round.
        met: the states of the training dialogues so far.
        unmet: openings of training scenarios that no dialogue has met.
        null: the null comparisons so far; those of the states that are chosen on are added.
        options: how many pairs and proposals.
        round_number: for the provenance.
        run: the run's name, for the provenance.
        seed: the run's seed.
    """
    if desk.library is None or desk.meter.spent:
        return None
    entries = await asyncio.to_thread(desk.library.entries)
    held = [strategy for entry in entries if entry.general for strategy in entry.strategies]
    places = weakest(met)
    general = [strategy.text for strategy in held if not strategy.out_of_use]
    if len(places) < LEAST_SCENARIOS or not weak or len(general) >= MOST_GENERAL:
        return None
    at = seed + GENERAL_SEED + round_number
    random.Random(at).shuffle(places)  # noqa: S311 - a plan, not a secret
    new = list(unmet)
    random.Random(at).shuffle(new)  # noqa: S311 - a plan, not a secret
    half = min(len(places) // 2, _CHOSEN_ON)
    more = _CHOSEN_ON - half
    chosen_on, accepted_on = [*places[:half], *new[:more]], [*places[half:], *new[more:]]

    name = general_name(round_number)
    tried = Attempt(desk, name, name, 0, ANY_CUSTOMER)
    offered = await _offers(desk, weak, met, options.alternatives, at)
    candidates, refused = screened(
        desk, [*_known(met), *offered], [s.text for s in held if s.out_of_use]
    )
    against = _not_for_all(desk, weak)
    read = [(one, against(one)) for one in candidates]
    refused += [f"{one.texts[0]!r}: {why}" for one, why in read if why]
    candidates = [
        one
        for one, why in read
        if not why and not any(same_order(one.texts[0], text) for text in general)
    ]
    await desk.record(
        StrategyProposed(
            proposal=name, dialogue=name, turn=0, attempt=0, scenario=ANY_CUSTOMER,
            texts=[one.texts[0] for one in candidates],
            source=sources_of(candidates) or "teacher",
            tactics=list(dict.fromkeys(id_ for one in candidates for id_ in one.tactics)),
            refused=refused,
        )
    )  # fmt: skip
    if not candidates:
        await tried.dropped([], "nothing new was proposed" + "".join(f"; {why}" for why in refused))
        return False
    plain = await plain_replies(desk, [*chosen_on, *chosen_on], at)
    plain, again = plain[: len(chosen_on)], plain[len(chosen_on) :]
    for first, second in zip(plain, again, strict=True):
        await extend_null(desk, first.state, [first.reply, second.reply], null, first.seed)
    unit = spread(null.pairs)
    better = (await wins(desk, name, candidates, general_entry, plain)).ranked()
    if desk.meter.spent:
        return False
    if not better:
        best = candidates[0]
        await tried.dropped(best.texts, "the replies with it were no better", (), best.source)
        return False
    before = list(null.pairs)
    for number, one in enumerate(better[:_TESTS]):
        allowed, broken = await within_policy(desk, one)
        if allowed is None:
            await tried.dropped(one.texts, "refused: " + "; ".join(broken), (), one.source)
            continue
        decision, pairs = await accept(
            desk, name, general_entry(allowed), accepted_on, before, unit,
            _PAIRS * options.accept_pairs, at + ATTEMPT_SEED * number,
        )  # fmt: skip
        if not decision.kept:
            await tried.decided(allowed, decision, pairs)
            continue
        entry = general_entry(
            allowed,
            provenance_of(
                desk, None, allowed, decision, pairs,
                states=len(accepted_on), round_number=round_number, run=run,
            ),
        )  # fmt: skip
        await asyncio.to_thread(desk.library.add, entry, f"run {run}".strip())
        await tried.decided(allowed, decision, pairs, strategies=[s.id for s in entry.strategies])
        return True
    return False


def general_name(round_number: int) -> str:
    """The name, in the log, of what a round tries for every state."""
    return f"r{round_number}.general"


async def _offers(
    desk: Desk, weak: Sequence[Weak], met: Sequence[State], count: int, seed: int
) -> list[Candidate]:
    """What the teacher writes in `count` tries with seeds of their own, and the tactics it chose."""
    reasons = missed_most(met)
    exchanges = [
        Exchange(one.state.customer_says, one.state.reply, one.teacher_reply)
        for one in _shown(weak)
    ]
    told = " ".join([*reasons, *(one.customer_says for one in exchanges)])
    tactics = fitting_tactics(desk.environment, told, _TACTICS)
    offered = await tries(
        desk, count, seed, lambda at: desk.teacher.propose_general(exchanges, reasons, tactics, at)
    )
    chosen = dict.fromkeys(id_ for proposal in offered for id_ in proposal.tactics)
    return [
        *(of_teacher(text, tactics) for one in offered for text in one.strategies),
        *(Candidate((desk.environment.handbook[id_].do,), "handbook", (id_,)) for id_ in chosen),
    ]


def _shown(weak: Sequence[Weak]) -> list[Weak]:
    """The last weak state of each scenario, of a few."""
    return list({one.state.scenario: one for one in weak}.values())[:_SHOWN]


def _not_for_all(desk: Desk, weak: Sequence[Weak]) -> Callable[[Candidate], str]:
    """Why what the teacher wrote is not for every customer, "" where it is: it takes up a word of a
    customer that it was shown which few scenarios have, or what one rule gives. "Sorry for the loss of
    your hand" and "the care team takes the injury seriously", said to everybody, win checks and help
    nobody.
    """
    told = [f"{one.situation} {one.goal} {one.opening}" for one in desk.environment.split("train")]
    scenarios = Counter(word for text in told for word in set(content_words(text)))
    said = {word for one in _shown(weak) for word in content_words(one.state.customer_says)}
    special = {word for word in said if scenarios[word] <= len(told) * _FEW}
    rules = [rule.text for rule in desk.environment.policy.rules.values()]
    tactics = {tactic.do for tactic in desk.environment.handbook.values()}

    def against(one: Candidate) -> str:
        (text,) = one.texts
        if one.source not in ("teacher", "handbook") or text in tactics:
            return ""
        if special & {*content_words(text)}:
            return "is for one customer"
        return "is for whom one rule is" if policy_overlap(text, rules) >= _OF_A_RULE else ""

    return against


def _known(met: Sequence[State]) -> list[Candidate]:
    doubtful = [reason.removeprefix(DOUBTFUL) for reason in missed_most(met, DOUBTFUL)]
    orders = rubric_orders(doubtful)
    return [
        *checked_for(met),
        *(Candidate((order,), "rubric", ()) for order in orders),
        Candidate((GENERIC_ADVICE,), "generic", ()),
    ]
