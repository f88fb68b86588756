"""Read-only files: SQLite databases in WAL mode where whoever opens them may not write."""

from __future__ import annotations

import os
from pathlib import Path


def may_be_written(path: Path) -> bool:
    """Whether SQLite can write a database: the file, and beside it what is not in the file yet."""
    wal = _beside(path, "-wal")
    return _writable(path) and (wal.exists() or _writable(wal.parent))


def reading_uri(path: Path) -> str:
    """A database opened by this can be read and not changed, also where its folder is read-only.

    There SQLite cannot make its index of the WAL. It needs none where somebody who writes the database
    has made it, and none where there is nothing in the WAL: the file is then read as it lies, and what
    is written from now on may not be seen. A WAL that was copied without its index cannot be read
    there, and opening fails: without it the newest would be missing, and nobody told.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    wal, index = _beside(path, "-wal"), _beside(path, "-shm")
    holds = wal.exists() and (index.exists() or wal.stat().st_size > 0)
    return uri if holds or _writable(wal.parent) else f"{uri}&immutable=1"


def _beside(path: Path, ending: str) -> Path:
    real = path.resolve()
    return real.with_name(f"{real.name}{ending}")


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
