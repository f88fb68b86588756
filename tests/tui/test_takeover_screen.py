"""Taking over on the screen: a person speaks in a run that goes on in this or another process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest
from screens import listen, says, stated, still_cursors, text_of, told, until, write
from textual.widgets import Input
from tutelage.environments import load_environment
from tutelage.graphs.log import events as ev
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.graphs.log.states import played
from tutelage.graphs.play.dialogue import compile_dialogue
from tutelage.graphs.play.takeover import dialogue_under_way
from tutelage.tui import takeover as takeover_module
from tutelage.tui.app import WatchApp
from tutelage.tui.help import Help
from tutelage.tui.takeover import Takeover
from tutelage.tui.takeover_app import TakeoverApp
from world import ScriptedStudent, build_firm, seat

STARTED = ev.DialogueStarted(dialogue="d", round=1, scenario="s", persona="anyone")
BEGUN = ev.RunStarted(command="simulate", environment="world", models={})
FIRST = ev.TurnSpoken(
    dialogue="d", turn=0, speaker="customer", text="Four hours! [bold]Why?[/]", feeling="angry"
)


class SlowStudent(ScriptedStudent):
    async def _agenerate(self, *arguments, **options):
        await asyncio.sleep(0.5)
        return self._generate(*arguments, **options)


async def written(folder, events):
    async with await RunLog.open(folder) as log:
        for event in events:
            await log.append(event)
    return folder


@contextlib.asynccontextmanager
async def opened(folder, dialogue="d", size=(80, 24)):
    app = TakeoverApp(folder, dialogue, "bea")
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Takeover))
        yield app, pilot


async def test_a_person_speaks_in_a_running_dialogue_and_hands_back(tmp_path):
    environment = load_environment(build_firm(tmp_path / "world"))
    folder = tmp_path / "run"
    async with await RunLog.open(folder) as log:
        graph = compile_dialogue(seat(environment, None, log, student=SlowStudent()), 4)
        async with opened(folder) as (_, pilot):
            await until(pilot, lambda: pilot.app.screen._seat and pilot.app.screen._seat.held)
            request = {"scenario": "stranded_0", "persona": "anyone", "seed": 1, "dialogue": "d"}
            task = asyncio.create_task(graph.ainvoke(request))
            await stated(pilot, "your turn")
            await says(pilot, "my train was cancelled")
            await write(pilot, "Tell me more.")
            await pilot.press("enter")
            await says(pilot, "bea for the agent", "Tell me more.")
            await stated(pilot, "your turn")
            assert pilot.app.screen.query_one("#line", Input).value == ""
            await pilot.press("ctrl+b")
            await stated(pilot, "ctrl+t takes over")
            await says(pilot, "student")
            await task
            await stated(pilot, "is over")
            await pilot.press("pageup", "pagedown", "f1")
            await until(pilot, lambda: isinstance(pilot.app.screen, Help))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, Takeover))
            await pilot.press("escape")
            await pilot.pause()
        one = (await played(log))["d"]
        assert one.taken_over and one.judged is None
        assert next(event.by for event in one.spoken if event.speaker == "student") == "bea"
        assert await log.inbox.holder("d") is None


async def left(folder, way):
    """Take the seat and leave: by the key, or with the app."""
    async with opened(folder) as (_, pilot):
        await stated(pilot, "your turn")
        if way == "escape":
            await pilot.press("escape")


@pytest.mark.parametrize("way", ["escape", "exit"])
async def test_the_screen_may_be_left_while_it_draws(tmp_path, monkeypatch, way):
    class SlowToGo(takeover_module.Keys):
        async def on_unmount(self):
            await asyncio.sleep(0.3)

    monkeypatch.setattr(takeover_module, "EVERY", 0)
    monkeypatch.setattr(takeover_module, "Keys", SlowToGo)
    folder = await written(tmp_path / "run", [STARTED, FIRST])
    await left(folder, way)


@pytest.mark.parametrize("way", ["escape", "exit"])
async def test_the_seat_is_handed_back_and_the_log_closed_however_long_that_takes(
    tmp_path, monkeypatch, way
):
    closed = []

    class Slow(takeover_module.Seat):
        async def __aexit__(self, *raised):
            await asyncio.sleep(0.3)
            await super().__aexit__(*raised)
            closed.append(way)

    monkeypatch.setattr(takeover_module, "Seat", Slow)
    folder = await written(tmp_path / "run", [STARTED, FIRST])
    await left(folder, way)
    assert closed == [way]
    async with await RunLog.open(folder) as log:
        assert await log.inbox.holder("d") is None


async def test_a_run_that_breaks_while_a_person_speaks_is_told(tmp_path, monkeypatch):
    folder = await written(tmp_path / "run", [STARTED, FIRST])
    async with opened(folder) as (_, pilot):
        await stated(pilot, "your turn")

        async def broken(*_, **__):
            raise RunFault("the log is no longer there", 4)

        monkeypatch.setattr(RunLog, "read", broken)
        await stated(pilot, "the log is no longer there")


async def test_a_dialogue_under_the_cursor_of_the_watch_is_taken_over(tmp_path):
    environment = load_environment(build_firm(tmp_path / "world"))
    folder, spoken = tmp_path / "run", asyncio.Event()

    class WaitingStudent(ScriptedStudent):
        async def _agenerate(self, *arguments, **options):
            await spoken.wait()
            return self._generate(*arguments, **options)

    async with await RunLog.open(folder) as log:
        await log.append(ev.RunStarted(command="simulate", environment="world", models={}))
        graph = compile_dialogue(seat(environment, None, log, student=WaitingStudent()), 4)
        request = {"scenario": "stranded_0", "persona": "anyone", "seed": 1, "dialogue": "d"}
        task = asyncio.create_task(graph.ainvoke(request))
        app = WatchApp(folder, by="[red]anna")
        async with app.run_test(size=(110, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.chosen == "d")
            await until(pilot, lambda: "my train was" in app.query_one("#transcript").plain)
            await says(pilot, "t Take over")
            await pilot.press("t")
            await until(pilot, lambda: app.screen._seat and app.screen._seat.held)
            assert not app.check_action("take_over", ()), "it is taken over once"
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, Help))
            assert app.screen._title == "Take over"
            await pilot.press("escape")
            spoken.set()
            await stated(pilot, "your turn")
            await write(pilot, "Tell me, qt1.")
            await pilot.pause()
            assert app.query_one("#board").row_count == 1, "words for the customer filter nothing"
            await pilot.press("enter")
            await says(pilot, "[red]anna for the agent", "Tell me, qt1.")
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Takeover))
            await task
            await until(pilot, lambda: "ended" in app.query_one("#transcript").plain)
            shown = app.query_one("#transcript").plain
            assert shown.count("student  · by [red]anna\nTell me, qt1.") == 1
            assert shown.count("student") > 1 and shown.count(" · by ") == 1
            assert len(app.query(".card.-person")) == 1
            await pilot.press("r", "G")
            await says(pilot, "replay", "student  · by [red]anna")
        one = (await played(log))["d"]
        assert one.taken_over and await log.inbox.holder("d") is None


async def test_what_cannot_be_taken_over_is_said(tmp_path, monkeypatch):
    other = STARTED.model_copy(update={"dialogue": "e"})
    ended = ev.DialogueEnded(dialogue="e", reason="goal_met", turns=1)
    folder = await written(
        tmp_path / "r",
        [ev.RunStarted(command="simulate", environment="world", models={})],
    )
    app = WatchApp(folder)
    listen(app)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.feed.picture.started)
        await pilot.press("t")
        await told(pilot, "choose a dialogue first")
        await written(folder, [STARTED, FIRST, other, ended])
        await until(pilot, lambda: app.query_one("#board").row_count == 2)
        await pilot.press("j")
        await until(pilot, lambda: app.chosen == "e")
        await pilot.press("t")
        await told(pilot, "this dialogue is over (goal met)")
        await pilot.press("k")
        await until(pilot, lambda: app.chosen == "d")
        with monkeypatch.context() as patch:
            patch.setattr("tutelage.tui.app.SILENCE", -1.0)
            await pilot.press("t")
            await told(pilot, "no sign of life")
        with monkeypatch.context() as patch:
            patch.setattr(type(app), "is_web", True)
            await pilot.press("t")
            await told(pilot, "a browser only watches")
        await written(folder, [ev.RunEnded(reason="stopped")])
        await until(pilot, lambda: app.feed.picture.ended)
        await pilot.press("t")
        await told(pilot, "the run is over")
        assert not isinstance(app.screen, Takeover)
        assert "Take over this dialogue" in {name for name, _, _ in app.commands()}
        await pilot.press("4", "t")
        await pilot.pause(0.2)
        assert not app.heard, "it is a key of the board"


async def test_what_is_said_is_shown_as_it_is(tmp_path):
    async with opened(await written(tmp_path / "r", [STARTED, FIRST])) as (app, pilot):
        await says(pilot, "[bold]Why?[/]", "customer angry")
        await stated(pilot, "your turn")
        rejected = ev.TurnRejected(
            dialogue="d", turn=1, text="How can I help\x1b[2J?", reasons=["x"]
        )
        await written(tmp_path / "r", [rejected])
        await says(pilot, "drawn again (x)")
        assert "\x1b" not in text_of(app)


async def test_words_that_come_too_late_are_kept(tmp_path):
    async with opened(await written(tmp_path / "r", [STARTED, FIRST])) as (app, pilot):
        await stated(pilot, "your turn")
        await write(pilot, "I am sorry.")
        await pilot.press("enter")
        await stated(pilot, "waiting for it to be heard")
        student = ev.TurnSpoken(dialogue="d", turn=0, speaker="student", text="Your code?")
        await written(tmp_path / "r", [student])
        await stated(pilot, "your words are still here")
        assert app.screen.query_one("#line", Input).value == "I am sorry."
        await pilot.press("enter")
        await stated(pilot, "wait for the customer")


async def test_words_typed_while_the_reply_is_waited_for_stay(tmp_path):
    async with opened(await written(tmp_path / "r", [STARTED, FIRST])) as (app, pilot):
        line = app.screen.query_one("#line", Input)
        await stated(pilot, "your turn")
        await write(pilot, " I am  sorry.")
        await pilot.press("enter")
        await stated(pilot, "waiting for it to be heard")
        await write(pilot, " Your code?")
        heard = ev.TurnSpoken(dialogue="d", turn=0, speaker="student", text="I am sorry.", by="bea")
        await written(tmp_path / "r", [heard])
        await stated(pilot, "the customer is thinking")
        assert line.value == "Your code?" and line.cursor_position == len(line.value)
        await written(tmp_path / "r", [FIRST.model_copy(update={"turn": 1})])
        await stated(pilot, "your turn")
        await pilot.press("enter")
        await stated(pilot, "waiting for it to be heard")
        await pilot.press("home", *["delete"] * 5, *"My")
        await written(tmp_path / "r", [heard.model_copy(update={"turn": 1, "text": "Your code?"})])
        await stated(pilot, "the customer is thinking")
        assert line.value == "Mycode?", "what was changed meanwhile is no longer what was heard"


async def test_who_sits_in_a_run_that_ends_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(takeover_module, "BEAT_SECONDS", 0.1)
    async with opened(await written(tmp_path / "r", [BEGUN, STARTED, FIRST])) as (app, pilot):
        await stated(pilot, "your turn")
        await written(tmp_path / "r", [ev.RunEnded(reason="stopped by a person")])
        await stated(pilot, "the run is over")
        await until(pilot, lambda: not app.screen._seat.held)
        await written(tmp_path / "r", [BEGUN.model_copy(update={"resumed": True}), STARTED, FIRST])
        await stated(pilot, "ctrl+t takes over")
        await pilot.press("ctrl+t")
        await stated(pilot, "your turn")


async def test_who_sits_in_a_run_that_was_killed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(takeover_module, "BEAT_SECONDS", 0.1)
    folder = await written(tmp_path / "r", [BEGUN, STARTED, FIRST])
    async with opened(folder) as (_, pilot):
        await stated(pilot, "your turn")
        monkeypatch.setattr("tutelage.graphs.log.speech.SILENCE", 0.0)
        await stated(pilot, "no sign of life")
        monkeypatch.undo()
        await stated(pilot, "your turn")


async def test_two_people_and_a_run_that_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(takeover_module, "BEAT_SECONDS", 0.1)
    folder = await written(tmp_path / "r", [STARTED, FIRST])
    async with await RunLog.open(folder) as log:
        await log.inbox.take("d", "cem", "another screen")
        async with opened(folder) as (_, pilot):
            await stated(pilot, "cem has taken over already", "ctrl+t")
            await pilot.press("ctrl+t")
            await stated(pilot, "cem has taken over already")
            await log.inbox.hand_back("d")
            await pilot.press("ctrl+t")
            await stated(pilot, "your turn")
            assert await log.inbox.holder("d") == "bea"
            await log.inbox.hand_back("d")
            await stated(pilot, "said nothing for too long")
        assert await log.inbox.holder("d") is None


async def test_a_run_that_is_none_is_said(tmp_path):
    async with opened(tmp_path / "none") as (_, pilot):
        await stated(pilot, "is no run")


async def test_the_dialogue_that_began_last_is_offered(tmp_path):
    other = STARTED.model_copy(update={"dialogue": "r1.stranded"})
    folder = await written(tmp_path / "r", [STARTED, other])
    assert await dialogue_under_way(folder) == "r1.stranded"
    assert await dialogue_under_way(folder, "d") == "d"
    with pytest.raises(RunFault, match=r"did you mean 'r1.stranded'.*under way: d, r1"):
        await dialogue_under_way(folder, "r1.strandd")
    await written(folder, [ev.DialogueEnded(dialogue="r1.stranded", reason="goal_met", turns=1)])
    with pytest.raises(RunFault, match=r"r1\.stranded is over; under way: d"):
        await dialogue_under_way(folder, "r1.stranded")
    await written(folder, [ev.DialogueEnded(dialogue="d", reason="goal_met", turns=1)])
    with pytest.raises(RunFault, match="no dialogue is under way"):
        await dialogue_under_way(folder)


async def test_a_run_that_is_over_offers_none(tmp_path):
    folder = await written(tmp_path / "r", [BEGUN, STARTED, FIRST, ev.RunEnded(reason="stopped")])
    for wanted in (None, "d"):
        with pytest.raises(RunFault, match="the run is over") as refused:
            await dialogue_under_way(folder, wanted)
        assert refused.value.exit_code == 2
    await written(folder, [BEGUN.model_copy(update={"resumed": True})])
    with pytest.raises(RunFault, match="no dialogue is under way"):
        await dialogue_under_way(folder)
    await written(folder, [STARTED])
    assert await dialogue_under_way(folder) == "d"


async def test_a_run_that_was_killed_offers_none_while_nothing_beats_in_it(tmp_path, monkeypatch):
    folder = await written(tmp_path / "r", [BEGUN, STARTED])
    monkeypatch.setattr("tutelage.graphs.log.speech.SILENCE", 0.5)
    async with await RunLog.open(folder) as log:
        await log._connection.execute("UPDATE events SET at = at - 10")
    with pytest.raises(RunFault, match="no sign of life"):
        await dialogue_under_way(folder)
    async with await Speech.open(folder):
        await asyncio.sleep(0.2)
        assert await dialogue_under_way(folder) == "d", "a reply may take long"


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["small", "large"])
@pytest.mark.parametrize("over", [False, True], ids=["speaking", "over"])
def test_screens_look_as_they_did(snap_compare, tmp_path, monkeypatch, size, over):
    monkeypatch.setattr(takeover_module, "PATIENCE_SECONDS", 0.0)
    student = ev.TurnSpoken(dialogue="d", turn=0, speaker="student", text="Your code, please.")
    person = student.model_copy(update={"text": "I am sorry for the wait.", "by": "bea"})
    ended = ev.DialogueEnded(dialogue="d", reason="turn_limit", turns=4, taken_over=True)
    second = FIRST.model_copy(update={"turn": 1, "text": "And now?", "feeling": "annoyed"})
    events = [STARTED, FIRST, student, second]
    if over:
        events += [person.model_copy(update={"turn": 1}), ended]
    folder = asyncio.run(written(tmp_path / "r", events))
    app = TakeoverApp(folder, "d", "bea")

    async def before(pilot):
        await stated(pilot, "is over" if over else "your turn")
        await still_cursors(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_a_real_terminal_and_another_process(tmp_path):
    """The run waits for a person in a terminal of another process, who is then killed."""
    environment = load_environment(build_firm(tmp_path / "world"))
    folder, session = tmp_path / "run", f"takeover-{os.getpid()}"

    def tmux(*arguments):
        done = subprocess.run(["tmux", "-L", session, *arguments], capture_output=True, text=True)
        return done.stdout

    def screen_with(*wanted):
        end = time.monotonic() + 90
        while time.monotonic() < end:
            shown = tmux("capture-pane", "-p", "-t", session)
            if all(word in shown for word in wanted):
                return
            time.sleep(0.2)
        raise AssertionError(f"{wanted} never came; the terminal shows:\n{shown}")

    async def play():
        async with await RunLog.open(folder) as log:
            graph = compile_dialogue(seat(environment, None, log), 4)
            async with asyncio.timeout(90):
                while await log.inbox.holder("d") is None:
                    await asyncio.sleep(0.1)
            request = {"scenario": "stranded_0", "persona": "anyone", "seed": 1, "dialogue": "d"}
            task = asyncio.create_task(graph.ainvoke(request))
            await asyncio.to_thread(screen_with, "your turn", "my train was cancelled")
            await asyncio.to_thread(tmux, "send-keys", "-t", session, "Tell me more.", "Enter")
            await asyncio.to_thread(screen_with, "bea for the agent", "your turn")
            await asyncio.to_thread(tmux, "kill-server")
            await asyncio.wait_for(task, 60)
            return (await played(log))["d"]

    async def begin():
        async with await RunLog.open(folder) as log:
            await log.append(STARTED)

    asyncio.run(begin())
    command = f"{sys.executable} -m tutelage takeover {folder} d --by bea; sleep 90"
    tmux("new-session", "-d", "-s", session, "-x", "80", "-y", "24", command)
    try:
        one = asyncio.run(play())
    finally:
        tmux("kill-server")
    spoken = [event.by for event in one.spoken if event.speaker == "student"]
    assert spoken[0] == "bea" and len(spoken) > 1 and not any(spoken[1:])
    assert one.ended and one.ended.taken_over and not one.valid
