"""The dialogue graph: what it is asked for is checked, and each request is a dialogue of its own."""

from __future__ import annotations

import dataclasses

import pytest
import world
from langgraph.checkpoint.memory import InMemorySaver
from tutelage.environments import EnvironmentFault, load_environment
from tutelage.graphs.log.events import DialogueStarted
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.play.dialogue import compile_dialogue, dialogue_graph
from tutelage.strategy_store import OF_MATTER, Entry, Provenance, Retrieved, Strategy

THREAD = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def firm(tmp_path):
    """The scripted world with a second persona, and with what was said before in one scenario."""
    folder = world.build_firm(tmp_path / "world")
    persona = (folder / "personas" / "anyone.yaml").read_text()
    (folder / "personas" / "somebody.yaml").write_text(persona.replace("anyone", "somebody"))
    scenario = folder / "scenarios" / "grief_0.yaml"
    says = world.TROUBLES["grief"][1]
    history = f"history:\n- {{speaker: customer, text: 'Hello, {says}, please.'}}\n"
    scenario.write_text(scenario.read_text() + history)
    return load_environment(folder)


def graph_of(firm, **options):
    return dialogue_graph(
        firm, student=world.ScriptedStudent(), customer=world.ScriptedCustomer(),
        judge=world.ScriptedJudge(), max_exchanges=2, **options,
    )  # fmt: skip


def texts(final):
    return [turn["text"] for turn in final["turns"]]


async def test_a_second_dialogue_on_a_thread_has_nothing_of_the_first(firm):
    graph = graph_of(firm, checkpointer=InMemorySaver())
    first = await graph.ainvoke(
        {
            "scenario": "stranded_0",
            "persona": "somebody",
            "dialogue": "one",
            "seed": 4,
            "arm": "mine",
        },
        THREAD,
    )
    assert (first["persona"], first["dialogue"], first["seed"]) == ("somebody", "one", 4)
    assert first["arm"] == "mine"
    for scenario in ("grief_0", "broken_0", "grief_0"):
        alone = await graph_of(firm).ainvoke({"scenario": scenario})
        after = await graph.ainvoke({"scenario": scenario}, THREAD)
        assert texts(after) == texts(alone)
        for what in ("scenario", "persona", "dialogue", "seed", "reason", "valid", "judgement"):
            assert after[what] == alone[what], what
        assert "arm" not in after
    again = await graph.ainvoke({"scenario": "stranded_0", "persona": "somebody"}, THREAD)
    assert (again["persona"], again["dialogue"]) == ("somebody", "stranded_0.somebody.0")
    with pytest.raises(EnvironmentFault, match="no scenario"):
        await graph.ainvoke({"persona": "somebody"}, THREAD)


@pytest.mark.parametrize("before", ["open", "customer", "student", "judge"])
async def test_an_interrupted_dialogue_goes_on_where_it_was(firm, before):
    asked = {"scenario": "grief_0", "persona": "somebody", "dialogue": "mine", "seed": 3}
    whole = await graph_of(firm).ainvoke(asked)
    graph = graph_of(firm, checkpointer=InMemorySaver())
    await graph.ainvoke({"scenario": "stranded_0"}, THREAD)
    given = asked
    for _ in range(20):
        final = await graph.ainvoke(given, THREAD, interrupt_before=[before])
        given = None
        if not (await graph.aget_state(THREAD)).next:
            break
    for what in ("turns", "scenario", "persona", "dialogue", "seed", "reason", "judgement"):
        assert final[what] == whole[what], what


async def test_what_was_left_off_is_not_gone_on_with_by_a_new_request(firm):
    graph = graph_of(firm, checkpointer=InMemorySaver())
    await graph.ainvoke(
        {"scenario": "stranded_0", "persona": "somebody"}, THREAD, interrupt_before=["student"]
    )
    final = await graph.ainvoke({"scenario": "broken_0"}, THREAD)
    assert final["persona"] == "anyone"
    assert texts(final) == texts(await graph_of(firm).ainvoke({"scenario": "broken_0"}))


async def test_a_dialogue_that_a_person_took_over_does_not_mark_the_next(firm):
    desk = world.seat(firm, None)
    graph = compile_dialogue(desk, 2, InMemorySaver())
    await graph.ainvoke({"scenario": "stranded_0"}, THREAD)
    await graph.aupdate_state(THREAD, {"taken_over": True})
    final = await graph.ainvoke({"scenario": "broken_0"}, THREAD)
    assert final["judgement"] is not None and not final["taken_over"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "'' is no scenario of world; expected one of "),
        ({"scenario": "strandet_0"}, "'strandet_0' is no scenario .*did you mean 'stranded_0'"),
        (
            {"scenario": "stranded_0", "persona": "some"},
            "'some' is no persona of world; expected one of anyone, somebody; did you mean 'somebody'",
        ),
    ],
)
async def test_a_wrong_name_is_told_with_the_nearest_before_anything_is_logged(firm, asked, told):
    desk = world.seat(firm, None)
    with pytest.raises(EnvironmentFault, match=told):
        await compile_dialogue(desk).ainvoke(asked)
    assert not [one for one in await desk.log.read() if isinstance(one.event, DialogueStarted)]


async def test_a_dialogue_that_is_given_a_log_stands_in_it(firm, tmp_path):
    async with await RunLog.open(tmp_path / "run") as log:
        graph = graph_of(firm, log=log)
        streamed = [event async for event in graph.astream({"scenario": "stranded_0"},
                                                           stream_mode="custom")]  # fmt: skip
    async with await RunLog.open(tmp_path / "run", create=False) as written:
        events = [one.event for one in await written.read()]
    assert [event.model_dump() for event in events] == streamed
    assert [event.kind for event in events] == [
        "dialogue_started", *["turn_spoken"] * 4, "dialogue_judged", "dialogue_ended"
    ]  # fmt: skip


async def test_what_a_student_read_is_logged_where_it_is_more_than_the_strategy(firm):
    strategy = Strategy.new("Speak of tickets.", Provenance(source="policy"))
    told, bare = (
        Retrieved(Entry.new(scenario, strategies=[strategy]), [strategy], 1.0, 1.0, None)
        for scenario in (f"{OF_MATTER}trains", "a customer who waits")
    )
    desk = dataclasses.replace(world.seat(firm, None), fixed=(told, bare))
    request = {"scenario": "stranded_0", "persona": "anyone", "seed": 1, "dialogue": "d"}
    await compile_dialogue(desk, 1).ainvoke(request)
    (reply,) = [turn for turn in (await played(desk.log))["d"].spoken if turn.speaker == "student"]
    orders = [given.order for given in reply.strategies]
    assert orders == ["If the customer's matter is trains, speak of tickets.", "Speak of tickets."]
    assert [given.text for given in reply.strategies] == ["Speak of tickets."] * 2
