"""Looking up a text: which entries of a library are near what a customer says, and which are given."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.strategy_store import Entry, Index, Library, LibraryFault, Retrieved, query_of
from tutelage.strategy_store.given import TOKEN_BUDGET, TOP

__all__ = ["NEAREST", "Nearby", "look_up_text", "nearby"]

NEAREST = 8
"""Entries that a person is shown, beside the general ones."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """An entry near a text: `similarity`, `lexical` and `dense` as in `Retrieved`, 1 of a general entry;
    `kept_out` says why the entry is not given, "" where it is.
    """

    entry: Entry
    similarity: float
    lexical: float
    dense: float | None
    kept_out: str


def nearby(
    index: Index, among: Index, text: str, top: int = TOP, threshold: float | None = None
) -> tuple[list[Retrieved], list[Nearby]]:
    """What a customer who says a text is given, and how near every entry is.

    Args:
        index: over what may be given.
        among: over what is told of, at least what may be given.
        text: what the customer says.
        top, threshold: see `Index.search`.

    Returns:
        What is given, general entries last; and all entries that are not general, the nearest first.
    """
    query = query_of(text)
    found = index.search(query, top, threshold, TOKEN_BUDGET)
    ids = {one.entry.id for one in found}
    reachable = {entry.id for entry in index.entries}

    def kept_out(id_: str, why: str) -> str:
        if id_ in ids:
            return ""
        return (why or "others are nearer") if id_ in reachable else "not approved"

    return found, [
        Nearby(
            one.entry, one.similarity, one.lexical, one.dense, kept_out(one.entry.id, one.kept_out)
        )
        for one in among.near(query, threshold)
    ]


async def look_up_text(library: Path, text: str) -> list[Nearby]:
    """What is near a text by words, what is only proposed as well: NEAREST entries, the nearest first,
    then the general ones that any customer is given.

    Args:
        library: the file.
        text: what a customer says.

    Raises:
        LibraryFault: where the library cannot be read.
    """
    approved, every = await asyncio.to_thread(_indexes, library)
    found, near = await asyncio.to_thread(nearby, approved, every, text)
    return [*near[:NEAREST], *_general(found)]


def _indexes(path: Path) -> tuple[Index, Index]:
    try:
        with Library.open(path) as library:
            return library.index(), library.index(("approved", "proposed"))
    except sqlite3.Error as error:
        raise LibraryFault(f"{path}: cannot be read: {error}") from error


def _general(found: Sequence[Retrieved]) -> list[Nearby]:
    return [Nearby(one.entry, 1.0, 1.0, None, "") for one in found if one.entry.general]
