"""A run's databases: nothing of a connection that broke off is left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

import aiosqlite
import pytest
from tutelage.graphs.log.connecting import connected
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.speech import Listener, Speech, speech_path


async def gone(before):
    """Whether the threads that were not there before end."""
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return not set(threading.enumerate()) - before


@pytest.fixture
def slow(monkeypatch):
    """Makes a connection take its time before it is ready; set once it is on its way."""
    on_its_way, at_once = asyncio.Event(), aiosqlite.Connection.executescript

    async def executescript(self, script):
        on_its_way.set()
        await asyncio.sleep(0.2)
        return await at_once(self, script)

    monkeypatch.setattr(aiosqlite.Connection, "executescript", executescript)
    return on_its_way


async def heard(run):
    """What is being said in a run that has begun to."""
    speech_path(run).touch()
    return await Listener(run).read()


@pytest.mark.parametrize(
    "opening", [RunLog.open, Speech.open, heard], ids=["log", "speech", "listener"]
)
async def test_a_connection_that_nobody_waits_for_any_more_is_closed(
    tmp_path, slow, opening, recwarn
):
    before = set(threading.enumerate())
    task = asyncio.create_task(opening(tmp_path))
    await slow.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(before)
    assert not [str(one.message) for one in recwarn if one.category is ResourceWarning]


def test_a_loop_may_end_while_a_connection_is_being_made(tmp_path, monkeypatch):
    at_once, broken = sqlite3.connect, []

    def slowly(*arguments, **options):
        time.sleep(0.3)
        return at_once(*arguments, **options)

    async def called_off():
        task = asyncio.create_task(connected(tmp_path / "a.db", "SELECT 1"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(sqlite3, "connect", slowly)
    monkeypatch.setattr(threading, "excepthook", broken.append)
    before = set(threading.enumerate())
    asyncio.run(called_off())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert broken == []


async def test_a_connection_whose_script_fails_is_closed(tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connected(tmp_path / "new.db", "SELECT 1", "SELECT * FROM absent")
    assert await gone(before)


async def test_what_is_opened_for_reading_is_not_made_and_not_written(tmp_path):
    path = tmp_path / "a.db"
    with pytest.raises(sqlite3.OperationalError):
        await connected(path, reading=True)
    assert not path.exists()
    await (await connected(path, "CREATE TABLE t (a)")).close()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await connected(path, "INSERT INTO t VALUES (1)", reading=True)
