"""Where the command line speaks: results on stdout, talk on stderr."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text


@cache
def talk() -> Console:
    """The console for progress, notes and errors, on stderr. One for all: what is said while a bar is
    drawn must stand above it.
    """
    return Console(stderr=True, highlight=False)


def result(text: str) -> None:
    """Write one result to stdout as it is, without markup or wrapping."""
    _write(sys.stdout, text + "\n")


def result_table(table: RenderableType) -> None:
    """Write a table to stdout, as plain text of 100 columns where nobody watches."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 100
    console.print(table)


def result_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    result(json.dumps(value, indent=2, ensure_ascii=False))


def complain(error: BaseException) -> None:
    """Write an error to stderr: what was wrong, where, and what to do."""
    # On use: what is needed for this only need not be waited for by `--help`.
    from tutelage.strategy_store.plain_text import clean

    talk().print(Text("error: ", style="bold red") + Text(clean(str(error))), soft_wrap=True)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
