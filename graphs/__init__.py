"""What happens when: dialogue and coaching graphs, run log, events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coaching import CoachingOptions, coaching_graph
    from .desk import Retrieval
    from .dialogue import dialogue_graph
    from .run_log import RunFault, RunLog
    from .strategy_step import StepOptions

_HOMES = {
    "CoachingOptions": "coaching",
    "Retrieval": "desk",
    "RunFault": "run_log",
    "RunLog": "run_log",
    "StepOptions": "strategy_step",
    "coaching_graph": "coaching",
    "dialogue_graph": "dialogue",
}

__all__ = [
    "CoachingOptions",
    "Retrieval",
    "RunFault",
    "RunLog",
    "StepOptions",
    "coaching_graph",
    "dialogue_graph",
]


def __getattr__(name: str) -> Any:
    # The watch reads events and the log; it need not wait for LangGraph.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
