"""The rules of stopping and of the best library, on figures with known answers."""

from __future__ import annotations

import math

import numpy as np
from tutelage.graphs.convergence import best_round, of_no_use, step_between


def cells(*values):
    return {f"c{n}": value for n, value in enumerate(values)}


def test_a_step_counts_beyond_one_standard_error_only():
    up = step_between(cells(3, 3, 2, 4), cells(4, 4, 3, 5))
    assert up.up and not up.down and up.mean == 1 and up.error == 0
    noise = step_between(cells(3, 3, 2, 4), cells(4, 2, 3, 3.5))
    assert not noise.up and not noise.down and noise.n == 4
    assert step_between(cells(4, 4), cells(3, 2)).down
    one = step_between(cells(1), cells(5))
    assert one.error == math.inf and not one.up
    assert step_between({"a": 1.0}, {"b": 5.0}).n == 0


def test_the_last_library_stays_unless_an_earlier_one_was_better_beyond_noise():
    start, good, bad = cells(2, 2, 2, 2), cells(4, 4, 4, 5), cells(3, 3, 2, 3)
    assert best_round({0: start, 1: good}) == 1
    assert best_round({0: start, 1: good, 2: bad}) == 1
    assert best_round({0: good, 1: start, 2: bad}) == 0
    assert best_round({0: start, 1: cells(4, 4, 4, 4), 2: cells(4.2, 3.9, 4, 3.8)}) == 2
    assert best_round({3: start}) == 3


def test_no_use_is_said_of_deaf_students_and_not_of_harm_help_or_too_little():
    assert "does not help" in of_no_use([0.0] * 30, 30)
    assert of_no_use([0.0] * 5, 5) == "", "five trials show nothing"
    assert of_no_use([-1.0] * 40, 0) == "" and of_no_use([1.0] * 40, 0) == ""
    rng = np.random.default_rng(0)
    assert of_no_use(list(rng.choice([-1.0, 1.0], 30)), 0) == "", "noise is not the same as nothing"
