"""A connection to one of a run's databases, made ready; nothing of it is left where that breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import aiosqlite
from tutelage.strategy_store.read_only import reading_uri


async def connected(path: Path, *scripts: str, reading: bool = False) -> aiosqlite.Connection:
    """Connect, and run scripts of SQL. Where it is called off its thread has ended when it returns: one
    that outlives the event loop breaks on it, and keeps the process from ending.

    Args:
        path: the database's file; it is made where it is missing, unless for reading.
        scripts: what makes the connection ready, in order.
        reading: open it for reading only.

    Raises:
        OSError, sqlite3.Error: where it cannot be opened, or a script fails.
    """
    opening = asyncio.ensure_future(_opened(path, scripts, reading))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, sqlite3.Error):
            await (await opening).close()
        raise


async def _opened(path: Path, scripts: tuple[str, ...], reading: bool) -> aiosqlite.Connection:
    where = reading_uri(path) if reading else path
    connection = await aiosqlite.connect(where, uri=reading, isolation_level=None)
    try:
        for script in scripts:
            await connection.executescript(script)
    except BaseException:
        await connection.close()
        raise
    return connection
