"""The generalisation gate: advice goes to other scenarios only where it does good there."""

from __future__ import annotations

import hard_world
import pytest
from tutelage.agents.teacher import Description
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.states import State
from tutelage.graphs.play.rollouts import plan_round
from tutelage.graphs.statistics.acceptance import Pair
from tutelage.graphs.steps.generalisation import generalise
from tutelage.graphs.steps.strategy_step import Null, StepOptions, Weak, strategy_step
from tutelage.graphs.steps.trials import similarities
from tutelage.strategy_store import Entry, Provenance, Strategy

LATE, GIFT, PRICE = (hard_world.KINDS[kind][1] for kind in ("late", "gift", "price"))
NULL = [Pair("hello", "a", "b", 0.5 + away, 0.5, 0.5) for away in (0.02, -0.02, 0.04, -0.04)]


@pytest.fixture
def firm(tmp_path):
    return load_environment(hard_world.build_firm(tmp_path / "world"))


def state(firm, kind: str, dialogue: str, line: str) -> State:
    scenario = next(s for s in firm.split("train") if s.id.startswith(kind))
    turns = (Turn(speaker="customer", text=line),)
    return State(
        dialogue=dialogue, turn=0, scenario=scenario.id, persona=next(iter(firm.personas)),
        turns=turns, reply="", score=2.0, ending="", reasons=(),
    )  # fmt: skip


async def gate(firm, library, text, others, most=8, **seats):
    desk = hard_world.seat(firm, library, **seats)
    strategy = Strategy.new(text, Provenance(source="teacher"))
    entry = Entry.new("a customer whose parcel is late", cues=[LATE], strategies=[strategy])
    home = state(firm, "late", "home", LATE)
    found = await generalise(
        desk,
        "p",
        entry,
        home,
        [state(firm, *other) for other in others],
        NULL,
        0.02,
        most=most,
        seed=0,
    )
    return desk, home, found


async def reaches(desk, found, *states) -> list[bool]:
    return [bool(near) for near in await similarities(desk, found.entry, states)]


async def test_where_it_does_nothing_in_another_scenario_it_does_not_go(firm, library):
    # A student that answers the same whatever it is told: no pair shows a gain or a loss.
    others = [("late", "own", LATE + " still"), ("gift", "other", GIFT)]
    desk, home, found = await gate(
        firm, library, "Speak of ribbon.", others, student=hard_world.Deaf()
    )
    own, other = (state(firm, *one) for one in others)
    assert found.entry is not None and found.entry.unless == [GIFT]
    assert "does nothing for 1" in found.reason and found.narrowed == "by 1 counter-examples"
    assert await reaches(desk, found, home, own, other) == [True, True, False]


async def test_where_it_does_good_in_another_scenario_it_goes(firm, library):
    # The customer of the other scenario has the same trouble, so the same cure helps.
    others = [("gift", "other", LATE + " again")]
    desk, home, found = await gate(firm, library, "Speak of ribbon.", others)
    assert found.entry is not None and found.entry.unless == [] and found.gain > 0
    assert await reaches(desk, found, home, state(firm, *others[0])) == [True, True]


async def test_where_it_could_not_be_tried_it_does_not_go(firm, library):
    # Both have the trouble that it cures, but there is room to try it in the nearer one alone.
    nearer, farther = ("gift", "a", LATE + " again"), ("price", "b", f"{LATE}, says {PRICE}")
    others = [nearer, farther]
    desk, home, found = await gate(firm, library, "Speak of ribbon.", others, most=1)
    assert found.entry is not None and found.entry.unless == [farther[2]]
    assert "of 1 scenario more nothing is known" in found.reason
    states = [home, *(state(firm, *one) for one in others)]
    assert await reaches(desk, found, *states) == [True, True, False]


async def test_what_is_untried_and_cannot_be_told_apart_costs_it_nothing(firm, library):
    others = [("gift", "a", LATE + "!"), ("price", "b", LATE + "?")]
    _, _, found = await gate(firm, library, "Speak of ribbon.", others, most=1)
    assert found.entry is not None and found.entry.unless == []


async def test_a_line_that_was_tried_in_another_scenario_is_known(firm, library):
    others = [("gift", "a", LATE + " again"), ("price", "b", LATE + " again")]
    _, _, found = await gate(firm, library, "Speak of ribbon.", others)
    assert found.entry is not None and found.entry.unless == []


async def test_another_scenario_is_judged_as_one(firm, library):
    # A later line holds the trouble of the line before it: the turns are not told apart.
    class Tires(hard_world.Judge):
        """Likes the cure at first, and is indifferent to it at a later turn."""

        def quality(self, transcript, reply):
            return 2 if "second time" in transcript else super().quality(transcript, reply)

    first = ("gift", "other", LATE + " again")
    later = ("gift", "other", LATE + " again, I write a second time")
    desk, home, found = await gate(firm, library, "Speak of ribbon.", [first, later], judge=Tires())
    assert found.entry is not None and found.entry.unless == [], "the mean of both is a gain"
    states = [state(firm, *one) for one in (first, later)]
    assert await reaches(desk, found, home, *states) == [True, True, True]


async def test_what_cannot_be_told_apart_is_dropped(firm, library):
    _, _, found = await gate(
        firm, library, "Speak of ribbon.", [("gift", "other", LATE)], student=hard_world.Deaf()
    )
    assert found.entry is None and "cannot be told apart" in found.reason


async def test_in_its_own_scenario_a_bad_pair_alone_does_not_narrow_it(firm, library):
    class Moody(hard_world.Judge):
        """Dislikes the strategy's reply in the first comparison, and sees no difference after."""

        asked: int = 0

        def quality(self, transcript, reply):
            self.asked += 1
            return 1 if self.asked <= 4 and "ribbon" in reply else 2

    others = [("late", "own", LATE + " still")]
    judge = Moody()
    _, _, found = await gate(firm, library, "Speak of ribbon.", others, judge=judge)
    assert judge.asked > 4 and found.gain < 0, "the first pair was bad, and it was tried anew"
    assert found.entry is not None and found.entry.unless == []


async def test_a_cure_is_tested_in_its_own_scenario_however_near_another_is(firm, library):
    # The gift's customers write nearly as the late ones do, and their cure does harm there.
    desk = hard_world.seat(firm, library)
    home = state(firm, "late", "home", LATE)
    others = [state(firm, "gift", f"other{number}", GIFT) for number in range(4)]
    own = state(firm, "late", "own", LATE + " again")
    description = Description(scenario="a customer whose parcel is late", wants="it", feels="cross")
    weak = Weak(home, description, "ribbon", ())
    kept = await strategy_step(
        desk, weak, [*others, own], Null(list(NULL)), StepOptions(), round_number=1
    )
    assert kept and hard_world.words_of(library).keys() == {"ribbon"}
    tried = [logged.event for logged in await desk.log.read(kinds=("strategy_tried",))]
    accepted = {event.dialogue for event in tried if event.phase == "accept"}
    assert accepted == {"home", "own"}
    assert library.entries()[0].unless, "and is kept away from where it harms"


async def test_an_entry_is_kept_away_from_openings_that_no_dialogue_has_met(tmp_path, library):
    # One dialogue is played, about a late parcel; the gift's customers are known by their first line.
    folder = hard_world.build_firm(tmp_path / "world")
    for path in (folder / "scenarios").glob("gift_*.yaml"):
        path.write_text(path.read_text() + f"opening: {GIFT}\n")
    firm = load_environment(folder)
    seed = next(
        seed for seed in range(99) if "late" in plan_round(firm, 1, 1, seed)[0].get("scenario", "")
    )
    desk = hard_world.seat(firm, library)
    options = CoachingOptions(
        rounds=1,
        dialogues=1,
        validation_dialogues=0,
        states_per_round=1,
        max_exchanges=2,
        seed=seed,
    )
    await compile_coaching(desk, options).ainvoke({})
    (entry,) = library.entries()
    assert "ribbon" in entry.strategies[0].text and entry.unless == [GIFT]
