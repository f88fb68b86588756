"""Any app can be the student: it stays as it is, its tools are seen, and advice reaches it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
import time
from operator import add
from typing import Annotated, TypedDict

import pytest
import world
from endpoint import recording
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import SecretStr
from tutelage.agents.app_student import Asked, app_student, as_student
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.transcript import Reply, ToolUse, Turn
from tutelage.environments import load_environment
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.log.states import played
from tutelage.graphs.play.desk import open_desk
from tutelage.strategy_store import Entry, Library, Provenance, Strategy

import tutelage

SAYS = world.TROUBLES["stranded"][1]
TURNS = [Turn(speaker="customer", text=f"Hello, {SAYS}, please.")]
ADVICE = "Speak of candlelight in the first sentence of the answer."


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


@pytest.fixture
def library(tmp_path):
    origin = Provenance(source="person")
    with Library.open(tmp_path / "library.db", create=True) as opened:
        for status, text in (("approved", ADVICE), ("proposed", "Speak of thunder, nothing else.")):
            entry = opened.add(
                Entry.new(f"a customer who says {SAYS}", strategies=[Strategy.new(text, origin)]),
                "test",
            )
            if status == "approved":
                opened.approve([s.id for s in entry.strategies], "test")
        yield opened


def desk_with(firm, student, library=None, **more):
    return open_desk(
        firm, student=student, customer=world.ScriptedCustomer(), judge=world.ScriptedJudge(),
        teacher=world.ScriptedTeacher(), library=library, log=MemoryLog(), **more,
    )  # fmt: skip


async def reply_of(firm, student, library=None, turns=TURNS) -> Reply:
    desk = desk_with(firm, student, library)
    scenario = firm.scenarios["stranded_0"]
    return await desk.student.reply(scenario, turns, await desk.retrieve(turns, scenario.id))


def shown(messages) -> str:
    """A reply that shows what an app was given."""
    return " | ".join(f"{m.type}: {m.text}" for m in messages)


async def async_app(messages):
    return shown(messages)


def sync_app(messages):
    return shown(messages)


class CallableApp:
    async def __call__(self, messages):
        return AIMessage(shown(messages))


def graph_app(**compile_options):
    async def answer(state: MessagesState):
        return {"messages": [AIMessage(shown(state["messages"]))]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(**compile_options)


APPS = {
    "async function": async_app,
    "function": sync_app,
    "object": CallableApp(),
    "runnable": RunnableLambda(shown),
    "chain": RunnableLambda(lambda m: m) | RunnableLambda(lambda m: {"output": shown(m)}),
    "graph": graph_app(),
    "graph with memory": graph_app(checkpointer=InMemorySaver()),
    "graph with retries": graph_app().with_retry(stop_after_attempt=2),
    "graph with fallbacks": graph_app().with_fallbacks([graph_app()]),
    "graph with a step after it": graph_app() | RunnableLambda(lambda state: state["messages"]),
}


@pytest.mark.parametrize("name", APPS)
async def test_an_app_gets_the_dialogue_alone_and_the_advice_last(firm, library, name):
    plain = await reply_of(firm, APPS[name])
    assert plain.text == f"human: {TURNS[0].text}", "no prompt of the firm, no advice"
    advised = await reply_of(firm, APPS[name], library)
    assert advised.text == f"{plain.text} | system: How to answer this message:\n- {ADVICE}"
    again = await reply_of(firm, APPS[name], library)
    assert again == advised, "an app with a memory is asked on a thread of its own each time"


async def test_a_graph_with_a_state_and_context_of_its_own_is_mapped(firm, library):
    class Own(TypedDict):
        question: str
        advice: str
        log: Annotated[list[str], add]

    class Context(TypedDict):
        booking: str

    def answer(state: Own, runtime: Runtime[Context], config: RunnableConfig):
        tone = config["configurable"]["tone"]
        line = f"{state['question']} + {state['advice']} + {runtime.context['booking']} + {tone}"
        return {"log": [line]}

    graph = StateGraph(Own, context_schema=Context)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    compiled = graph.compile()
    with pytest.raises(ModelFault, match="takes a state with advice, log, question"):
        await reply_of(firm, compiled)
    student = app_student(
        compiled,
        to_input=lambda asked: {"question": asked.dialogue[-1].text, "advice": asked.strategies},
        to_reply=lambda state: state["log"][-1],
        to_config=lambda asked: {"configurable": {"tone": "warm"}},
        context=lambda asked: {"booking": asked.records.get("booking", "none")},
    )
    reply = await reply_of(firm, student, library)
    assert reply.text == (
        f"{TURNS[0].text} + How to answer this message:\n- {ADVICE} + none + warm"
    )


def refund(booking: str) -> str:
    """Pay the money back."""
    if booking == "X0":
        raise ValueError("no such booking")
    return f"paid {booking}"


@pytest.fixture
def agent():
    """A `create_agent` app with a tool, on an endpoint that calls it."""
    with recording() as endpoint:
        model = ChatOpenAI(
            model="recorder", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0
        )
        yield endpoint, create_agent(model, [refund], system_prompt="My own prompt.")


async def test_the_tools_of_an_app_stand_in_event_state_and_judge_page(firm, agent):
    endpoint, app = agent
    endpoint.answers = [("refund", {"booking": "X4"}), "The money is on its way, candlelight."]
    pages = []

    class Judge(world.ScriptedJudge):
        def answer(self, system, page, messages):
            pages.append(page)
            return super().answer(system, page, messages)

    graph = tutelage.dialogue_graph(
        firm, student=app, customer=world.ScriptedCustomer(), judge=Judge(), max_exchanges=1
    )
    events = []
    final = {}
    async for mode, given in graph.astream(
        {"scenario": "stranded_0"}, stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            events.append(given)
        else:
            final = given
    used = {
        "name": "refund", "arguments": {"booking": "X4"}, "result": "paid X4", "own": True,
    }  # fmt: skip
    assert final["turns"][1]["tools"] == [used]
    (spoken,) = [e for e in events if e["kind"] == "turn_spoken" and e["speaker"] == "student"]
    assert spoken["tools"] == [{**used, "error": False}]
    assert spoken["tokens"] == 30, "the tokens of both calls of the app's model"
    line = """(the AGENT's tool refund({"booking": "X4"}) gave: paid X4)"""
    assert pages and all(line in page for page in pages)
    assert endpoint.bodies[0]["messages"][0]["content"] == "My own prompt."


async def test_earlier_tool_calls_are_shown_to_the_app_again(firm, agent):
    endpoint, app = agent
    turns = [
        *TURNS,
        Turn(speaker="student", text="Paid.",
             tools=[ToolUse(own=True, name="refund", arguments={"booking": "X4"}, result="paid X4")]),
        Turn(speaker="customer", text="Where is the money?"),
    ]  # fmt: skip
    reply = await reply_of(firm, app, turns=turns)
    assert reply == Reply("Two hours. I am sorry.", []), "only what is new counts for this reply"
    roles = [m["role"] for m in endpoint.bodies[0]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_a_tool_that_fails_is_told(firm):
    call = {"name": "refund", "args": {"booking": "X0"}, "id": "c1", "type": "tool_call"}
    from langchain_core.messages import ToolMessage

    async def app(messages):
        return {"messages": [*messages, AIMessage("", tool_calls=[call]),
                             ToolMessage("no such booking", tool_call_id="c1", status="error"),
                             AIMessage("I could not.")]}  # fmt: skip

    reply = await reply_of(firm, app)
    assert reply.tools == [
        ToolUse(
            own=True,
            name="refund",
            arguments={"booking": "X0"},
            result="no such booking",
            error=True,
        )
    ]
    assert "failed" in reply.tools[0].line


async def test_an_app_that_is_coached_already_gets_what_is_on_trial_through_its_own_door(
    firm, library, tmp_path
):
    with recording() as endpoint, Library.open(tmp_path / "own.db", create=True) as own:
        entry = own.add(
            Entry.new(f"a customer who says {SAYS}",
                      strategies=[Strategy.new("Speak of sawdust first.", Provenance(source="person"))]),
            "test",
        )  # fmt: skip
        own.approve([s.id for s in entry.strategies], "test")
        model = ChatOpenAI(model="r", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0)
        inner = create_agent(model, [], middleware=[tutelage.StrategyMiddleware(own)])

        async def app(messages):
            # Takes the last line only, so that a late system message would be lost.
            last = [m for m in messages if m.type == "human"][-1]
            return (await inner.ainvoke({"messages": [last]}))["messages"][-1].text

        def advice():
            return [m["content"] for m in endpoint.bodies[-1]["messages"] if m["role"] == "system"]

        await reply_of(firm, app)
        assert advice() == ["How to answer this message:\n- Speak of sawdust first."]
        await reply_of(firm, app, library)
        assert advice() == [f"How to answer this message:\n- {ADVICE}"]
        desk = desk_with(firm, app)
        await desk.student.reply(firm.scenarios["stranded_0"], TURNS, ())
        assert advice() == [], "the arm without strategies is without them"


async def test_a_model_with_tools_bound_plays_under_the_firms_prompt(firm, library):
    with recording() as endpoint:
        model = ChatOpenAI(model="r", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0)
        endpoint.answers = [("refund", {"booking": "X4"})]
        desk = desk_with(firm, model.bind_tools([refund]), library)
        reply = await desk.student.reply(firm.scenarios["stranded_0"], TURNS, None)
    assert reply.tools == [ToolUse(own=True, name="refund", arguments={"booking": "X4"})]
    assert endpoint.bodies[0]["messages"][0]["content"].startswith("# World")
    assert desk.models["student"] == "openai:r"


async def test_an_app_that_needs_a_person_or_gives_no_reply_is_a_fault_in_one_sentence(firm):
    class State(MessagesState):
        pass

    def ask(state: State):
        interrupt("May I?")
        return {}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    with pytest.raises(ModelFault, match="stopped to ask a person"):
        await reply_of(firm, graph.compile(checkpointer=InMemorySaver()))

    async def broken(messages):
        raise ValueError("no idea")

    for app, said in (
        (lambda m: {"answer": 1}, "gave a state with answer, which holds no reply"),
        (lambda m: 7, "gave a int"),
        (lambda m: m, "gave no reply"),
        (broken, "app:broken failed: ValueError: no idea"),
    ):
        with pytest.raises(ModelFault, match=said):
            await reply_of(firm, app)
    with pytest.raises(ModelFault, match="cannot be the student"):
        as_student(3)  # type: ignore[arg-type]


async def test_an_app_that_does_not_return_holds_no_thread_of_ours(firm):
    def hangs(messages):
        time.sleep(5)

    student = as_student(hangs)
    asked = [
        asyncio.create_task(student.ainvoke("Hello")) for _ in range((os.cpu_count() or 1) + 4)
    ]
    await asyncio.sleep(0.1)
    assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 2) == 7
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_an_app_that_ends_the_program_is_a_fault(firm):
    def leaves(messages):
        sys.exit(0)

    async def leaves_as_well(messages):
        sys.exit("bye")

    def runs_out(messages):
        return next(iter(()))

    for app, said in (
        (leaves, r"app:leaves failed: .*would have ended the program \(sys.exit\(0\)\)"),
        (leaves_as_well, r"sys.exit\('bye'\)"),
        (runs_out, "app:runs_out failed"),
    ):
        with pytest.raises(ModelFault, match=said):
            await reply_of(firm, app)


async def test_callbacks_reach_into_the_app(firm):
    class Names(BaseCallbackHandler):
        def __init__(self):
            self.seen = []

        def on_chat_model_start(self, serialized, messages, **kwargs):
            self.seen.append(kwargs.get("name") or (serialized or {}).get("name"))

    inner = GenericFakeChatModel(messages=iter([AIMessage("Hello."), AIMessage("Hello.")]))
    chain = RunnableLambda(lambda m: m) | inner
    ours, own = Names(), Names()
    await as_student(chain).ainvoke([HumanMessage("Hi")], {"callbacks": [ours]})
    assert ours.seen == ["AppStudent", "GenericFakeChatModel"]
    student = app_student(chain, to_config=lambda asked: {"callbacks": [own]})
    await student.ainvoke([HumanMessage("Hi")], {"callbacks": [ours]})
    assert ours.seen == 2 * ["AppStudent", "GenericFakeChatModel"]
    assert own.seen == ["GenericFakeChatModel"], "an app's own callbacks are not lost"


async def test_a_whole_coaching_run_with_an_app_as_student(firm, tmp_path):
    """The scripted student as an app of its own, which says the same whatever the seed: what helps a
    model helps an app.
    """
    from tutelage.graphs.coaching import CoachingOptions

    class Wordy(world.ScriptedCustomer):
        """Says the same in other words each time, as customers do."""

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            result = super()._generate(messages, stop, run_manager, **kwargs)
            said = result.generations[0].message
            said.content = said.content.replace(", please.", f", please ({world.word_of(kwargs)}).")
            return result

    def app(messages):
        late = [m.text for m in messages if isinstance(m, SystemMessage)]
        words = [w for w in [world.HARM, *(c for c, _ in world.TROUBLES.values())]
                 if late and w in late[-1]]  # fmt: skip
        return f"{world.DULL} {' '.join(words)}".strip()

    options = CoachingOptions(rounds=2, dialogues=6, validation_dialogues=2, states_per_round=6,
                              concurrency=4, max_exchanges=2, general=False)  # fmt: skip
    with Library.open(tmp_path / "l.db", create=True) as library:
        graph = tutelage.coaching_graph(
            firm, student=app, teacher=world.ScriptedTeacher(), library=library, options=options,
            customer=Wordy(), judge=world.ScriptedJudge(),
        )  # fmt: skip
        await graph.ainvoke({})
        kept = [s for e in library.entries() for s in e.strategies]
    assert len(kept) >= 3 and not [s for s in kept if world.HARM in s.text]
    assert {s.provenance.student for s in kept} == {"app:app"}


# Specs


async def test_app_specs_name_a_file_a_module_or_an_endpoint(firm, tmp_path, monkeypatch):
    file = tmp_path / "my_own_app.py"
    file.write_text(
        textwrap.dedent("""
        async def answer(messages):
            return f"{len(messages)} messages"
        """)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    apart = tmp_path / "apart"
    apart.mkdir()
    (apart / "words_beside_it.py").write_text("SAID = 'from beside it'\n")
    (apart / "app_of_two.py").write_text(
        "from words_beside_it import SAID\ndef answer(messages):\n    return SAID\n"
    )
    assert (await reply_of(firm, f"app:{apart / 'app_of_two.py'}:answer")).text == "from beside it"
    for spec in (f"app:{file}:answer", "app:my_own_app.py:answer", "app:my_own_app:answer"):
        assert (await reply_of(firm, spec)).text == "1 messages"
        assert desk_with(firm, spec).models["student"] == (
            "app:my_own_app:answer" if ".py" not in spec else "app:my_own_app.py:answer"
        )
    with recording() as endpoint:
        spec = f"app:shop@{endpoint.url}"
        assert (await reply_of(firm, spec)).text == "Two hours. I am sorry."
        assert endpoint.bodies[0]["messages"] == [{"role": "user", "content": TURNS[0].text}]
        assert endpoint.bodies[0]["model"] == "shop"
        assert desk_with(firm, spec).models["student"] == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("app:nonsense", "names no app; write app:module:NAME"),
        ("app:no_such_module:x", "cannot be loaded: No module named"),
        ("app:nowhere.py:x", "there is no file nowhere.py"),
        ("app:json:nothing", "has no attribute 'nothing'"),
    ],
)
def test_an_app_spec_that_leads_nowhere_says_so(spec, said):
    with pytest.raises(ModelFault, match=said) as caught:
        as_student(spec)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os; os.environ['NO_SUCH']", r"KeyError: 'NO_SUCH' \(.*broken_app.py:2\)"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*broken_app.py:2\)"),
        ("raise SystemExit(3)", r"SystemExit: 3 \(.*broken_app.py:2\)"),
        ("import no_such_module_here", r"No module named 'no_such_module_here' \(.*broken_app.py:2\)"),
        ("def answer(:", r"\(broken_app.py, line 2\)"),
    ],
)  # fmt: skip
def test_an_app_that_breaks_when_it_is_loaded_says_what_and_where(
    tmp_path, monkeypatch, line, said
):
    file = tmp_path / "broken_app.py"
    file.write_text(f"# an app\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for spec in (f"app:{file}:answer", "app:broken_app:answer"):
        monkeypatch.delitem(sys.modules, "broken_app", raising=False)
        with pytest.raises(ModelFault, match=said) as caught:
            as_student(spec)
        assert caught.value.exit_code == 2 and "cannot be loaded" in str(caught.value)


async def test_the_log_keeps_what_an_app_called(firm, agent):
    endpoint, app = agent
    endpoint.answers = [("refund", {"booking": "X4"}), "Paid, candlelight."]
    desk = desk_with(firm, app)
    from tutelage.graphs.play.dialogue import compile_dialogue

    await compile_dialogue(desk, 1).ainvoke({"scenario": "stranded_0", "dialogue": "d"})
    turns = (await played(desk.log))["d"].turns
    assert [len(turn.tools) for turn in turns] == [0, 1]
    assert json.loads(turns[1].model_dump_json())["tools"][0]["result"] == "paid X4"


def test_what_is_asked_says_what_a_mapping_needs():
    assert Asked([], [], "").records == {}
