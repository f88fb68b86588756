"""What every view of the personas works with: the firm, who speaks, and the customers' model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tutelage.graphs.play.desk import Model


@dataclass(frozen=True, slots=True)
class Casting:
    """A firm (a bundled name or a folder), who speaks as the agent, and which model plays the
    customers (the local one where None), with the seed of its draws.
    """

    firm: str | Path
    by: str
    customer: Model | None = None
    seed: int = 0
