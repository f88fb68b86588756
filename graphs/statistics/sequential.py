"""Sequential tests: whether there is a gain, asked after every observation if one likes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize

_MOST_AT_RISK = 0.75
"""The share of its money that a gambler of `sequential` may lose in one bet; the authors name 1/2
and 3/4. More stops earlier on quiet differences and later on differences of -1, 0 and 1."""
STAKES = (0.25, 0.5, 1.0, 2.0)
"""Among which `e_value` shares its money, by the size of a clear difference: the higher wins sooner on
gains without a loss, the lower outlasts losses between them."""
_MOST_SAID = 700.0
"""Logarithm of the most evidence that a number holds."""


def sequential(
    differences: Sequence[float], bound: float, alpha: float = 0.05
) -> tuple[float, float]:
    """An interval of the mean difference that holds at every look, however often one looks.

    The hedged capital of Waudby-Smith and Ramdas 2024, "Estimating means of bounded random
    variables by betting", Journal of the Royal Statistical Society B 86(1), arXiv 2010.15899,
    with their predictable plug-in stakes: for every mean that could be, one gambler bets that it
    lies higher and one that it lies lower, and a mean at which either once multiplied its money by
    2 / alpha is ruled out for good. By Ville's inequality the true mean is ruled out
    at any time with a chance of at most alpha, so one may stop at will. No distribution is assumed.
    The chance holds where the scenarios come in an order drawn at random, not from easy to hard.

    Args:
        differences: one a scenario (`scenario_differences`), in the order played.
        bound: each difference lies in [-bound, bound], as the scale and not the data says: see
            BOUNDS.
        alpha: the chance, 0 to 1, that the true mean is ever outside.

    Returns:
        Low and high, within [-bound, bound]. The whole range without data, and where the data have
        ruled out every mean (an order that was not random, or the one case in 1 / alpha).

    Raises:
        ValueError: where a difference lies outside the bound, or bound or alpha make no sense.
    """
    shares = _shares(differences, bound, alpha)
    stakes = _stakes(shares, alpha)
    # To bet on lower is to bet on higher with the scale turned round.
    low = _lowest(shares, stakes, alpha)
    high = 1 - _lowest(1 - shares, stakes, alpha)
    if low > high:
        return (-bound, bound)
    return (bound * (2 * low - 1), bound * (2 * high - 1))


def decided(
    differences: Sequence[float], bound: float, alpha: float = 0.05, *, margin: float = 0.0
) -> bool:
    """Whether one may stop: `sequential` excludes zero, or, with a margin, has shown that the
    difference is smaller than that either way.

    Ask after every scenario if you like. Where the arms do not differ, the chance of ever stopping
    on a difference is at most alpha.

    Args:
        differences, bound, alpha: as for `sequential`.
        margin: the difference that would be too small to matter; 0 stops on a difference only.

    Raises:
        ValueError: as for `sequential`.
    """
    low, high = sequential(differences, bound, alpha)
    return low > 0 or high < 0 or (-margin < low and high < margin)


def e_value(differences: Sequence[float]) -> float:
    """How much speaks for a gain, against no effect at all, at the best moment so far.

    Where an arm changes nothing the two of a pair may change places, so each difference is as likely
    as its negative, whatever the past and however large it is. Against that a stake of
    tanh(stake x size) on a gain is a fair bet, and what it makes of one unit is
    exp(stake x sum) / product of cosh(stake x difference): the Fisher-type e-test of symmetry of
    Vovk and Wang 2024, "Nonparametric e-tests of symmetry", New England Journal of Statistics in Data
    Science, arXiv 2208.08925. The unit is shared among STAKES, as nobody knows beforehand how large a
    gain will be. A large difference counts for more than a small one, and none needs a bound.

    Without an effect it ever reaches 1 / a with a chance of at most a, for every a and however often
    one looks (Ville), so `min(1, 1 / e_value)` is a one-sided p that may be looked at after every
    observation. It says that something changed, and to which side; that a mean lies above zero where
    many small gains meet few large losses, the mean itself must say.

    Args:
        differences: of any size, in the order seen; 1 should be a clear one.

    Returns:
        At least 1.

    Raises:
        ValueError: where a difference is no finite number.
    """
    data = finite(differences)
    if not len(data):
        return 1.0
    # log(1 + tanh x) in a form that stays finite for any x.
    bets = math.log(2) - np.logaddexp(0.0, -2.0 * np.outer(STAKES, data))
    held = np.logaddexp.reduce(np.cumsum(bets, axis=1), axis=0) - math.log(len(STAKES))
    return math.exp(min(max(0.0, float(held.max())), _MOST_SAID))


def _shares(differences: Sequence[float], bound: float, alpha: float) -> np.ndarray:
    """The differences on a scale from 0 to 1, checked."""
    data = finite(differences)
    if not (math.isfinite(bound) and bound > 0):
        raise ValueError(f"the bound of the differences cannot be {bound}: give more than 0")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha cannot be {alpha}: give a chance between 0 and 1")
    if len(data) and float(np.abs(data).max()) > bound * (1 + 1e-9):
        raise ValueError(f"a difference lies outside the bound of {bound}: give the scale's range")
    return np.clip((data + bound) / (2 * bound), 0.0, 1.0)


def finite(values: Sequence[float]) -> np.ndarray:
    """Values as an array, all of them numbers.

    Raises:
        ValueError: where one is not.
    """
    data = np.asarray(values, dtype=float)
    if not np.isfinite(data).all():
        raise ValueError("a value is not a finite number: leave out what was not measured")
    return data


def _stakes(shares: np.ndarray, alpha: float) -> np.ndarray:
    """How much each bet puts up, from what was seen before it."""
    turn = np.arange(1, len(shares) + 1)
    means = (0.5 + np.cumsum(shares)) / (turn + 1)
    spreads = (0.25 + np.cumsum((shares - means) ** 2)) / (turn + 1)
    before = np.concatenate(([0.25], spreads))[:-1]
    return np.sqrt(2 * math.log(2 / alpha) / (before * turn * np.log(turn + 1)))


def _lowest(shares: np.ndarray, stakes: np.ndarray, alpha: float) -> float:
    """The largest mean in 0-1 that the gambler on higher values has ruled out; 0 where none."""
    goal = math.log(2 / alpha)

    def short_of_goal(mean: float) -> float:
        return goal - _best_capital(shares, stakes, mean)

    # Every factor falls as the mean rises, so the ruled-out means are one stretch from 0 upwards.
    least = 1e-9
    if not len(shares) or short_of_goal(least) > 0:
        return 0.0
    if short_of_goal(1.0) <= 0:
        return 1.0
    found: Any = optimize.brentq(short_of_goal, least, 1.0, xtol=1e-10)
    return max(0.0, float(found) - 1e-9)


def _best_capital(shares: np.ndarray, stakes: np.ndarray, mean: float) -> float:
    """The logarithm of the most that the gambler on more than `mean` ever held."""
    bets = np.minimum(stakes, _MOST_AT_RISK / mean)
    return float(np.cumsum(np.log1p(bets * (shares - mean))).max())
