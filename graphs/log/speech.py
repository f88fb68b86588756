"""Speech: what is being said at this moment, piece by piece, for those who watch a run.

It lies beside the run log in a file of its own, is overwritten as it grows and is gone when the turn
is spoken: thousands of tokens a second cost the log nothing, and the event stays the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Self

import aiosqlite

from .connecting import connected
from .events import Speaker, Speaking
from .run_log import log_path

FILE_NAME = "speaking.db"
WRITE_SECONDS = 0.1
"""Pieces are gathered this long, then written in one transaction."""
LISTENER_SECONDS = 3.0
"""A listener that has not asked for this long has gone."""
PULSE_SECONDS = 1.0
SILENCE = 60.0
"""A run that gives no sign of life for so many seconds (and has not ended) was stopped; loading
weights on a busy machine may take half of that."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS speaking (
    dialogue TEXT PRIMARY KEY, turn INTEGER NOT NULL, speaker TEXT NOT NULL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listening (who TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulse (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
"""
_READY = (
    "PRAGMA busy_timeout=2000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _SCHEMA
)  # fmt: skip


def speech_path(run: str | Path) -> Path:
    """Where the speech of a run lies: beside its log."""
    return log_path(run).with_name(FILE_NAME)


async def last_pulse(run: str | Path) -> float | None:
    """When a run last gave a sign of life (Unix s), without a word to the run itself; None where it
    never did, or is over.
    """
    path = speech_path(run)
    if not path.is_file():
        return None
    try:
        connection = await connected(path, reading=True)
        try:
            return await _pulse(connection)
        finally:
            await connection.close()
    except sqlite3.Error:
        return None


async def silent(run: str | Path, at: float) -> bool:
    """Whether a run that last wrote into its log at a time (Unix s) gives no sign of life any more."""
    return time.time() - max(at, await last_pulse(run) or 0.0) > SILENCE


async def _pulse(connection: aiosqlite.Connection) -> float | None:
    rows = list(await connection.execute_fetchall("SELECT at FROM pulse"))
    return float(rows[0][0]) if rows else None


class Speech:
    """The run's side: takes pieces as they are spoken and shows them to those who listen.

    Use `async with await Speech.open(folder) as speech`. A disk that refuses silences the speech
    and never the run.
    """

    def __init__(self, connection: aiosqlite.Connection | None, path: Path):
        self._connection = connection
        self._path = path
        self._now: dict[str, Speaking] = {}
        self._changed: set[str] = set()
        self._heard_at = 0.0
        self._task = asyncio.create_task(self._keep_writing())

    @classmethod
    async def open(cls, run: str | Path) -> Self:
        """Make the speech of a run, empty."""
        path = speech_path(run)
        try:
            connection = await connected(path, *_READY, "DELETE FROM speaking")
        except (OSError, sqlite3.Error):
            return cls(None, path)
        return cls(connection, path)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def wanted(self) -> bool:
        """Whether somebody listens, so that models are worth streaming."""
        return time.monotonic() - self._heard_at < LISTENER_SECONDS

    def hear(self, dialogue: str, turn: int, speaker: Speaker, text: str) -> None:
        """Take what has been said of a turn so far; costs nothing until it is written."""
        self._now[dialogue] = Speaking(dialogue=dialogue, turn=turn, speaker=speaker, text=text)
        self._changed.add(dialogue)

    def end(self, dialogue: str) -> None:
        """The turn is spoken, or never will be: take its pieces away."""
        if self._now.pop(dialogue, None) is not None:
            self._changed.add(dialogue)

    async def _keep_writing(self) -> None:
        pulse_at = 0.0
        while self._connection is not None:
            try:
                if time.monotonic() - pulse_at >= PULSE_SECONDS:
                    pulse_at = time.monotonic()
                    await self._beat(self._connection)
                if self._changed:
                    await self._write(self._connection)
            except sqlite3.Error:
                # A full disk stops the log with a fault of its own; speech only falls silent.
                pass
            await asyncio.sleep(WRITE_SECONDS)

    async def _beat(self, connection: aiosqlite.Connection) -> None:
        """Say that the run lives, and look whether somebody listens."""
        await connection.execute("INSERT OR REPLACE INTO pulse VALUES (1, ?)", (time.time(),))
        since = time.time() - LISTENER_SECONDS
        rows = await connection.execute_fetchall(
            "SELECT 1 FROM listening WHERE at > ? LIMIT 1", (since,)
        )
        if list(rows):
            self._heard_at = time.monotonic()

    async def _write(self, connection: aiosqlite.Connection) -> None:
        changed, self._changed = self._changed, set()
        said = [self._now[name] for name in changed if name in self._now]
        gone = [(name,) for name in changed if name not in self._now]
        await connection.execute("BEGIN")
        try:
            await connection.executemany(
                "INSERT OR REPLACE INTO speaking VALUES (?, ?, ?, ?)",
                [(one.dialogue, one.turn, one.speaker, one.text) for one in said],
            )
            await connection.executemany("DELETE FROM speaking WHERE dialogue = ?", gone)
        finally:
            await connection.execute("COMMIT")

    async def close(self) -> None:
        """End the speech and take its file away."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                await self._connection.close()
            self._connection = None
            for ending in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._path}{ending}")


class Listener:
    """The watcher's side: asks for the pieces, and by asking makes the run speak."""

    def __init__(self, run: str | Path):
        self._path = speech_path(run)
        self._who = uuid.uuid4().hex
        self._connection: aiosqlite.Connection | None = None
        self._told_at = 0.0

    async def read(self, only: str | None = None) -> dict[str, Speaking]:
        """What is being said now, by dialogue; empty where the run is over, silent or killed.

        Args:
            only: the dialogue whose words are wanted; of the others only who speaks. None for all.
        """
        if not self._path.exists():
            await self.close()
            return {}
        try:
            if self._connection is None:
                self._connection = await connected(self._path, *_READY)
            if time.monotonic() - self._told_at >= PULSE_SECONDS:
                self._told_at = time.monotonic()
                await self._connection.execute(
                    "INSERT OR REPLACE INTO listening VALUES (?, ?)", (self._who, time.time())
                )
            rows = await self._connection.execute_fetchall(
                "SELECT dialogue, turn, speaker, "
                "CASE WHEN ?1 IS NULL OR dialogue = ?1 THEN text ELSE '' END FROM speaking "
                "WHERE (SELECT at FROM pulse) > ?2",
                (only, time.time() - 5 * PULSE_SECONDS),
            )
        except sqlite3.Error:
            # Read-only folders cannot be asked to speak; the events are seen all the same.
            await self.close()
            return {}
        return {
            row[0]: Speaking(dialogue=row[0], turn=row[1], speaker=row[2], text=row[3])
            for row in rows
        }

    async def pulse(self) -> float | None:
        """When the run last gave a sign of life (Unix s), None where it never did or is over."""
        if self._connection is None:
            return None
        try:
            return await _pulse(self._connection)
        except sqlite3.Error:
            return None

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(sqlite3.Error):
                await connection.close()
