"""The graphs in other hands: nested in a user's graph, and opened by `langgraph dev`."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import operator
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import world
from endpoint import recording
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from tutelage.environments import load_environment
from tutelage.graphs import RunLog
from tutelage.graphs.log.events import RunEnded, RunStarted
from tutelage.strategy_store import Library
from tutelage.tui import export
from typing_extensions import TypedDict

import tutelage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


def dialogue_of(firm, **more):
    return tutelage.dialogue_graph(
        firm, student=world.ScriptedStudent(), customer=world.ScriptedCustomer(),
        judge=world.ScriptedJudge(), max_exchanges=2, **more,
    )  # fmt: skip


class Night(TypedDict, total=False):
    """A user's own state, which shares no key with ours."""

    cases: list[str]
    scores: Annotated[list[float], operator.add]
    transcripts: Annotated[list[str], operator.add]


async def test_a_users_own_state_is_mapped_in_and_out(firm):
    dialogue = dialogue_of(firm)

    async def rehearse(state: Night):
        final = await dialogue.ainvoke({"scenario": state["cases"][0], "seed": 3})
        lines = [f"{turn['speaker']}: {turn['text']}" for turn in final["turns"]]
        return {"cases": state["cases"][1:], "scores": [final["judgement"]["satisfaction"]],
                "transcripts": ["\n".join(lines)]}  # fmt: skip

    graph = StateGraph(Night)
    graph.add_node("rehearse", rehearse)
    graph.add_edge(START, "rehearse")
    graph.add_conditional_edges("rehearse", lambda s: "rehearse" if s["cases"] else END)
    outer = graph.compile(checkpointer=InMemorySaver())
    kinds = []
    final: Any = None
    async for namespace, mode, given in outer.astream(
        {"cases": ["stranded_0", "grief_0"]}, {"configurable": {"thread_id": "n"}},
        stream_mode=["custom", "values"], subgraphs=True,
    ):  # fmt: skip
        if mode == "custom":
            kinds.append(given["kind"])
        elif not namespace:
            final = given
    assert len(final["scores"]) == len(final["transcripts"]) == 2
    assert final["transcripts"][0].startswith("customer: Hello, my train")
    assert "my father passed away" in final["transcripts"][1]
    assert kinds.count("dialogue_ended") == 2, "events pass through the user's graph"


async def test_it_is_a_node_where_the_keys_are_shared(firm):
    class Shared(TypedDict, total=False):
        scenario: str
        judgement: dict[str, Any] | None
        verdict: str

    graph = StateGraph(Shared)
    graph.add_node("dialogue", dialogue_of(firm))
    graph.add_node("verdict", lambda s: {"verdict": f"{s['judgement']['satisfaction']:.0f} of 5"})
    graph.add_edge(START, "dialogue")
    graph.add_edge("dialogue", "verdict")
    final = await graph.compile(checkpointer=InMemorySaver()).ainvoke(
        {"scenario": "stranded_0"}, {"configurable": {"thread_id": "t"}}
    )
    assert final["verdict"] == "1 of 5"


async def test_the_coaching_graph_nests_too(firm, tmp_path):
    class Own(TypedDict, total=False):
        wanted: int
        learned: int

    with Library.open(tmp_path / "l.db", create=True) as library:
        coaching = tutelage.coaching_graph(
            firm, student=world.ScriptedStudent(), teacher=world.ScriptedTeacher(),
            customer=world.ScriptedCustomer(), judge=world.ScriptedJudge(), library=library,
            options=tutelage.CoachingOptions(rounds=1, dialogues=3, validation_dialogues=1,
                                             states_per_round=3, max_exchanges=2),
        )  # fmt: skip

        async def coach(state: Own):
            final = await coaching.ainvoke({})
            return {"learned": final["kept"]}

        graph = StateGraph(Own)
        graph.add_node("coach", coach)
        graph.add_edge(START, "coach")
        final = await graph.compile().ainvoke({"wanted": 1})
        assert final["learned"] == library.counts()["strategies"] > 0


async def test_the_dialogues_of_the_coaching_graph_are_events_of_its_subgraphs(firm):
    def graph():
        return tutelage.coaching_graph(
            firm, student=world.ScriptedStudent(), teacher=world.ScriptedTeacher(),
            customer=world.ScriptedCustomer(), judge=world.ScriptedJudge(),
            options=tutelage.CoachingOptions(
                rounds=1, dialogues=2, validation_dialogues=0, max_exchanges=2,
                step=tutelage.StepOptions(accept_pairs=6, refinements=0),
            ),
        )  # fmt: skip

    own = {event["kind"] async for event in graph().astream({}, stream_mode="custom")}
    every = {
        event["kind"]
        async for _, event in graph().astream({}, stream_mode="custom", subgraphs=True)
    }
    assert {"state_examined", "strategy_proposed", "strategy_decided", "round_ended"} <= own
    dialogues = {"dialogue_started", "turn_spoken", "dialogue_judged", "dialogue_ended"}
    assert dialogues <= every and not dialogues & own


async def test_a_run_begun_from_python_can_be_watched(firm, tmp_path):
    run = tmp_path / "run"
    async with await RunLog.open(run) as log:
        await log.append(RunStarted(command="simulate", environment="world", models={}))
        await dialogue_of(firm, log=log).ainvoke({"scenario": "stranded_0"})
        await log.append(RunEnded(reason="done"))
    picture = tmp_path / "run.svg"
    await asyncio.to_thread(export, run, picture)
    text = picture.read_text(encoding="utf-8").replace("&#160;", " ")
    for told in ("simulate", "world", "over: done", "1/1 dialogues", "stranded_0"):
        assert told in text, told


# Studio


def _maker(spec: str):
    path, name = spec.split(":")
    found = importlib.util.spec_from_file_location("studio_under_test", ROOT / path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return getattr(module, name)


async def test_every_graph_of_langgraph_json_opens_with_a_form_to_fill(monkeypatch, tmp_path):
    config = json.loads((ROOT / "langgraph.json").read_text())
    for role in ("STUDENT", "CUSTOMER", "JUDGE", "TEACHER"):
        monkeypatch.setenv(f"TUTELAGE_{role}", "openai:m@http://127.0.0.1:9/v1")
    monkeypatch.setenv("TUTELAGE_LIBRARY", str(tmp_path / "l.db"))
    Library.open(tmp_path / "l.db", create=True).close()
    assert set(config["graphs"]) == {"dialogue", "coaching"}
    for name, spec in config["graphs"].items():
        made = _maker(spec)()
        graph = await made if inspect.isawaitable(made) else made
        assert graph.name == name
        assert graph.get_input_jsonschema()["properties"]
        assert "__start__" in graph.get_graph().draw_mermaid()


def test_langgraph_dev_serves_the_graphs_and_plays_a_dialogue(tmp_path):
    """With the real command line and its in-memory server, where they are installed."""
    if importlib.util.find_spec("langgraph_api") is None:
        pytest.skip("needs `pip install 'langgraph-cli[inmem]'`")
    lines = ["My flight was cancelled and I wait for hours now.", "Fine then, thanks and goodbye."]

    def answer(body):
        if "response_format" in body:
            said = sum(m["content"].count("AGENT:") for m in body["messages"][-1:]) > 4
            return json.dumps({"i_want": "help", "feeling": "annoyed", "goal_met": said,
                               "customer_says": lines[said]})  # fmt: skip
        return "4" if body.get("max_completion_tokens") == 1 else "The next flight leaves at six."

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with recording() as endpoint:
        endpoint.answers = [answer]
        roles = {
            f"TUTELAGE_{r}": endpoint.spec for r in ("STUDENT", "CUSTOMER", "JUDGE", "TEACHER")
        }
        command = shutil.which("langgraph", path=str(Path(sys.executable).parent))
        process = subprocess.Popen(
            [command, "dev", "--no-browser", "--no-reload", "--port", str(port)],
            cwd=ROOT, env={**roles, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(120):
                try:
                    if httpx.get(f"{url}/ok").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.5)
            asked = {
                "assistant_id": "dialogue",
                "input": {"scenario": "cancelled_waited", "seed": 1},
            }
            final = httpx.post(f"{url}/runs/wait", json=asked, timeout=60).json()
        finally:
            process.terminate()
            process.wait(20)
    assert final["turns"][1]["text"] == "The next flight leaves at six."
