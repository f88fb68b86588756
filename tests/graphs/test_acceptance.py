"""Acceptance lets hardly anything useless or harmful in, and clear cases cost little."""

from __future__ import annotations

import math
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tutelage.graphs.statistics.acceptance import (
    ALPHA,
    BESIDE_CODE,
    ONE_CHECK,
    SATISFACTION,
    Pair,
    decide,
    example_of,
    gain,
    mean_interval,
    merit,
    null_threshold,
    spread,
)
from tutelage.graphs.statistics.sequential import e_value

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "acceptance"))
from planted import World, by_betting, by_fixed_t_test, table

PLANNED = 24


def pair(preference: float, before: float | None = None, after: float | None = None) -> Pair:
    return Pair("", "before", "after", preference, before, after)


@pytest.fixture(scope="module")
def planted():
    rows = table({"betting": by_betting}, (0.6, 0.8, 0.95), 80, PLANNED, seed=7)
    return {(row.accuracy, row.kind): row for row in rows}


def test_hardly_anything_harmful_or_useless_gets_in_whatever_the_judge(planted):
    def kept(kind: str) -> float:
        return float(np.mean([row.kept for (_, name), row in planted.items() if name == kind]))

    # Over three judges, 80 strategies each: the benchmark has the figures by judge.
    assert kept("very harmful") <= 0.02
    assert kept("harmful") <= 0.05
    assert kept("useless") <= ALPHA


def test_a_good_judge_misses_few_clearly_good_strategies(planted):
    assert planted[0.95, "very good"].kept > 0.6
    assert planted[0.95, "very good"].kept > planted[0.8, "very good"].kept
    seen = table({"betting": by_betting}, (0.6,), 60, PLANNED, code_sees=0.7, seed=7)
    with_code = {row.kind: row.kept for row in seen}
    assert with_code["very good"] > planted[0.6, "very good"].kept + 0.1, "code helps a weak judge"
    assert with_code["harmful"] <= 0.05 and with_code["useless"] <= ALPHA


def test_clear_cases_cost_few_calls(planted):
    assert planted[0.95, "very harmful"].pairs < 4
    assert planted[0.95, "harmful"].pairs < 5
    assert all(row.pairs < 0.75 * PLANNED for row in planted.values())


def test_the_rule_it_replaced_let_more_useless_strategies_in():
    old = table({"old": by_fixed_t_test}, (0.6, 0.8, 0.95), 200, 6, seed=7)
    assert np.mean([row.kept for row in old if row.kind == "useless"]) > 0.06


def test_the_evidence_may_be_looked_at_after_every_pair():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        merits = rng.normal(0, rng.choice([0.3, 1.0, 3.0]), size=40)
        alarms += e_value(list(merits)) >= 1 / ALPHA
    assert alarms / 300 <= ALPHA


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 4), min_size=1, max_size=9), st.sampled_from([1.5, 2, 4, 8, 20]))
def test_without_an_effect_evidence_is_as_rare_as_it_says(sizes, evidence):
    """Of all the ways the signs may fall, for differences of whatever size: no simulation."""
    signs = list(product((-1, 1), repeat=len(sizes)))
    reached = sum(e_value(list(np.multiply(one, sizes))) >= evidence for one in signs)
    assert reached / len(signs) <= 1 / evidence + 1e-9


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-4, 4), max_size=20), st.floats(-4, 4))
def test_evidence_stands_once_it_was_there_and_grows_with_every_gain(merits, more):
    found = e_value(merits)
    assert 1 <= found <= e_value([*merits, more])
    assert e_value([abs(one) for one in merits]) >= found


def test_evidence_of_any_size_is_a_number_and_what_is_no_number_is_refused():
    assert math.isfinite(e_value([1e300] * 3000))
    assert e_value([-1e300] * 3000) == e_value([]) == 1.0
    with pytest.raises(ValueError, match="not a finite number"):
        e_value([0.5, math.nan])


def test_three_checks_won_say_more_than_one():
    """Generic advice for every customer, as broadband's log has it: where it wins it wins several."""
    null = [pair(0.4), pair(0.6)]

    def tested(checks: float) -> int:
        won = Pair("", "b", "a", 0.56, 0.2, 0.2 + checks / 5, 5)
        disliked = Pair("", "b", "a", 0.45, 0.4, 0.4, 5)
        pairs: list[Pair] = []
        while (decision := decide(pairs, null, 96, scenarios=8)) is None:
            pairs.append(disliked if len(pairs) % 2 else won)
        assert decision.kept, decision.reason
        return len(pairs)

    assert tested(3) < tested(1)


def test_six_clear_pairs_decide_and_five_do_not():
    null = [pair(0.52), pair(0.47), pair(0.5)]
    assert decide([pair(0.9)] * 5, null, PLANNED) is None
    decision = decide([pair(0.9)] * 6, null, PLANNED)
    assert decision is not None and decision.kept and decision.p <= ALPHA
    worse = decide([pair(0.1)] * 6, null, PLANNED)
    assert worse is not None and not worse.kept and "worse" in worse.reason


def test_code_checks_that_fall_stop_what_the_judge_loves():
    pairs = [pair(0.95, 1.0, 0.97) for _ in range(PLANNED)]
    decision = decide(pairs, [pair(0.5)], PLANNED)
    assert decision is not None and not decision.kept and "code checks fell" in decision.reason


def test_a_judge_against_it_stops_what_only_code_loves():
    pairs = [pair(0.49, 0.0, 1.0) for _ in range(PLANNED)]
    decision = decide(pairs, [pair(0.45), pair(0.58)], PLANNED)
    assert decision is not None and not decision.kept
    assert "the judge prefers the replies without it" in decision.reason


def test_a_check_that_is_won_outweighs_a_judge_that_has_read_it_already():
    won_and_disliked, liked_alone = pair(0.45, 0.5, 0.625), pair(0.55, 0.5, 0.5)
    assert merit(won_and_disliked, 0.05) == pytest.approx(ONE_CHECK - BESIDE_CODE)
    assert ONE_CHECK > BESIDE_CODE
    assert merit(liked_alone, 0.05) == pytest.approx(BESIDE_CODE)
    assert merit(pair(0.55), 0.05) == 1.0, "without checks the judge is all there is"


def test_what_a_preference_is_worth_depends_on_how_loud_the_judge_is():
    quiet, loud = [pair(0.51), pair(0.49)], [pair(0.9), pair(0.2)]
    assert spread(loud) > 10 * spread(quiet) or spread(quiet) == pytest.approx(0.02)
    assert gain(pair(0.56), spread(quiet)) == 1.0
    assert gain(pair(0.56), spread(loud)) < 0.25
    assert gain(pair(0.44), 0.1) == pytest.approx(-gain(pair(0.56), 0.1))
    assert null_threshold(loud, spread(loud), 4) > null_threshold(loud, spread(loud), 40)


def test_one_more_check_counts_the_same_in_a_long_rubric_as_in_a_short_one():
    short = Pair("", "b", "a", 0.5, 3 / 5, 4 / 5, 5)
    long = Pair("", "b", "a", 0.5, 9 / 15, 10 / 15, 15)
    assert merit(short, 0.1) == pytest.approx(ONE_CHECK)
    assert merit(long, 0.1) == pytest.approx(ONE_CHECK)


def test_a_hopeless_case_is_given_up_and_a_short_plan_can_keep_nothing():
    decision = decide([pair(0.5)] * 4, [pair(0.5)], PLANNED)
    assert decision is not None and not decision.kept
    short = decide([pair(0.9)], [pair(0.5)], 4)
    assert short is not None and not short.kept, "four pairs cannot be evidence enough"


def test_what_helps_in_some_of_several_scenarios_is_not_given_up_before_each_was_seen():
    null = [pair(0.45), pair(0.55)]
    bad = [pair(0.5), pair(0.2)]
    for pairs, why in ((bad, "not certain enough"), ([*bad, *bad], "not better")):
        one = decide(pairs, null, 24)
        assert one is not None and not one.kept and why in one.reason
        assert decide(pairs, null, 24, scenarios=4) is None
    seen = decide([*bad] * 4, null, 24, scenarios=4)
    assert seen is not None and "not better" in seen.reason
    assert decide([*bad] * 2, null, 8, scenarios=4) is not None, "no more than half of the plan"
    good = decide([pair(0.9)] * 6, null, 24, scenarios=4)
    assert good is not None and good.kept, "what is clear need not wait"


def test_the_planted_judge_is_as_accurate_as_it_says():
    world, rng = World(0.8), np.random.default_rng(0)
    right = [world.pair(rng, 0.0, 1.0).preference > 0.5 for _ in range(2000)]
    assert np.mean(right) == pytest.approx(0.8, abs=0.03)


def test_an_interval_stays_on_its_scale():
    low, high = mean_interval([2.9, 3.1], SATISFACTION)
    assert (low, high) == (pytest.approx(3.0 - 1.27, abs=0.01), pytest.approx(4.27, abs=0.01))
    assert mean_interval([2.0, 4.0], SATISFACTION) == SATISFACTION
    assert mean_interval([0.5], SATISFACTION) == SATISFACTION
    assert mean_interval([0.2, 0.9]) == (0.0, 1.0)
    assert mean_interval([]) == (0.0, 1.0)


def test_a_person_is_shown_the_line_that_a_strategy_was_written_for():
    home = "Can you put my friend on my ticket?"
    elsewhere = Pair("You cancelled my flight.", "a", "b", 0.9, 0.2, 1.0)
    luckiest = Pair(home, "a", "liked, and no better", 0.8, 0.5, 0.5)
    clearest = Pair(home, "a", "better", 0.6, 0.5, 0.9)
    assert example_of([elsewhere, luckiest, clearest], home) is clearest
    assert example_of([elsewhere], home) is elsewhere
