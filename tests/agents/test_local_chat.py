"""The embedded chat model: LangChain's own suites, and what they do not ask."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, Field
from smoke import NAME, smoke_model
from tutelage.agents.models import local_server
from tutelage.agents.models.faults import ModelFault, status_of
from tutelage.agents.models.local_chat import ChatLocal
from tutelage.agents.models.machine_size import MIB, free_memory, size_for_machine, usable_cores
from tutelage.agents.models.weights import weights_path

LONG = "Write a very long story about a cat."


class TestStandardUnit(ChatModelUnitTests):
    """LangChain's suite for a model that is made but not called."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLocal

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": NAME}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # No key to give and nothing to retry: the model lives in this process.
        return {"temperature": 0, "max_tokens": 100, "timeout": 60, "stop": []}


@pytest.mark.weights
class TestStandardIntegration(ChatModelIntegrationTests):
    """LangChain's suite for a model that answers."""

    @pytest.fixture(autouse=True)
    def _weights(self) -> None:
        smoke_model()

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLocal

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": NAME, "seed": 7, "max_tokens": 200, "repeat_penalty": 1.2}

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return str(weights_path(smoke_model()))


@pytest.fixture
def model() -> ChatLocal:
    return ChatLocal(model=smoke_model(), temperature=0.8, max_tokens=24)


pytestmark = pytest.mark.weights


def test_a_seed_gives_the_same_words_again_and_another_gives_others(model: ChatLocal) -> None:
    first = model.bind(seed=1).invoke(LONG).text
    assert model.bind(seed=1).invoke(LONG).text == first
    others = {model.bind(seed=seed).invoke(LONG).text for seed in range(2, 6)}
    assert others - {first}


def test_stop_stops_before_the_word(model: ChatLocal) -> None:
    told = model.bind(temperature=0, ignore_eos=True, repeat_penalty=1.3)
    whole = told.invoke(LONG).text
    word = whole.split()[6]
    cut = told.invoke(LONG, stop=[word])
    assert cut.text == whole[: whole.index(word)]
    assert cut.response_metadata["finish_reason"] == "stop"


def test_max_tokens_and_usage_agree(model: ChatLocal) -> None:
    said = model.bind(max_tokens=7, temperature=0).invoke(LONG)
    assert said.usage_metadata is not None
    assert said.usage_metadata["output_tokens"] == 7
    assert said.response_metadata["finish_reason"] == "length"
    assert said.response_metadata["model_name"] == NAME
    again = model.bind(max_tokens=7, temperature=0).invoke(LONG)
    assert again.usage_metadata is not None
    assert again.usage_metadata["input_tokens"] == said.usage_metadata["input_tokens"] > 5
    assert again.usage_metadata["input_token_details"]["cache_read"] > 5


def test_two_roles_that_share_a_beginning_keep_what_each_has_read(model: ChatLocal) -> None:
    told = model.bind(max_tokens=1, temperature=0)
    shared = "The firm mends clocks and watches, and takes back what it cannot mend. " * 8

    def asked(tail: str) -> tuple[int, int]:
        usage = told.invoke(shared + tail * 12).usage_metadata
        assert usage is not None
        return usage["input_tokens"], usage["input_token_details"].get("cache_read", 0)

    student, judge = "Answer the customer. ", "Which of two replies is better? "
    for tail in (student, judge):
        asked(tail)
    for tail in (student, judge, student):
        tokens, cached = asked(tail)
        assert cached >= tokens - 8, f"{tail!r} was read anew: {cached} of {tokens} tokens kept"


def test_streamed_pieces_make_the_same_message(model: ChatLocal) -> None:
    bound = model.bind(temperature=0, logprobs=True, top_logprobs=2)
    whole = bound.invoke(LONG)
    pieces = list(bound.stream(LONG))
    assert len(pieces) > 10
    joined = pieces[0]
    for piece in pieces[1:]:
        joined += piece
    assert isinstance(joined, AIMessageChunk)
    assert joined.text == whole.text
    assert joined.response_metadata["finish_reason"] == "length"
    assert len(joined.response_metadata["logprobs"]["content"]) == 24
    assert joined.usage_metadata is not None
    assert whole.usage_metadata is not None
    assert joined.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


def test_logprobs_are_probabilities_in_the_shape_of_openai(model: ChatLocal) -> None:
    said = model.bind(logprobs=True, top_logprobs=10, temperature=0).invoke("Say yes or no.")
    tokens = said.response_metadata["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == said.text
    for token in tokens:
        top = [choice["logprob"] for choice in token["top_logprobs"]]
        assert len(top) == 10
        assert top == sorted(top, reverse=True)
        assert 0 < sum(math.exp(p) for p in top) <= 1.0001
        # Without temperature the likeliest token is the one that was said.
        assert token["token"] == token["top_logprobs"][0]["token"]
        assert token["logprob"] == pytest.approx(top[0], abs=1e-4)


class Mood(BaseModel):
    """How a customer feels."""

    feeling: Literal["angry", "calm", "sad"]
    strength: int = Field(ge=1, le=5)
    # Bounded, for a hot model may otherwise never end a word within max_tokens.
    words: list[Annotated[str, Field(max_length=20)]] = Field(min_length=1, max_length=2)


class MoodDict(TypedDict):
    """How a customer feels, in words to choose from: in a free text a small model may never end."""

    feeling: Literal["calm", "angry"]
    strength: int


def test_structured_output_is_valid_even_from_a_model_that_understands_nothing(
    model: ChatLocal,
) -> None:
    for seed in range(6):
        mood = model.with_structured_output(
            Mood, max_tokens=300, seed=seed, temperature=1.5
        ).invoke("xyzzy")
        assert isinstance(mood, Mood)


@pytest.mark.parametrize(
    "schema",
    [
        MoodDict,
        {
            "type": "object",
            "properties": {
                "feeling": {"type": "string", "maxLength": 20},
                "strength": {"type": "integer"},
            },
            "required": ["feeling", "strength"],
        },
    ],
    ids=["typed dict", "json schema"],
)
def test_structured_output_of_dicts(model: ChatLocal, schema: Any) -> None:
    mood = model.with_structured_output(schema, max_tokens=300, repeat_penalty=1.3).invoke(
        "I am angry"
    )
    assert isinstance(mood, dict)
    assert mood.keys() == {"feeling", "strength"}
    assert isinstance(mood["strength"], int)


def test_structured_output_cut_short_is_told_and_not_raised_where_raw_is_asked_for(
    model: ChatLocal,
) -> None:
    told = model.with_structured_output(Mood, include_raw=True, max_tokens=3).invoke("hello")
    assert isinstance(told, dict)
    assert isinstance(told["raw"], AIMessage)
    assert told["parsed"] is None
    assert "cut short" in str(told["parsing_error"])
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        model.with_structured_output(MoodDict, max_tokens=3).invoke("hello")


def test_the_same_weights_are_loaded_once(model: ChatLocal) -> None:
    model.invoke("hi")
    other = ChatLocal(model=str(weights_path(NAME)), max_tokens=2)
    other.invoke("hi")
    path = weights_path(NAME)
    assert local_server.local_server(path) is local_server.local_server(
        path.parent / "." / path.name
    )
    assert [key for key in local_server._places if not key[1]] == [(path.resolve(), False)]


def test_a_history_with_tool_messages_and_blocks_is_read(model: ChatLocal) -> None:
    call = {"name": "look", "args": {"code": "A1"}, "id": "1", "type": "tool_call"}
    said = model.invoke(
        [
            SystemMessage("You serve customers."),
            HumanMessage(
                [{"type": "text", "text": "Where is"}, {"type": "text", "text": "my bag?"}]
            ),
            AIMessage("", tool_calls=[call]),
            ToolMessage("in Boston", tool_call_id="1"),
        ]
    )
    assert said.usage_metadata is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": 1}, "takes no colour"),
        ({"tools": [{"type": "function"}]}, "cannot call tools"),
        ({"response_format": {"type": "bogus"}}, "refused the request"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": "bogus"}},
                }
            },
            "refused the request",
        ),
        ({"max_tokens": 400, "timeout": 0.3}, "took longer than 0.3 s"),
    ],
)
def test_what_cannot_be_done_is_said(model: ChatLocal, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelFault, match=said):
        model.bind(**options).invoke(LONG)
    with pytest.raises(ModelFault, match=said):
        asyncio.run(model.bind(**options).ainvoke(LONG))
    with pytest.raises(ModelFault, match=said):
        list(model.bind(**options).stream(LONG))


def test_a_picture_is_refused(model: ChatLocal) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    with pytest.raises(ModelFault, match="reads text only; a message holds image_url"):
        model.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])])


def test_a_prompt_that_is_too_long_says_both_sizes(model: ChatLocal) -> None:
    context = local_server.local_server(weights_path(NAME)).size
    with pytest.raises(ModelFault, match=r"has \d{4,} tokens .* context of \d+") as caught:
        model.invoke("hello there " * context.context_total)
    assert caught.value.exit_code == 1
    assert status_of(caught.value) == 400, "a client of the proxy asked for too much"


def test_weights_that_are_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(weights_path(smoke_model()).read_bytes()[:3_000_000])
    with pytest.raises(ModelFault, match=r"llama.cpp cannot load"):
        ChatLocal(model=str(broken)).invoke("hi")
    broken.write_bytes(b"no weights at all")
    with pytest.raises(ModelFault, match="is no GGUF file"):
        asyncio.run(ChatLocal(model=str(broken)).ainvoke("hi"))


async def test_the_event_loop_goes_on_while_the_model_speaks(model: ChatLocal) -> None:
    await model.ainvoke("hi")
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(model.ainvoke(f"{LONG} {i}") for i in range(8)))
    ticking.cancel()
    assert len(gaps) > 20
    assert max(gaps) < 0.5


async def test_cancelled_calls_let_go_of_their_slots(model: ChatLocal) -> None:
    await model.ainvoke("hi")
    long = model.bind(max_tokens=1500, ignore_eos=True)
    # Twice as many as there are slots: half of them are cancelled while they wait.
    slots = local_server.local_server(weights_path(NAME)).size.slots
    tasks = [asyncio.create_task(long.ainvoke(f"{i} {LONG}")) for i in range(2 * slots)]
    await asyncio.sleep(0.7)
    assert not any(task.done() for task in tasks), "too quick to tell anything"
    before = time.monotonic()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert time.monotonic() - before < 0.3
    await model.bind(max_tokens=1).ainvoke("hi")
    assert time.monotonic() - before < 3


@pytest.mark.alone
async def test_a_prompt_being_read_can_be_called_off(model: ChatLocal) -> None:
    await model.ainvoke("hi")
    reading = asyncio.create_task(model.ainvoke("hello there " * 900))
    await asyncio.sleep(0.3)
    before = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    slots = local_server.local_server(weights_path(NAME)).size.slots
    await asyncio.gather(*(model.bind(max_tokens=1).ainvoke(f"hi {i}") for i in range(slots)))
    # To read all of it takes ten seconds and more, also where nothing else is running.
    assert time.monotonic() - before < 5


async def test_a_stream_left_early_stops_the_model(model: ChatLocal) -> None:
    async for _ in model.bind(max_tokens=1500, ignore_eos=True).astream(LONG):
        break
    for _ in model.bind(max_tokens=1500, ignore_eos=True).stream(LONG):
        break
    for generation in list(local_server._running):
        assert generation.thread is not None
        await asyncio.to_thread(generation.thread.join, 3)
    assert not local_server._running


def test_it_fits_in_a_chain(model: ChatLocal) -> None:
    chain = ChatPromptTemplate.from_messages([("system", "Be short."), ("user", "{x}")]) | model
    assert all(said.text for said in chain.batch([{"x": "hello"}, {"x": "goodbye"}]))


def run_script(body: str, *, interrupt_at: str = "") -> tuple[int, str, str, float]:
    """Run Python in a process of its own, pressing Ctrl-C when it prints a word.

    Returns the exit code, both outputs and the seconds from Ctrl-C (or the start) to the end.
    """
    head = (
        "from tutelage.agents.models.local_chat import ChatLocal\n"
        f"model = ChatLocal(model={NAME!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", head + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    start, seen = time.monotonic(), ""
    while interrupt_at and interrupt_at not in seen:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        seen += line
    if interrupt_at:
        time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, seen + out, err, time.monotonic() - start


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")
def test_ctrl_c_ends_a_call_and_nothing_is_written_to_the_terminal() -> None:
    smoke_model()
    code, out, err, seconds = run_script(
        "model.bind(max_tokens=2).invoke('hi')\n"
        "print('speaking')\n"
        "try:\n"
        "    model.bind(max_tokens=1900, ignore_eos=True).invoke('Tell me everything.')\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
        "print(len(model.bind(max_tokens=2).invoke('hi').text) > 0)\n",
        interrupt_at="speaking",
    )
    assert (code, out.split(), err) == (0, ["speaking", "stopped", "True"], "")
    assert seconds < 8


def test_a_process_that_ends_in_mid_sentence_ends_cleanly() -> None:
    smoke_model()
    code, out, err, seconds = run_script(
        "stream = model.bind(max_tokens=1900, ignore_eos=True).stream('Tell me everything.')\n"
        "print(next(stream).text != 'x')\n"
    )
    assert (code, out.split(), err) == (0, ["True"], "")
    assert seconds < 10


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")
def test_ctrl_c_while_a_process_waits_for_its_last_word_ends_it_at_once() -> None:
    code, _, err, seconds = run_script(
        "import threading, time\n"
        "from tutelage.agents.models import local_server\n"
        "slow = local_server._Generation(lambda _: None)\n"
        "slow.thread = threading.Thread(target=time.sleep, args=[8], daemon=True)\n"
        "slow.thread.start()\n"
        "local_server._running.add(slow)\n"
        "print('ending')\n",
        interrupt_at="ending",
    )
    assert (code, err) == (1, "")
    assert seconds < 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's list of sockets")
def test_nobody_can_connect_to_the_server_inside(model: ChatLocal) -> None:
    model.invoke("hi")
    mine = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            mine.add(os.readlink(entry))
        except OSError:
            continue
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A":
                assert f"socket:[{columns[9]}]" not in mine
    paths = [line.split()[-1] for line in Path("/proc/self/net/unix").read_text().splitlines()]
    ours = [path for path in paths if "tutelage-" in path]
    assert not [path for path in ours if Path(path).exists()]


def sized(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "kv_bytes_per_token": 28_672,
        "trained_context": 32_768,
        "cores": 2,
        "memory": 16_384 * MIB,
        "environ": {},
        **changes,
    }
    return size_for_machine(1_117 * MIB, **given)


def test_size_follows_the_machine() -> None:
    roomy = sized()
    assert roomy.threads == 2
    assert roomy.slots == 1, "two cores are quicker with one"
    assert [sized(cores=cores).slots for cores in (1, 4, 64)] == [1, 4, 8]
    assert roomy.context == 8192
    assert roomy.cache_mib > 1000
    assert sized(cores=64).threads <= 16
    assert sized(trained_context=2048).context == 2048
    tight = sized(memory=2_000 * MIB)
    assert tight.context < roomy.context
    for memory in range(2_300, 20_000, 700):
        size = sized(memory=memory * MIB)
        total = 1_117 * 1.5 + size.context_total * 28_672 / MIB + size.cache_mib
        assert total <= memory, "never promises more than there is"


def test_size_says_when_a_model_does_not_fit() -> None:
    with pytest.raises(ModelFault, match=r"needs about \d+ MiB of memory and 1000 MiB are free"):
        sized(memory=1_000 * MIB)


def test_size_obeys_the_user() -> None:
    asked = {
        "TUTELAGE_LOCAL_THREADS": "7",
        "TUTELAGE_LOCAL_SLOTS": "3",
        "TUTELAGE_LOCAL_CONTEXT": "5000",
        "TUTELAGE_LOCAL_CACHE_MIB": "0",
    }
    size = sized(environ=asked)
    assert (size.threads, size.slots, size.context, size.cache_mib) == (7, 3, 5000, 0)
    for wrong in ("many", "-1", "0", "1.5"):
        with pytest.raises(ModelFault, match="TUTELAGE_LOCAL_SLOTS") as caught:
            sized(environ={"TUTELAGE_LOCAL_SLOTS": wrong})
        assert caught.value.exit_code == 2


def test_a_container_counts_by_its_limits(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8388608 kB\n")
    assert free_memory(tmp_path) == 8 << 30
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("123\n")
    assert free_memory(tmp_path) == 8 << 30
    (group / "memory.max").write_text(str(2 << 30))
    (group / "memory.current").write_text(str(1 << 30))
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 29}\n")
    assert free_memory(tmp_path) == (1 << 30) + (1 << 29)
    whole = usable_cores(tmp_path)
    (group / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1
    (group / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == whole


def test_json_mode_gives_some_object(model: ChatLocal) -> None:
    said = model.bind(response_format={"type": "json_object"}, max_tokens=60).invoke("hello")
    if said.response_metadata["finish_reason"] == "stop":
        assert isinstance(json.loads(said.text), dict)
    assert said.text.lstrip().startswith("{")
