"""Takeover: a person speaks for the student; the dialogue never hangs and is never scored."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from tutelage.environments import load_environment
from tutelage.graphs.log import inbox as inbox_module
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    RunEnded,
    RunStarted,
    TurnSpoken,
)
from tutelage.graphs.log.picture import RunPicture
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.states import played, states_of
from tutelage.graphs.play.dialogue import compile_dialogue
from tutelage.graphs.play.takeover import InboxFault, Seat, person_reply
from tutelage.graphs.steps.rounds import round_sums
from world import ScriptedStudent, build_firm, seat

REQUEST = {"scenario": "stranded_0", "persona": "anyone", "seed": 1, "dialogue": "d"}


class SlowStudent(ScriptedStudent):
    """Leaves time to take over between two of its replies."""

    async def _agenerate(self, *arguments, **options):
        await asyncio.sleep(0.3)
        return self._generate(*arguments, **options)


@pytest.fixture
async def run(tmp_path):
    """A run whose dialogue is about to begin, and the environment it plays in."""
    environment = load_environment(build_firm(tmp_path / "world"))
    async with await RunLog.open(tmp_path / "run") as log:
        desk = seat(environment, None, log, student=SlowStudent())
        yield tmp_path / "run", log, environment, compile_dialogue(desk, 4)


async def until(look, seconds=30.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := await look():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


async def test_a_person_takes_over_speaks_and_hands_back(run):
    folder, log, environment, graph = run
    async with Seat(folder, "d", "bea") as me:
        # Before the dialogue begins, so that the student has not begun to answer.
        await me.take()
        task = asyncio.create_task(graph.ainvoke(REQUEST))
        seen = []

        async def may_speak():
            await me.beat()
            seen.extend(await me.events())
            return me.waited_for

        async def was_heard():
            await me.beat()
            return await said_by(log, "bea")

        await until(may_speak)
        turn = await me.say("I am a person: tell me more.")
        await until(was_heard)
        await me.hand_back()
        result = await task
        seen += await me.events()
        assert me.over
        with pytest.raises(InboxFault, match="is over"):
            await me.say("too late")
    spoken = [e for e in seen if isinstance(e, TurnSpoken) and e.speaker == "student"]
    assert [(e.turn, e.by, e.text) for e in spoken[:1]] == [
        (turn, "bea", "I am a person: tell me more.")
    ]
    assert len(spoken) > 1 and all(e.by == "" for e in spoken[1:]), "then the student goes on"
    assert result["judgement"] is None and result["valid"] is False
    assert not any(isinstance(e, DialogueJudged) for e in seen)
    one = (await played(log))["d"]
    assert one.taken_over and not one.valid
    assert states_of(one, environment) == [], "nothing is learned from what a person said"
    assert round_sums([one], 1, []).invalid == 0, "and it is no fault of the customer's"
    picture = RunPicture()
    for logged in await log.read():
        picture.fold(logged)
    assert picture.dialogues["d"].state == "taken over"


async def said_by(log, name):
    events = [e.event for e in await log.read(kinds=("turn_spoken",))]
    return any(e.by == name for e in events)


async def test_where_nobody_takes_over_nothing_changes(run):
    _, log, _, graph = run
    result = await graph.ainvoke(REQUEST)
    assert result["judgement"] is not None
    ended = [e.event for e in await log.read(kinds=("dialogue_ended",))]
    assert [e.taken_over for e in ended] == [False] and ended[0].valid


async def test_a_dead_screen_does_not_hold_a_dialogue(run, monkeypatch):
    folder, log, _, graph = run
    monkeypatch.setattr(inbox_module, "LOST_SECONDS", 0.6)
    code = (
        "import asyncio, os\nfrom pathlib import Path\n"
        "from tutelage.graphs.play.takeover import Seat\n"
        "async def main():\n"
        f"    async with Seat(Path({str(folder)!r}), 'd', 'bea') as me:\n"
        "        await me.take()\n        print('taken', flush=True)\n        os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (9, "taken\n")
    result = await asyncio.wait_for(graph.ainvoke(REQUEST), 20)
    assert result["judgement"] is not None, "the student went on, and the dialogue counts"
    assert await log.inbox.holder("d") is None


async def test_a_person_who_says_nothing_loses_the_seat(run):
    folder, log, _, _ = run
    async with Seat(folder, "d", "bea") as me:
        await me.take()
        began = time.monotonic()
        assert await person_reply(log, "d", 0, patience=0.5) is None
        assert 0.4 < time.monotonic() - began < 3
        assert await me.beat() is False and not me.held
        assert await person_reply(log, "d", 1, patience=60) is None, "and is not waited for again"


async def test_two_people_cannot_speak_at_once(run):
    folder, log, _, _ = run
    async with Seat(folder, "d", "bea") as one, Seat(folder, "d", "cem") as two:
        await one.take()
        with pytest.raises(InboxFault, match="bea has taken over"):
            await two.take()
        await two.hand_back()
        assert await log.inbox.holder("d") == "bea"
        await one.hand_back()
        await two.take()
        assert await log.inbox.holder("d") == "cem"
    assert await log.inbox.holder("d") is None, "leaving hands back"


async def test_an_old_reply_is_not_said_in_a_dialogue_begun_again(run):
    folder, log, _, _ = run
    await log.inbox.say("d", 0, "an old screen", "from yesterday")
    async with Seat(folder, "d", "cem") as me:
        await me.take()
        with pytest.raises(InboxFault, match="wait for the customer"):
            await me.say("x")
        task = asyncio.create_task(person_reply(log, "d", 0, patience=0.4))
        assert await task is None


async def test_nobody_waits_in_a_run_that_ended_until_it_begins_the_dialogue_again(run):
    folder, log, _, _ = run
    begun = DialogueStarted(dialogue="d", round=1, scenario="s", persona="anyone")
    asked = TurnSpoken(dialogue="d", turn=0, speaker="customer", text="Why?", feeling="angry")
    goes_on = RunStarted(command="simulate", environment="world", models={}, resumed=True)
    async with Seat(folder, "d", "bea") as me:
        await me.take()
        for event in (begun, asked):
            await log.append(event)
        assert await me.events() == [begun, asked] and me.waited_for
        await log.append(RunEnded(reason="stopped by a person"))
        assert await me.events() == [] and me.over and not me.waited_for
        for late in (me.take(), me.say("x")):
            with pytest.raises(InboxFault, match="the run is over"):
                await late
        assert await me.beat() is False
        await log.append(goes_on)
        await me.events()
        await me.take()
        assert not me.over and not me.waited_for, "its customer has not spoken again"
        for event in (begun, asked):
            await log.append(event)
        assert await me.events() == [begun, asked] and me.waited_for
        await log.append(DialogueEnded(dialogue="d", reason="turn_limit", turns=2))
        await log.append(goes_on)
        await me.events()
        assert me.over, "what came to its end is not played again"


async def test_an_inbox_that_breaks_lets_the_student_go_on(run):
    _, log, _, graph = run
    await log._connection.execute("DROP TABLE takeovers")
    assert (await graph.ainvoke(REQUEST))["judgement"] is not None


async def test_logs_without_an_inbox_have_no_takeover():
    from tutelage.graphs.log.run_log import MemoryLog

    assert await person_reply(MemoryLog(), "d", 0) is None
    assert await person_reply(None, "d", 0) is None


async def test_a_seat_needs_a_run(tmp_path):
    with pytest.raises(RunFault, match="is no run"):
        async with Seat(tmp_path, "d", "bea"):
            pass


def test_old_logs_are_read():
    event = DialogueEnded.model_validate({"dialogue": "d", "reason": "goal_met", "turns": 2})
    assert event.taken_over is False
