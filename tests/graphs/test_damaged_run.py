"""A run log with an event that nobody can read: one sentence that says which and what to do."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partialmethod

import pytest
from commands import tutelage
from tutelage.graphs.log.events import DialogueEnded, DialogueStarted, RunStarted, TurnSpoken
from tutelage.graphs.log.picture import add_feelings, outlined
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.tui.app import WatchApp

from tutelage import tui

DAMAGES = {
    "cut": '{"kind":"dialogue_ended","dia',
    "newer": '{"kind":"moon_landed","crater":7}',
    "changed": '{"kind":"dialogue_ended","dialogue":"d","reason":"bored","turns":2}',
    "no text": b"\x00\x01",
    "empty": "",
}


async def written(folder):
    """A short run."""
    async with await RunLog.open(folder) as log:
        for event in (
            RunStarted(command="evaluate", environment="airline", models={}),
            DialogueStarted(dialogue="d", round=0, scenario="cancelled_waited", persona="rude"),
            TurnSpoken(dialogue="d", turn=0, speaker="customer", text="Hm.", feeling="calm"),
            DialogueEnded(dialogue="d", reason="turn_limit", turns=2),
        ):
            await log.append(event)
    return folder


def damage(folder, payload, number=4):
    with sqlite3.connect(folder / "run.db") as file:
        file.execute("UPDATE events SET payload = ? WHERE number = ?", (payload, number))
    file.close()


@pytest.mark.parametrize("kind", DAMAGES)
async def test_the_fault_names_the_file_the_event_and_what_to_do(tmp_path, kind):
    damage(await written(tmp_path / "run"), DAMAGES[kind])
    async with await RunLog.open(tmp_path / "run", create=False) as log:
        assert len(await log.read(upto=3)) == 3
        with pytest.raises(RunFault) as caught:
            await log.read()
    said = str(caught.value)
    assert f"{tmp_path / 'run' / 'run.db'}: event 4 cannot be read" in said
    assert "newer tutelage" in said and "DELETE FROM events WHERE number = 4" in said
    assert "\n" not in said and "pydantic" not in said and caught.value.exit_code == 1


async def test_what_it_says_to_do_helps(tmp_path):
    damage(await written(tmp_path / "run"), DAMAGES["cut"])
    with sqlite3.connect(tmp_path / "run" / "run.db") as file:
        file.execute("DELETE FROM events WHERE number = 4")
    file.close()
    async with await RunLog.open(tmp_path / "run") as log:
        assert len(await log.read()) == 3


async def test_a_look_at_feelings_names_the_event_too(tmp_path):
    damage(await written(tmp_path / "run"), DAMAGES["cut"], 3)
    async with await RunLog.open(tmp_path / "run", create=False) as log:
        picture = await outlined(log)
        with pytest.raises(RunFault, match="event 3 cannot be read"):
            await add_feelings(log, picture)


@pytest.mark.parametrize(
    "words",
    [
        ("map", "run"),
        ("watch", "run", "--export", "x.svg"),
        ("evaluate", "airline", "--run", "run", "--resume", "--arms", "none", "--dialogues", 1,
         "--student", "openai:m@http://127.0.0.1:9/v1"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
async def test_commands_say_it_in_one_sentence(tmp_path, words):
    damage(await written(tmp_path / "run"), DAMAGES["newer"])
    done = await asyncio.to_thread(tutelage_in, tmp_path, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "event 4 cannot be read" in done.stderr and "Traceback" not in done.stderr


def tutelage_in(folder, *words):
    return tutelage(*words, cwd=folder, OPENAI_API_KEY="x")


async def test_a_watch_that_meets_it_while_it_is_open_leaves_and_says_it(tmp_path, monkeypatch):
    folder = await written(tmp_path / "run")
    monkeypatch.setattr(WatchApp, "run", partialmethod(WatchApp.run, headless=True))
    seen = WatchApp._changed

    def damaged_then(app, batch):
        seen(app, batch)
        if app.loaded.is_set() and not batch:
            with sqlite3.connect(folder / "run.db") as file:
                file.execute(
                    "INSERT INTO events (at, kind, payload) VALUES (1.0, 'turn_spoken', '{')"
                )
            file.close()

    monkeypatch.setattr(WatchApp, "_changed", damaged_then)
    with pytest.raises(RunFault, match="event 5 cannot be read"):
        await asyncio.to_thread(tui.watch, folder)
