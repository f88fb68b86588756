"""Selection: the best of several candidates on some seeds and states, and its test on others."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tutelage.agents.judge import checks_won
from tutelage.agents.transcript import Reply
from tutelage.strategy_store import Entry, Source

from ..log.events import StrategyDecided
from ..log.states import State
from ..play.desk import Desk
from ..statistics.acceptance import Decision, Pair, decide, example_of, merit
from .candidates import together
from .generalisation import Gate
from .trials import Candidate, Drawn, compare, draw, reply

CHOOSE_SEED, ACCEPT_SEED, ATTEMPT_SEED = 1000, 2000, 10_000
"""Seeds of choosing, of accepting and of further attempts never meet."""
_DRAWN_FIRST, _DRAWN_NEXT = 4, 2
"""Pairs of replies drawn before the first look of the test, and between looks."""


_REPEATERS_WORDINGS = 12
"""A clear case takes six pairs (`acceptance.decide`), and ten where checks by code do not see it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What the student answers at a state on one seed, with the library as it is."""

    state: State
    seed: int
    reply: Reply


async def plain_replies(desk: Desk, states: Sequence[State], seed: int) -> list[Plain]:
    """One reply at each of these states, on seeds of choosing; a state may stand there twice."""
    places = list(enumerate(states))
    drawn = await desk.side_by_side(
        places, lambda item: reply(desk, item[1], seed + CHOOSE_SEED + item[0])
    )
    return [
        Plain(state, seed + CHOOSE_SEED + place, said)
        for (place, state), said in zip(places, drawn, strict=True)
    ]


async def choose(
    desk: Desk,
    name: str,
    candidates: Sequence[Candidate],
    as_entry: Callable[[Candidate], Entry],
    plain: Sequence[Plain],
    unit: float,
) -> list[tuple[Candidate, list[Pair]]]:
    """The candidates with their pairs, by mean merit over the plain replies.

    All are tried against the first reply, and after each the better half goes on to the next (sequential
    halving: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits").
    The first halving is by code as far as that tells them apart, before the judge is asked; a candidate
    with whose first reply fewer checks hold than without it is out, for no test would pass it. The best
    two of the first seed go on as one candidate more: what each does may add up.
    """
    candidates = list(candidates)
    pairs: list[list[Pair]] = [[] for _ in candidates]
    left = list(range(len(candidates)))

    def mean(place: int) -> float:
        return mean_merit(pairs[place], unit)

    for number, before in enumerate(plain):

        async def drawn(place: int, before: Plain = before) -> Drawn:
            after = await reply(desk, before.state, before.seed, as_entry(candidates[place]))
            return Drawn(before.state, before.seed, before.reply, after)

        async def judged(one: Drawn) -> Pair:
            return await compare(desk, name, "choose", one)

        tried = await desk.side_by_side(left, drawn)
        if number == 0:
            standing = better_by_code([sum(_by_code(desk, one)) for one in tried])
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


@dataclass(frozen=True, slots=True)
class Won:
    """What each candidate wins (above zero) or loses by itself: a row a candidate, a column what can be
    won in a state of the scenario that `scenarios` names.
    """

    candidates: Sequence[Candidate]
    scenarios: Sequence[str]
    values: NDArray[np.float64]

    def ranked(self) -> list[Candidate]:
        """Those that win more than they lose, the best first."""
        totals = self.values.sum(axis=1)
        return [
            self.candidates[at] for at in np.argsort(-totals, kind="stable") if totals[at] > 1e-9
        ]

    def best(self, scenarios: Collection[str], most: int, letters: int) -> list[Candidate]:
        """Those that together win most in these scenarios, `most` of `letters` together at most."""
        if not self.candidates:
            return []
        values = self.values[:, [one in scenarios for one in self.scenarios]]
        long = [sum(map(len, one.texts)) for one in self.candidates]
        return [self.candidates[place] for place in complementary(values, long, letters, most)]


async def wins(
    desk: Desk,
    name: str,
    candidates: Sequence[Candidate],
    as_entry: Callable[[Candidate], Entry],
    plain: Sequence[Plain],
) -> Won:
    """Every candidate against every plain reply, by the checks by code. The judge is asked where by code
    none wins more than it loses, and of those alone that lose nothing. Of what the budget cuts off
    nothing comes: a run that goes on does it anew.
    """

    async def drawn(item: tuple[Candidate, Plain]) -> Drawn | None:
        candidate, before = item
        if desk.meter.spent:
            return None
        after = await reply(desk, before.state, before.seed, as_entry(candidate))
        return Drawn(before.state, before.seed, before.reply, after)

    tries = [(candidate, before) for candidate in candidates for before in plain]
    found = [one for one in await desk.side_by_side(tries, drawn) if one is not None]
    if len(found) < len(tries):
        return Won([], [], np.zeros((0, 0)))
    rows = [found[at : at + len(plain)] for at in range(0, len(found), len(plain))]
    checked = [[_by_code(desk, one) for one in row] for row in rows]
    columns = [one.state.scenario for one, own in zip(plain, checked[0], strict=True) for _ in own]
    values = np.array([[value for own in row for value in own] for row in checked])
    totals = values.sum(axis=1)
    if (totals > 0).any():
        return Won(candidates, columns, values)

    async def judged(row: Sequence[Drawn]) -> list[float]:
        pairs = [await compare(desk, name, "choose", one) for one in row]
        return [pair.preference - 0.5 for pair in pairs]

    standing = [place for place, total in enumerate(totals) if total >= 0]
    preferred = np.full((len(candidates), len(plain)), -1.0)
    if standing:
        preferred[standing] = await desk.side_by_side([rows[place] for place in standing], judged)
    return Won(candidates, [one.state.scenario for one in plain], preferred)


def _by_code(desk: Desk, drawn: Drawn) -> list[float]:
    """What the second reply wins and loses of each check by code, by its weight."""
    scenario = desk.environment.scenarios[drawn.state.scenario]
    had, has = (
        checks_won(desk.environment, scenario, drawn.state.turns, said.text)
        for said in (drawn.before, drawn.after)
    )
    return [now - then for then, now in zip(had, has, strict=True)]


def complementary(
    values: NDArray[np.float64], letters: Sequence[int], room: int, most: int
) -> list[int]:
    """The candidates that together win most, the best first: each is there for what those before it do
    not win. Never one that loses as much as it adds.

    Args:
        values: candidates x things that can be won or lost, each with what a candidate by itself wins
            there (above zero) or loses.
        letters: how long each candidate is.
        room: letters at most, of all together.
        most: candidates at most.
    """
    won, lost = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    chosen: list[int] = []
    while len(chosen) < most:
        adds = (np.maximum(values, won) - won + np.minimum(values, lost) - lost).sum(axis=1)
        left = room - sum(letters[place] for place in chosen)
        adds[[place in chosen or long > left for place, long in enumerate(letters)]] = 0
        best = int(adds.argmax())
        if adds[best] <= 1e-9:
            break
        chosen.append(best)
        won, lost = np.maximum(won, values[best]), np.minimum(lost, values[best])
    return chosen


def mean_merit(pairs: Sequence[Pair], unit: float) -> float:
    """The mean merit of a candidate's pairs; see `acceptance.merit`."""
    return float(np.mean([merit(pair, unit) for pair in pairs]))


async def accept(
    desk: Desk,
    name: str,
    entry: Entry,
    where: Sequence[State],
    null: Sequence[Pair],
    unit: float,
    planned: int,
    seed: int,
) -> tuple[Decision, list[Pair]]:
    """Pairs on fresh seeds, going round the states, until `acceptance.decide` has decided.

    Of a student that answers a state in the same words whatever the seed, a second pair there is no
    further evidence: it counts once, and the test ends with a lap of such pairs.
    """
    pairs: list[Pair] = []
    waiting: list[Drawn] = []
    many = len({state.scenario for state in where})
    seen: set[tuple[str, ...]] = set()
    drawn, again = 0, 0
    while (decision := decide(pairs, null, planned, unit=unit, scenarios=many)) is None:
        if desk.meter.spent:
            return Decision(False, "the budget was spent before the test had decided"), pairs
        if not waiting:
            if drawn >= planned or again >= len(where):
                # No pair is left that was not seen: decided on what there is.
                planned = len(pairs)
                continue
            fresh = min(_DRAWN_NEXT if drawn else _DRAWN_FIRST, planned - drawn)
            # Other states come first: what fails to carry over is found out soonest there.
            waiting = await desk.side_by_side(
                range(drawn, drawn + fresh),
                lambda number: draw(
                    desk, where[(number + 1) % len(where)], seed + ACCEPT_SEED + number, entry
                ),
            )
            drawn += fresh
        one = waiting.pop(0)
        said = (*_words(one.state), one.before.text, one.after.text)
        again = again + 1 if said in seen else 0
        if said not in seen:
            seen.add(said)
            pairs.append(await compare(desk, name, "accept", one))
    return decision, pairs


def wordings(plain: Sequence[Plain], usual: int) -> int:
    """In how many fresh wordings of its state something is tested: `usual`, or _REPEATERS_WORDINGS of a
    student whose replies do not depend on the seed, where each wording gives one pair.
    """
    replies: dict[tuple[str, ...], list[str]] = {}
    for one in plain:
        replies.setdefault(_words(one.state), []).append(one.reply.text)
    several = [said for said in replies.values() if len(said) > 1]
    repeats = bool(several) and all(len(set(said)) == 1 for said in several)
    return max(usual, _REPEATERS_WORDINGS) if repeats else usual


def _words(state: State) -> tuple[str, ...]:
    return tuple(turn.text for turn in state.turns)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to teach something, whose end is written into the log: the proposal's name, where it
    was written, the scenario in words, and the customer's line that it was written for, if any.
    """

    desk: Desk
    name: str
    dialogue: str
    turn: int
    scenario: str
    customer_says: str = ""

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
        shown = example_of(pairs, self.customer_says) if pairs else None
        reason = decision.reason
        if gate is not None and decision.kept:
            reason = f"{reason}; {gate.reason}"
        await self.desk.record(
            StrategyDecided(
                proposal=self.name,
                verdict="kept" if decision.kept else "dropped",
                reason=reason,
                dialogue=self.dialogue,
                turn=self.turn,
                scenario=self.scenario,
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


def better_by_code(won: Sequence[float]) -> list[int]:
    """The places of those that lose no check, less those with fewer checks than the better half."""
    standing = [place for place, share in enumerate(won) if share >= 0]
    if not standing:
        return []
    least = sorted((won[place] for place in standing), reverse=True)[(len(standing) - 1) // 2]
    return [place for place in standing if won[place] >= least - 1e-9]
