"""The statistics of an experiment, against simulations whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from tutelage.graphs.statistics.experiment import (
    Estimate,
    Outcome,
    arm_figures,
    estimate,
    paired,
    scenario_differences,
)
from tutelage.graphs.statistics.sequential import decided, sequential

QUICK = 499
"""Resamples in simulations: the many experiments average out what each one loses."""


def outcome(
    arm="none", scenario="s", persona="p", seed=0, *, csat=3.0, rubric=0.5, good=False, valid=True,
    tokens=0, usd=0.0, seconds=0.0,
):  # fmt: skip
    return Outcome(
        arm=arm, scenario=scenario, persona=persona, seed=seed, csat=csat, rubric=rubric,
        good=good, valid=valid, tokens=tokens, usd=usd, seconds=seconds,
    )  # fmt: skip


def arm(name: str, rubric: np.ndarray, *, own_scenarios: bool = False) -> list[Outcome]:
    """Outcomes from an array of rubric scores (scenarios, seeds); with `own_scenarios` each
    dialogue passes for a scenario of its own, which is what a naive test assumes.
    """
    return [
        outcome(name, f"{s}/{seed}" if own_scenarios else f"{s}", seed=seed, rubric=float(value))
        for s, row in enumerate(rubric)
        for seed, value in enumerate(row)
    ]


def judged_pair(rng, scenarios: int, seeds: int, gain: float, accuracy: float):
    """Two arms of pass or fail. Scenarios differ in how hard they are and in what the second arm
    gains on them (`gain` in the mean); a judge tells pass from fail with the given accuracy.
    """
    hard = rng.uniform(0.25, 0.45, size=(scenarios, 1))
    gains = gain + rng.uniform(-0.25, 0.25, size=(scenarios, 1))
    arms = []
    for chance in (hard, hard + gains):
        passed = rng.random((scenarios, seeds)) < chance
        arms.append(passed ^ (rng.random((scenarios, seeds)) > accuracy))
    return arms


# --- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scenarios", [8, 20])
def test_intervals_of_the_difference_cover_the_truth(scenarios):
    rng = np.random.default_rng(1)
    accuracy, gain = 0.85, 0.2
    covered = []
    for trial in range(500):
        before, after = judged_pair(rng, scenarios, 4, gain, accuracy)
        found = paired(
            arm("none", before), arm("library", after), "rubric", trial, resamples=QUICK
        ).ci95
        assert found is not None
        # A judge who errs both ways alike shrinks every difference by 2 * accuracy - 1.
        low, high = (end / (2 * accuracy - 1) for end in found)
        covered.append(low <= gain <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_intervals_that_take_seeds_for_scenarios_are_too_narrow():
    rng = np.random.default_rng(2)
    covered = {False: [], True: []}
    for trial in range(200):
        effect = rng.normal(0.0, 0.12, size=(12, 1))
        before, after = (
            np.clip(0.5 + shift + rng.normal(0, 0.1, size=(12, 6)), 0, 1) for shift in (0, effect)
        )
        for naive, seen in covered.items():
            first, second = (
                arm(str(i), x, own_scenarios=naive) for i, x in enumerate((before, after))
            )
            low, high = paired(first, second, "rubric", trial, resamples=QUICK).ci95 or (1, -1)
            seen.append(low <= 0 <= high)
    assert np.mean(covered[False]) >= 0.91
    assert np.mean(covered[True]) < 0.8


def test_an_estimate_of_nothing_one_and_alike():
    assert estimate([]) == Estimate(None, None, 0)
    assert estimate([4.0]) == Estimate(4.0, None, 1)
    assert estimate([0.3] * 5) == Estimate(pytest.approx(0.3), pytest.approx((0.3, 0.3)), 5)
    with pytest.raises(ValueError, match="not a finite number"):
        estimate([1.0, math.nan])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=12))
def test_an_interval_lies_within_the_values_and_has_no_holes(values):
    found = estimate(values, resamples=QUICK)
    assert found.ci95 is not None
    low, high = found.ci95
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert estimate(values, resamples=QUICK) == found
    assert (low < high) == (len(set(values)) > 1)


def test_an_interval_of_few_values_is_as_wide_as_students():
    rng = np.random.default_rng(3)
    values = rng.normal(size=10)
    low, high = estimate(list(values)).ci95 or (0, 0)
    students = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert high - low == pytest.approx(students[1] - students[0], rel=0.15)


# --- the comparison ------------------------------------------------------------------------------


def test_the_same_arm_twice_is_seldom_called_different():
    rng = np.random.default_rng(4)
    false_alarms = 0
    for trial in range(1000):
        hard = rng.uniform(0.2, 0.8, size=(12, 1))
        before, after = (
            np.clip(hard + rng.normal(0, 0.15, size=(12, 3)), 0, 1).round(1) for _ in range(2)
        )
        found = paired(arm("none", before), arm("none", after), "rubric", trial, resamples=QUICK)
        false_alarms += found.real
    assert 0 < false_alarms <= 60


def test_taking_seeds_for_scenarios_raises_false_alarms():
    """An arm helps some scenarios and harms others, nothing in the mean: six seeds of one scenario
    tell the same thing six times, and a test that counts them as six finds a difference.
    """
    rng = np.random.default_rng(5)
    alarms = {False: 0, True: 0}
    trials = 300
    for trial in range(trials):
        effect = rng.normal(0, 0.12, size=(12, 1))
        before, after = (
            np.clip(0.5 + shift + rng.normal(0, 0.1, size=(12, 6)), 0, 1) for shift in (0, effect)
        )
        for naive in alarms:
            first, second = (
                arm(str(i), x, own_scenarios=naive) for i, x in enumerate((before, after))
            )
            alarms[naive] += paired(first, second, "rubric", trial, resamples=QUICK).real
    assert alarms[False] / trials <= 0.08
    assert alarms[True] / trials >= 0.2


def test_a_clear_gain_is_found():
    rng = np.random.default_rng(6)
    hard = rng.uniform(0.2, 0.6, size=(14, 1))
    before, after = (hard + gain + rng.uniform(0, 0.1, size=(14, 3)) for gain in (0, 0.25))
    found = paired(arm("none", before), arm("library", after), "rubric")
    assert found.real and found.p < 0.001
    assert found.diff == pytest.approx(float((after - before).mean()))
    assert (found.win, found.tie, found.loss) == (1.0, 0.0, 0.0)
    assert found.verdict.startswith("library is better than none: rubric +0.2")
    turned = paired(arm("library", after), arm("none", before), "rubric")
    assert turned.diff == pytest.approx(-found.diff) and turned.loss == 1.0
    assert turned.verdict.startswith("none is worse than library")


def test_the_sign_flip_test_is_exact_for_few_scenarios():
    differences = [0.1, 0.2, 0.3, 0.25, 0.15, -0.05, 0.4]
    second = [outcome("b", f"{i}", rubric=0.5 + d) for i, d in enumerate(differences)]
    first = [outcome("a", f"{i}", rubric=0.5) for i in range(len(differences))]
    signs = np.array(np.meshgrid(*[[-1, 1]] * 7)).reshape(7, -1).T
    sums = (signs * differences).sum(axis=1)
    by_hand = 2 * np.mean(sums >= sum(differences) - 1e-9)
    assert paired(first, second, "rubric").p == pytest.approx(by_hand)


def test_seeds_are_averaged_within_their_scenario():
    """Nine seeds of one scenario weigh as much as one seed of another."""
    first = [outcome("a", "often", seed=i) for i in range(9)] + [outcome("a", "once")]
    second = [outcome("b", "often", seed=i, csat=4.0) for i in range(9)]
    second.append(outcome("b", "once", csat=2.0))
    found = paired(first, second, "csat")
    assert (found.diff, found.n, found.scenarios, found.real) == (0.0, 10, 2, False)
    assert (found.win, found.loss) == (0.9, 0.1)
    assert scenario_differences(first, second, "csat") == [1.0, -1.0]


def test_only_cells_valid_in_both_arms_are_compared():
    first = [outcome("a", "1"), outcome("a", "2", valid=False), outcome("a", "3")]
    second = [outcome("b", "3", csat=4.0), outcome("b", "2", csat=5.0), outcome("b", "4", csat=5.0)]
    found = paired(first, second, "csat")
    assert (found.n, found.dropped, found.diff, found.ci95, found.p) == (1, 1, 1.0, None, 1.0)
    assert not found.real and found.verdict.startswith("1 scenario is too few")
    nothing = paired(first, [], "csat")
    assert (nothing.n, nothing.diff, nothing.real) == (0, None, False)
    assert "nothing can be said" in nothing.verdict


@pytest.mark.parametrize(("scenarios", "real"), [(5, False), (6, True)])
def test_fewer_than_six_scenarios_never_make_a_difference_real(scenarios, real):
    first = [outcome("a", f"{i}", csat=2.0) for i in range(scenarios)]
    second = [outcome("b", f"{i}", csat=4.0 + i / 10) for i in range(scenarios)]
    found = paired(first, second, "csat")
    assert found.real is real
    assert ("too few" in found.verdict) is not real


def test_a_verdict_refuses_where_the_interval_covers_zero():
    rng = np.random.default_rng(7)
    before, after = rng.uniform(0.4, 0.6, size=(2, 15, 2))
    found = paired(arm("none", before), arm("generic", after), "rubric")
    assert found.ci95 is not None and found.ci95[0] < 0 < found.ci95[1]
    assert not found.real
    assert found.verdict.startswith("No real difference between generic and none")
    same = paired(arm("none", before), arm("none", before), "rubric")
    assert (same.diff, same.ci95, same.p, same.tie, same.real) == (0.0, (0.0, 0.0), 1.0, 1.0, False)


def test_ties_lie_within_the_margin_and_less_of_a_cost_wins():
    first = [outcome("a", f"{i}", csat=4.0, tokens=1000 + i) for i in range(8)]
    second = [
        outcome("b", f"{i}", csat=4.1 if i % 2 else 4.2, tokens=500 + 2 * i) for i in range(8)
    ]
    rated = paired(first, second, "csat")
    assert (rated.win, rated.tie, rated.margin) == (0.5, 0.5, 0.1)
    assert paired(first, second, "csat", margin=0.05).win == 1.0
    spent = paired(first, second, "tokens")
    assert spent.win == 1.0 and spent.real
    assert spent.verdict.startswith("b costs less than a: tokens -49")
    with pytest.raises(ValueError, match="margin"):
        paired(first, second, "csat", margin=-1)


def test_mixed_arms_and_repeated_cells_are_refused():
    with pytest.raises(ValueError, match="mixed"):
        arm_figures([outcome("a"), outcome("b", seed=1)])
    with pytest.raises(ValueError, match="twice"):
        paired([outcome("a"), outcome("a")], [], "csat")


@pytest.mark.parametrize(
    "wrong", [{"csat": 5.5}, {"rubric": -0.1}, {"csat": None}, {"usd": math.inf}]
)
def test_an_outcome_off_the_scale_is_refused(wrong):
    with pytest.raises(ValidationError):
        outcome(**wrong)
    assert outcome(csat=None, rubric=None, valid=False).csat is None


# --- figures of an arm ---------------------------------------------------------------------------


def repeats(scenario: str, good: int, of: int, **other):
    return [outcome("a", scenario, seed=i, good=i < good, **other) for i in range(of)]


def test_pass_k_as_worked_out_by_hand():
    # C(3,k)/C(4,k) = 3/4, 1/2, 1/4, 0 and C(4,k)/C(4,k) = 1 and C(1,k)/C(4,k) = 1/4, 0, 0, 0.
    played = repeats("x", 3, 4) + repeats("y", 4, 4) + repeats("z", 1, 4)
    found = arm_figures(played).pass_k
    assert found == pytest.approx({1: 2 / 3, 2: 1 / 2, 3: 5 / 12, 4: 1 / 3})


def test_pass_k_counts_personas_as_cases_and_invalid_dialogues_not_at_all():
    played = repeats("x", 2, 2) + repeats("x", 0, 2, persona="q")
    played += [outcome("a", "y", seed=0, good=True), outcome("a", "y", seed=1, valid=False)]
    found = arm_figures(played)
    assert found.pass_k == pytest.approx({1: 2 / 3, 2: 1 / 2})
    assert found.pass_k_cases == {1: 3, 2: 2}
    assert (found.n, found.invalid, found.csat.n) == (5, 1, 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_pass_k_is_the_chance_that_k_drawn_repeats_all_pass(goods):
    played = [o for i, good in enumerate(goods) for o in repeats(f"{i}", good, 5)]
    found = arm_figures(played, resamples=100).pass_k
    expected = {
        k: np.mean([stats.hypergeom.pmf(k, 5, good, k) for good in goods]) for k in range(1, 6)
    }
    assert found == pytest.approx(expected)
    assert all(found[k] >= found[k + 1] - 1e-12 for k in range(1, 5))


def test_the_figures_of_an_arm():
    played = [
        outcome("a", f"{i % 3}", seed=i, csat=2.0 + i % 3, tokens=100 * i, usd=0.1, seconds=i)
        for i in range(9)
    ]
    found = arm_figures(played)
    assert found.csat.mean == pytest.approx(3.0) and found.csat.n == 3
    assert (found.tokens, found.usd, found.seconds) == (400.0, 0.1, 4.0)
    empty = arm_figures([])
    assert (empty.n, empty.pass_k, empty.tokens, empty.csat.mean) == (0, {}, None, None)


# --- looking again and again ---------------------------------------------------------------------


def null_differences(rng, trials: int, scenarios: int) -> np.ndarray:
    """Scenario differences without any in the mean, from several kinds of data."""
    kinds = [
        rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=(trials, scenarios)),
        rng.choice([-1.0, 1.0], size=(trials, scenarios)),
        np.clip(rng.normal(0, 0.2, size=(trials, scenarios)), -1, 1),
        # Seldom a large loss, often a small gain: what a normal approximation errs on.
        np.where(rng.random((trials, scenarios)) < 0.1, -0.9, 0.1),
    ]
    return np.concatenate(kinds)


def test_peeking_at_null_data_seldom_stops():
    rng = np.random.default_rng(8)
    runs = null_differences(rng, 300, 100)
    # Once decided stays decided (below), so the last look tells whether any look did.
    stopped = np.mean([decided(run, 1.0) for run in runs])
    looks = range(10, 101, 5)
    naive = np.mean(
        [any(stats.ttest_1samp(run[:n], 0).pvalue < 0.05 for n in looks) for run in runs[:300]]
    )
    assert stopped <= 0.05
    assert naive > 0.1


def test_the_anytime_interval_covers_at_every_look():
    rng = np.random.default_rng(9)
    mean = 0.3
    missed = 0
    for _ in range(300):
        run = np.where(rng.random(80) < (1 + mean) / 2, 1.0, -1.0)
        low, high = sequential(run, 1.0)
        missed += not low <= mean <= high
    assert missed / 300 <= 0.05


def test_a_clear_effect_stops_early():
    rng = np.random.default_rng(10)
    stops = []
    for _ in range(40):
        run = np.clip(rng.normal(0.3, 0.25, size=60), -1, 1)
        stops.append(next((n for n in range(1, 61) if decided(run[:n], 1.0)), 61))
    assert np.median(stops) <= 22
    assert max(stops) <= 60


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.floats(0.5, 8))
def test_looks_only_narrow_the_interval_and_scale_with_the_bound(run, bound):
    before = (-1.0, 1.0)
    for n in range(len(run) + 1):
        low, high = sequential(run[:n], 1.0)
        assert -1 <= low < high <= 1
        if (low, high) != (-1.0, 1.0):
            assert low >= before[0] - 1e-7 and high <= before[1] + 1e-7
            before = (low, high)
    scaled = sequential([d * bound for d in run], bound)
    assert scaled == pytest.approx((low * bound, high * bound), abs=1e-6)
    mirrored = sequential([-d for d in run], 1.0)
    assert mirrored == pytest.approx((-high, -low), abs=1e-6)


def test_a_single_difference_decides_nothing_and_a_small_one_can_be_shown_small():
    assert sequential([], 4.0) == (-4.0, 4.0)
    assert not decided([4.0], 4.0)
    rng = np.random.default_rng(11)
    alike = np.clip(rng.normal(0, 0.05, size=200), -1, 1)
    assert not decided(alike, 1.0)
    assert decided(alike, 1.0, margin=0.1)


@pytest.mark.parametrize(
    ("differences", "bound", "alpha", "said"),
    [
        ([1.5], 1.0, 0.05, "outside the bound"),
        ([0.5], 0.0, 0.05, "bound"),
        ([0.5], 1.0, 1.0, "alpha"),
        ([math.nan], 1.0, 0.05, "not a finite number"),
    ],
)
def test_wrong_input_of_the_stopping_rule_is_told(differences, bound, alpha, said):
    with pytest.raises(ValueError, match=said):
        sequential(differences, bound, alpha)


def test_a_kind_of_item_that_a_firm_does_not_have_is_left_out_and_not_nought():
    one = [outcome("none", str(n)).model_copy(update={"checks": 0.5}) for n in range(6)]
    other = [outcome("library", str(n)).model_copy(update={"checks": 0.75}) for n in range(6)]
    bare = outcome("none", "bare"), outcome("library", "bare")
    figures = arm_figures([*one, bare[0]])
    assert figures.checks.mean == 0.5 and figures.checks.n == 6 and figures.rubric.n == 7
    assert figures.questions.mean is None
    found = paired([*one, bare[0]], [*other, bare[1]], "checks")
    assert found.diff == 0.25 and found.n == 6 and found.verdict.count("rubric by code") == 1
    assert "nothing can be said about rubric by judge" in paired(one, other, "questions").verdict
