"""One spec for every provider, one clear sentence for every failure, and no key in any of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from tutelage.agents.app_student import as_student
from tutelage.agents.coached import coached
from tutelage.agents.models.chat_models import (
    as_taken,
    chat_model,
    fault_of,
    model_name,
    supports_logprobs,
)
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.local_chat import ChatLocal
from tutelage.agents.models.meter import Meter
from tutelage.agents.voice import Voice
from tutelage.strategy_store import Library

from tutelage.serving.model import ModelUpstream
from tutelage.serving.proxy import HttpUpstream

SECRET = "sk-verysecret-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def answering(status: int, body: Any) -> ChatOpenAI:
    """A model whose server answers everything with one status and body."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    return ChatOpenAI(
        model="m",
        api_key=SECRET,  # type: ignore[arg-type]
        base_url="http://me:pass@host:8000/v1?x=1",
        max_retries=0,
        http_client=httpx.Client(transport=httpx.MockTransport(answer)),
        http_async_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)),
    )


def fault_from(model: BaseChatModel) -> ModelFault:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        model.invoke("hello")
    return fault_of(caught.value, model)


def test_a_model_object_is_given_back_as_it_is() -> None:
    model = FakeListChatModel(responses=["a"])
    assert chat_model(model) is model


@pytest.mark.parametrize(
    ("spec", "said", "code"),
    [
        ("openai", "provider:model", 2),
        ("", "provider:model", 2),
        ("openai:", "provider:model", 2),
        ("opnai:gpt", "did you mean 'openai'", 2),
        ("lcal:smollm2-135m", "did you mean 'local'", 2),
        ("local:smollm", "did you mean 'smollm2-135m'", 2),
        ("local:/nowhere/x.gguf", "no weights at", 2),
        ("openai:gpt-4o-mini", "OPENAI_API_KEY", 1),
        ("mistralai:small", "pip install langchain-mistralai", 1),
    ],
)
def test_a_wrong_spec_says_what_to_do(spec: str, said: str, code: int) -> None:
    with pytest.raises(ModelFault) as caught:
        chat_model(spec)
    assert said in str(caught.value)
    assert caught.value.exit_code == code


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ImportError("Please install it with `pip install langchain-openai`")

    monkeypatch.setattr("tutelage.agents.models.chat_models.init_chat_model", refuse)
    with pytest.raises(ModelFault, match=r"`pip install langchain-openai` .*tutelage\[openai\]"):
        chat_model("openai:gpt-4o-mini")


def test_an_address_makes_any_compatible_server_usable_without_a_key() -> None:
    model = chat_model("openai:my-model@http://localhost:8000/v1", temperature=0.5)
    assert isinstance(model, ChatOpenAI)
    assert model.openai_api_base == "http://localhost:8000/v1"
    assert model.model_name == "my-model"
    assert model.temperature == 0.5
    assert model_name(model) == "openai:my-model@http://localhost:8000/v1"


def test_names_for_logs_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_BASE", "http://user:hunter2@host:8000/v1/?api_key=abc#x")
    assert model_name(chat_model("openai:m")) == "openai:m@http://host:8000/v1"
    monkeypatch.delenv("OPENAI_API_BASE")
    assert model_name(chat_model("openai:gpt-4o-mini")) == "openai:gpt-4o-mini"
    assert model_name(ChatLocal(model="/home/me/secret-project/w.gguf")) == "local:w.gguf"
    assert model_name(ChatLocal(model="smollm2-135m")) == "local:smollm2-135m"


@pytest.mark.parametrize("rest", ["bob:hunter2@host:9/v1", "host:9/v1?key=hunter2", "hunter2@host"])
@pytest.mark.parametrize(
    "opened",
    [
        lambda rest: chat_model(f"anthropic:m@http://{rest}"),
        lambda rest: as_student(f"app:m@https://{rest}"),
        lambda rest: HttpUpstream.of_spec(f"openai:m@http://{rest}"),
    ],
)
def test_a_spec_holds_no_password_for_it_would_stand_in_logs(opened, rest) -> None:
    with pytest.raises(ModelFault, match="may hold no user, password or query") as caught:
        opened(rest)
    assert "hunter2" not in str(caught.value) and "m@http" in str(caught.value)
    assert caught.value.exit_code == 2


def test_who_can_tell_probabilities() -> None:
    assert supports_logprobs(ChatLocal(model="smollm2-135m"))
    assert supports_logprobs(answering(200, {}))
    assert not supports_logprobs(FakeListChatModel(responses=["a"]))
    assert not supports_logprobs(chat_model("anthropic:claude-x"))


@pytest.mark.parametrize(
    ("status", "message", "said", "retryable"),
    [
        (401, f"Incorrect API key provided: {SECRET}", "OPENAI_API_KEY", False),
        (403, "no", "OPENAI_API_KEY", False),
        (404, "The model `m` does not exist", "check the model's name", False),
        (429, "Rate limit reached", "lower --concurrency", True),
        (429, "You exceeded your current quota", "no credit", False),
        (500, "oops", r"failed \(500\)", True),
        (503, "busy", r"failed \(503\)", True),
        (400, "This model's maximum context length is 4096 tokens", "too long", False),
        (422, f"bad field, key {SECRET} used", r"refused the request \(422\): .*bad field", False),
    ],
)
def test_each_refusal_is_one_clear_sentence(
    status: int, message: str, said: str, retryable: bool
) -> None:
    fault = fault_from(answering(status, {"error": {"message": message, "code": status}}))
    text = str(fault)
    assert "openai:m@http://host:8000/v1" in text
    import re

    assert re.search(said, text), text
    assert fault.retryable is retryable
    assert fault.exit_code == 1
    assert "\n" not in text
    assert SECRET not in text
    assert "pass" not in text.replace("password", "")


def test_a_server_that_is_not_there() -> None:
    model = chat_model("openai:m@http://127.0.0.1:9/v1", max_retries=0)
    fault = fault_from(model)
    assert "cannot be reached" in str(fault)
    assert fault.retryable


def test_a_server_that_does_not_answer_in_time() -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    model = ChatOpenAI(
        model="m",
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        http_client=httpx.Client(transport=httpx.MockTransport(slow)),
    )
    fault = fault_from(model)
    assert "did not answer in time" in str(fault)
    assert fault.retryable
    assert "did not answer in time" in str(fault_of(TimeoutError(), "ollama:x"))


def test_faults_pass_through_even_from_inside_a_group() -> None:
    fault = ModelFault("mine")
    assert fault_of(fault, "local:x") is fault
    assert fault_of(ExceptionGroup("several", [fault]), "local:x") is fault


def test_a_strange_error_keeps_its_words_but_not_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "plainword77")
    error = RuntimeError(
        f"call to https://a:b@h/x?k=1 with Bearer abc.def {SECRET} plainword77\nend"
    )
    text = str(fault_of(error, f"openai:m@http://u:{SECRET}@h/v1"))
    assert "RuntimeError: call to https://h/x with" in text
    for secret in (SECRET, "plainword77", "abc.def", "a:b@"):
        assert secret not in text
    assert len(text) < 400


@pytest.mark.parametrize("spec", ["azure_openai:m", "azure:m"])
def test_a_key_of_azure_is_named_by_either_name_of_the_provider(spec: str) -> None:
    assert "AZURE_OPENAI_API_KEY" in str(fault_of(ValueError("missing api_key"), spec))


def test_the_same_holds_when_called_asynchronously() -> None:
    async def call() -> ModelFault:
        model = answering(429, {"error": {"message": "Rate limit"}})
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await model.ainvoke("hello")
        return fault_of(caught.value, model)

    assert asyncio.run(call()).retryable


def test_an_answer_that_is_no_answer() -> None:
    fault = fault_from(answering(200, json.loads('{"nonsense": true}')))
    assert "openai:m@http://host:8000/v1 failed" in str(fault)


# What each provider's client takes. The classes are named as the real ones, which are known by that.


class Strict(BaseChatModel):
    """Refuses what the client of its name refuses; says what it was asked with."""

    takes: ClassVar[tuple[str, ...]]
    """What a call may name."""
    fields: ClassVar[tuple[str, ...]] = ()
    """What the client takes from the model's fields alone."""

    @property
    def _llm_type(self) -> str:
        return "strict"

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        for name in kwargs:
            if name not in self.takes:
                raise TypeError(f"create() got an unexpected keyword argument {name!r}")
        return _said({**{name: getattr(self, name) for name in self.fields}, **kwargs})


class ChatAnthropic(Strict):
    """Takes sampling options with the call, and no seed."""

    takes: ClassVar[tuple[str, ...]] = ("temperature", "top_p", "max_tokens", "tools")
    temperature: float | None = None
    max_tokens: int = 1024


class ChatOllama(Strict):
    """Takes sampling options from the model's fields."""

    takes: ClassVar[tuple[str, ...]] = ("tools", "format", "logprobs", "top_logprobs")
    fields: ClassVar[tuple[str, ...]] = ("seed", "temperature", "top_p", "num_predict", "num_ctx")
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    num_predict: int | None = None
    num_ctx: int | None = None


def _said(asked: dict[str, Any]) -> ChatResult:
    told = {name: value for name, value in sorted(asked.items()) if value is not None}
    return ChatResult(generations=[ChatGeneration(message=AIMessage(json.dumps(told)))])


SAMPLING = {"seed": 7, "temperature": 0.5, "max_tokens": 120}
STRICT = [
    (ChatAnthropic(), {"temperature": 0.5, "max_tokens": 120}),
    (ChatOllama(num_ctx=8192, temperature=0.9),
     {"seed": 7, "temperature": 0.5, "num_predict": 120, "num_ctx": 8192}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "taken"), STRICT, ids=["anthropic", "ollama"])
async def test_every_role_asks_each_provider_for_what_its_client_takes(
    model: BaseChatModel, taken: dict[str, Any], tmp_path: Any
) -> None:
    voice = Voice("student", model, "some:model", Meter())
    asked = [HumanMessage("hello")]
    assert json.loads(await voice.say(asked, **SAMPLING)) == taken
    said: list[str] = []
    assert json.loads(await voice.say(asked, hear=said.append, **SAMPLING)) == taken
    acted = json.loads((await voice.act(asked, [], **SAMPLING)).text)
    assert acted == {**taken, "tools": []}, "with tools bound, too"
    student = as_student(model.bind(tools=[1]))
    assert isinstance(student, BaseChatModel)
    bound = Voice("student", student, "some:model", Meter())
    assert json.loads(await bound.say(asked, **SAMPLING)) == {**taken, "tools": [1]}
    with Library.open(tmp_path / "library.db", create=True) as library:
        wrapped = Voice("student", coached(model, library), "some:model", Meter())
        assert json.loads(await wrapped.say(asked, **SAMPLING)) == taken


@pytest.mark.parametrize(("model", "taken"), STRICT, ids=["anthropic", "ollama"])
async def test_the_proxy_asks_each_provider_for_what_its_client_takes(
    model: BaseChatModel, taken: dict[str, Any]
) -> None:
    upstream = ModelUpstream(model, "some:model")
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **SAMPLING}
    answer = await upstream.complete(body)
    assert json.loads(answer["choices"][0]["message"]["content"]) == taken
    takes: dict[str, Any] = {"type": "object", "properties": {}}
    tool = {"type": "function", "function": {"name": "refund", "parameters": takes}}
    answer = await upstream.complete({**body, "tools": [tool]})
    assert json.loads(answer["choices"][0]["message"]["content"]) == {**taken, "tools": [tool]}


class Token(BaseModel):
    """A token as Ollama's client gives it."""

    token: str
    logprob: float


async def test_the_proxy_tells_ollamas_log_probabilities_as_openai_does() -> None:
    told = AIMessage("A", response_metadata={"logprobs": [Token(token="A", logprob=-0.5)]})
    upstream = ModelUpstream(GenericFakeChatModel(messages=iter([told])), "ollama:m")
    answer = await upstream.complete({"model": "m", "messages": [{"role": "user", "content": "h"}]})
    assert json.loads(json.dumps(answer))["choices"][0]["logprobs"] == {
        "content": [{"token": "A", "logprob": -0.5}],
        "refusal": None,
    }


def test_a_call_leaves_the_model_as_it_is() -> None:
    model = ChatOllama(seed=1)
    fitted, left = as_taken(model, {**SAMPLING, "stop": ["x"]})
    assert (fitted.seed, model.seed, left) == (7, 1, {"stop": ["x"]})
    other = FakeListChatModel(responses=["a"])
    assert as_taken(other, SAMPLING) == (other, SAMPLING)
