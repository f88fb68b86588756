"""Usage over a run's life: counts of several processes added up, and the rate of tokens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .events import BudgetUsed
from .speech import SILENCE

_WINDOW = 30.0


def added(earlier: BudgetUsed | None, now: BudgetUsed) -> BudgetUsed:
    """What a role has used in all: what earlier processes counted, and this one's count."""
    if earlier is None:
        return now
    summed = ("calls", "input", "output", "cached", "usd", "repaired")
    return now.model_copy(update={k: getattr(earlier, k) + getattr(now, k) for k in summed})


@dataclass
class Rate:
    """Tokens written a second, over the last half minute in which some were counted."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def see(self, at: float, output: int) -> None:
        """Take in a count of all tokens so far at a time (s)."""
        self._seen.append((at, output))
        while len(self._seen) > 2 and at - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()

    def at(self, now: float) -> float | None:
        """The rate at a time (Unix s): None before two counts, and where the last is so old that the
        role, or the run, may have stopped since.
        """
        fresh = self._seen and now - self._seen[-1][0] <= SILENCE
        return self.per_second if fresh else None

    @property
    def per_second(self) -> float | None:
        """The rate when the last count came, None before two counts."""
        if len(self._seen) < 2 or self._seen[-1][0] <= self._seen[0][0]:
            return None
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first)
