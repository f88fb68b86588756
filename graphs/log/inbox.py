"""The inbox: what people ask of a run that goes on, written beside its events by any process."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

import aiosqlite

LOST_SECONDS = 12.0
"""Silence of a person's screen after which it counts as gone."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS takeovers (
    dialogue TEXT PRIMARY KEY, by TEXT NOT NULL, screen TEXT NOT NULL, beat REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS replies (
    dialogue TEXT NOT NULL, turn INTEGER NOT NULL, screen TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (dialogue, turn)
);
"""


class InboxFault(Exception):
    """A run's inbox refuses; says why."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person says in the student's place."""

    by: str
    text: str


class Inbox:
    """Takeovers of a run: who speaks for the student in which dialogue, and what they say.

    A screen holds a dialogue only as long as it beats; nobody has to take back what a dead one held.
    Times are Unix seconds.
    """

    def __init__(self, connection: aiosqlite.Connection):
        self._connection = connection

    async def take(self, dialogue: str, by: str, screen: str) -> None:
        """Take a dialogue over, or keep it: called again and again, it is the beat.

        Args:
            dialogue: which.
            by: who.
            screen: an id of the screen that asks; a new one of a dialogue held by another is refused.

        Raises:
            InboxFault: where another screen holds it, or the disk refuses.
        """
        now = time.time()
        taken = await self._write(
            "INSERT INTO takeovers VALUES (?, ?, ?, ?) ON CONFLICT (dialogue) DO UPDATE SET"
            " by = excluded.by, screen = excluded.screen, beat = excluded.beat"
            " WHERE screen = excluded.screen OR beat < ?",
            (dialogue, by, screen, now, now - LOST_SECONDS),
        )
        if not taken:
            raise InboxFault(f"{await self.holder(dialogue) or 'somebody'} has taken over already")

    async def holds(self, dialogue: str, screen: str) -> bool:
        """Whether a screen still holds a dialogue; a run ends a takeover that takes too long."""
        rows = await self._rows(
            "SELECT 1 FROM takeovers WHERE dialogue = ? AND screen = ?", (dialogue, screen)
        )
        return bool(rows)

    async def holder(self, dialogue: str) -> str | None:
        """Who has taken a dialogue over, None where nobody has or their screen is gone."""
        rows = await self._rows(
            "SELECT by FROM takeovers WHERE dialogue = ? AND beat >= ?",
            (dialogue, time.time() - LOST_SECONDS),
        )
        return str(rows[0][0]) if rows else None

    async def hand_back(self, dialogue: str, screen: str | None = None) -> None:
        """Let the student go on; only what the screen holds, where one is given."""
        await self._write(
            "DELETE FROM takeovers WHERE dialogue = ? AND (? IS NULL OR screen = ?)",
            (dialogue, screen, screen),
        )
        await self._write("DELETE FROM replies WHERE dialogue = ?", (dialogue,))

    async def say(self, dialogue: str, turn: int, screen: str, text: str) -> None:
        """Leave a screen's reply to an exchange (counted from 0); the last one left counts."""
        await self._write(
            "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (dialogue, turn, screen, text)
        )

    async def reply(self, dialogue: str, turn: int) -> Reply | None:
        """The reply to an exchange of the screen that holds the dialogue; it is taken out."""
        where = (dialogue, turn)
        rows = await self._rows(
            "SELECT by, text FROM replies JOIN takeovers USING (dialogue, screen)"
            " WHERE dialogue = ? AND turn = ?", where,
        )  # fmt: skip
        if not rows:
            return None
        await self._write("DELETE FROM replies WHERE dialogue = ? AND turn = ?", where)
        return Reply(*rows[0])

    async def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple]:
        try:
            return [tuple(row) for row in await self._connection.execute_fetchall(query, values)]
        except sqlite3.Error as error:
            raise InboxFault(f"the run's inbox cannot be read: {error}") from error

    async def _write(self, query: str, values: tuple[object, ...]) -> int:
        try:
            async with self._connection.execute(query, values) as cursor:
                return cursor.rowcount
        except sqlite3.Error as error:
            raise InboxFault(f"the run's inbox cannot be written: {error}") from error
