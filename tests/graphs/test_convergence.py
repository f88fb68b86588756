"""The rules of stopping and of the best library, on figures with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import world
from tutelage.environments import load_environment
from tutelage.graphs.log import events as ev
from tutelage.graphs.log.states import Played
from tutelage.graphs.statistics.convergence import best_round, of_no_use, step_between
from tutelage.graphs.steps.rounds import round_sums, settle_library
from tutelage.strategy_store import Entry, Library, Provenance, Strategy


def cells(*values):
    return {f"c{n}": value for n, value in enumerate(values)}


def entry(scenario: str, text: str) -> Entry:
    return Entry.new(scenario, strategies=[Strategy.new(text, Provenance(source="teacher"))])


async def validated(log, number: int, satisfaction: float, many: int = 4) -> None:
    """The validation dialogues of a round, all worth the same."""
    for cell in range(many):
        name = f"v{number}.{cell}"
        for event in (
            ev.DialogueStarted(
                dialogue=name, round=number, purpose="validation", scenario=f"s{cell}", persona="p"
            ),
            ev.DialogueJudged(dialogue=name, satisfaction=satisfaction, rubric=0.5),
            ev.DialogueEnded(dialogue=name, reason="goal_met", turns=2),
        ):
            await log.append(event)


def round_ended(number: int, version: int) -> ev.RoundEnded:
    return ev.RoundEnded(
        round=number,
        dialogues=4,
        invalid=0,
        proposed=1,
        kept=1,
        dropped=0,
        csat=None,
        rubric=None,
        library_version=version,
    )


def test_a_rounds_interval_is_over_scenarios_and_no_repeat_makes_it_narrower():
    def played(scenario, satisfaction):
        started = ev.DialogueStarted(dialogue="d", round=1, scenario=scenario, persona="p")
        judged = ev.DialogueJudged(dialogue="d", satisfaction=satisfaction, rubric=0.5)
        ended = ev.DialogueEnded(dialogue="d", reason="goal_met", turns=2)
        return Played(started, judged=judged, ended=ended)

    once = [played(f"s{n}", 2.0 + n % 3) for n in range(8)]
    sums = [round_sums(some, 1, []) for some in (once, 5 * once, [*once, *5 * once[:1]])]
    assert sums[0].csat_ci95 is not None and sums[0].csat == 2.875
    assert len({(one.csat, one.csat_ci95) for one in sums}) == 1
    assert round_sums(3 * once[:1], 1, []).csat_ci95 is None, "one scenario tells no spread"


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


@pytest.mark.parametrize("few", [1, 2])
def test_fewer_than_three_cells_tell_nothing_of_a_round(few):
    better, worse = cells(*[5.0] * few), cells(*[1.0] * few)
    assert not step_between(worse, better).tells, "neither improved nor stale"
    assert best_round({0: better, 1: worse}) == 1, "nothing is rolled back for want of evidence"


def test_three_cells_tell_whether_a_round_was_better():
    better = step_between(cells(1, 2, 1), cells(5, 5, 5))
    assert better.tells and better.up
    assert best_round({0: cells(5, 5, 5), 1: cells(1, 2, 1)}) == 0


async def round_that_harmed(log, library: Library, by: str, scenario: str = "late parcels") -> None:
    """A round whose only lesson took half of the satisfaction."""
    await validated(log, 0, 4.0)
    library.add(entry(scenario, "Name the harbour."), by)
    await validated(log, 1, 2.0)
    await log.append(round_ended(1, library.version))


async def begun(log, library: Library) -> None:
    await log.append(
        ev.RunStarted(
            command="coach", environment="world", models={}, library_version=library.version
        )
    )


@pytest.mark.parametrize(
    ("later", "author", "stays"),
    [
        ("", "", "rolled back"),
        ("learned after it", "run r", "not settled"),
        ("changed by hand", "ann", "not rolled back"),
    ],
)
async def test_what_was_learned_after_the_last_measured_round_is_not_undone(
    tmp_path, later, author, stays
):
    environment = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(environment, library)
        await round_that_harmed(desk.log, library, "run r")
        if later:
            library.add(entry(later, "Name the lantern."), author)
        await settle_library(desk, desk.log, "r")
        texts = [one.text for found in library.entries() for one in found.strategies]
        settled = [one.event for one in await desk.log.read(kinds=("library_settled",))]
    if stays == "rolled back":
        assert not texts and settled[0].rolled_back
    else:
        assert len(texts) == 2 and bool(settled) is (stays == "not rolled back")
        assert not any(one.rolled_back for one in settled)


async def test_a_round_that_too_few_dialogues_measured_stays_and_the_log_says_why(tmp_path):
    environment = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(environment, library)
        await validated(desk.log, 0, 4.0, many=2)
        library.add(entry("late parcels", "Name the harbour."), "run r")
        await validated(desk.log, 1, 2.0, many=2)
        await desk.log.append(round_ended(1, library.version))
        await settle_library(desk, desk.log, "r")
        (settled,) = [one.event for one in await desk.log.read(kinds=("library_settled",))]
        assert library.counts()["strategies"] == 1 and not settled.rolled_back
    assert "fewer than 3 validation dialogues" in settled.reason


async def test_what_a_person_does_while_a_run_settles_is_not_undone(tmp_path, monkeypatch):
    environment = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(environment, library)
        held = library.add(entry("spoilt gifts", "Name the lantern."), "ann").strategies[0].id
        library.approve([held], "ann")
        await begun(desk.log, library)
        await round_that_harmed(desk.log, library, "run r")
        read = library.versions

        def meanwhile():
            history = read()
            monkeypatch.undo()
            with Library.open(library.path) as other:
                other.retire([held], "ann", "harms customers")
            return history

        monkeypatch.setattr(library, "versions", meanwhile)
        await settle_library(desk, desk.log, "r")
        (settled,) = [one.event for one in await desk.log.read(kinds=("library_settled",))]
        assert library.strategy(held)[1].status == "retired" and not settled.rolled_back
        assert settled.reason.endswith("not rolled back, since ann changed the library meanwhile")


async def test_another_run_of_the_same_name_is_not_undone(tmp_path):
    environment = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        library.add(entry("late parcels", "Name the lantern."), "run coach")
        desk = world.seat(environment, library)
        await begun(desk.log, library)
        await round_that_harmed(desk.log, library, "run coach", "spoilt gifts")
        await settle_library(desk, desk.log, "coach")
        assert [found.scenario for found in library.entries()] == ["late parcels"]


def test_no_use_is_said_of_deaf_students_and_not_of_harm_help_or_too_little():
    assert "does not help this student" in of_no_use([0.0] * 30, 30)
    rng = np.random.default_rng(1)
    mixed = of_no_use(list(rng.choice([-1.0, -0.4, 0.0, 0.4, 1.0], 400)), 0)
    assert "does not help" not in mixed and "nothing that was tried" in mixed
    assert of_no_use([0.0] * 5, 5) == "", "five trials show nothing"
    assert of_no_use([-1.0] * 40, 0) == "" and of_no_use([1.0] * 40, 0) == ""
    rng = np.random.default_rng(0)
    assert of_no_use(list(rng.choice([-1.0, 1.0], 30)), 0) == "", "noise is not the same as nothing"
