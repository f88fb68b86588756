"""What is being said reaches those who listen, as it grows, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time

import pytest
from langchain_core.messages import HumanMessage
from scripted_run import SlowStudent
from tutelage.agents.customer import _hear_line
from tutelage.agents.models.meter import Meter
from tutelage.agents.voice import Voice
from tutelage.environments import load_environment
from tutelage.graphs.log import speech as sp
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.speech import Listener, Speech
from tutelage.graphs.play.dialogue import compile_dialogue, dialogue_graph
from world import ScriptedCustomer, ScriptedJudge, ScriptedStudent, build_firm, seat


@pytest.fixture
def world(tmp_path):
    return load_environment(str(build_firm(tmp_path / "world")))


@pytest.fixture
async def listener(tmp_path):
    one = Listener(tmp_path)
    yield one
    await one.close()


async def eventually(read, wanted, seconds=5.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if wanted(found := await read()):
            return found
        await asyncio.sleep(0.03)
    raise AssertionError(f"never seen, last: {found}")


async def test_pieces_are_heard_as_they_grow_and_go_when_the_turn_is_spoken(tmp_path, listener):
    async with await Speech.open(tmp_path) as speech:
        assert not speech.wanted
        await eventually(listener.read, lambda _: speech.wanted)
        for said in ("I am", "I am sorry", "I am sorry."):
            speech.hear("d1", 2, "student", said)
            heard = await eventually(listener.read, lambda now, said=said: "d1" in now
                                     and now["d1"].text == said)  # fmt: skip
        assert (heard["d1"].turn, heard["d1"].speaker) == (2, "student")
        speech.hear("d2", 0, "customer", "Hello")
        speech.end("d1")
        await eventually(listener.read, lambda now: set(now) == {"d2"})
        assert time.time() - (await listener.pulse() or 0) < 5
    assert await listener.read() == {}
    assert not list(tmp_path.iterdir()), "nothing of it stays on disk"


async def test_a_killed_run_falls_silent(tmp_path, monkeypatch, listener):
    speech = await Speech.open(tmp_path)
    speech.hear("d1", 0, "student", "half a sent")
    await eventually(listener.read, lambda now: "d1" in now)
    speech._task.cancel()  # as a kill would, without tidying up
    monkeypatch.setattr(sp.time, "time", lambda now=time.time: now() + 60)
    assert await listener.read() == {}
    await listener.close()
    await speech.close()


async def test_a_listener_that_goes_is_forgotten(tmp_path, monkeypatch, listener):
    monkeypatch.setattr(sp, "LISTENER_SECONDS", 0.4)
    monkeypatch.setattr(sp, "PULSE_SECONDS", 0.1)
    async with await Speech.open(tmp_path) as speech:
        await eventually(listener.read, lambda _: speech.wanted)
        await listener.close()
        await asyncio.sleep(1.0)
        assert not speech.wanted


async def test_a_disk_that_refuses_silences_speech_only(tmp_path):
    (tmp_path / sp.FILE_NAME).mkdir()
    async with await Speech.open(tmp_path) as speech:
        speech.hear("d1", 0, "student", "x")
        await asyncio.sleep(0.25)
        assert not speech.wanted


async def test_a_run_streams_its_student_only_while_somebody_listens(tmp_path, world, listener):
    student = SlowStudent(pause=0.03)
    async with await RunLog.open(tmp_path) as log:
        desk = seat(world, None, log, student=student)
        async with await Speech.open(tmp_path) as speech:
            desk.speech = speech
            graph = compile_dialogue(desk, 2)
            await graph.ainvoke({"scenario": "broken_0", "dialogue": "unheard"})
            assert student.streams == 0
            await eventually(listener.read, lambda _: speech.wanted)
            playing = asyncio.create_task(
                graph.ainvoke({"scenario": "broken_0", "dialogue": "heard"})
            )
            seen = []
            while not playing.done():
                if one := (await listener.read()).get("heard"):
                    seen.append(one.text)
                await asyncio.sleep(0.02)
            await playing
            assert student.streams == 2
            assert len(set(seen)) > 3 and any(len(text) < 20 for text in seen)
            await eventually(listener.read, lambda now: "heard" not in now)
        turns = [
            (logged.event.dialogue, logged.event.text, logged.event.tokens)
            for logged in await log.read(kinds=("turn_spoken",))
            if logged.event.speaker == "student"
        ]
        unheard = [turn[1:] for turn in turns if turn[0] == "unheard"]
        assert unheard == [turn[1:] for turn in turns if turn[0] == "heard"], (
            "words and usage alike"
        )
        assert all(tokens == 15 for _, tokens in unheard)


async def test_those_who_stream_the_graph_hear_it_if_they_want_to(world):
    for wanted in (False, True):
        graph = dialogue_graph(
            world, student=SlowStudent(), customer=ScriptedCustomer(), judge=ScriptedJudge(),
            max_exchanges=1, stream_speech=wanted,
        )  # fmt: skip
        streamed = [
            event async for event in graph.astream({"scenario": "grief_0"}, stream_mode="custom")
        ]
        pieces = [e for e in streamed if e["kind"] == "speaking" and e["speaker"] == "student"]
        assert bool(pieces) is wanted
        if wanted:
            spoken = [e for e in streamed if e["kind"] == "turn_spoken"][-1]
            assert pieces[-1]["text"] == spoken["text"]
            assert [len(p["text"]) for p in pieces] == sorted(len(p["text"]) for p in pieces)


async def test_a_streamed_answer_is_metered_as_a_whole_one(world):
    meter = Meter()
    voice = Voice("student", SlowStudent(), "scripted:student", meter)
    heard: list[str] = []
    plain = await voice.say([HumanMessage("x")])
    assert await voice.say([HumanMessage("x")], hear=heard.append) == plain == heard[-1]
    assert (meter.of("student").calls, meter.of("student").output) == (2, 10)


async def test_a_model_that_cannot_stream_is_heard_at_once():
    voice = Voice("student", ScriptedStudent(), "x:y", Meter())
    heard: list[str] = []
    assert await voice.say([HumanMessage("x")], hear=heard.append) == heard[-1]


def test_the_customers_words_are_heard_out_of_the_json():
    heard: list[str] = []
    hear = _hear_line(heard.append)
    whole = '{"i_want": "a refund", "feeling": "angry", "customer_says": "Four \\"hours\\"! é"}'
    for end in range(1, len(whole) + 1):
        hear(whole[:end])
    assert heard[0] == "F" and heard[-1] == 'Four "hours"! é'
    assert all(heard[-1].startswith(said) for said in heard)
