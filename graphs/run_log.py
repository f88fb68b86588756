"""The run log: every event of a run on disk as it happens, to be read by many (SQLite in WAL mode)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import aiosqlite

from .events import EVENT, Event
from .inbox import SCHEMA as INBOX_SCHEMA
from .inbox import Inbox

FILE_NAME = "run.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    dialogue TEXT,
    payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_dialogue ON events (dialogue);
"""


class RunFault(Exception):
    """A run's folder cannot be used; says which and why."""

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


class Log(Protocol):
    """What a graph needs of a log: to write an event, and to read back what was written."""

    async def append(self, event: Event) -> None:
        """Write one event."""
        ...

    async def read(self, after: int = 0, *, kinds: tuple[str, ...] = ()) -> list[Logged]:
        """The events with a number above `after`, oldest first; of the given kinds, if any."""
        ...


@dataclass(frozen=True, slots=True)
class Logged:
    """One event with its number (from 1, without gaps in order of time) and its time (Unix s)."""

    number: int
    at: float
    event: Event


def log_path(run: str | Path) -> Path:
    """The log file of a run's folder (or the file itself, if that is what was given)."""
    path = Path(run)
    return path if path.suffix == ".db" else path / FILE_NAME


class RunLog:
    """An open run log. One writer, any number of readers, in this or in other processes.

    Use `async with await RunLog.open(folder) as log`.
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path):
        self._connection = connection
        self._lock = asyncio.Lock()
        self.path = path
        self.inbox = Inbox(connection)

    @classmethod
    async def open(cls, run: str | Path, *, create: bool = True) -> Self:
        """Open or make the log of a run.

        Args:
            run: the run's folder.
            create: make folder and log where they are missing; without it a missing one is a fault.

        Raises:
            RunFault: where the folder cannot be used (exit code 2 where it does not exist).
        """
        path = log_path(run)
        if not create and not path.is_file():
            raise RunFault(f"{run}: is no run: there is no {FILE_NAME} in it", 2)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = await aiosqlite.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise RunFault(f"{run}: the run log cannot be opened: {error}") from error
        try:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA busy_timeout=5000")
            await connection.executescript(_SCHEMA + INBOX_SCHEMA)
        except sqlite3.Error as error:
            await connection.close()
            raise RunFault(f"{path}: is no run log: {error}") from error
        return cls(connection, path)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append(self, event: Event) -> None:
        """Write one event; it is on disk when this returns.

        Raises:
            RunFault: where the disk refuses (full, read-only); nothing written before is lost.
        """
        row = (time.time(), event.kind, getattr(event, "dialogue", None), event.model_dump_json())
        try:
            async with self._lock:
                await self._connection.execute(
                    "INSERT INTO events (at, kind, dialogue, payload) VALUES (?, ?, ?, ?)", row
                )
        except sqlite3.Error as error:
            raise RunFault(f"{self.path}: an event could not be written: {error}") from error

    async def read(
        self, after: int = 0, *, kinds: tuple[str, ...] = (), dialogue: str | None = None
    ) -> list[Logged]:
        """The events with a number above `after`, oldest first; of the given kinds and of one
        dialogue, if any.
        """
        query = "SELECT number, at, payload FROM events WHERE number > ?"
        values: list[int | str] = [after]
        if kinds:
            query += f" AND kind IN ({','.join('?' * len(kinds))})"
            values += kinds
        if dialogue is not None:
            query += " AND dialogue = ?"
            values.append(dialogue)
        try:
            rows = await self._connection.execute_fetchall(f"{query} ORDER BY number", values)
        except sqlite3.Error as error:
            raise RunFault(f"{self.path}: the run log cannot be read: {error}") from error
        return [Logged(number, at, EVENT.validate_json(payload)) for number, at, payload in rows]

    async def follow(self, after: int = 0, every: float = 0.25) -> AsyncIterator[list[Logged]]:
        """Yield new events as they come, in batches (possibly empty), every `every` seconds."""
        while True:
            batch = await self.read(after)
            if batch:
                after = batch[-1].number
            yield batch
            await asyncio.sleep(every)

    async def close(self) -> None:
        """Close the log; its file is whole and can be copied."""
        await self._connection.close()


class MemoryLog:
    """A log that lives and ends with the process, for graphs that nobody asked to keep."""

    def __init__(self) -> None:
        self._events: list[Logged] = []

    async def append(self, event: Event) -> None:
        """Keep one event."""
        self._events.append(Logged(len(self._events) + 1, time.time(), event))

    async def read(self, after: int = 0, *, kinds: tuple[str, ...] = ()) -> list[Logged]:
        """The events with a number above `after`, oldest first; of the given kinds, if any."""
        later = self._events[after:]
        return [logged for logged in later if not kinds or logged.event.kind in kinds]
