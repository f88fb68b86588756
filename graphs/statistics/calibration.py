"""Calibration: how far a judge can be trusted, measured on chats whose better reply is known."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from pydantic import BaseModel, Field
from scipy import stats
from tutelage.agents.judge import Judge
from tutelage.agents.transcript import Turn
from tutelage.environments.calibration_set import CalibrationItem

TRUSTED_AUC = 0.75
"""Area under the curve from which single ratings mean something."""
TRUSTED_PAIRS = 0.85
"""Share of pairs told right from which comparisons mean something."""
TRUSTED_SWAP = 0.7
"""Share of pairs with the same verdict in both orders, below which position speaks too loudly."""


class Reading(BaseModel):
    """What a judge said of one item. Probabilities are those of the reply shown as B."""

    id: str
    firm: str
    scenario: str
    flaw: str
    level: str
    held_out: bool
    forward: float = Field(description="Good shown as A, bad as B: probability of bad.")
    backward: float = Field(description="Bad shown as A, good as B: probability of good.")
    good_rated: float = Field(description="Satisfaction 1-5 with the good reply.")
    bad_rated: float = Field(description="Satisfaction 1-5 with the flawed reply.")
    longer_is_good: bool

    @property
    def prefers_good(self) -> float:
        """Probability that the good reply is better, both orders averaged."""
        return (1 - self.forward + self.backward) / 2


class Figures(BaseModel):
    """A judge in figures, over some readings; shares are 0 to 1, nothing where n is 0."""

    n: int
    pairs_right: float | None = None
    auc: float | None = Field(default=None, description="Of single ratings: good above flawed.")
    swap_consistency: float | None = Field(default=None, description="Same verdict in both orders.")
    position_bias: float | None = Field(
        default=None, description="How much more than one half goes to the reply shown as B."
    )
    length_bias: float | None = Field(
        default=None,
        description="Pairs right where good is longer, minus where shorter.",
    )
    alpha: float | None = Field(
        default=None,
        description="Krippendorff's alpha (nominal) of verdicts and labels.",
    )


class Calibration(BaseModel):
    """What `tutelage judge calibrate` finds."""

    judge: str
    figures: Figures
    development: Figures
    held_out: Figures
    by_flaw: dict[str, Figures]
    by_level: dict[str, Figures]
    readings: list[Reading]

    @property
    def warnings(self) -> list[str]:
        """Why not to trust this judge, in sentences; empty where the thresholds are met."""
        return warnings_of(self.figures)


def warnings_of(figures: Figures) -> list[str]:
    """Why not to trust a judge with such figures; empty where the thresholds are met."""
    found: list[str] = []
    for name, value, least in (
        ("single ratings (AUC)", figures.auc, TRUSTED_AUC),
        ("comparisons (pairs right)", figures.pairs_right, TRUSTED_PAIRS),
        ("swap consistency", figures.swap_consistency, TRUSTED_SWAP),
    ):
        if value is not None and value < least:
            found.append(f"do not trust {name}: {value:.2f}, at least {least:.2f} wanted")
    return found


async def read_item(judge: Judge, item: CalibrationItem) -> Reading:
    """Put one item to a judge: two comparisons and two single ratings.

    Raises:
        ModelFault: where the judge fails.
    """
    scenario = judge.environment.scenarios[item.scenario]
    turns = [turn_of(line) for line in item.turns]
    forward = await judge.prefer_shown(scenario, turns, item.good, item.bad)
    backward = await judge.prefer_shown(scenario, turns, item.bad, item.good)
    rated = []
    for reply in (item.good, item.bad):
        whole = [*turns, Turn(speaker="student", text=reply)]
        rating = await judge.rate_reply(scenario, whole)
        if item.closing:
            whole.append(turn_of(item.closing))
        rated.append(await judge.satisfaction(scenario, whole, [rating]))
    return Reading(
        id=item.id,
        firm=judge.environment.name,
        scenario=item.scenario,
        flaw=item.flaw,
        level=item.level,
        held_out=item.held_out,
        forward=forward,
        backward=backward,
        good_rated=rated[0],
        bad_rated=rated[1],
        longer_is_good=len(item.good) > len(item.bad),
    )


async def calibrate(
    items: Sequence[tuple[Judge, CalibrationItem]],
    concurrency: int,
    on_reading: Callable[[Reading], None] = lambda _: None,
) -> Calibration:
    """Put every item to its firm's judge and sum up.

    Args:
        items: each with the judge of its firm; all of the same model.
        concurrency: items at a time.
        on_reading: told of each reading as it comes.

    Raises:
        ModelFault: where the judge fails; one clear sentence.
    """
    gate = asyncio.Semaphore(concurrency)
    readings: list[Reading] = []

    async def one(judge: Judge, item: CalibrationItem) -> None:
        async with gate:
            reading = await read_item(judge, item)
        readings.append(reading)
        on_reading(reading)

    try:
        async with asyncio.TaskGroup() as tasks:
            for judge, item in items:
                tasks.create_task(one(judge, item))
    except* Exception as group:
        raise group.exceptions[0] from None
    return summed(items[0][0].voice.spec if items else "", readings)


def summed(judge: str, readings: Sequence[Reading]) -> Calibration:
    """The figures over all readings, over each half, and by flaw and level."""
    ordered = sorted(readings, key=lambda reading: (reading.firm, reading.id))
    flaws: dict[str, list[Reading]] = defaultdict(list)
    levels: dict[str, list[Reading]] = defaultdict(list)
    for reading in ordered:
        flaws[reading.flaw].append(reading)
        levels[reading.level].append(reading)
    return Calibration(
        judge=judge,
        figures=figures_of(ordered),
        development=figures_of([r for r in ordered if not r.held_out]),
        held_out=figures_of([r for r in ordered if r.held_out]),
        by_flaw={name: figures_of(found) for name, found in sorted(flaws.items())},
        by_level={name: figures_of(found) for name, found in sorted(levels.items())},
        readings=ordered,
    )


def figures_of(readings: Sequence[Reading]) -> Figures:
    """One judge's figures over some readings. A verdict of exactly one half counts as half right."""
    if not readings:
        return Figures(n=0)
    right = [_right(reading.prefers_good) for reading in readings]
    consistent = [(r.forward > 0.5) != (r.backward > 0.5) for r in readings]
    shown_b = [value for r in readings for value in (r.forward, r.backward)]
    longer = [_right(r.prefers_good) for r in readings if r.longer_is_good]
    shorter = [_right(r.prefers_good) for r in readings if not r.longer_is_good]
    return Figures(
        n=len(readings),
        pairs_right=fmean(right),
        auc=_auc([r.good_rated for r in readings], [r.bad_rated for r in readings]),
        swap_consistency=fmean(consistent),
        position_bias=fmean(shown_b) - 0.5,
        length_bias=fmean(longer) - fmean(shorter) if longer and shorter else None,
        alpha=_alpha(readings),
    )


def _right(probability: float) -> float:
    return 0.5 if probability == 0.5 else float(probability > 0.5)


def _auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """The chance that a good dialogue is rated above a flawed one (Mann-Whitney U over n m)."""
    tested: Any = stats.mannwhitneyu(good, bad)
    return float(tested.statistic) / (len(good) * len(bad))


def _alpha(readings: Sequence[Reading]) -> float | None:
    import krippendorff

    verdicts = [float(r.forward > 0.5) for r in readings]
    verdicts += [float(r.backward > 0.5) for r in readings]
    labels = [0.0] * len(readings) + [1.0] * len(readings)
    return float(krippendorff.alpha([verdicts, labels], level_of_measurement="nominal"))


def turn_of(line: str) -> Turn:
    """A turn as a labelled set writes it: "C: ..." is the customer's, any other the student's."""
    return Turn(speaker="customer" if line.startswith("C:") else "student", text=line[3:])
