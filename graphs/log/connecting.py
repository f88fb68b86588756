"""A connection to one of a run's databases, made ready; nothing of it is left where that breaks off."""

from __future__ import annotations

from pathlib import Path

import aiosqlite
from tutelage.strategy_store.read_only import reading_uri


async def connected(path: Path, *scripts: str, reading: bool = False) -> aiosqlite.Connection:
    """Connect, and run scripts of SQL.

    Args:
        path: the database's file; it is made where it is missing, unless for reading.
        scripts: what makes the connection ready, in order.
        reading: open it for reading only.

    Raises:
        OSError, sqlite3.Error: where it cannot be opened, or a script fails.
    """
    where = reading_uri(path) if reading else path
    connection = await aiosqlite.connect(where, uri=reading, isolation_level=None)
    try:
        for script in scripts:
            await connection.executescript(script)
    except BaseException:
        # Cancelled as well: the thread of a connection that nobody closes keeps the process from ending.
        await connection.close()
        raise
    return connection
