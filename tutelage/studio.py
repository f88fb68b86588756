"""The graphs as `langgraph dev` and Studio open them; settings come from the environment."""

from __future__ import annotations

import asyncio
import os
from functools import lru_cache
from typing import Any

from langgraph.graph.state import CompiledStateGraph

import tutelage


async def dialogue() -> CompiledStateGraph:
    """The dialogue graph. Start it with `{"scenario": "cancelled_waited"}`."""
    return await asyncio.to_thread(_dialogue, _settings(("student", "customer", "judge")))


async def coaching() -> CompiledStateGraph:
    """The coaching graph. Start it with `{}`; what is kept goes into TUTELAGE_LIBRARY, if set."""
    settings = _settings(("student", "customer", "judge", "teacher"))
    return await asyncio.to_thread(_coaching, settings)


# A server calls the makers above at every request; what they give is made once, and off its loop,
# since a firm and its library are read from disk.


@lru_cache(maxsize=8)
def _dialogue(settings: tuple[tuple[str, str], ...]) -> CompiledStateGraph:
    return tutelage.dialogue_graph(*_environment(), **_options(settings, create=False))


@lru_cache(maxsize=8)
def _coaching(settings: tuple[tuple[str, str], ...]) -> CompiledStateGraph:
    return tutelage.coaching_graph(*_environment(), **_options(settings, create=True))


def _settings(roles: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """TUTELAGE_STUDENT and the like: a spec for each role; TUTELAGE_LIBRARY: a library's file."""
    names = (*roles, "library", "env")
    found = {name: os.environ.get(f"TUTELAGE_{name.upper()}", "") for name in names}
    return tuple((name, value) for name, value in found.items() if value)


def _environment() -> tuple[Any]:
    """The firm in TUTELAGE_ENV: a bundled firm's name or a folder."""
    return (tutelage.load_environment(os.environ.get("TUTELAGE_ENV") or "airline"),)


def _options(settings: tuple[tuple[str, str], ...], *, create: bool) -> dict[str, Any]:
    options: dict[str, Any] = dict(settings)
    options.pop("env", None)
    if library := options.pop("library", None):
        options["library"] = tutelage.Library.open(library, create=create)
    return options
