"""Planted strategies of known worth, judged with known accuracy, put to a rule of acceptance.

A reply is good or bad. The plain student is good with the chance `plain`, with the strategy with
`coached`. The judge tells a good reply from a bad one with the given accuracy, in both orders
averaged, and speaks as quietly as a small model read by its log-probabilities (mostly within 0.1 of
one half); on two equal replies it says something all the same. One check by code of eight sees quality
too: it holds with every good reply, and fails with a bad one as often as it sees that it is bad.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats
from tutelage.graphs.statistics.acceptance import USUAL_CHECKS, Pair, decide, spread

PLANTED = {
    "very harmful": (0.6, 0.1),
    "harmful": (0.5, 0.2),
    "useless": (0.4, 0.4),
    "good": (0.2, 0.7),
    "very good": (0.1, 0.9),
}
"""Kind to the chances of a good reply without and with the strategy, at a weak state."""
CALLS_A_PAIR = 4
"""Two replies and the comparison in both orders."""
QUIET = 0.3
"""Log-odds that the judge puts on one unit of what it sees."""


@dataclass(frozen=True)
class World:
    """A judge's accuracy (0.5-1), how loud it speaks, and how often the code check sees a bad reply."""

    accuracy: float
    quiet: float = QUIET
    code_sees: float = 0.0

    @cached_property
    def signal(self) -> float:
        """How far apart the judge sees a good and a bad reply, in units of its noise."""
        return float(stats.norm.ppf(min(self.accuracy, 0.999)))

    def pair(self, rng: np.random.Generator, before: float, after: float) -> Pair:
        """One comparison where the replies are good with these chances."""
        first, second = rng.random() < before, rng.random() < after
        seen = (int(second) - int(first)) * self.signal + rng.normal()
        held = [good or rng.random() >= self.code_sees for good in (first, second)]
        checks = [(USUAL_CHECKS - 1 + holds) / USUAL_CHECKS for holds in held]
        preference = 1 / (1 + math.exp(-self.quiet * seen))
        return Pair("", "before", "after", preference, *checks)


Rule = Callable[[World, np.random.Generator, float, float, int], tuple[bool, int]]


def by_betting(
    world: World, rng: np.random.Generator, before: float, after: float, planned: int
) -> tuple[bool, int]:
    """The rule of the product: whether it keeps, and after how many pairs."""
    null = [world.pair(rng, before, before) for _ in range(8)]
    unit = spread(null)
    pairs: list[Pair] = []
    while (decision := decide(pairs, null, planned, unit=unit)) is None:
        pairs.append(world.pair(rng, before, after))
    return decision.kept, len(pairs)


def by_fixed_t_test(
    world: World, rng: np.random.Generator, before: float, after: float, planned: int
) -> tuple[bool, int]:
    """The rule it replaced: a fixed number of pairs, a t test at level 0.1, checks not fallen."""
    pairs = [world.pair(rng, before, after) for _ in range(planned)]
    preferences = np.array([pair.preference for pair in pairs])
    p = stats.ttest_1samp(preferences, 0.5, alternative="greater").pvalue
    fell = np.mean([p.checks_after for p in pairs]) < np.mean([p.checks_before for p in pairs])
    return bool(p <= 0.1 and preferences.mean() > 0.52 and not fell), planned


def by_best_of_three(
    world: World, rng: np.random.Generator, before: float, after: float, planned: int
) -> tuple[bool, int]:
    """The naive loop: three tries of two pairs each, the best is kept if over one half."""
    means = [np.mean([world.pair(rng, before, after).preference for _ in range(2)]) for _ in "123"]
    return bool(max(means) > 0.5), 6


@dataclass(frozen=True)
class Row:
    """What a rule does with strategies of one kind under one judge."""

    rule: str
    accuracy: float
    code_sees: float
    kind: str
    kept: float
    pairs: float
    calls: float


def table(
    rules: dict[str, Rule],
    accuracies: Sequence[float],
    trials: int,
    planned: int,
    *,
    code_sees: float = 0.0,
    seed: int = 0,
) -> list[Row]:
    """The share kept of each planted kind, by rule and judge, over `trials` strategies each."""
    rows: list[Row] = []
    for name, rule in rules.items():
        for accuracy in accuracies:
            world = World(accuracy, code_sees=code_sees)
            for kind, (before, after) in PLANTED.items():
                rng = np.random.default_rng([seed, round(accuracy * 1000), len(kind)])
                done = [rule(world, rng, before, after, planned) for _ in range(trials)]
                pairs = float(np.mean([count for _, count in done]))
                kept = float(np.mean([kept for kept, _ in done]))
                rows.append(Row(name, accuracy, code_sees, kind, kept, pairs, pairs * CALLS_A_PAIR))
    return rows
