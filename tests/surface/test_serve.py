"""The proxy: the real client, streaming, faults in OpenAI's shape, and no key where none belongs."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from endpoint import ADVICE, QUESTION, UNAPPROVED, fill
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from proxying import client, command, serving
from pydantic import SecretStr
from smoke import smoke_model
from tutelage.agents.models.chat_models import chat_model
from tutelage.agents.models.faults import ModelFault
from tutelage.strategy_store import Deployment

from tutelage.serving.errors import ProxyError
from tutelage.serving.model import ModelUpstream
from tutelage.serving.proxy import HttpUpstream, Proxy, Served

TEXT = f"How to answer this message:\n- {ADVICE}"
ASK = [{"role": "user", "content": QUESTION}]
SECRET = "sk-verysecret-0123456789abcdef"


@pytest.fixture
def library(library):
    return fill(library)


@pytest.fixture
def proxy(endpoint, library):
    return Proxy(Deployment(library), "recorder", HttpUpstream(endpoint.url))


@pytest.fixture
def url(proxy):
    with serving(proxy) as address:
        yield address


def test_the_real_client_gets_its_answer_and_the_upstream_the_advice(url, endpoint):
    answer = client(url).chat.completions.create(
        model="recorder", messages=ASK, extra_body={"made_up_field": {"a": [1, None]}}, seed=7
    )
    assert answer.choices[0].message.content == "Two hours. I am sorry."
    assert answer.usage.total_tokens == 15
    assert endpoint.bodies == [
        {"model": "recorder", "seed": 7, "made_up_field": {"a": [1, None]},
         "messages": [*ASK, {"role": "system", "content": TEXT}]}
    ]  # fmt: skip
    assert [m.id for m in client(url).models.list()] == ["recorder"]
    assert client(url).models.retrieve("recorder").owned_by == "tutelage"


async def test_the_async_client_streams_piece_by_piece(url, endpoint):
    stream = await openai.AsyncOpenAI(base_url=url, api_key="k").chat.completions.create(
        model="recorder", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    words = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(words) == "Two hours. I am sorry." and len(words) == 5
    assert chunks[-1].usage.total_tokens == 15
    assert endpoint.bodies[-1]["messages"][-1]["content"] == TEXT


def test_what_is_not_approved_never_passes(url, endpoint, library):
    client(url).chat.completions.create(model="recorder", messages=ASK)
    assert UNAPPROVED not in json.dumps(endpoint.bodies)
    library.rollback(0, "test")
    client(url).chat.completions.create(model="recorder", messages=ASK)
    assert endpoint.bodies[-1]["messages"] == ASK


def test_messages_with_tools_pictures_and_odd_fields_pass_as_they_are(url, endpoint):
    messages = [
        {"role": "developer", "content": "Be kind.", "cache": True},
        {"role": "user", "content": [{"type": "text", "text": QUESTION},
                                     {"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "ok ✓"},
    ]  # fmt: skip
    answer = httpx.post(f"{url}/chat/completions", json={"model": "recorder", "messages": messages})
    assert answer.status_code == 200
    assert re.fullmatch(r"s[0-9a-f]{10}", answer.headers["x-tutelage-strategies"])
    assert answer.headers["x-request-id"] == "req-7"
    assert endpoint.bodies[-1]["messages"] == [*messages, {"role": "system", "content": TEXT}]


def test_the_clients_key_is_passed_on_unless_the_proxy_has_its_own(proxy, endpoint):
    with serving(proxy) as url:
        client(url, "client-key").chat.completions.create(model="recorder", messages=ASK)
    assert endpoint.headers[-1]["authorization"] == "Bearer client-key"
    own = replace(proxy, upstream=HttpUpstream(endpoint.url, SECRET))
    with serving(own) as url:
        client(url, "client-key").chat.completions.create(model="recorder", messages=ASK)
    assert endpoint.headers[-1]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(own)


def test_with_a_key_of_its_own_the_proxy_lets_nobody_else_in(proxy, endpoint):
    with serving(replace(proxy, key="let-me-in")) as url:
        with pytest.raises(openai.AuthenticationError, match="key is missing or wrong"):
            client(url, "guess").chat.completions.create(model="recorder", messages=ASK)
        with pytest.raises(openai.AuthenticationError):
            client(url, "guess").models.list()
        assert endpoint.bodies == []
        client(url, "let-me-in").chat.completions.create(model="recorder", messages=ASK)
        assert "authorization" not in endpoint.headers[-1], (
            "what lets clients in is not the upstream's"
        )
        endpoint.answers = [{"status": 401, "body": {"error": {"message": "no key"}}}]
        with pytest.raises(openai.InternalServerError, match="set OPENAI_API_KEY") as caught:
            client(url, "let-me-in").chat.completions.create(model="recorder", messages=ASK)
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        ("{", {}, 400, "not valid JSON"),
        ("[1]", {}, 400, "must be a JSON object"),
        ('{"model": "recorder"}', {}, 400, "'messages' must be"),
        ('{"model": "recorder", "messages": ["x"]}', {}, 400, "'messages' must be"),
        ('{"messages": [{"role": "user", "content": [null]}]}', {}, 400, "content of message 0"),
        ('{"messages": [{"role": "user", "content": {"a": 1}}]}', {}, 400, "content of message 0"),
        ('{"model": "gpt-9", "messages": []}', {}, 404, "serves 'recorder' only"),
        ('{"model": ["x"], "messages": []}', {}, 404, "serves 'recorder' only"),
        ("{}", {"content-type": "text/plain"}, 415, "application/json"),
        ("[" * 100_000, {}, 400, "not valid JSON"),
    ],
)
def test_a_wrong_request_is_told_in_openais_shape(url, endpoint, body, headers, status, said):
    answer = httpx.post(
        f"{url}/chat/completions",
        content=body,
        headers={"content-type": "application/json", **headers},
    )
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert endpoint.bodies == []


def test_what_it_does_not_serve_is_told_and_strange_hosts_are_refused(url):
    for answer in (httpx.post(f"{url}/embeddings", json={}), httpx.get(f"{url}/chat/completions")):
        assert answer.status_code in (404, 405)
        assert "POST /v1/chat/completions" in answer.json()["error"]["message"]
    assert httpx.get(f"{url}/models", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (401, openai.AuthenticationError),
     (429, openai.RateLimitError), (500, openai.InternalServerError)],
)  # fmt: skip
def test_the_upstreams_refusals_keep_their_status_but_lose_their_keys(url, endpoint, status, kind):
    error = {"message": f"no, {SECRET} will not do", "type": "t", "code": "c", "param": "p"}
    endpoint.answers = [{"status": status, "body": {"error": error}}]
    with pytest.raises(kind) as caught:
        client(url).chat.completions.create(model="recorder", messages=ASK)
    assert caught.value.body["code"] == "c" and caught.value.body["param"] == "p"
    assert SECRET not in str(caught.value) and "will not do" in str(caught.value)


def test_a_refusal_of_the_proxys_own_key_is_not_the_clients_fault(proxy, endpoint):
    endpoint.answers = [{"status": 401, "body": {"error": {"message": "bad key"}}}]
    own = replace(proxy, upstream=HttpUpstream(endpoint.url, SECRET))
    with serving(own) as url, pytest.raises(openai.InternalServerError) as caught:
        client(url).chat.completions.create(model="recorder", messages=ASK)
    assert caught.value.status_code == 502 and caught.value.code == "upstream_refused_key"


def test_an_upstream_that_is_not_there_or_breaks_off(proxy, endpoint):
    with serving(replace(proxy, upstream=HttpUpstream("http://127.0.0.1:9/v1"))) as url:
        with pytest.raises(openai.InternalServerError) as caught:
            client(url).chat.completions.create(model="recorder", messages=ASK)
        assert caught.value.status_code == 502 and caught.value.code == "upstream_unreachable"

    def slow(request):
        raise httpx.ReadTimeout("slow", request=request)

    with serving(replace(proxy, transport=httpx.MockTransport(slow))) as url:
        with pytest.raises(openai.InternalServerError) as caught:
            client(url).chat.completions.create(model="recorder", messages=ASK)
        assert caught.value.status_code == 504

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b'data: {"id": "c", "choices": []}\n\n'
            raise httpx.ReadError("gone")

    def broken(request):
        return httpx.Response(200, stream=Broken(), headers={"content-type": "text/event-stream"})

    with serving(replace(proxy, transport=httpx.MockTransport(broken))) as url:
        stream = client(url).chat.completions.create(model="recorder", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            list(stream)


def test_a_redirect_of_the_upstream_is_named_and_not_passed_off_as_an_answer(proxy):
    def moved(request):
        return httpx.Response(307, headers={"location": "https://me:pass@there/v2/x?key=1"})

    with serving(replace(proxy, transport=httpx.MockTransport(moved))) as url:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="https://there/v2/x") as caught:
                client(url).chat.completions.create(model="recorder", messages=ASK, stream=stream)
            assert caught.value.status_code == 502 and "pass" not in str(caught.value)


def test_what_is_no_part_of_a_message_is_no_reason_to_break(library):
    odd = [{"role": "user", "content": [None, {"type": "text", "text": QUESTION}, 7]}]
    assert Deployment(library).coach_wire(odd)[-1]["content"] == TEXT


class Failing(Embeddings):
    """Embeddings that fail in the way they are told to."""

    def __init__(self, error):
        self.error = error

    def embed_documents(self, texts):
        raise self.error

    def embed_query(self, text):
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ModelFault("it is busy", retryable=True), 503, "it is busy"),
        (ModelFault("it is not there"), 502, "it is not there"),
        (RuntimeError(f"{QUESTION} {SECRET}"), 500, "RuntimeError in the proxy"),
    ],
)
def test_no_fault_puts_a_customers_text_into_the_log(
    proxy, library, capfd, caplog, error, status, said
):
    failing = replace(proxy, deployment=Deployment(library, embeddings=Failing(error)))
    with serving(failing) as url:
        answer = httpx.post(f"{url}/chat/completions", json={"messages": ASK})
    assert (answer.status_code, said in answer.text) == (status, True)
    logged = "".join([*capfd.readouterr(), caplog.text])
    assert "Traceback" not in logged
    assert not any(text in logged + answer.text for text in (QUESTION, SECRET))
    assert ("RuntimeError" in logged and "test_serve.py" in logged) == (status == 500)


def test_a_closed_library_is_an_error_of_the_proxy_and_not_silence(proxy, library, endpoint):
    library.close()
    with serving(proxy) as url, pytest.raises(openai.InternalServerError):
        client(url).chat.completions.create(model="recorder", messages=ASK)
    assert endpoint.bodies == []


def test_what_is_told_of_a_request_holds_no_text_and_no_key(proxy):
    told: list[Served] = []
    with serving(replace(proxy, on_served=told.append)) as url:
        client(url, SECRET).chat.completions.create(model="recorder", messages=ASK)
    (served,) = told
    assert served.status == 200 and len(served.strategies) == 1 and not served.stream
    assert SECRET not in repr(told) and QUESTION not in repr(told)


@pytest.mark.parametrize("kind", ["forwarded", "called"])
def test_a_call_whose_client_has_gone_is_given_up(proxy, kind):
    began, given_up = threading.Event(), threading.Event()

    async def never(*args, **kwargs):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    class Endless(GenericFakeChatModel):
        async def _agenerate(self, *args, **kwargs):
            return await never()

    model = ModelUpstream(Endless(messages=iter(())), "some:m")
    upstream = model if kind == "called" else proxy.upstream
    endless = replace(proxy, upstream=upstream, transport=httpx.MockTransport(never))
    with serving(endless) as url:
        connection = HTTPConnection(urlsplit(url).netloc)
        body, headers = json.dumps({"messages": ASK}), {"content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        assert began.wait(20)
        connection.close()
        assert given_up.wait(20)


def test_a_stream_that_comes_compressed_all_the_same_can_be_read(proxy):
    class Compressed(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield gzip.compress(b'data: {"choices": []}\n\n')

    def compressed(request):
        headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
        return httpx.Response(200, stream=Compressed(), headers=headers)

    with serving(replace(proxy, transport=httpx.MockTransport(compressed))) as url:
        answer = httpx.post(f"{url}/chat/completions", json={"messages": ASK, "stream": True})
    assert answer.text == 'data: {"choices": []}\n\n'


@pytest.mark.parametrize(
    ("id_", "told"),
    [
        ("s1\r\nset-cookie: a=b", "s1%0D%0Aset-cookie%3A%20a%3Db"),
        ("a,b~c", "a%2Cb~c"),
        ("ве", "%D0%B2%D0%B5"),
        ("s\ud800", "s%3F"),
        ("s0123.a_b-C", "s0123.a_b-C"),
    ],
)
def test_no_id_of_a_strategy_breaks_the_header(proxy, monkeypatch, id_, told):
    retrieve = Deployment.aretrieve_wire

    async def renamed(self, messages):
        found = await retrieve(self, messages)
        strategies = [one.model_copy(update={"id": id_}) for one in found[0].strategies]
        return [replace(found[0], strategies=strategies)]

    monkeypatch.setattr(Deployment, "aretrieve_wire", renamed)
    with serving(proxy) as url:
        answer = httpx.post(f"{url}/chat/completions", json={"messages": ASK})
    assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert answer.headers["x-tutelage-strategies"] == told


# Other providers' models


def test_a_model_of_any_provider_answers_in_openais_shape(library, endpoint):
    inner = ChatOpenAI(
        model="recorder", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0
    )
    proxy = Proxy(Deployment(library), "m", ModelUpstream(inner, "some:m"))
    tool = {"type": "function", "function": {"name": "refund", "parameters": {
        "type": "object", "properties": {"booking": {"type": "string"}}}}}  # fmt: skip
    with serving(proxy) as url:
        speak = client(url).chat.completions.create
        answer = speak(model="m", messages=ASK, temperature=0.2, max_tokens=9, user="u")
        assert answer.choices[0].message.content == "Two hours. I am sorry."
        assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens == 15
        assert endpoint.bodies[-1]["messages"][-1] == {"role": "system", "content": TEXT}
        assert endpoint.bodies[-1]["temperature"] == 0.2 and "seed" not in endpoint.bodies[-1]
        chunks = list(speak(model="m", messages=ASK, stream=True, temperature=0, seed=7,
                            stream_options={"include_usage": True}))  # fmt: skip
        assert (endpoint.bodies[-1]["temperature"], endpoint.bodies[-1]["seed"]) == (0, 7)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == (
            "Two hours. I am sorry."
        )
        assert chunks[-1].usage.total_tokens == 15 and chunks[-2].choices[0].finish_reason == "stop"
        endpoint.answers = [("refund", {"booking": "X4"})]
        called = speak(model="m", messages=ASK, tools=[tool]).choices[0]
        assert called.finish_reason == "tool_calls"
        assert json.loads(called.message.tool_calls[0].function.arguments) == {"booking": "X4"}
        endpoint.answers = [{"status": 429, "body": {"error": {"message": f"slow, {SECRET}"}}}]
        with pytest.raises(openai.APIStatusError) as caught:
            speak(model="m", messages=ASK, stream=True)
        assert caught.value.status_code == 429 and SECRET not in str(caught.value)
        with pytest.raises(openai.BadRequestError, match="one choice"):
            speak(model="m", messages=ASK, n=2)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"stream_options": [1], "stream": True}, "stream_options"),
        ({"tools": [1]}, "tools"),
        ({"tools": "refund"}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": 1}, "tool_choice"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": "abc"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]}, "messages"),
        ({"messages": [{"role": "nobody", "content": "hello"}]}, "messages"),
    ],
)  # fmt: skip
async def test_what_a_model_cannot_be_asked_is_the_requests_fault(wrong, param):
    model = ChatOpenAI(model="m", base_url="http://127.0.0.1:9/v1", api_key=SecretStr("x"))
    with pytest.raises(ProxyError) as caught:
        await ModelUpstream(model, "some:m").complete({"model": "m", "messages": ASK, **wrong})
    assert (caught.value.status, caught.value.body["error"]["param"]) == (400, param)


class Chooses(GenericFakeChatModel):
    """Answers with the tools and the choice among them that it was given."""

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=len(tools), choice=tool_choice)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        said = AIMessage(json.dumps(kwargs))
        return ChatResult(generations=[ChatGeneration(message=said)])


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("required", {"tools": 1, "choice": "any"}),
        ("auto", {"tools": 1, "choice": "auto"}),
        (None, {"tools": 1, "choice": None}),
        ({"type": "function", "function": {"name": "refund"}}, {"tools": 1, "choice": "refund"}),
        ("none", {}),
    ],
)
async def test_openais_choice_of_tools_is_put_in_langchains_words(asked, given):
    tool = {"type": "function", "function": {"name": "refund"}}
    body = {"model": "m", "messages": ASK, "tools": [tool], "tool_choice": asked}
    answer = await ModelUpstream(Chooses(messages=iter(())), "some:m").complete(body)
    assert json.loads(answer["choices"][0]["message"]["content"]) == given


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"done_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"done_reason": "unheard of"}, "stop"),
    ],
)
async def test_why_an_answer_ends_is_told_in_openais_words(told, reason):
    model = GenericFakeChatModel(messages=iter([AIMessage("Two hours", response_metadata=told)]))
    answer = await ModelUpstream(model, "some:m").complete({"model": "m", "messages": ASK})
    assert answer["choices"][0]["finish_reason"] == reason


def call_of(name, args, id_, index):
    return {"name": name, "args": args, "id": id_, "index": index, "type": "tool_call_chunk"}


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([
            AIMessageChunk("", tool_call_chunks=[
                call_of("a", '{"x": 1}', "c1", None), call_of("b", '{"y": 2}', "c2", None)]),
        ], id="whole calls without a number, as Ollama's"),
        pytest.param([
            AIMessageChunk([{"type": "text", "text": "Let me look.", "index": 0}]),
            AIMessageChunk([], tool_call_chunks=[call_of("a", "", "c1", 1)]),
            AIMessageChunk([], tool_call_chunks=[call_of(None, '{"x":', None, 1)]),
            AIMessageChunk([], tool_call_chunks=[call_of(None, " 1}", None, 1)]),
            AIMessageChunk([], tool_call_chunks=[call_of("b", '{"y": 2}', "c2", 2)]),
        ], id="parts numbered together, as Anthropic's"),
    ],
)  # fmt: skip
async def test_the_calls_of_a_stream_are_numbered_as_openais_client_wants_them(library, pieces):
    class Calls(Chooses):
        async def _astream(self, *args, **kwargs):
            for piece in pieces:
                yield ChatGenerationChunk(message=piece)

    model = Calls(messages=iter(()))
    # Older clients put a stream together for strict tools only.
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {}, "strict": True}}
        for name in "ab"
    ]
    with serving(Proxy(Deployment(library), "m", ModelUpstream(model, "some:m"))) as url:
        async with openai.AsyncOpenAI(base_url=url, api_key="k").chat.completions.stream(
            model="m", messages=ASK, tools=tools
        ) as stream:
            answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls
    assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls] == [
        ("c1", "a", {"x": 1}), ("c2", "b", {"y": 2}),
    ]  # fmt: skip


def calling(arguments, **more):
    """A dialogue in which a tool without arguments was called."""
    call = {"id": "c1", "type": "function", "function": {"name": "ping", **arguments}}
    return [*ASK, {"role": "assistant", "tool_calls": [call], **more},
            {"role": "tool", "tool_call_id": "c1", "content": "pong"}]  # fmt: skip


@pytest.mark.parametrize(
    "messages",
    [
        calling({"arguments": "{}"}),
        calling({"arguments": ""}, content=None),
        calling({}, content=""),
    ],
)
async def test_what_openai_lets_a_client_leave_out_may_be_left_out(messages):
    heard = []

    class Hears(Chooses):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            heard.extend(messages)
            return super()._generate(messages, stop, run_manager)

    body = {"model": "m", "messages": messages}
    await ModelUpstream(Hears(messages=iter(())), "some:m").complete(body)
    assert heard[1].tool_calls[0]["name"] == "ping" and heard[1].tool_calls[0]["args"] == {}


@pytest.mark.parametrize("arguments", ['{"x": oops', "[1]", "7", "null", "[" * 100_000])
async def test_a_call_in_the_history_that_is_no_json_is_passed_on_as_it_is(endpoint, arguments):
    model = ChatOpenAI(model="m", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0)
    messages = calling({"arguments": arguments}, content=None)
    whole = {"id": "c2", "type": "function", "function": {"name": "ping", "arguments": '{"a": 1}'}}
    messages[1]["tool_calls"].append(whole)
    await ModelUpstream(model, "some:m").complete({"model": "m", "messages": messages})
    sent = endpoint.bodies[-1]["messages"]
    by_id = {call["id"]: call["function"] for call in sent[1]["tool_calls"]}
    assert by_id == {
        "c1": {"name": "ping", "arguments": arguments},
        "c2": {"name": "ping", "arguments": '{"a": 1}'},
    }
    assert sent[2]["tool_call_id"] == "c1"


async def test_a_tool_without_parameters_takes_none():
    given = []

    class Takes(Chooses):
        def bind_tools(self, tools, **kwargs):
            given.extend(tools)
            return super().bind_tools(tools)

    body = {
        "model": "m",
        "messages": ASK,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    await ModelUpstream(Takes(messages=iter(())), "some:m").complete(body)
    assert given[0]["function"]["parameters"] == {"type": "object", "properties": {}}


async def test_a_call_that_is_no_json_is_the_clients_to_read():
    wrong = {
        "type": "invalid_tool_call",
        "name": "f",
        "args": '{"x": oops',
        "id": "c9",
        "error": None,
    }
    model = GenericFakeChatModel(messages=iter([AIMessage("", invalid_tool_calls=[wrong])]))
    answer = await ModelUpstream(model, "some:m").complete({"model": "m", "messages": ASK})
    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert (call["id"], call["function"]) == ("c9", {"name": "f", "arguments": '{"x": oops'})


async def test_a_streamed_call_without_arguments_is_json_all_the_same():
    class Calls(Chooses):
        async def _astream(self, *args, **kwargs):
            for piece in (call_of("f", "", "c1", 1), call_of(None, "", None, 1)):
                yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[piece]))

    body = {"model": "m", "messages": ASK, "stream": True}
    events = [
        event async for event in await ModelUpstream(Calls(messages=iter(())), "x").complete(body)
    ]
    deltas = [
        json.loads(event[6:])["choices"][0]["delta"] for event in events if "[DONE]" not in event
    ]
    calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
    assert calls[0]["name"] == "f"
    assert json.loads("".join(call["arguments"] for call in calls)) == {}


def test_what_the_upstream_gives_one_client_goes_to_no_other(proxy):
    heard = []

    def remembers(request):
        heard.append(request.headers.get("cookie"))
        return httpx.Response(
            200, json={"choices": []}, headers={"set-cookie": "session=of-alice; Path=/"}
        )

    with serving(replace(proxy, transport=httpx.MockTransport(remembers))) as url:
        for key in ("alice", "bob"):
            client(url, key).chat.completions.create(model="recorder", messages=ASK)
    assert heard == [None, None]


def test_an_answer_is_not_lost_to_a_log_that_cannot_be_written(proxy):
    def full(_: Served):
        raise OSError(28, "no space left")

    with serving(replace(proxy, on_served=full)) as url:
        assert client(url).chat.completions.create(model="recorder", messages=ASK).choices


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_model_that_cannot_stream_gives_its_whole_answer_in_one_chunk(library, include_usage):
    call = {"name": "refund", "args": {"booking": "X4"}, "id": "c1", "type": "tool_call"}
    usage = {"input_tokens": 11, "output_tokens": 4, "total_tokens": 15}
    said = AIMessage("One moment.", tool_calls=[call], usage_metadata=usage)
    model = GenericFakeChatModel(messages=iter([said]), disable_streaming=True)
    with serving(Proxy(Deployment(library), "m", ModelUpstream(model, "some:m"))) as url:
        chunks = list(client(url).chat.completions.create(
            model="m", messages=ASK, stream=True, stream_options={"include_usage": include_usage}
        ))  # fmt: skip
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "One moment."
    ((called,),) = [delta.tool_calls for delta in deltas if delta.tool_calls]
    assert (called.index, called.id, called.function.name) == (0, "c1", "refund")
    assert json.loads(called.function.arguments) == {"booking": "X4"}
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "tool_calls" and set(reasons[:-1]) == {None}
    assert (chunks[-1].usage and chunks[-1].usage.total_tokens) == (15 if include_usage else None)


@pytest.mark.parametrize("whole", [False, True])
async def test_a_streams_log_probabilities_are_told_with_their_words(whole):
    def told(word):
        return {"logprobs": {"content": [{"token": word, "logprob": -0.5, "top_logprobs": []}]}}

    class Weighs(GenericFakeChatModel):
        async def _astream(self, *args, **kwargs):
            for word in ("Two", " hours"):
                yield ChatGenerationChunk(message=AIMessageChunk(word), generation_info=told(word))

    model = Weighs(
        messages=iter([AIMessage("Two hours", response_metadata=told("Two hours"))]),
        disable_streaming=whole,
    )
    body = {"model": "m", "messages": ASK, "stream": True, "logprobs": True}
    events = [event async for event in await ModelUpstream(model, "some:m").complete(body)]
    choices = [json.loads(event[6:])["choices"][0] for event in events[:-1]]
    given = [(c["delta"]["content"], c["logprobs"]["content"][0]["token"]) for c in choices[1:-1]]
    assert given == [(word, word) for word in (["Two hours"] if whole else ["Two", " hours"])]
    assert choices[0]["logprobs"] is choices[-1]["logprobs"] is None


class Refused(Exception):
    def __init__(self, status):
        super().__init__("temperature must be at most 1")
        self.status_code = status


class Fails(GenericFakeChatModel):
    error: Any = None

    def _generate(self, *args, **kwargs):
        raise self.error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Refused(400), 400, "invalid_request_error"),
        (Refused(404), 404, "invalid_request_error"),
        (Refused(413), 413, "invalid_request_error"),
        (Refused(422), 422, "invalid_request_error"),
        (Refused(429), 429, "rate_limit_error"),
        (Refused(529), 529, "server_error"),
        (Refused(401), 502, "server_error"),
        (Refused(403), 502, "server_error"),
        (TimeoutError("slow"), 504, "server_error"),
        (httpx.ReadTimeout("slow"), 504, "server_error"),
        (ModelFault("it is busy", retryable=True), 503, "server_error"),
        (ConnectionError("gone"), 503, "server_error"),
        (RuntimeError("odd"), 502, "server_error"),
    ],
)
async def test_a_providers_refusal_keeps_its_status(error, status, kind, stream):
    model = Fails(messages=iter(()), error=error)
    with pytest.raises(ProxyError) as caught:
        await ModelUpstream(model, "some:m").complete(
            {"model": "m", "messages": ASK, "stream": stream}
        )
    assert (caught.value.status, caught.value.body["error"]["type"]) == (status, kind)
    if status in (400, 413, 422):
        assert "temperature must be at most 1" in str(caught.value)


def _create_chat_result(response):
    raise TypeError("Received response with null value for `choices`.")


class Unanswered(GenericFakeChatModel):
    """Was asked, and found nothing to read in what came."""

    async def _agenerate(self, *args, **kwargs):
        return _create_chat_result(None)

    async def _astream(self, *args, **kwargs):
        for _ in ():
            yield


def wrapped_refusal():
    error = ValueError("the client failed")
    error.__cause__ = ConnectionError("gone")
    return error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status"),
    [
        (Unanswered(messages=iter(())), 502),
        (Fails(messages=iter(()), error=json.JSONDecodeError("no JSON", "<html>", 0)), 502),
        (Fails(messages=iter(()), error=wrapped_refusal()), 503),
        (Fails(messages=iter(()), error=TypeError("Expected either api_key or auth_token")), 502),
    ],
)
async def test_what_an_answer_or_the_proxys_key_lacks_is_not_the_clients_fault(
    model, status, stream
):
    with pytest.raises(ProxyError) as caught:
        await ModelUpstream(model, "some:m").complete(
            {"model": "m", "messages": ASK, "stream": stream}
        )
    assert caught.value.status == status


async def test_the_form_that_every_answer_has_may_be_asked_for():
    model = GenericFakeChatModel(messages=iter([AIMessage("Two hours")]))
    body = {"model": "m", "messages": ASK, "response_format": {"type": "text"}}
    answer = await ModelUpstream(model, "some:m").complete(body)
    assert answer["choices"][0]["message"]["content"] == "Two hours"
    body["response_format"] = {"type": "json_object"}
    with pytest.raises(ProxyError, match="takes no response_format"):
        await ModelUpstream(model, "some:m").complete(body)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ConnectionError("gone"), "cannot be reached"), (ValueError("an odd chunk"), "an odd chunk")],
)
def test_a_model_that_fails_in_the_middle_says_so_in_the_stream(library, error, said):
    class Breaks(GenericFakeChatModel):
        async def _astream(self, *args, **kwargs):
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
                raise error

    model = Breaks(messages=iter([AIMessage("one two three")]))
    with serving(Proxy(Deployment(library), "m", ModelUpstream(model, "some:m"))) as url:
        stream = client(url).chat.completions.create(model="m", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match=said) as caught:
            list(stream)
    assert caught.value.body["type"] == "server_error"


@pytest.mark.weights
def test_the_embedded_model_behind_the_proxy(library):
    spec = f"local:{smoke_model()}"
    proxy = Proxy(Deployment(library), "smol", ModelUpstream(chat_model(spec), spec))
    with serving(proxy) as url:
        speak = client(url).chat.completions.create
        answer = speak(model="smol", messages=ASK, max_tokens=8, temperature=0, user="left out")
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 8
        # Greedy, and yet the first answer may be another than all that follow: a prompt read anew and
        # one from the cache are reckoned in other batches and differ in the last digits. Two whole
        # answers differ so, too; whole or streamed from the cache, the words must be the same.
        again = speak(model="smol", messages=ASK, max_tokens=8, temperature=0)
        assert again.usage.prompt_tokens_details.cached_tokens > 0
        chunks = list(speak(model="smol", messages=ASK, max_tokens=8, temperature=0, stream=True))
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert streamed == again.choices[0].message.content != ""
        assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) > 1
        form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {
            "type": "object", "properties": {"h": {"type": "integer"}}, "required": ["h"]}}}  # fmt: skip
        shaped = speak(model="smol", messages=ASK, max_tokens=40, response_format=form)
        assert set(json.loads(shaped.choices[0].message.content)) == {"h"}
        with pytest.raises(openai.BadRequestError, match="tokens but"):
            speak(model="smol", messages=[{"role": "user", "content": "hello there " * 20_000}])
        with pytest.raises(openai.BadRequestError, match="cannot call tools"):
            speak(
                model="smol", messages=ASK, tools=[{"type": "function", "function": {"name": "f"}}]
            )


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("https://host/v1?api-version=2", "https://host/v1/chat/completions?api-version=2"),
        ("https://host/a%2Fb/?a=/x/&b=", "https://host/a%2Fb/chat/completions?a=/x/&b="),
        ("https://host/v1/", "https://host/v1/chat/completions"),
        ("https://host", "https://host/chat/completions"),
    ],
)
def test_a_query_of_the_upstreams_address_is_asked_with(proxy, monkeypatch, address, asked):
    heard = []

    def answers(request):
        heard.append(str(request.url))
        return httpx.Response(200, json={"choices": []})

    monkeypatch.setenv("OPENAI_BASE_URL", address)
    _, upstream = HttpUpstream.of_spec("openai:recorder")
    with serving(replace(proxy, upstream=upstream, transport=httpx.MockTransport(answers))) as url:
        assert httpx.post(f"{url}/chat/completions", json={"messages": ASK}).status_code == 200
    assert heard == [asked]


# The command


def test_the_command_serves_curl_and_keeps_keys_off_the_screen(library, endpoint):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    with command(library, "--model", endpoint.spec, OPENAI_API_KEY=SECRET) as (process, url):
        body = json.dumps({"model": "recorder", "messages": ASK})
        answer = subprocess.run(
            [curl, "-sS", f"{url}/chat/completions", "-H", "Authorization: Bearer other-key",
             "-H", "Content-Type: application/json", "-d", body],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert json.loads(answer.stdout)["choices"][0]["message"]["content"], answer.stderr
        streamed = subprocess.run(
            [curl, "-sSN", f"{url}/chat/completions", "-H", "Content-Type: application/json", "-d",
             json.dumps({"model": "recorder", "messages": ASK, "stream": True})],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert streamed.stdout.rstrip().endswith("data: [DONE]")
    assert process.returncode == 0
    assert "1 approved" in process.talk and "200" in process.talk and "stopped" in process.talk
    assert SECRET not in process.talk and "other-key" not in process.talk
    assert "Traceback" not in process.talk and QUESTION not in process.talk
    assert endpoint.headers[-1]["authorization"] == f"Bearer {SECRET}"


def test_what_stands_in_a_models_address_is_neither_served_nor_shown(library):
    spec = "anthropic:claude-x"
    address = "http://bob:hunter2@127.0.0.1:9/v1?api-key=topsecret"
    told_by = {"ANTHROPIC_API_KEY": SECRET, "ANTHROPIC_BASE_URL": address}
    with command(library, "--model", spec, **told_by) as (process, url):
        models = httpx.get(f"{url}/models", timeout=60)
        assert models.json()["data"][0]["id"] == "claude-x"
        told = [models.text] + [
            httpx.post(f"{url}/chat/completions", json=body, timeout=60).text
            for body in ({"model": "another"}, {"model": "claude-x", "n": 2, "messages": ASK},
                         {"model": spec, "messages": ASK})
        ]  # fmt: skip
    assert "claude-x" in told[2] and "claude-x" in process.talk
    assert not re.search("hunter2|bob|topsecret", "".join([*told, process.talk]))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_proxy_whose_model_is_the_proxy_itself_is_refused(library, name):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"OPENAI_BASE_URL": f"http://{name}:{port}/v1"}
    with command(library, "--model", "openai:m", "--port", str(port), **own) as (process, url):
        process.wait(60)
    assert url == "" and process.returncode == 2
    assert "is this proxy itself" in process.talk and "OPENAI_BASE_URL" in process.talk


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_the_address_it_prints_answers(library, endpoint, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        try:
            tried.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
    with command(library, "--model", endpoint.spec, "--host", host) as (_, url):
        assert host in url
        assert httpx.get(f"{url}/models", timeout=60).status_code == 200
        strange = {"host": "evil.example"}
        assert httpx.get(f"{url}/models", headers=strange, timeout=60).status_code == 400


def test_being_stopped_at_once_or_in_the_middle_of_stopping_is_told_the_same(library, endpoint):
    def slow(body):
        asked.set()
        time.sleep(4)
        return "late"

    asked = threading.Event()
    with command(library, "--model", endpoint.spec) as (hurried, _):
        pass
    endpoint.answers = [slow]
    # A shell starts what runs behind it with Ctrl-C switched off; uvicorn heeds it all the same.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with command(library, "--model", endpoint.spec) as (patient, url):
            signal.signal(signal.SIGINT, before)
            ask = threading.Thread(target=lambda: httpx.post(
                f"{url}/chat/completions", json={"messages": ASK}, timeout=60
            ))  # fmt: skip
            ask.start()
            assert asked.wait(60)
            patient.send_signal(signal.SIGINT)
            # The request under way holds it; asked again it does not wait for that.
            time.sleep(0.3)
            assert patient.poll() is None
    finally:
        signal.signal(signal.SIGINT, before)
    ask.join()
    for process in (hurried, patient):
        assert process.returncode == 0, process.talk
        assert "stopped" in process.talk and "Traceback" not in process.talk


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--model", "openai:x", "--host", "0.0.0.0"], 2, "TUTELAGE_SERVE_KEY"),
        (["--model", "nonsense"], 2, "names no model"),
        (["--model", "openai:x@http://[::1"], 2, "give it as http://host:port/v1"),
        (["--model", "openai:x@http://localhost:99999/v1"], 2, "give it as http://host:port/v1"),
        (["--model", "openai:x", "--host", "203.0.113.9"], 1, "cannot listen on"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(library, args, code, said):
    key = "k" if "203" in args[-1] else ""
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", "serve", str(library.path), *args],
        capture_output=True, text=True, timeout=240, env={**os.environ, "TUTELAGE_SERVE_KEY": key},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
