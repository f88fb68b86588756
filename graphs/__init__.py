"""What happens when: dialogue and coaching graphs, run log, events."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coaching import CoachingOptions, coaching_graph
    from .log.run_log import RunFault, RunLog
    from .play.desk import Retrieval
    from .play.dialogue import dialogue_graph
    from .steps.strategy_step import StepOptions

_HOMES = {
    "CoachingOptions": "coaching",
    "Retrieval": "play.desk",
    "RunFault": "log.run_log",
    "RunLog": "log.run_log",
    "StepOptions": "steps.strategy_step",
    "coaching_graph": "coaching",
    "dialogue_graph": "play.dialogue",
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
