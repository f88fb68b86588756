"""Where the command line speaks: results on stdout, talk on stderr."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

_SQLITE = b"SQLite format 3\0"


class FileFault(Exception):
    """A file that a person named may not be written; str() says why and what to do."""

    exit_code = 2


@cache
def talk() -> Console:
    """The console for progress, notes and errors, on stderr. One for all: what is said while a bar is
    drawn must stand above it. It reads no markup: folders and names may hold brackets.
    """
    return Console(stderr=True, highlight=False, markup=False)


_results: ContextVar[TextIO | None] = ContextVar("results", default=None)
"""Where results go while `sys.stdout` leads elsewhere."""


@contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for our results while code of others runs, such as an app under coaching or a
    firm's tools: what that prints goes to stderr.
    """
    token = _results.set(_stdout())
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _results.reset(token)


def result(text: str, *, exact: bool = False) -> None:
    """Write one result to stdout, without markup or wrapping, and without what a terminal might obey.

    Args:
        text: what to write.
        exact: as it is, for what programs read and what is promised byte for byte.
    """
    # On use: what is needed for this only need not be waited for by `--help`.
    from tutelage.strategy_store.plain_text import clean

    _write(_stdout(), (text if exact else clean(text)) + "\n")


_ROOM = 10_000


def result_table(table: RenderableType) -> None:
    """Write a table to stdout, as plain text where nobody watches: of 100 columns, and more where it
    would be cut.
    """
    console = Console(file=_stdout(), highlight=False, markup=False)
    if not console.is_terminal:
        # Measured with room for all: within fewer columns no table says that it needs more.
        needed = console.measure(table, options=console.options.update(width=_ROOM)).minimum
        console.width = max(100, needed)
    console.print(table)


def result_json(value: Any) -> None:
    """Write one JSON document to stdout, without what a terminal might obey."""
    from tutelage.strategy_store.plain_text import json_text

    result(json_text(value), exact=True)


def refuse_database(path: Path) -> None:
    """Refuse a file that a person named to be written, where a database of SQLite stands there.

    Raises:
        FileFault: where one does, such as a library or the log of a run, or what belongs to one.
    """
    target = path.resolve()
    # Beside its file SQLite keeps what is not in that yet.
    for file in (target, target.with_name(re.sub("-(wal|shm|journal)$", "", target.name))):
        if target.exists() and _is_database(file):
            raise FileFault(
                f"{path}: is a database or a part of one, which this would destroy; name another file"
            )


def write_file(path: Path, text: str) -> None:
    """Write a result to the file that a person named: whole, or not at all.

    Args:
        path: the file; what stands there goes, unless it is a database.
        text: what to write.

    Raises:
        FileFault: where a database of SQLite stands there, such as a library or the log of a run.
        OSError: where it cannot be written.
    """
    if path.exists() and not path.is_file():
        # A pipe or a device takes what it is given, and nothing takes its place.
        path.write_text(text, encoding="utf-8")
        return
    refuse_database(path)
    target = path.resolve()
    partial = target.with_name(f".tutelage-{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def complain(error: BaseException) -> None:
    """Write an error to stderr: what was wrong, where, and what to do."""
    from tutelage.strategy_store.plain_text import clean

    talk().print(Text("error: ", style="bold red") + Text(clean(str(error))), soft_wrap=True)


def _is_database(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(_SQLITE)) == _SQLITE


def _stdout() -> TextIO:
    return _results.get() or sys.stdout


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
