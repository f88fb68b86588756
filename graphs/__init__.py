"""What happens when: dialogue and coaching graphs, run log, events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coaching import CoachingOptions, coaching_graph
    from .dialogue import dialogue_graph
    from .run_log import RunFault, RunLog

_HOMES = {
    "CoachingOptions": "coaching",
    "RunFault": "run_log",
    "RunLog": "run_log",
    "coaching_graph": "coaching",
    "dialogue_graph": "dialogue",
}

__all__ = ["CoachingOptions", "RunFault", "RunLog", "coaching_graph", "dialogue_graph"]


def __getattr__(name: str) -> Any:
    # The watch reads events and the log; it need not wait for LangGraph.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
