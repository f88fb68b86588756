"""Acceptance: whether the replies with a strategy are really better, as a test and not a maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

MIN_MARGIN = 0.02
"""Least mean preference above one half (0-0.5) that counts, however quiet the judge is."""
ALPHA = 0.1
"""Level of the one-sided test that the mean preference lies above one half."""


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pairs say. `threshold` is the mean preference that had to be passed."""

    kept: bool
    reason: str
    mean: float
    ci95: tuple[float, float]
    threshold: float
    p: float | None


def null_threshold(null: Sequence[float], pairs: int, seed: int = 0) -> float:
    """The mean preference that two samples of the same student stay below in 95 of 100 cases.

    Args:
        null: preferences between two replies of the same student to the same state, 0 to 1.
            Which of the two came first is chance, so they are mirrored about one half.
        pairs: how many comparisons the mean will be taken over.
        seed: for the resampling (2,000 draws).

    Returns:
        At least 0.5 + MIN_MARGIN.
    """
    floor = 0.5 + MIN_MARGIN
    if not null or pairs < 1:
        return floor
    away = np.abs(np.asarray(null) - 0.5)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(away, size=(2000, pairs)) * rng.choice((-1.0, 1.0), size=(2000, pairs))
    return max(floor, 0.5 + float(np.quantile(drawn.mean(axis=1), 0.95)))


def decide(pairs: Sequence[Pair], null: Sequence[float]) -> Decision:
    """Keep or drop, on pairs that the strategy was not chosen on.

    Kept only where the mean preference passes the null distribution's threshold, a one-sided t
    test puts it above one half (level ALPHA), and the code checks have not fallen.
    """
    preferences = np.array([pair.preference for pair in pairs])
    count = len(preferences)
    mean = float(preferences.mean()) if count else 0.5
    interval = mean_interval(preferences)
    threshold = null_threshold(null, count)
    if count < 2:
        return Decision(False, "too few comparisons", mean, interval, threshold, None)
    if float(preferences.std()) < 1e-9:
        p = 0.0 if mean > 0.5 else 1.0
    else:
        tested: Any = stats.ttest_1samp(preferences, 0.5, alternative="greater")
        p = float(tested.pvalue)
    before = [pair.checks_before for pair in pairs if pair.checks_before is not None]
    after = [pair.checks_after for pair in pairs if pair.checks_after is not None]
    fell = bool(before) and bool(after) and np.mean(after) < np.mean(before) - 1e-9
    if mean <= 0.5:
        reason = "the replies with it are not better"
    elif mean <= threshold:
        reason = "the gain lies within what chance gives two replies of the same student"
    elif p > ALPHA:
        reason = f"the gain is not certain enough (p = {p:.2f})"
    elif fell:
        reason = f"the code checks fell from {np.mean(before):.2f} to {np.mean(after):.2f}"
    else:
        reason = "better on seeds and states it was not chosen on"
        return Decision(True, reason, mean, interval, threshold, p)
    return Decision(False, reason, mean, interval, threshold, p)


def hopeless(pairs: Sequence[Pair], planned: int) -> bool:
    """Whether to stop before all `planned` pairs are drawn: even perfect ones to come, as strong
    as the strongest seen, would not lift the mean above one half.
    """
    if len(pairs) < 3:
        return False
    gains = [pair.preference - 0.5 for pair in pairs]
    best = max(*gains, 0.0)
    return sum(gains) + best * (planned - len(pairs)) <= 0


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 95 % t interval of a mean, cut to 0-1 where all values lie there; whole range below two
    values.
    """
    data = np.asarray(values, dtype=float)
    bounded = bool(len(data)) and data.min() >= 0 and data.max() <= 1
    if len(data) < 2:
        return (0.0, 1.0) if bounded or not len(data) else (1.0, 5.0)
    error = float(stats.sem(data))
    if error < 1e-12:
        return float(data.mean()), float(data.mean())
    low, high = stats.t.interval(0.95, len(data) - 1, loc=data.mean(), scale=error)
    return (max(0.0, float(low)), min(1.0, float(high))) if bounded else (float(low), float(high))
