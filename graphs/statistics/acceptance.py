"""Acceptance: whether the replies with a strategy are really better, as a test and not a maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..log.events import USUAL_CHECKS
from .sequential import e_value

ALPHA = 0.05
"""The chance, at most, that a strategy without any effect passes the sequential test."""
MIN_SPREAD = 0.02
"""Least preference away from one half (0-0.5) that counts in full, however quiet the judge is."""
MIN_GAIN = 0.1
"""Least mean gain (0-1) that is worth an entry, however certain it is."""
ONE_CHECK = 0.75
"""What one more check by code that holds is worth, in clear preferences, however many the rubric has:
code does not err, judges do."""
BESIDE_CODE = 0.5
"""What a clear preference is worth where there are checks by code: the judge has read them already, and
what the bundled one adds by itself is mostly noise (docs/learning.md)."""
LEAST_LOOKED_AT = 4
"""Pairs before a strategy whose mean gain is not above zero is given up."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One blind comparison: the customer's line, the replies without and with, the probability
    that the latter is better (both orders averaged), and the share of code checks each passes.
    """

    customer_says: str
    before: str
    after: str
    preference: float
    checks_before: float | None = None
    checks_after: float | None = None
    checks: float = USUAL_CHECKS
    """How many checks the shares are of, each counted by its weight."""
    scenario: str = ""
    """The firm's, in which it was drawn."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pairs say. `mean` is the mean preference, with its interval; `gain` (-1 to 1) the mean
    of what the test is about, `threshold` what it had to pass, `p` its anytime-valid p.
    """

    kept: bool
    reason: str
    mean: float = 0.5
    ci95: tuple[float, float] = (0.0, 1.0)
    gain: float = 0.0
    threshold: float = MIN_GAIN
    p: float | None = None


def spread(null: Sequence[Pair]) -> float:
    """How far from one half the judge puts two replies of the same student: the median.

    One unit of the gain. What counts as a clear preference differs between judges by a factor of
    ten, and the null comparisons say which this one is. Taken before a test, never from its data.
    """
    away = [abs(pair.preference - 0.5) for pair in null]
    return max(MIN_SPREAD, float(np.median(away))) if away else MIN_SPREAD


def merit(pair: Pair, unit: float) -> float:
    """How much one pair says for the strategy: the judge's preference in units of the null's spread
    (one at most, either way), or where there are checks by code BESIDE_CODE of it and the checks won or
    lost, each worth ONE_CHECK.

    Where the strategy changes nothing, before and after may change places, so it is symmetric about
    zero whatever the judge's biases: that is what the test rests on.
    """
    preferred = float(np.clip((pair.preference - 0.5) / unit, -1.0, 1.0))
    if pair.checks_before is None or pair.checks_after is None:
        return preferred
    won = pair.checks * (pair.checks_after - pair.checks_before)
    return BESIDE_CODE * preferred + ONE_CHECK * won


def gain(pair: Pair, unit: float) -> float:
    """The merit of one pair as a mean takes it, cut to -1 to 1.

    Cut, so that no one lucky pair makes a mean.
    """
    return float(np.clip(merit(pair, unit), -1.0, 1.0))


def null_threshold(null: Sequence[Pair], unit: float, pairs: int, seed: int = 0) -> float:
    """The mean gain that two samples of the same student stay below in 95 of 100 cases.

    Args:
        null: comparisons of two replies of the same student to the same state. Which of the two came
            first is chance, so they are mirrored.
        unit: see `spread`.
        pairs: how many comparisons the mean will be taken over.
        seed: for the resampling (2,000 draws).

    Returns:
        At least MIN_GAIN.
    """
    if not null or pairs < 1:
        return MIN_GAIN
    away = np.abs([gain(pair, unit) for pair in null])
    rng = np.random.default_rng(seed)
    drawn = rng.choice(away, size=(2000, pairs)) * rng.choice((-1.0, 1.0), size=(2000, pairs))
    return max(MIN_GAIN, float(np.quantile(drawn.mean(axis=1), 0.95)))


def decide(
    pairs: Sequence[Pair],
    null: Sequence[Pair],
    planned: int,
    *,
    unit: float | None = None,
    scenarios: int = 1,
) -> Decision | None:
    """Keep, drop, or (None) go on, on pairs that the strategy was not chosen on; may be asked after
    every pair.

    A sequential test by betting (Vovk and Wang 2024, see `sequential.e_value`): kept as soon as the
    evidence for a gain reaches 1 / ALPHA, the mean gain passes what the null distribution gives by
    chance, the judge's mean preference is not below one half, and the code checks have not fallen.
    Dropped as soon as the evidence for a loss is as strong, the mean gain of
    LEAST_LOOKED_AT pairs or more is not above zero, or what is left of the `planned` pairs could not
    change the answer any more. Giving up early never lets more in; what is tested in several scenarios
    may help in some of them only, and is given up once each could be seen twice.

    Args:
        pairs: so far.
        null: comparisons of the student with itself.
        planned: pairs at most.
        unit: see `spread`; from `null` where not given. Must be the same at every look.
        scenarios: of how many the pairs are, going round them.
    """
    unit = spread(null) if unit is None else unit
    seen = min(2 * scenarios, planned // 2) if scenarios > 1 else 0
    gains = [gain(pair, unit) for pair in pairs]
    count = len(pairs)
    preferences = [pair.preference for pair in pairs]
    mean_gain = float(np.mean(gains)) if gains else 0.0
    merits = [merit(pair, unit) for pair in pairs]
    found = e_value(merits)

    # Drawn only where it can decide: most looks end below the evidence that is asked for.
    threshold = null_threshold(null, unit, count) if found >= 1 / ALPHA else MIN_GAIN

    def verdict(kept: bool, reason: str) -> Decision:
        return Decision(
            kept, reason, float(np.mean(preferences)) if count else 0.5,
            mean_interval(preferences), mean_gain, threshold, min(1.0, 1 / found),
        )  # fmt: skip

    if count == 0:
        return verdict(False, "no comparison could be made") if planned < 1 else None
    if e_value([-value for value in merits]) >= 1 / ALPHA:
        return verdict(False, "the replies with it are worse")
    before, after = check_means(pairs)
    fell = after < before - 1e-9
    last = count >= planned
    liked = float(np.mean(preferences)) >= 0.5
    if found >= 1 / ALPHA and mean_gain > threshold and liked:
        if not fell:
            return verdict(True, "better on seeds and states it was not chosen on")
        if last:
            return verdict(False, f"the code checks fell from {before:.2f} to {after:.2f}")
        return None
    if mean_gain <= 0 and (count >= max(LEAST_LOOKED_AT, seen) or last):
        return verdict(False, "the replies with it are not better")
    if last and found >= 1 / ALPHA:
        chance = "the gain lies within what chance gives two replies of the same student"
        disliked = "the checks by code gain, and the judge prefers the replies without it"
        return verdict(False, chance if liked else disliked)
    if last or (count >= seen and hopeless(merits, planned)):
        told = f"the gain is not certain enough (p = {min(1.0, 1 / found):.2f} after {count} pairs)"
        return verdict(False, told)
    return None


def hopeless(merits: Sequence[float], planned: int) -> bool:
    """Whether even a clear gain in every pair to the end, or what is the best so far if that is less,
    would not be evidence enough.
    """
    best = min(1.0, max(*merits, 0.0)) if len(merits) > 1 else 1.0
    return e_value([*merits, *[best] * (planned - len(merits))]) < 1 / ALPHA


def example_of(pairs: Sequence[Pair], line: str) -> Pair:
    """The pair that shows a person what a strategy does: of those that answer the customer's line that
    it was written for, or of all where none does, the one that wins most checks, then most preferred.

    Args:
        pairs: at least one.
        line: what the customer says in the state that the strategy was written for.
    """

    def worth(pair: Pair) -> tuple[bool, float, float]:
        won = (pair.checks_after or 0.0) - (pair.checks_before or 0.0)
        return pair.customer_says == line, won, pair.preference

    return max(pairs, key=worth)


def check_means(pairs: Sequence[Pair]) -> tuple[float, float]:
    """The mean share of code checks passed without and with the strategy; 0 and 0 without checks."""
    both = [
        (pair.checks_before, pair.checks_after)
        for pair in pairs
        if pair.checks_before is not None and pair.checks_after is not None
    ]
    if not both:
        return 0.0, 0.0
    before, after = np.mean(both, axis=0)
    return float(before), float(after)


SATISFACTION = (1.0, 5.0)
"""The scale on which a customer's satisfaction lies."""


def mean_interval(
    values: Sequence[float] | np.ndarray, scale: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """The 95 % t interval of a mean of values on a scale, cut to it; all of it below two values."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return scale
    error = float(stats.sem(data))
    if error < 1e-12:
        return float(data.mean()), float(data.mean())
    low, high = stats.t.interval(0.95, len(data) - 1, loc=data.mean(), scale=error)
    return max(scale[0], float(low)), min(scale[1], float(high))
