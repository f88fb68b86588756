"""What two rules of acceptance make of the pairs that real coaching runs tested, drawn from their logs.

Each strategy that a committed run of `benchmarks/coaching` tested is tested again, over and over, on
pairs drawn from its own. Once as they are, and once with before and after changed about at random:
that is a strategy of the same loudness without any effect.

python benchmarks/acceptance/replay.py        # prints the table, writes replay.json beside it
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tutelage.graphs.log.events import NullCompared, StrategyDecided, StrategyTried
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.statistics.acceptance import ALPHA, MIN_GAIN, Pair, decide, gain, spread
from tutelage.graphs.statistics.sequential import sequential
from tutelage.graphs.steps.rounds import scored

HERE = Path(__file__).parent
RUNS = HERE.parent / "coaching" / "result" / "runs"
FEWEST = 6
"""Pairs below which a strategy's own say too little to draw from."""
PLANNED = {True: 96, False: 32}
"""Pairs at most: for every customer, and for a topic or a scenario."""


@dataclass(frozen=True)
class Tested:
    """A strategy as a run tested it: on how many states, with the pairs, and the run's null."""

    decided: StrategyDecided
    pairs: list[Pair]
    states: int
    null: list[Pair]

    @property
    def planned(self) -> int:
        """Pairs at most."""
        return PLANNED[self.decided.proposal.endswith(".general")]


Rule = Callable[[Sequence[Pair], Tested], tuple[bool, int]]
"""Whether it keeps, and after how many of the pairs."""


@dataclass(frozen=True)
class Row:
    """Of one strategy: what its run decided on how many pairs, and how often each rule keeps it (and
    after how many pairs on average), and keeps what is as loud and has no effect.
    """

    run: str
    proposal: str
    verdict: str
    pairs: int
    kept: dict[str, float]
    looks: dict[str, float]
    without_effect: dict[str, float]


def of_symmetry(pairs: Sequence[Pair], of: Tested) -> tuple[bool, int]:
    """The rule of the product."""
    unit = spread(of.null)
    for count in range(1, of.planned + 1):
        found = decide(pairs[:count], of.null, of.planned, unit=unit, scenarios=of.states)
        if found is not None:
            return found.kept, count
    return False, of.planned


def of_a_bounded_mean(pairs: Sequence[Pair], of: Tested) -> tuple[bool, int]:
    """The bet that it replaced (Waudby-Smith and Ramdas 2024), on gains cut to one clear preference;
    what shows no gain is given up as early.
    """
    gains = [gain(pair, spread(of.null)) for pair in pairs]
    seen = max(4, min(2 * of.states, of.planned // 2) if of.states > 1 else 0)
    for count in range(1, of.planned + 1):
        mean = float(np.mean(gains[:count]))
        if sequential(gains[:count], 1.0, 2 * ALPHA)[0] > 0:
            return mean > MIN_GAIN, count
        if count >= seen and mean <= 0:
            return False, count
    return False, of.planned


RULES: dict[str, Rule] = {"symmetry": of_symmetry, "bounded mean": of_a_bounded_mean}


async def tested(folder: Path) -> list[Tested]:
    """Every strategy that a run tested on pairs enough."""
    async with await RunLog.open(folder, create=False) as log:
        events = [one.event for one in await log.read()]
    null = [scored(event) for event in events if isinstance(event, NullCompared)]
    tried: dict[str, list[StrategyTried]] = {}
    found: list[Tested] = []
    for event in events:
        if isinstance(event, StrategyTried) and event.phase == "accept":
            tried.setdefault(event.proposal, []).append(event)
        elif isinstance(event, StrategyDecided):
            # A second candidate, or a second test, has pairs of its own.
            pairs = tried.pop(event.proposal, [])
            states = len({one.dialogue for one in pairs})
            if len(pairs) >= FEWEST:
                found.append(Tested(event, [scored(one) for one in pairs], states, null))
    return found


def turned(pair: Pair) -> Pair:
    """The pair with before and after changed about."""
    return replace(
        pair,
        preference=1 - pair.preference,
        checks_before=pair.checks_after,
        checks_after=pair.checks_before,
    )


def row(run: str, of: Tested, trials: int) -> Row:
    """Test one strategy over and over by each rule."""
    rng = np.random.default_rng(0)
    done: dict[str, list[tuple[bool, int]]] = {name: [] for name in RULES}
    chance: dict[str, list[bool]] = {name: [] for name in RULES}
    for _ in range(trials):
        drawn = [of.pairs[at] for at in rng.integers(len(of.pairs), size=of.planned)]
        mixed = [turned(pair) if rng.random() < 0.5 else pair for pair in drawn]
        for name, rule in RULES.items():
            done[name].append(rule(drawn, of))
            chance[name].append(rule(mixed, of)[0])
    return Row(
        run, of.decided.proposal, of.decided.verdict, len(of.pairs),
        {name: float(np.mean([kept for kept, _ in found])) for name, found in done.items()},
        {name: float(np.mean([looks for _, looks in found])) for name, found in done.items()},
        {name: float(np.mean(kept)) for name, kept in chance.items()},
    )  # fmt: skip


async def rows(trials: int) -> list[Row]:
    """All strategies of all committed coaching runs."""
    found: list[Row] = []
    for archive in sorted(RUNS.glob("*.coach.tar.xz")):
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            firm = archive.name.split(".")[0]
            found += [row(firm, one, trials) for one in await tested(Path(folder))]
    return found


def main() -> None:
    """Test all, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="Tests of each strategy.")
    asked = parser.parse_args()
    found = asyncio.run(rows(asked.trials))
    document = {
        "command": f"python benchmarks/acceptance/replay.py --trials {asked.trials}",
        "rows": [asdict(one) for one in found],
    }
    (HERE / "replay.json").write_text(json.dumps(document, indent=1) + "\n")
    shown = Table(title=f"kept, share of {asked.trials} tests (mean pairs)", box=None)
    for name in ("run", "strategy", "pairs, verdict", *RULES):
        shown.add_column(name)
    for one in found:
        cells = [f"{one.kept[name]:.2f} ({one.looks[name]:.0f})" for name in RULES]
        shown.add_row(one.run, one.proposal, f"{one.pairs}, {one.verdict}", *cells)
    for title, part in (("mean", "kept"), ("without any effect", "without_effect")):
        means = [np.mean([getattr(one, part)[name] for one in found]) for name in RULES]
        shown.add_row(title, "", "", *(f"{mean:.3f}" for mean in means), style="bold")
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
