"""Convergence: when to stop, which library was best, and whether coaching moves this student at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .sequential import sequential

NO_MATTER = 0.25
"""Mean gain (0-1) of trials below which coaching is of no use, either way."""
FEWEST = 3
"""Pairs of validation dialogues below which a standard error tells nothing: of one there is none, and of
two the mean lies beyond it only where both moved the same way."""


@dataclass(frozen=True, slots=True)
class Step:
    """What validation dialogues gained from one library to another, in pairs of the same cell.

    `mean` is in points of satisfaction; `error` is its standard error, infinite for fewer than two.
    """

    mean: float
    error: float
    n: int

    @property
    def tells(self) -> bool:
        """Whether there are pairs enough to say that one library is better, or that it is not."""
        return self.n >= FEWEST

    @property
    def up(self) -> bool:
        """Better by more than one standard error."""
        return self.mean > 0 and self.mean > self.error

    @property
    def down(self) -> bool:
        """Worse by more than one standard error."""
        return self.mean < 0 and -self.mean > self.error


def step_between(before: Mapping[str, float], after: Mapping[str, float]) -> Step:
    """Compare the satisfaction of the same validation dialogues under two libraries.

    The rule of one standard error (Breiman, Friedman, Olshen and Stone 1984, "Classification and
    Regression Trees", section 3.4.3) in pairs: a change within it is no change. Where all cells
    moved alike the error is zero, so any move counts.

    Args:
        before, after: cell to satisfaction (1-5); cells in only one of them are left out.
    """
    differences = [after[cell] - before[cell] for cell in before if cell in after]
    if len(differences) < 2:
        return Step(float(np.mean(differences)) if differences else 0.0, math.inf, len(differences))
    error = float(np.std(differences, ddof=1) / math.sqrt(len(differences)))
    return Step(float(np.mean(differences)), error, len(differences))


def best_round(scores: Mapping[int, Mapping[str, float]]) -> int:
    """The round (0: before anything was taught) whose library did best on the validation dialogues.

    The last, unless an earlier one was better by more than one standard error, of pairs enough to
    tell; of several such the one with the highest mean.

    Args:
        scores: round to cell to satisfaction; at least one round.
    """
    last = max(scores)
    steps = {number: step_between(scores[number], scores[last]) for number in scores}
    better = [number for number, step in steps.items() if step.tells and step.down]
    means = {number: float(np.mean(list(scores[number].values()))) for number in better}
    return max(better, key=lambda number: (means[number], number)) if better else last


def of_no_use(gains: Sequence[float], same: int) -> str:
    """Why coaching is of no use here, or "" where that is not shown.

    Shown where the interval of the mean gain over all trials, which holds however often one looks
    (`sequential.sequential`), lies within NO_MATTER of zero. Harmful advice does not show it: there
    the interval lies below. It is the student's doing only where most replies stayed word
    for word as they were; else it may as well be the teacher's.

    Args:
        gains: of all trials so far, -1 to 1, of every candidate and not of the best only.
        same: in how many of them the reply was word for word the same.
    """
    low, high = sequential(gains, 1.0)
    if not (low > -NO_MATTER and high < NO_MATTER):
        return ""
    whose = "nothing that was tried helps here; a stronger teacher may"
    if same > len(gains) / 2:
        whose = "coaching does not help this student"
    told = f"{whose}: {len(gains)} replies with strategies were worth as much as those without"
    return f"{told} ({same} were the same, word for word)"
