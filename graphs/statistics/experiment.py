"""Experiment: what the dialogues of several arms say, with intervals that know their scenarios.

One comparison should be named before the dialogues are played. Every further pair of arms or
metric looked at is one more chance of a false alarm, and nothing here corrects for that.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import stats

from .sequential import finite

Metric = Literal["csat", "rubric", "checks", "questions", "good", "tokens", "usd", "seconds"]
Cell = tuple[str, str, int]
Case = tuple[str, str]

TIES: Mapping[Metric, float] = {
    "csat": 0.1, "rubric": 0.025, "checks": 0.025, "questions": 0.025, "good": 0.0, "tokens": 0.0,
    "usd": 0.0, "seconds": 0.0,
}  # fmt: skip
"""Within how much of each other two dialogues tie, in the metric's own unit."""
BOUNDS: Mapping[Metric, float] = {
    "csat": 4.0, "rubric": 1.0, "checks": 1.0, "questions": 1.0, "good": 1.0
}  # fmt: skip
"""The largest difference that a bounded metric allows; `sequential` asks for it."""
FEWEST = 6
"""With fewer scenarios no sign-flip test can reach p < 0.05: the least it gives is 2 / 2^n."""
RESAMPLES = 9999
"""Draws of a bootstrap or of a permutation test; up to 13 scenarios the test is exact."""
_SAID: Mapping[Metric, str] = {
    "csat": "satisfaction", "checks": "rubric by code", "questions": "rubric by judge"
}  # fmt: skip
_COSTS: frozenset[Metric] = frozenset({"tokens", "usd", "seconds"})


class Outcome(BaseModel):
    """One dialogue of one arm.

    A *cell* is (scenario, persona, seed), a *case* (scenario, persona). `csat` is 1-5, `rubric`
    0-1, `checks` and `questions` are the rubric's items of either kind alone, None where the firm
    has none of the kind, `items` all of them by id, `good` whether the dialogue counts as passed, `usd`
    US dollars, `seconds` wall time. An invalid dialogue may leave csat and rubric open: they are never
    read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    arm: str
    scenario: str
    persona: str
    seed: int
    csat: float | None = Field(default=None, ge=1, le=5)
    rubric: float | None = Field(default=None, ge=0, le=1)
    checks: float | None = Field(default=None, ge=0, le=1)
    questions: float | None = Field(default=None, ge=0, le=1)
    items: dict[str, float] = Field(default_factory=dict)
    good: bool = False
    tokens: int = Field(default=0, ge=0)
    usd: float = Field(default=0.0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    valid: bool

    @model_validator(mode="after")
    def _scored(self) -> Outcome:
        if self.valid and (self.csat is None or self.rubric is None):
            raise ValueError("a valid outcome needs a csat and a rubric score")
        return self

    @property
    def cell(self) -> Cell:
        """What has to agree for two dialogues to be a pair."""
        return (self.scenario, self.persona, self.seed)

    @property
    def case(self) -> Case:
        """What the seeds repeat."""
        return (self.scenario, self.persona)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `n` independent values; no mean without values, no interval below two."""

    mean: float | None
    ci95: tuple[float, float] | None
    n: int


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm in figures.

    `n` counts valid dialogues, `invalid` the others. csat, rubric, checks and questions are means of
    scenario means, so their `n` is the number of scenarios. `pass_k` holds pass^k by k,
    `pass_k_cases` how many cases each rests on. tokens, usd and seconds are medians per valid dialogue.
    """

    n: int
    invalid: int
    csat: Estimate
    rubric: Estimate
    checks: Estimate
    questions: Estimate
    pass_k: dict[int, float]
    pass_k_cases: dict[int, int]
    tokens: float | None
    usd: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """What two arms differ by on the cells that are valid in both.

    `diff` is second minus first, over scenarios of equal weight. win, tie and loss are shares of
    the `n` cells, told from the second arm (of a cost, the lower one wins); cells within `margin`
    tie. `dropped` counts cells played in both arms but not valid in both.
    """

    first: str
    second: str
    metric: Metric
    diff: float | None
    ci95: tuple[float, float] | None
    p: float
    win: float
    tie: float
    loss: float
    margin: float
    n: int
    scenarios: int
    dropped: int
    real: bool
    verdict: str


def estimate(values: Sequence[float], seed: int = 0, *, resamples: int = RESAMPLES) -> Estimate:
    """The mean of independent values and its 95 % interval.

    A BCa bootstrap, or the percentile one where BCa has no answer. A bootstrap takes its spread
    with n in place of n - 1 and normal in place of t quantiles, which is too narrow for the 6 to
    30 scenarios of an experiment, so its levels are expanded (Hesterberg 2015, "What teachers
    should know about the bootstrap", The American Statistician 69(4), arXiv 1411.5279).

    Args:
        values: independent of each other: one a scenario, not one a seed.
        seed: for the resampling.
        resamples: draws, at least 100.

    Returns:
        No interval below two values, and one without width where all values agree: such values
        show no spread to learn from, which is not the same as certainty.

    Raises:
        ValueError: where a value is not a number.
    """
    data = finite(values)
    count = len(data)
    if count == 0:
        return Estimate(None, None, 0)
    mean = float(data.mean())
    if count == 1:
        return Estimate(mean, None, 1)
    if float(np.ptp(data)) < 1e-12:
        return Estimate(mean, (mean, mean), count)
    quantile = float(stats.t.ppf(0.975, count - 1)) * math.sqrt(count / (count - 1))
    # A level beyond the last draw on either side has nothing to stand on.
    level = min(1 - 2 * float(stats.norm.sf(quantile)), 1 - 2 / resamples)
    for method in ("BCa", "percentile"):
        low, high = _bootstrapped(data, method, level, seed, resamples)
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return Estimate(mean, (low, high), count)
    return Estimate(mean, (float(data.min()), float(data.max())), count)


def arm_figures(
    outcomes: Iterable[Outcome], seed: int = 0, *, resamples: int = RESAMPLES
) -> ArmFigures:
    """The figures of one arm.

    pass^k is the chance that k repeats of a case all pass: the mean over cases of C(c, k) / C(n, k)
    with c of n dialogues good (Yao and others 2024, "tau-bench", arXiv 2406.12045). An invalid
    dialogue is no repeat, so a case may have fewer than the others; each k is taken over the cases
    with at least k, and where `pass_k_cases` falls, figures of different k are not comparable.

    Args:
        outcomes: dialogues of one arm, each cell once.
        seed: for the resampling.
        resamples: draws of each bootstrap, at least 100.

    Raises:
        ValueError: where arms are mixed or a cell comes twice.
    """
    played = list(_by_cell(outcomes)[1].values())
    valid = [outcome for outcome in played if outcome.valid]
    tried: Counter[Case] = Counter(outcome.case for outcome in valid)
    passed: Counter[Case] = Counter(outcome.case for outcome in valid if outcome.good)
    chances: dict[int, list[float]] = {
        k: [math.comb(passed[case], k) / math.comb(n, k) for case, n in tried.items() if n >= k]
        for k in range(1, max(tried.values(), default=0) + 1)
    }

    def over_scenarios(metric: Metric) -> Estimate:
        return estimate(_means(valid, metric), seed, resamples=resamples)

    def per_dialogue(metric: Metric) -> float | None:
        return float(median(_value(outcome, metric) for outcome in valid)) if valid else None

    return ArmFigures(
        n=len(valid),
        invalid=len(played) - len(valid),
        csat=over_scenarios("csat"),
        rubric=over_scenarios("rubric"),
        checks=over_scenarios("checks"),
        questions=over_scenarios("questions"),
        pass_k={k: fmean(shares) for k, shares in chances.items()},
        pass_k_cases={k: len(shares) for k, shares in chances.items()},
        tokens=per_dialogue("tokens"),
        usd=per_dialogue("usd"),
        seconds=per_dialogue("seconds"),
    )


def mean_over_scenarios(outcomes: Iterable[Outcome], metric: Metric) -> float | None:
    """The mean of the scenarios' means over valid dialogues; None where none says anything."""
    means = _means(outcomes, metric)
    return fmean(means) if means else None


def paired(
    first: Iterable[Outcome],
    second: Iterable[Outcome],
    metric: Metric,
    seed: int = 0,
    *,
    margin: float | None = None,
    resamples: int = RESAMPLES,
) -> Paired:
    """Compare two arms on the cells that are valid in both.

    Seeds and personas of one scenario share what makes it hard and how an arm takes to it, so they
    are not independent, and treating them so finds differences where there are none (Miller 2024,
    "Adding error bars to evals", arXiv 2411.00640; Cameron and Miller 2015, "A practitioner's guide
    to cluster-robust inference", Journal of Human Resources 50(2)). The
    differences are therefore averaged within each scenario first, and scenarios are resampled and
    flipped. Of the ways to respect clusters this one leaves independent values, one a scenario, so
    the sign-flip test stays exact for few and unequal clusters, and more seeds sharpen a scenario
    without counting as more scenarios. What is found speaks for scenarios like these with these
    personas: that a persona returns in every scenario is not resampled.

    p is of a two-sided test that flips the signs of scenarios, over all flips up to 13 scenarios
    and over `resamples` random ones beyond.

    Args:
        first, second: the dialogues of one arm each, each cell once.
        metric: what is compared. tokens, usd and seconds are costs: less is better.
        seed: for the resampling.
        margin: within how much two cells tie, in the metric's unit; TIES says where not given.
        resamples: draws of the bootstrap and the test, at least 100.

    Returns:
        `real` only where p < 0.05 and the interval excludes zero.

    Raises:
        ValueError: where arms are mixed, a cell comes twice, or the margin is negative.
    """
    margin = TIES[metric] if margin is None else margin
    if not margin >= 0:
        raise ValueError(f"the margin of a tie cannot be {margin}: give 0 or more")
    first_arm, before = _by_cell(first)
    second_arm, after = _by_cell(second)
    differences = _differences(before, after, metric)
    means = list(_scenario_means((cell[0], d) for cell, d in differences.items()).values())
    found = estimate(means, seed, resamples=resamples)
    p = _sign_flip_p(means, seed, resamples)
    # A margin of 0.1 must hold 4.1 - 4.0, which is a little more.
    sign = -1 if metric in _COSTS else 1
    gains = sign * np.array(list(differences.values()))
    win, loss = int((gains > margin + 1e-9).sum()), int((gains < -margin - 1e-9).sum())
    count = len(differences)
    excludes_zero = found.ci95 is not None and not found.ci95[0] <= 0 <= found.ci95[1]
    real = p < 0.05 and excludes_zero
    return Paired(
        first=first_arm,
        second=second_arm,
        metric=metric,
        diff=found.mean,
        ci95=found.ci95,
        p=p,
        win=win / count if count else 0.0,
        tie=(count - win - loss) / count if count else 0.0,
        loss=loss / count if count else 0.0,
        margin=margin,
        n=count,
        scenarios=found.n,
        dropped=len(before.keys() & after.keys()) - count,
        real=real,
        verdict=_verdict(first_arm, second_arm, metric, found, p, real),
    )


def scenario_differences(
    first: Iterable[Outcome], second: Iterable[Outcome], metric: Metric
) -> list[float]:
    """Second minus first, one mean a scenario, in the order in which `first` meets the scenarios.

    What `sequential` takes. Hand over scenarios whose dialogues have all been played: a mean that
    later seeds still change is not an observation yet.

    Raises:
        ValueError: where arms are mixed or a cell comes twice.
    """
    differences = _differences(_by_cell(first)[1], _by_cell(second)[1], metric)
    return list(_scenario_means((cell[0], d) for cell, d in differences.items()).values())


def _bootstrapped(
    data: np.ndarray, method: str, level: float, seed: int, resamples: int
) -> tuple[float, float]:
    bootstrap: Callable[..., Any] = stats.bootstrap
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A degenerate draw is told by a warning and a nan; the nan is what the caller looks at.
        warnings.simplefilter("ignore")
        drawn = bootstrap(
            (data,),
            np.mean,
            n_resamples=resamples,
            confidence_level=level,
            method=method,
            vectorized=True,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(drawn.low), float(drawn.high)


def _sign_flip_p(means: Sequence[float], seed: int, resamples: int) -> float:
    if len(means) < 2:
        return 1.0
    test: Callable[..., Any] = stats.permutation_test
    tested = test(
        (np.asarray(means),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return float(tested.pvalue)


def _verdict(first: str, second: str, metric: Metric, found: Estimate, p: float, real: bool) -> str:
    name = _SAID.get(metric, metric)
    if found.mean is None:
        return f"No dialogue is valid in both arms, so nothing can be said about {name}."
    moved = f"{name} {found.mean:+.3g}"
    if found.ci95 is None or found.n < FEWEST:
        counted = "1 scenario is" if found.n == 1 else f"{found.n} scenarios are"
        return f"{counted} too few to call any difference real ({moved}; at least {FEWEST} needed)."
    low, high = found.ci95
    told = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    figures = f"{moved}, 95 % interval {low:+.3g} to {high:+.3g}, {told}, {found.n} scenarios"
    if real:
        if metric in _COSTS:
            how = "costs more than" if found.mean > 0 else "costs less than"
        else:
            how = "is better than" if found.mean > 0 else "is worse than"
        return f"{second} {how} {first}: {figures}."
    if low <= 0 <= high:
        return f"No real difference between {second} and {first}: the interval covers zero ({figures})."
    return f"Not certain enough to call {second} and {first} different: {figures}."


def _by_cell(outcomes: Iterable[Outcome]) -> tuple[str, dict[Cell, Outcome]]:
    """The arm's name (empty without outcomes) and its dialogues by cell, in the order given."""
    found: dict[Cell, Outcome] = {}
    arm = ""
    for outcome in outcomes:
        if found and outcome.arm != arm:
            raise ValueError(f"outcomes of the arms {arm} and {outcome.arm} are mixed: part them")
        arm = outcome.arm
        if outcome.cell in found:
            scenario, persona, seed = outcome.cell
            raise ValueError(
                f"arm {arm} has scenario {scenario}, persona {persona}, seed {seed} twice: keep one"
            )
        found[outcome.cell] = outcome
    return arm, found


def _differences(
    before: Mapping[Cell, Outcome], after: Mapping[Cell, Outcome], metric: Metric
) -> dict[Cell, float]:
    return {
        cell: _value(after[cell], metric) - _value(outcome, metric)
        for cell, outcome in before.items()
        if cell in after and _told(outcome, metric) and _told(after[cell], metric)
    }


def _means(outcomes: Iterable[Outcome], metric: Metric) -> list[float]:
    told = ((one.scenario, _value(one, metric)) for one in outcomes if _told(one, metric))
    return list(_scenario_means(told).values())


def _scenario_means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    grouped: defaultdict[str, list[float]] = defaultdict(list)
    for scenario, value in values:
        grouped[scenario].append(value)
    return {scenario: fmean(group) for scenario, group in grouped.items()}


def _told(outcome: Outcome, metric: Metric) -> bool:
    """Whether a dialogue says something about a metric."""
    return outcome.valid and getattr(outcome, metric) is not None


def _value(outcome: Outcome, metric: Metric) -> float:
    return float(getattr(outcome, metric))
