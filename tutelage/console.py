"""Where the command line speaks: results on stdout, talk on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import cache
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text


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


def result_table(table: RenderableType) -> None:
    """Write a table to stdout, as plain text of 100 columns where nobody watches."""
    console = Console(file=_stdout(), highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 100
    console.print(table)


def result_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    result(json.dumps(value, indent=2, ensure_ascii=False), exact=True)


def complain(error: BaseException) -> None:
    """Write an error to stderr: what was wrong, where, and what to do."""
    from tutelage.strategy_store.plain_text import clean

    talk().print(Text("error: ", style="bold red") + Text(clean(str(error))), soft_wrap=True)


def _stdout() -> TextIO:
    return _results.get() or sys.stdout


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
