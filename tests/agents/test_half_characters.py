"""A lone half of a character, which no encoding takes, ends neither a run nor an answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest
import world
from endpoint import fill, recording
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from scripted_tools import Acts, calls
from tutelage.agents.models.chat_models import model_name
from tutelage.agents.models.meter import Meter
from tutelage.agents.models.spoken_tools import heard
from tutelage.agents.toolbox import open_toolbox
from tutelage.agents.voice import Voice
from tutelage.environments import load_environment
from tutelage.environments.surrogates import mended
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.play.desk import open_desk
from tutelage.graphs.play.dialogue import compile_dialogue
from tutelage.strategy_store import Deployment

from tutelage.audit import sent_for
from tutelage.serving.model import ModelUpstream
from tutelage.serving.proxy import HttpUpstream, Proxy, proxy_app

HALF = "Of course \ud83d"
WHOLE = "Of course \ufffd"
EXAMPLE = Path(__file__).parents[2] / "examples" / "firm_with_tools"
BODY = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich ✈ 😀", "Zürich ✈ 😀"),
        ("\ufefflead", "\ufefflead"),
        ("\ud83d\ude00", "😀"),
        (HALF, WHOLE),
        ("\ude00\ud83dx", "\ufffd\ufffdx"),
        ({"a\ud83d": ["\ud83d", 7, None]}, {"a\ufffd": ["\ufffd", 7, None]}),
    ],
)
def test_halves_are_replaced_and_pairs_are_joined(text, shown):
    assert mended(text) == shown


@pytest.mark.parametrize("kind", ["model", "app"])
async def test_a_reply_with_half_a_character_is_kept_in_the_log(tmp_path, kind):
    def app(messages):
        return HALF

    firm = load_environment(world.build_firm(tmp_path / "world"))
    with recording() as endpoint:
        endpoint.answers = [HALF]
        async with await RunLog.open(tmp_path / "run") as log:
            desk = open_desk(
                firm, student=app if kind == "app" else endpoint.spec, log=log,
                customer=world.ScriptedCustomer(), judge=world.ScriptedJudge(),
                teacher=world.ScriptedTeacher(),
            )  # fmt: skip
            asked = {"scenario": "stranded_0", "dialogue": "d"}
            final = await compile_dialogue(desk, 1).ainvoke(asked)
            assert (await played(log))["d"].turns[1].text == WHOLE
    assert final["turns"][1]["text"] == WHOLE


async def test_half_a_character_that_is_heard_while_it_grows_is_joined_with_the_other():
    class Splits(GenericFakeChatModel):
        async def _astream(self, *args, **kwargs):
            for piece in ("Yes \ud83d", "\ude00", "\ud83d"):
                yield ChatGenerationChunk(message=AIMessageChunk(piece))

    model = Splits(messages=iter(()))
    told: list[str] = []
    voice = Voice("student", model, model_name(model), Meter())
    assert await voice.say([HumanMessage("Hi")], hear=told.append) == "Yes 😀\ufffd"
    assert told == ["Yes \ufffd", "Yes 😀", "Yes 😀\ufffd"]


async def test_calls_and_results_of_tools_are_mended(tmp_path):
    desk = Path(shutil.copytree(EXAMPLE, tmp_path / "desk"))
    (desk / "tools.py").write_text(
        "def echo(state: dict, text: str) -> str:\n    'Echo.'\n    state['said'] = '\\ud83d'\n"
        "    return text + '\\ud83d'\n"
        "def fail() -> str:\n    'Fail.'\n    raise ValueError('\\ud83d')\n"
    )
    firm = load_environment(desk)
    async with open_toolbox(firm, firm.scenarios["slot_in_time"]) as box:
        assert (await box.use("echo", {"text": "a"})).result == "a\ufffd"
        assert (await box.use("fail", {})).result == "\ufffd"
        assert (await box.read())["said"] == "\ufffd"
        acts = Acts(says=[calls(("echo", {"text": "\ud83d"}))])
        said = await Voice("student", acts, "x:y", Meter()).act([], list(box.tools.values()))
    assert said.tool_calls[0]["args"] == {"text": "\ufffd"}
    assert heard(AIMessage('{"say": "\\ud83d"}')).text == "\ufffd"


def asked(upstream, library, body=BODY):
    """What the proxy answers to a body."""
    app = proxy_app(Proxy(Deployment(library), "m", upstream))

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            app.state.client = httpx.AsyncClient()
            return await client.post(
                "/v1/chat/completions",
                content=json.dumps(body),
                headers={"content-type": "application/json"},
            )

    return ask()


async def test_the_proxy_answers_with_a_replaced_half(library):
    call = {"name": "f", "args": {"a": "\ud83d"}, "id": "c", "type": "tool_call"}
    told = AIMessage(
        HALF,
        tool_calls=[call],
        response_metadata={"logprobs": {"content": [{"token": "\ud83d", "logprob": -1.0}]}},
    )

    def upstream():
        return ModelUpstream(GenericFakeChatModel(messages=iter([told])), "some:m")

    (choice,) = (await asked(upstream(), library)).json()["choices"]
    assert choice["message"]["content"] == WHOLE
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"a": "\ufffd"}
    assert choice["logprobs"]["content"][0]["token"] == "\ufffd"
    streamed = await asked(upstream(), library, {**BODY, "stream": True})
    assert "Of" in streamed.text and "\ufffd" in streamed.text
    assert streamed.text.rstrip().endswith("data: [DONE]") and "error" not in streamed.text


async def test_what_an_upstream_says_of_its_refusal_may_hold_a_half(library):
    with recording() as endpoint:
        error = {"error": {"message": HALF, "code": "c\ud83d"}}
        endpoint.answers = [{"status": 400, "body": error}]
        answer = await asked(HttpUpstream(endpoint.url), library)
    assert answer.status_code == 400 and answer.json()["error"]["message"] == WHOLE


async def test_the_audit_shows_what_the_proxy_sends_of_a_half(library, tmp_path):
    fill(library)
    file = tmp_path / "dialogue.json"
    body = {"messages": [{"role": "user", "content": HALF}]}
    file.write_text(json.dumps(body))
    shown = json.loads(sent_for(Deployment(library), file).encode())
    with recording() as endpoint:
        answer = await asked(HttpUpstream(endpoint.url), library, body)
    assert answer.status_code == 200
    assert endpoint.bodies[-1]["messages"] == shown and shown[0]["content"] == WHOLE
