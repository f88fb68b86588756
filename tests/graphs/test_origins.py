"""Where a strategy comes from is told to those who watch and review, and never to the student."""

from __future__ import annotations

import re

import world
import yaml
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.states import played
from tutelage.strategy_store import Library

OPTIONS = CoachingOptions(
    rounds=2, dialogues=12, validation_dialogues=6, states_per_round=6, concurrency=4,
    max_exchanges=2, general=False, topics=0,
)  # fmt: skip
POLICY = "- R1: Answer every message within the hour.\n- R2: Wear the uniform on all days.\n"


class Right(world.ScriptedTeacher):
    """Never writes the harm."""

    def answer(self, system, page, messages):
        text = super().answer(system, page, messages)
        if "You coach the agent" not in page:
            return text
        return text.replace(world.HARM, self.cure_of(" ".join(m.text for m in messages[1:])))


class Listening(world.ScriptedStudent):
    """Remembers the advice that stood in its prompt."""

    heard: list[str]

    def answer(self, system, page, messages):
        self.heard += [m.text for m in messages[1:] if m.type == "system"]
        return super().answer(system, page, messages)


async def test_what_is_given_names_the_dialogue_it_was_learned_in_and_its_entry_the_rules(tmp_path):
    folder = world.build_firm(tmp_path / "world", policy=POLICY)
    for path in (folder / "scenarios").glob("*.yaml"):
        if not path.stem.startswith("grief"):
            path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"rules": ["R1"]}))
    student = Listening(heard=[])
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(load_environment(folder), library, teacher=Right(), student=student)
        await compile_coaching(desk, OPTIONS, run="world").ainvoke({})
        entries = library.entries()
    rules = {e.strategies[0].provenance.scenario.split("_")[0]: e.rules for e in entries}
    assert rules.pop("grief") == [], "its scenarios name none, and none is guessed"
    assert len(rules) >= 3 and all(named == ["R1"] for named in rules.values())

    origins = {s.id: s.provenance.dialogue for entry in entries for s in entry.strategies}
    dialogues = await played(desk.log)
    assert origins and set(origins.values()) <= dialogues.keys()
    given = [s for one in dialogues.values() for event in one.spoken for s in event.strategies]
    assert given and {s.id: s.learned_in for s in given}.items() <= origins.items()

    assert student.heard
    for told in student.heard:
        assert not re.search(r"\bR\d\b", told)
        assert not [dialogue for dialogue in origins.values() if dialogue in told]
