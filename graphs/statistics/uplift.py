"""Uplift: what each strategy adds by itself, from dialogues in which it was withheld at random."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from tutelage.strategy_store import Retrieved, Strategy, Uplift

from ..log.states import Played
from .experiment import FEWEST, RESAMPLES, Estimate, estimate

ABLATED = "ablated"
"""The arm in which strategies are withheld at random."""


def coin_of(scenario: str, persona: str, repeat: int) -> str:
    """The coin of one dialogue: repeats go in twos, and the second of two withholds exactly what the
    first gives, so that every case shows both.
    """
    return f"{scenario}.{persona}.{repeat // 2}/{repeat % 2}"


def is_withheld(coin: str, strategy: str) -> bool:
    """Whether a dialogue with this coin withholds a strategy: one in two, independent from strategy to
    strategy, the same at every turn. Without a coin nothing is withheld.
    """
    if not coin:
        return False
    case, _, second = coin.rpartition("/")
    bit = hashlib.sha256(f"{case}|{strategy}".encode()).digest()[0] & 1
    return bool(bit) != (second == "1")


def parted(
    retrieved: Iterable[Retrieved], coin: str
) -> tuple[list[Retrieved], list[tuple[Retrieved, Strategy]]]:
    """What is given, and what fits and is withheld."""
    given: list[Retrieved] = []
    withheld: list[tuple[Retrieved, Strategy]] = []
    for found in retrieved:
        left = [s for s in found.strategies if not is_withheld(coin, s.id)]
        withheld += [(found, s) for s in found.strategies if s not in left]
        if left:
            given.append(replace(found, strategies=left))
    return given, withheld


def uplifts(
    dialogues: Iterable[Played],
    *,
    student: str = "",
    run: str = "",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Uplift]:
    """Each strategy's own uplift, by its id.

    Only dialogues count in which the strategy fitted at some turn. Whether it did is settled before
    it could have any effect, and whether it was then given is a coin's, so the difference in means
    is unbiased whatever else was given or withheld. Differences are taken within each scenario (its
    fixed effect falls out) and scenarios are the independent values, as everywhere in `experiment`.
    Of a strategy that somebody edited meanwhile the last words that were measured count.

    Args:
        dialogues: of any arms; only valid ones of the arm ABLATED are read.
        student, run: kept with the figures.
        seed: for the resampling.
        resamples: draws of each bootstrap.

    Returns:
        Strategies that were both given and withheld in at least one scenario.
    """
    scores: dict[tuple[str, str], dict[str, dict[bool, list[tuple[float, float]]]]] = defaultdict(
        lambda: defaultdict(lambda: {True: [], False: []})
    )
    for one in dialogues:
        if one.started.arm != ABLATED or not one.valid or one.judged is None:
            continue
        given = {strategy.id for event in one.spoken for strategy in event.strategies}
        fitted = [s for event in one.spoken for s in (*event.strategies, *event.withheld)]
        for id_, text in dict.fromkeys((strategy.id, strategy.text) for strategy in fitted):
            score = (one.judged.satisfaction, one.judged.rubric)
            scores[id_, text][one.started.scenario][id_ in given].append(score)
    found: dict[str, Uplift] = {}
    for (id_, text), by_scenario in scores.items():
        both = [cell for cell in by_scenario.values() if cell[True] and cell[False]]
        if not both:
            continue
        csat, rubric = (
            estimate(
                [
                    fmean(s[metric] for s in cell[True]) - fmean(s[metric] for s in cell[False])
                    for cell in both
                ],
                seed,
                resamples=resamples,
            )
            for metric in (0, 1)
        )
        found[id_] = Uplift(
            csat=csat.mean or 0.0, csat_ci95=_interval(csat),
            rubric=rubric.mean or 0.0, rubric_ci95=_interval(rubric),
            given=sum(len(cell[True]) for cell in by_scenario.values()),
            withheld=sum(len(cell[False]) for cell in by_scenario.values()),
            scenarios=len(both), student=student, run=run, text=text,
        )  # fmt: skip
    return found


def _interval(found: Estimate) -> tuple[float, float] | None:
    """None below six scenarios, where an interval would pretend to know the spread."""
    return found.ci95 if found.n >= FEWEST else None
