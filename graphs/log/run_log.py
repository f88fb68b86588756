"""The run log: every event of a run on disk as it happens, to be read by many (SQLite in WAL mode)."""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import aiosqlite

from .connecting import connected
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
CREATE INDEX IF NOT EXISTS events_kind ON events (kind);
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
            create: make folder and log where they are missing; without it a missing one is a fault,
                and the log is opened for reading only.

        Raises:
            RunFault: where the folder cannot be used (exit code 2 where it does not exist).
        """
        path = log_path(run)
        if not create and not path.is_file():
            raise RunFault(f"{run}: is no run: there is no {FILE_NAME} in it", 2)
        writing = ("PRAGMA journal_mode=WAL", _SCHEMA + INBOX_SCHEMA)
        ready = writing if create else ("SELECT number FROM events LIMIT 1",)
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = await connected(
                path, "PRAGMA busy_timeout=5000", *ready, reading=not create
            )
        except (OSError, sqlite3.Error) as error:
            raise RunFault(f"{path}: is no run log that can be read: {error}") from error
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
        self,
        after: int = 0,
        *,
        kinds: tuple[str, ...] = (),
        upto: int | None = None,
        dialogue: str | None = None,
        last: int | None = None,
    ) -> list[Logged]:
        """The events with a number above `after`, oldest first.

        Args:
            after: a number; 0 for all.
            kinds: only events of these kinds, if any.
            upto: only events up to this number, if given.
            dialogue: only those of this dialogue, if given.
            last: only the last so many of them, if given.

        Raises:
            RunFault: where the file or an event in it cannot be read; says which.
        """
        query, values = "SELECT number, at, payload FROM events WHERE number > ?", [after]
        for clause, given in (("number <= ?", upto), ("dialogue = ?", dialogue)):
            if given is not None:
                query, values = f"{query} AND {clause}", [*values, given]
        if kinds:
            query += f" AND kind IN ({','.join('?' * len(kinds))})"
        query += " ORDER BY number" if last is None else f" ORDER BY number DESC LIMIT {int(last)}"
        rows = await self._rows(query, (*values, *kinds))
        logged = [self._logged(*row) for row in rows]
        return logged if last is None else logged[::-1]

    def _logged(self, number: int, at: float, payload: str) -> Logged:
        try:
            return Logged(number, float(at), EVENT.validate_json(payload))
        except (ValueError, TypeError) as error:
            raise RunFault(
                f"{self.path}: event {number} cannot be read: it is damaged, or a newer tutelage "
                f"wrote it. Update tutelage, or give that one event up: "
                f"sqlite3 {shlex.quote(str(self.path))} 'DELETE FROM events WHERE number = {number}'"
            ) from error

    async def last_number(self) -> int:
        """The number of the newest event, 0 where there is none."""
        rows = await self._rows("SELECT max(number) FROM events", ())
        return rows[0][0] or 0

    async def last_at(self, upto: int) -> float:
        """When the newest event up to a number was written (Unix s), 0 where there is none."""
        rows = await self._rows(
            "SELECT at FROM events WHERE number <= ? ORDER BY number DESC LIMIT 1", (upto,)
        )
        return float(rows[0][0]) if rows else 0.0

    async def count(self, kind: str, upto: int) -> int:
        """How many events of a kind there are up to a number."""
        query = "SELECT count(*) FROM events WHERE kind = ? AND number <= ?"
        return int((await self._rows(query, (kind, upto)))[0][0])

    async def feelings(self, after: int, upto: int) -> list[tuple[int, str, str]]:
        """Number, dialogue and feeling of the customers' lines in `after` < number <= `upto`; their
        words stay on disk, so that a long log is quickly looked over.
        """
        try:
            return await self._rows(
                "SELECT number, dialogue, payload ->> 'feeling' FROM events WHERE number > ? "
                "AND number <= ? AND kind = 'turn_spoken' AND payload ->> 'speaker' = 'customer' "
                "ORDER BY number",
                (after, upto),
            )
        except RunFault:
            # SQLite does not say which event it stumbled over; reading them one by one does.
            await self.read(after, upto=upto, kinds=("turn_spoken",))
            raise

    async def _rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return list(await self._connection.execute_fetchall(query, values))
        except sqlite3.Error as error:
            raise RunFault(f"{self.path}: the run log cannot be read: {error}") from error

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
