"""A firm with tools: what the student does, what comes back to it, and the state at the end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from commands import tutelage
from endpoint import fill, recording
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from scripted_tools import Acts, Lines, Says, calls
from tutelage.agents.coached import coached
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.local_chat import ChatLocal
from tutelage.agents.toolbox import (
    MAX_RESULT,
    ToolFault,
    final_state,
    open_toolbox,
    shown_server,
)
from tutelage.agents.transcript import ToolUse, Turn
from tutelage.environments import EnvironmentFault, McpServer, load_environment
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.log.states import played, states_of
from tutelage.graphs.play.desk import open_desk
from tutelage.graphs.play.dialogue import compile_dialogue

EXAMPLE = Path(__file__).parents[2] / "examples" / "firm_with_tools"
FIND = ("find_order", {"order_number": "OK58299", "postcode": "2417"})
MOVE = ("move_slot", {"order_number": "OK58299", "day": "2026-10-16"})


@pytest.fixture
def desk_firm(tmp_path: Path) -> Path:
    """The example's folder, which a test may break."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "desk"))


def seat(firm, student, judge=None):
    lines = ["My shelf comes on the 13th. Can you bring it on the 16th? It is OK58299, 2417.",
             "Lovely, many thanks to you."]  # fmt: skip
    return open_desk(
        firm, student=student, customer=Lines(lines=lines), judge=judge or Says(),
        teacher=Says(), log=MemoryLog(),
    )  # fmt: skip


async def play(desk, scenario="slot_in_time", **more):
    graph = compile_dialogue(desk, 3)
    return await graph.ainvoke({"scenario": scenario, "persona": "plain", "dialogue": "d", **more})


async def test_every_call_stands_in_transcript_events_and_judges_page_and_the_state_is_checked():
    judge = Says()
    student = Acts(says=[calls(FIND), calls(MOVE), AIMessage("Done: it comes on the 16th.")])
    desk = seat(load_environment(EXAMPLE), student, judge)
    final = await play(desk)
    assert final["judgement"]["checks"]["moved"] == 1 and final["judgement"]["checks"]["free"] == 1
    spoken = final["turns"][1]
    assert [use["name"] for use in spoken["tools"]] == ["find_order", "move_slot"]
    one = (await played(desk.log))["d"]
    assert one.turns[1].tools == one.spoken[1].tools
    assert one.spoken[1].tools[1].result == "moved to 2026-10-16, 0 euros charged"
    assert (
        "(the AGENT's tool move_slot(" in judge.pages[-1] and "0 euros charged" in judge.pages[-1]
    )
    assert "(tool move_slot(" in states_of(one, desk.environment)[0].reply
    assert student.bound[0] == ["find_order", "move_slot", "cancel_order"]
    # What a tool answered is what the model read next.
    assert isinstance(student.seen[1][-1], ToolMessage)
    assert json.loads(student.seen[1][-1].text)["slot"] == "2026-10-13"
    # The customer hears what is said, not what is done.
    assert "did" not in final["turns"][0]["text"]


async def test_an_apps_own_tool_may_answer_in_its_own_words():
    """Its name and arguments are the firm's, and what the state comes to follows from these."""

    def move_slot(order_number: str, day: str) -> str:
        """Move."""
        return "OK, moved."

    model = Acts(says=[calls(MOVE), AIMessage("Done: it comes on the 16th.")])
    desk = seat(
        load_environment(EXAMPLE), create_agent(model, [StructuredTool.from_function(move_slot)])
    )
    final = await play(desk)
    assert final["turns"][1]["tools"][0]["result"] == "OK, moved."
    assert final["judgement"]["checks"]["moved"] == 1 and final["judgement"]["checks"]["free"] == 1


async def test_a_student_that_only_says_it_is_done_fails_the_state_check():
    desk = seat(load_environment(EXAMPLE), Acts(says=[AIMessage("Done: it comes on the 16th.")]))
    final = await play(desk)
    assert final["judgement"]["checks"]["moved"] == 0
    assert final["judgement"]["checks"]["free"] == 1


async def test_the_next_turn_stands_on_the_state_and_the_calls_of_the_last():
    firm = load_environment(EXAMPLE)
    scenario = firm.scenarios["slot_in_time"]
    first = await seat(firm, Acts(says=[calls(MOVE), AIMessage("Moved.")])).student.reply(
        scenario, [Turn(speaker="customer", text="On the 16th, please.")]
    )
    first = Turn(speaker="student", text=first.text, tools=first.tools)
    turns = [Turn(speaker="customer", text="On the 16th, please."), first,
             Turn(speaker="customer", text="Hm, look it up again.")]  # fmt: skip
    student = Acts(says=[calls(FIND), AIMessage("It comes on the 16th.")])
    second = await seat(firm, student).student.reply(scenario, turns)
    assert json.loads(second.tools[0].result)["slot"] == "2026-10-16"
    assert [m.tool_calls[0]["name"] for m in student.seen[0] if getattr(m, "tool_calls", None)] == [
        "move_slot"
    ]
    assert (await final_state(firm, scenario, turns))["orders"]["OK58299"]["slot"] == "2026-10-16"
    # Another dialogue knows nothing of it.
    assert (await final_state(firm, scenario, []))["orders"]["OK58299"]["slot"] == "2026-10-13"
    late = firm.scenarios["slot_too_late"]
    assert (await final_state(firm, late, []))["orders"]["OK58299"]["slot"] == "2026-10-05"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("find_order", {"order_number": "OK58299", "postcode": "1"}, "do not both match"),
        ("find_order", {"order_number": "OK58299"}, "postcode: Field required"),
        ("move_slot", {"order_number": "OK58299", "day": "2026-10-16", "fee": "lots"}, "fee"),
        ("delete_all", {}, "the tools are cancel_order, find_order, move_slot"),
    ],
)
async def test_what_goes_wrong_comes_back_as_text(name, arguments, said):
    firm = load_environment(EXAMPLE)
    student = Acts(says=[calls((name, arguments)), AIMessage("I could not find it, sorry.")])
    reply = await seat(firm, student).student.reply(
        firm.scenarios["slot_in_time"], [Turn(speaker="customer", text="Hello there.")]
    )
    assert reply.text == "I could not find it, sorry."
    assert said in reply.tools[0].result and reply.tools[0].error
    assert student.seen[1][-1].text == reply.tools[0].result
    assert student.seen[1][-1].status == "error"


async def test_arguments_that_are_no_json_come_back_as_text():
    broken = AIMessage(
        "", invalid_tool_calls=[{"name": "find_order", "args": "{oops", "id": "c", "error": None}]
    )
    firm = load_environment(EXAMPLE)
    student = Acts(says=[broken, AIMessage("Once more, please.")])
    reply = await seat(firm, student).student.reply(
        firm.scenarios["slot_in_time"], [Turn(speaker="customer", text="Hello there.")]
    )
    assert "no JSON" in reply.tools[0].result and "oops" in reply.tools[0].result


async def test_a_student_that_never_stops_calling_is_stopped_at_the_bound():
    firm = load_environment(EXAMPLE)
    student = Acts(says=[calls(FIND)])
    reply = await seat(firm, student).student.reply(
        firm.scenarios["slot_in_time"], [Turn(speaker="customer", text="Hello there.")]
    )
    assert len(student.seen) == firm.config.tool_calls + 2
    assert [use.error for use in reply.tools] == [False] * 6 + [True] * 2
    assert "no more tool calls" in reply.tools[-1].result and reply.text == "..."


async def test_a_call_that_fails_half_way_changes_nothing(desk_firm):
    (desk_firm / "tools.py").write_text(
        "def spoil(state: dict) -> str:\n    'Spoil it.'\n    state['orders'].clear()\n"
        "    raise RuntimeError('half-way')\n"
        "async def count(state: dict) -> int:\n    'Count orders.'\n"
        "    return len(state['orders'])\n"
        "def long() -> str:\n    'A long answer.'\n    return 'x' * 9000\n"
        "def odd(state: dict) -> str:\n    'No JSON.'\n    state['odd'] = {1, 2}\n    return ''\n"
    )
    firm = load_environment(desk_firm)
    async with open_toolbox(firm, firm.scenarios["slot_in_time"]) as box:
        assert (await box.use("spoil", {})) == ToolUse(name="spoil", result="half-way", error=True)
        assert (await box.use("count", {})).result == "2"
        assert len((await box.use("long", {})).result) < MAX_RESULT + 20
        assert "holds what JSON cannot" in (await box.use("odd", {})).result
        assert len((await box.read())["orders"]) == 2


async def test_a_tool_that_takes_too_long_is_given_up(desk_firm, monkeypatch):
    monkeypatch.setattr("tutelage.agents.toolbox.TOOL_SECONDS", 0.05)
    (desk_firm / "tools.py").write_text(
        "import asyncio\nasync def wait() -> str:\n    'Wait.'\n    await asyncio.sleep(30)\n"
    )
    firm = load_environment(desk_firm)
    async with open_toolbox(firm, firm.scenarios["slot_in_time"]) as box:
        assert (await box.use("wait", {})).result == "no answer within 0.05 s"


async def test_tools_that_do_not_return_hold_no_thread_of_ours(desk_firm, monkeypatch):
    monkeypatch.setattr("tutelage.agents.toolbox.TOOL_SECONDS", 0.01)
    (desk_firm / "tools.py").write_text(
        "import time\ndef hang() -> str:\n    'Hang.'\n    time.sleep(5)\n    return ''\n"
    )
    firm = load_environment(desk_firm)
    async with open_toolbox(firm, firm.scenarios["slot_in_time"]) as box:
        for _ in range((os.cpu_count() or 1) + 4):
            assert (await box.use("hang", {})).error
    assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 2) == 7


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_what_a_tool_raises_ends_nothing_but_its_call(desk_firm, kind):
    (desk_firm / "tools.py").write_text(
        f"import sys\n{kind} leave() -> str:\n    'Leave.'\n    sys.exit(0)\n"
        f"{kind} run_out() -> str:\n    'Run out.'\n    return next(iter(()))\n"
    )
    firm = load_environment(desk_firm)
    async with open_toolbox(firm, firm.scenarios["slot_in_time"]) as box:
        left = await box.use("leave", {})
        assert left.error and "would have ended the program (sys.exit(0))" in left.result
        assert (await box.use("run_out", {})).error


async def test_a_tool_of_chance_is_found_out(desk_firm):
    (desk_firm / "tools.py").write_text(
        "import itertools\nticket = itertools.count()\n"
        "def draw() -> int:\n    'Draw a number.'\n    return next(ticket)\n"
    )
    firm = load_environment(desk_firm)
    turn = Turn(speaker="student", text="Here.", tools=[ToolUse(name="draw", result="99")])
    with pytest.raises(ToolFault, match=r"'draw' gave .*no clock, no chance"):
        await final_state(firm, firm.scenarios["slot_in_time"], [turn])


async def test_a_failed_call_is_not_made_again(desk_firm):
    firm = load_environment(desk_firm)
    failed = ToolUse(name="move_slot", arguments=dict(MOVE[1]), error=True)
    turn = Turn(speaker="student", text="Hm.", tools=[failed])
    state = await final_state(firm, firm.scenarios["slot_in_time"], [turn])
    assert state["orders"]["OK58299"]["slot"] == "2026-10-13"


def test_a_model_without_tools_is_refused_in_one_sentence():
    firm = load_environment(EXAMPLE)
    desk = seat(firm, Says())
    turns = [Turn(speaker="customer", text="Hello there.")]
    with pytest.raises(ModelFault, match="cannot call tools") as fault:
        asyncio.run(desk.student.reply(firm.scenarios["slot_in_time"], turns))
    assert fault.value.exit_code == 2


async def test_a_model_with_arguments_bound_gets_the_firms_tools_beside_them():
    firm = load_environment(EXAMPLE)
    turns = [Turn(speaker="customer", text="Hello there.")]
    with recording() as endpoint:
        endpoint.answers = [FIND, "I have found your order."]
        model = ChatOpenAI(model="r", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0)
        student = model.bind(seed=7, temperature=0.0, max_tokens=90).with_config(tags=["ours"])
        reply = await seat(firm, student).student.reply(firm.scenarios["slot_in_time"], turns)
        assert reply.text == "I have found your order."
        assert [use.name for use in reply.tools] == ["find_order"] and not reply.tools[0].own
        assert "Tarn shelf" in reply.tools[0].result
        for body in endpoint.bodies:
            assert {tool["function"]["name"] for tool in body["tools"]} >= {
                "find_order",
                "move_slot",
            }
            assert (body["seed"], body["temperature"]) == (7, 0.0)
            assert body.get("max_tokens") or body["max_completion_tokens"] == 90
        tied = seat(
            firm,
            model.bind_tools([StructuredTool.from_function(lambda: 1, name="f", description="g")]),
        )
        with pytest.raises(ModelFault, match="has tools bound already") as fault:
            await tied.student.reply(firm.scenarios["slot_in_time"], turns)
        assert fault.value.exit_code == 2


@pytest.mark.parametrize("door", ["bound", "coached"])
async def test_an_embedded_model_behind_another_door_speaks_its_calls_too(door, library):
    asked: list[dict] = []

    class Embedded(ChatLocal):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            asked.append(kwargs)
            name, arguments = FIND
            said = {"say": "Found."} if len(asked) > 1 else {"tool": name, "arguments": arguments}
            return ChatResult(generations=[ChatGeneration(message=AIMessage(json.dumps(said)))])

    inner = Embedded(model="smollm2-135m")
    student = inner.bind(top_k=5) if door == "bound" else coached(inner, fill(library))
    firm = load_environment(EXAMPLE)
    turns = [Turn(speaker="customer", text="Hello there.")]
    reply = await seat(firm, student).student.reply(firm.scenarios["slot_in_time"], turns)
    assert reply.text == "Found." and [use.name for use in reply.tools] == ["find_order"]
    assert all(one["response_format"]["type"] == "json_schema" for one in asked)


def test_loading_a_firm_runs_nothing_of_it(desk_firm, tmp_path):
    (desk_firm / "tools.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\ndef act() -> str:\n    'Act.'\n    return ''\n"
    )
    firm = load_environment(desk_firm)
    assert [tool.name for tool in firm.tools] == ["act"] and not (tmp_path / "ran").exists()
    seat(firm, Says())
    assert (tmp_path / "ran").exists()


def test_a_tools_file_that_is_not_named_never_runs(desk_firm, tmp_path):
    head = desk_firm / "environment.yaml"
    head.write_text(
        head.read_text().replace("tools: tools.py\n", "").replace("state: state.yaml\n", "")
    )
    with pytest.raises(EnvironmentFault, match="checks a state that nothing changes"):
        load_environment(desk_firm)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "tools.py:1: is no Python"),
        ("x = 1\n", "declares no tool"),
        ("def f(a: int): return a\n", "tools.py:1: f: says not what it does"),
        ("def f(a):\n    'Doc.'\n", "tools.py:1: f.a: has no type"),
        ("def f(config: str):\n    'Doc.'\n", "tools.py:1: f.config: has a name that LangChain keeps"),
        ("def f(*a: int):\n    'Doc.'\n", "tools.py:1: f: takes open arguments"),
        ("x = 1\ndef f(a: int, a: int):\n    'Doc.'\n", "tools.py:2: is no Python: duplicate"),
        ("\ndef f():\n    'Doc.'\nreturn 1\n", "tools.py:4: is no Python"),
        ("x = " + "-" * 100_000, "tools.py: is nested too deeply"),
        ("x = 1" + "+1" * 100_000, "tools.py: is nested too deeply"),
        ("".join(f"{' ' * n}try: pass\n{' ' * n}finally:\n" for n in range(19)) + " " * 19 + "f()",
         "tools.py:5: nests `finally` in `finally`"),
    ],
)  # fmt: skip
def test_a_broken_tools_file_is_named_with_its_line(desk_firm, text, said):
    (desk_firm / "tools.py").write_text(text)
    with pytest.raises(EnvironmentFault) as fault:
        load_environment(desk_firm)
    assert said in str(fault.value)


def test_python_says_nothing_of_its_own_about_a_tools_file(desk_firm):
    text = 'assert (1, "\x1b[31m\x1b]0;title\x07")\nx = "\\d"\ndef f() -> str:\n    "Doc."\n'
    (desk_firm / "tools.py").write_text(text)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        load_environment(desk_firm)
    assert not seen


@pytest.mark.parametrize(
    ("line", "said"),
    [("import no_such_thing", "ModuleNotFoundError"), ("exit(0)", "SystemExit: 0")],
)
def test_tools_that_fail_to_load_are_one_sentence(desk_firm, line, said):
    (desk_firm / "tools.py").write_text(f"{line}\ndef f() -> str:\n    'Doc.'\n")
    with pytest.raises(ToolFault, match=rf"tools.py: cannot be loaded: {said}"):
        seat(load_environment(desk_firm), Says())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("tools: ../outside.py", "tools: String should match"),
        ("mcp: {url: 'http://x', command: y}", "mcp: names one of `command` and `url`"),
        ("mcp: {command: y}\ntools: tools.py", "names one of `tools` and `mcp`"),
        ("tools: gone.py", "gone.py: is missing"),
    ],
)
def test_a_wrong_source_of_tools_is_named(desk_firm, change, said):
    head = desk_firm / "environment.yaml"
    head.write_text(head.read_text().replace("tools: tools.py", change))
    with pytest.raises(EnvironmentFault) as fault:
        load_environment(desk_firm)
    assert said in str(fault.value)


@pytest.mark.parametrize("text", ["- a\n", "when: .nan\n", "a: !!binary aGk=\n"])
def test_a_state_that_json_cannot_hold_is_refused(desk_firm, text):
    (desk_firm / "state.yaml").write_text(text)
    with pytest.raises(EnvironmentFault, match=r"state\.yaml"):
        load_environment(desk_firm)


SERVER = """
import json
from mcp.server.fastmcp import FastMCP

server = FastMCP("desk")
state = {"slot": "2026-10-13"}

@server.tool()
def move_slot(order_number: str, day: str) -> str:
    "Move a delivery."
    if day == "never":
        raise ValueError("no such day")
    state["slot"] = day
    return f"moved to {day}"

@server.tool()
def set_state(state: dict) -> str:
    "Begin anew."
    globals()["state"].clear()
    globals()["state"].update(state["orders"]["OK58299"])
    return "ok"

@server.tool()
def get_state() -> str:
    "The state."
    return json.dumps({"orders": {"OK58299": state}})

server.run()
"""


@pytest.fixture
def mcp_firm(desk_firm):
    pytest.importorskip("langchain_mcp_adapters")
    (desk_firm / "server.py").write_text(SERVER)
    (desk_firm / "tools.py").unlink()
    head = desk_firm / "environment.yaml"
    served = (
        f"mcp:\n  command: {sys.executable}\n  args: [server.py]\n"
        "  reset: set_state\n  read: get_state"
    )
    head.write_text(head.read_text().replace("tools: tools.py", served))
    return desk_firm


@pytest.fixture
def http_firm(mcp_firm):
    """The same server, running for itself and spoken to over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = SERVER.replace('FastMCP("desk")', f'FastMCP("desk", host="127.0.0.1", port={port})')
    (mcp_firm / "server.py").write_text(runs.replace("run()", 'run("streamable-http")'))
    head = mcp_firm / "environment.yaml"
    local = f"  command: {sys.executable}\n  args: [server.py]\n"
    assert local in head.read_text()
    head.write_text(head.read_text().replace(local, f"  url: http://127.0.0.1:{port}/mcp\n"))
    server = subprocess.Popen(
        [sys.executable, "server.py"], cwd=mcp_firm, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield mcp_firm, server
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("spoken", ["stdio", "http"])
async def test_an_mcp_server_gives_tools_and_its_state_is_checked(spoken, request):
    if spoken == "stdio":
        mcp_firm = request.getfixturevalue("mcp_firm")
    else:
        mcp_firm, _ = request.getfixturevalue("http_firm")
    student = Acts(
        says=[calls(("move_slot", {"order_number": "OK58299", "day": "never"})), calls(MOVE),
              AIMessage("Done: it comes on the 16th.")]
    )  # fmt: skip
    desk = seat(load_environment(mcp_firm), student)
    final = await play(desk)
    first, second = final["turns"][1]["tools"]
    assert "no such day" in first["result"] and first["error"]
    assert second["result"] == "moved to 2026-10-16" and "error" not in second
    assert student.bound[0] == ["move_slot"]
    assert final["judgement"]["checks"]["moved"] == 1 and final["judgement"]["checks"]["free"] == 1


async def test_an_mcp_server_on_the_network_that_went_away_is_named(http_firm):
    folder, server = http_firm
    firm = load_environment(folder)
    server.kill()
    server.wait()
    with pytest.raises(ToolFault, match=r"`http://127\.0\.0\.1:\d+/mcp` does not answer"):
        await final_state(firm, firm.scenarios["slot_in_time"], [])


async def test_an_mcp_server_that_does_not_start_or_lacks_a_tool_is_named(mcp_firm):
    head = mcp_firm / "environment.yaml"
    text = head.read_text()
    head.write_text(text.replace("read: get_state", "read: look"))
    firm = load_environment(mcp_firm)
    with pytest.raises(ToolFault, match="offers no tool 'look'; it offers get_state"):
        await final_state(firm, firm.scenarios["slot_in_time"], [])
    head.write_text(text.replace(f"command: {sys.executable}", "command: no_such_program"))
    firm = load_environment(mcp_firm)
    with pytest.raises(ToolFault, match=r"`no_such_program server\.py` does not answer"):
        await final_state(firm, firm.scenarios["slot_in_time"], [])


def named(folder, mcp) -> str:
    """All that is said of a firm with this server: by the commands, as text and JSON, and in a talk."""
    head = folder / "environment.yaml"
    head.write_text(head.read_text().replace("tools: tools.py", f"mcp: {json.dumps(mcp)}"))
    said = [tutelage("env", *of, folder) for of in (["validate"], ["show"], ["validate", "--json"])]
    firm = load_environment(folder)
    with pytest.raises(ToolFault) as fault:
        asyncio.run(final_state(firm, firm.scenarios["slot_in_time"], []))
    return "\n".join([str(fault.value), *(done.stdout + done.stderr for done in said)])


def test_an_address_of_an_mcp_server_is_shown_without_password_and_key(desk_firm):
    pytest.importorskip("langchain_mcp_adapters")
    url = "http://user:s3cret@127.0.0.1:9/mcp?key=sk-live-1#frag"
    said = named(desk_firm, {"url": url, "read": "look"})
    assert said.count("http://127.0.0.1:9/mcp") == 4
    assert not [part for part in ("user", "s3cret", "key=", "live", "frag") if part in said]


@pytest.mark.parametrize("url", ["ftp://u:sk-SECRET@h", "u:sk-SECRET@h", "//u:sk-SECRET@h"])
def test_a_wrong_address_of_an_mcp_server_is_not_shown(desk_firm, url):
    head = desk_firm / "environment.yaml"
    head.write_text(head.read_text().replace("tools: tools.py", f"mcp: {{url: '{url}'}}"))
    with pytest.raises(EnvironmentFault, match=r"yaml:\d+: mcp\.url: .*https") as fault:
        load_environment(desk_firm)
    assert "SECRET" not in str(fault.value)


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["-y", "server-files", "/data/a b"], "-y server-files '/data/a b'"),
        (["--api-key", "hunter22", "--verbose"], "--api-key '***' --verbose"),
        (["--token=hunter22", "A_SECRET=hunter22", "--read-token"],
         "'--token=***' 'A_SECRET=***' --read-token"),
        (["postgresql://u:hunter22@h/db", "https://u:p@h/mcp?a=1&key=hunter22"],
         "'postgresql://***@h/db' 'https://h/mcp&key=***'"),
        (["-H", "Authorization: Bearer hunter22"], "-H 'Authorization: Bearer ***'"),
        (["-H", "X-Api-Key: hunter22"], "-H 'X-Api-Key: ***'"),
        (["sk-" + "a" * 40], "'***'"),
        (["-c", "echo https://h/?a;./run"], "-c 'echo https://h;./run'"),
        (["-c", "bearer $(./run)"], "-c 'bearer $(./run)'"),
        (["-c", "echo --key;./run --key\n./run"], "-c 'echo --key;./run --key\n./run'"),
        (["-c", "echo " + "a b " * 500 + "; ./run"], "more characters)'"),
        (["x"] * 50, "x x ... (10 more arguments)"),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_what_looks_secret_and_hides_no_program(args, shown):
    assert shown_server(McpServer(command="npx", args=args)).endswith(shown)  # type: ignore[call-arg]


async def test_an_mcp_server_that_starts_and_says_nothing_is_given_up(mcp_firm, monkeypatch):
    monkeypatch.setattr("tutelage.agents.toolbox.TOOL_SECONDS", 1.0)
    (mcp_firm / "server.py").write_text("import time\ntime.sleep(90)\n")
    firm = load_environment(mcp_firm)
    said = r"server\.py` does not answer: nothing came within 1 s"
    with pytest.raises(ToolFault, match=said):
        await asyncio.wait_for(final_state(firm, firm.scenarios["slot_in_time"], []), 30)


@pytest.mark.parametrize("place", ["list", "set_state", "get_state"])
async def test_an_mcp_server_that_falls_silent_is_given_up(mcp_firm, monkeypatch, place):
    class Client:
        def __init__(self, connections):
            pass

        @asynccontextmanager
        async def session(self, name):
            yield None

    async def tools(session):
        await silent_at("list")
        return [
            StructuredTool.from_function(coroutine=partial(silent_at, name), name=name,
                                         description=name, args_schema={"type": "object"})
            for name in ("set_state", "get_state")
        ]  # fmt: skip

    async def silent_at(here, **arguments):
        if here == place:
            await asyncio.Event().wait()
        return "{}"

    monkeypatch.setattr("tutelage.agents.toolbox.TOOL_SECONDS", 0.05)
    monkeypatch.setattr("tutelage.agents.toolbox._adapters", lambda: (Client, tools))
    firm = load_environment(mcp_firm)
    with pytest.raises(ToolFault, match=r"server\.py` does not answer: nothing came within"):
        await asyncio.wait_for(final_state(firm, firm.scenarios["slot_in_time"], []), 5)
