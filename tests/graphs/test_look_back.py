"""Looking back: what did no good where it was not learned is not given there any more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import hard_world
import pytest
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.steps.look_back import LEAST_NULL
from tutelage.graphs.steps.rounds import null_pairs
from tutelage.strategy_store import Entry, Provenance, Strategy

OPTIONS = CoachingOptions(
    rounds=1, dialogues=16, validation_dialogues=0, states_per_round=0, max_exchanges=2, general=False
)  # fmt: skip
LATE, GIFT = (hard_world.KINDS[kind][1] for kind in ("late", "gift"))


@pytest.fixture
def firm(tmp_path):
    return load_environment(hard_world.build_firm(tmp_path / "world"))


def late_entry(text: str, scenario: str = "") -> Entry:
    """What somebody brought along: found by the late parcel, and near to the gift that is late."""
    strategy = Strategy.new(text, Provenance(source="import", scenario=scenario))
    return Entry.new("a customer whose parcel is late", cues=[LATE], strategies=[strategy])


async def given_at(desk, line: str) -> bool:
    return bool(await desk.retrieve([Turn(speaker="customer", text=line)], "any"))


async def narrowed(desk) -> list:
    return [logged.event for logged in await desk.log.read(kinds=("entry_narrowed",))]


async def test_an_entry_is_kept_from_the_scenario_where_it_harms_and_stays_where_it_helps(
    firm, library
):
    library.add(late_entry("Speak of ribbon in the first sentence of the answer."), "me")
    desk = hard_world.seat(firm, library)
    assert await given_at(desk, GIFT), "the world is such that it reaches the neighbour"
    await compile_coaching(desk, OPTIONS).ainvoke({})
    (entry,) = library.entries()
    assert entry.unless and all("birthday" in line for line in entry.unless)
    assert await given_at(desk, LATE) and not await given_at(desk, GIFT)
    chance = [e.event for e in await desk.log.read(kinds=("null_compared",))]
    assert len(chance) >= LEAST_NULL and len(await null_pairs(desk.log)) == len(chance)
    found = await narrowed(desk)
    assert found and all(event.scenario.startswith("gift") and event.gain <= 0 for event in found)
    assert {(event.dialogue, event.learned_for) for event in found} == {("", entry.scenario)}


async def test_what_a_person_approved_stays_as_it_is(firm, library):
    library.add(late_entry("Speak of ribbon in the first sentence of the answer."), "me")
    library.approve([s.id for s in library.entries()[0].strategies], "me")
    desk = hard_world.seat(firm, library)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert not library.entries()[0].unless and not await narrowed(desk)


class Meanwhile(hard_world.Judge):
    """Somebody changes the library while the judge compares."""

    change: Any

    def answer(self, system, page, messages):
        if "Reply A:" in page:
            self.change()
        return super().answer(system, page, messages)


@pytest.mark.parametrize("what", ["it", "one beside it"])
async def test_what_a_person_approves_meanwhile_stays_as_it_is(firm, library, what):
    library.add(late_entry("Speak of ribbon in the first sentence of the answer."), "me")

    def approve():
        if what == "one beside it":
            library.add(late_entry("Say when it comes."), "me")
        library.approve([library.entries()[0].strategies[-1].id], "me")

    desk = hard_world.seat(firm, library, judge=Meanwhile(change=approve))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    (entry,) = library.entries()
    assert entry.strategies[-1].status == "approved"
    assert not entry.unless and entry.threshold is None and not await narrowed(desk)


async def test_an_entry_that_is_gone_meanwhile_ends_no_run(firm, library):
    library.add(late_entry("Speak of ribbon in the first sentence of the answer."), "me")
    roll_back = partial(library.rollback, 0, "me")
    desk = hard_world.seat(firm, library, judge=Meanwhile(change=roll_back))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert library.entries() == [] and not await narrowed(desk)


async def test_in_its_own_scenario_it_is_not_looked_at_and_once_a_round(firm, library, tmp_path):
    library.add(late_entry("Speak of thunder in every answer.", "late_0"), "me")
    async with await RunLog.open(tmp_path / "run") as log:
        desk = hard_world.seat(firm, library, log=log)
        await compile_coaching(desk, OPTIONS).ainvoke({})
        tried = [logged.event for logged in await log.read(kinds=("strategy_tried",))]
        looked_at = {event.dialogue.split(".")[1] for event in tried}
        assert "late_1" in looked_at and "late_0" not in looked_at
        await compile_coaching(desk, OPTIONS).ainvoke({})
        assert len(await log.read(kinds=("strategy_tried",))) == len(tried)


async def test_what_was_learned_for_several_scenarios_is_kept_for_all_of_them(firm, library):
    """Kept from the gift by a similarity that most of its own are below, it would be lost to these."""

    origin = Provenance(source="import", scenarios=["late_0", "late_1", "late_2", "late_3"])
    strategy = Strategy.new("Speak of ribbon in the first sentence of the answer.", origin)
    cues = [GIFT, LATE]
    library.add(
        Entry.new("a customer whose matter is parcels", cues=cues, strategies=[strategy]), "me"
    )
    desk = hard_world.seat(firm, library)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    asked = [e.event for e in await desk.log.read(kinds=("strategy_tried",))]
    assert asked and all(event.dialogue.split(".")[1].startswith("gift") for event in asked)
    assert await given_at(desk, LATE)
    found = await narrowed(desk)
    assert all(event.dialogue.split(".")[1].startswith("late") for event in found), (
        "it was learned at openings that the run has met"
    )


async def test_a_run_that_goes_on_knows_what_chance_does(firm, library, tmp_path):
    library.add(late_entry("Speak of ribbon in the first sentence of the answer."), "me")
    async with await RunLog.open(tmp_path / "run") as log:
        for rounds in (1, 2):
            desk = hard_world.seat(firm, library, log=log)
            await compile_coaching(desk, replace(OPTIONS, rounds=rounds)).ainvoke({})
        tried = [logged.event.proposal for logged in await log.read(kinds=("strategy_tried",))]
        assert {name[:2] for name in tried} == {"r1", "r2"}
        assert len(await null_pairs(log)) == LEAST_NULL


async def test_what_nobody_learned_is_at_home_where_its_rules_decide(firm, library):
    rule = Strategy.new(
        "Speak of ribbon in the first sentence of the answer.", Provenance(source="policy")
    )
    library.add(
        Entry.new("a parcel that is late", cues=[LATE], rules=["R1"], strategies=[rule]), "me"
    )
    for id_, scenario in list(firm.scenarios.items()):
        if id_.startswith("late"):
            firm.scenarios[id_] = scenario.model_copy(update={"rules": ["R1"]})
    desk = hard_world.seat(firm, library)
    assert await given_at(desk, GIFT) and await given_at(desk, LATE)
    await compile_coaching(desk, replace(OPTIONS, topics=0)).ainvoke({})
    asked = [e.event for e in await desk.log.read(kinds=("strategy_tried",))]
    assert asked and all(event.dialogue.split(".")[1].startswith("gift") for event in asked)
    assert await given_at(desk, LATE) and not await given_at(desk, GIFT)
