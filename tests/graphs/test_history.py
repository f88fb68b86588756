"""A scenario with a history goes on where that ends; what was said before is read, never judged."""

from __future__ import annotations

import pytest
import world
import yaml
from tutelage.agents.transcript import Turn
from tutelage.environments import EnvironmentFault, Scenario, load_environment
from tutelage.graphs.log.inbox import Reply
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.log.states import played, states_of
from tutelage.graphs.map.scenario_map import read_map
from tutelage.graphs.play.dialogue import compile_dialogue
from tutelage.graphs.play.rehearsal import open_rehearsal

SAYS = world.TROUBLES["stranded"][1]
BEFORE = [
    {"speaker": "customer", "text": f"Hello, {SAYS}, please."},
    {"speaker": "student", "text": ("A word. " * 70).strip()},
    {"speaker": "customer", "text": f"That helps nobody: {SAYS}!"},
]


def firm(tmp_path, history):
    folder = world.build_firm(tmp_path / "world")
    path = folder / "scenarios" / "stranded_0.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"history": history}))
    return load_environment(folder)


@pytest.mark.parametrize("lines", [3, 2])
async def test_the_dialogue_goes_on_from_the_history(tmp_path, lines):
    environment = firm(tmp_path, BEFORE[:lines])
    desk = world.seat(environment, None)
    end = await compile_dialogue(desk, 2).ainvoke({"scenario": "stranded_0", "dialogue": "d"})
    said = [turn["text"] for turn in end["turns"]]
    assert said[:lines] == [line["text"] for line in BEFORE[:lines]]
    assert end["turns"][lines]["speaker"] == ("student" if lines == 3 else "customer")
    own = [turn for turn in end["turns"][lines:] if turn["speaker"] == "student"]
    assert len(own) == 2, "the exchanges of the history do not count"
    assert len(end["judgement"]["turn_scores"]) == 2
    assert end["judgement"]["checks"]["short"] == 1.0, "the agent's 140 words are not judged"
    (one,) = (await played(desk.log)).values()
    assert [event.replayed for event in one.spoken] == [True] * lines + [False] * (
        len(said) - lines
    )
    states = states_of(one, environment)
    assert [state.turn for state in states] == [1, 2]
    assert states[0].turns[1].text == BEFORE[1]["text"]
    assert all(state.reply.startswith(world.DULL) for state in states)


def test_a_history_out_of_turn_is_named(tmp_path):
    with pytest.raises(EnvironmentFault, match=r"stranded_0\.yaml.*history line 1 is the student"):
        firm(tmp_path, BEFORE[1:])


def test_a_generated_scenario_outside_train_is_named(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    path = folder / "scenarios" / "stranded_6.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"source": "generated"}))
    with pytest.raises(EnvironmentFault, match=r"environment.yaml:\d+: splits.test.\d+: .*train"):
        load_environment(folder)


def test_a_plain_scenario_is_a_written_one():
    plain = Scenario(id="a", title="abc", situation="x" * 12, goal="abcdef")
    assert (plain.source, plain.history) == ("written", [])


async def test_a_long_reply_of_the_history_costs_the_student_nothing(tmp_path):
    environment = firm(tmp_path, BEFORE)
    scenario = environment.scenarios["stranded_0"]
    judge = world.seat(environment, None).judge
    turns = [Turn(**line) for line in BEFORE]
    cured = [*turns, Turn(speaker="student", text="Here is your candlelight, a moment please.")]
    assert (await judge.assess(scenario, cured)).satisfaction == 5
    unspoken = scenario.model_copy(update={"history": []})
    assert (await judge.assess(unspoken, cured)).satisfaction < 5, "or the test is blind"


@pytest.mark.parametrize("lines", [3, 2])
async def test_a_person_rehearses_from_where_the_history_ends(tmp_path, lines):
    path = firm(tmp_path, BEFORE[:lines]).path
    rehearsal = await open_rehearsal(
        path, "anyone", by="bea", scenario="stranded_0", customer=world.ScriptedCustomer()
    )
    patience = rehearsal.patience_left
    said = [event async for event in rehearsal.hear()]
    assert [event.text for event in said[:lines]] == [line["text"] for line in BEFORE[:lines]]
    assert all(event.replayed for event in said[:lines])
    assert len(said) == (3 if lines == 2 else lines), "the customer speaks where it is its turn"
    assert not rehearsal.customer_is_next and rehearsal.patience_left == patience
    said = [event async for event in rehearsal.hear("One moment, please.")]
    assert said[0].by == "bea" and rehearsal.patience_left == patience - 1


async def test_a_person_who_takes_over_has_the_exchanges_that_a_student_has(tmp_path, monkeypatch):
    async def person(log, dialogue, turn):
        return Reply("Let me see to that.", "bea")

    monkeypatch.setattr("tutelage.graphs.play.dialogue.person_reply", person)
    environment = firm(tmp_path, BEFORE)
    end = await compile_dialogue(world.seat(environment, None), 3).ainvoke(
        {"scenario": "stranded_0", "dialogue": "d"}
    )
    own = [turn for turn in end["turns"][3:] if turn["speaker"] == "student"]
    assert len(own) == 3 and end["reason"] == "turn_limit"


async def test_a_chat_and_its_own_later_states_do_not_say_the_same(tmp_path):
    environment = firm(tmp_path, BEFORE)
    twin = environment.scenarios["stranded_0"].model_copy(update={"id": "twin"})
    environment.scenarios["twin"] = twin
    drawn = await read_map(MemoryLog(), environment)
    assert not [one for one in drawn.overlaps if "twin" in (one.first, one.second)]
    environment.scenarios["twin"] = twin.model_copy(update={"history": []})
    environment.scenarios["stranded_0"] = environment.scenarios["twin"].model_copy(
        update={"id": "stranded_0"}
    )
    drawn = await read_map(MemoryLog(), environment)
    assert [one for one in drawn.overlaps if "twin" in (one.first, one.second)]
