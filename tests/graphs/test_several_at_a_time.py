"""Several entries at a time: what is tried is tried beside what stands beside it once it is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import world
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.strategy_store import Entry, Provenance, Strategy

OPTIONS = CoachingOptions(
    rounds=1, dialogues=4, validation_dialogues=0, states_per_round=2, max_exchanges=2,
    general=False, topics=0,
)  # fmt: skip
SAYS = world.TROUBLES["stranded"][1]
HELD = "Begin with velvet in the first words of the answer."
CURE = "Speak of candlelight in the first sentence of the answer."


class Judge(world.ScriptedJudge):
    """Wants velvet and the cure; the cure alone is worse than velvet alone."""

    def quality(self, transcript, reply):
        return 1 + ("velvet" in reply) * 2 + (self.cure_of(transcript) in reply)


class Teacher(world.ScriptedTeacher):
    """Always right about the cure; replies with velvet as well."""

    text: str = CURE

    def answer(self, system, page, messages):
        if "You coach the agent" in page:
            return f'{{"advice": [], "strategies": ["{self.text}"]}}'
        if "Describe the situation" in page:
            return super().answer(system, page, messages)
        return "I am on it, with velvet and candlelight."


@pytest.fixture
def firm(tmp_path):
    return load_environment(
        world.build_firm(tmp_path / "world", {"stranded": world.TROUBLES["stranded"]})
    )


def seated(firm, library, top, **replaced):
    """A desk whose library holds what stands beside what is learned, `top` entries being given."""
    held = Strategy.new(HELD, Provenance(source="policy"))
    library.add(Entry.new("somebody who waits in the night", cues=[SAYS], strategies=[held]), "me")
    knows = {**world.TROUBLES, "calm": ("velvet", "nobody says this")}
    roles = {
        "student": world.ScriptedStudent(troubles=knows),
        "judge": Judge(),
        "teacher": Teacher(),
    }
    desk = world.seat(firm, library, **{**roles, **replaced})
    desk.retrieval = replace(desk.retrieval, top=top)
    return desk


def learned(library) -> list[str]:
    return [s.text for entry in library.entries() for s in entry.strategies if s.text != HELD]


async def tried_at(desk) -> list:
    events = [logged.event for logged in await desk.log.read(kinds=("strategy_tried",))]
    return [event for event in events if event.phase in ("choose", "accept")]


async def test_what_helps_beside_another_entry_is_kept_where_two_are_given(firm, library):
    desk = seated(firm, library, top=2)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert learned(library) == [CURE]
    tried = await tried_at(desk)
    assert tried and all("velvet" in one.before and "velvet" in one.after for one in tried)


async def test_where_one_is_given_it_would_take_the_place_of_a_better_one(firm, library):
    desk = seated(firm, library, top=1)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert learned(library) == []
    tried = await tried_at(desk)
    assert tried and not any("velvet" in one.after for one in tried)


@pytest.mark.parametrize("top", [1, 2])
async def test_what_is_given_there_already_is_not_tried_once_more(firm, library, top):
    desk = seated(firm, library, top, teacher=Teacher(text=HELD))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    refused = [
        why for e in await desk.log.read(kinds=("strategy_proposed",)) for why in e.event.refused
    ]
    tried = await tried_at(desk)
    if top == 2:
        assert any("is given there already" in why for why in refused) and not tried
    else:
        assert not refused and tried, "it might do good in the place of what is given"
    assert learned(library) == []
