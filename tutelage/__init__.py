"""tutelage: a strong model coaches a small one through text alone."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.agents.app_student import app_student
    from tutelage.agents.coached import coached
    from tutelage.agents.middleware import StrategyMiddleware
    from tutelage.agents.models.local_embeddings import LocalEmbeddings
    from tutelage.environments import load_environment
    from tutelage.graphs import (
        CoachingOptions,
        Retrieval,
        StepOptions,
        coaching_graph,
        dialogue_graph,
    )
    from tutelage.strategy_store import Library, strategies_text

try:
    __version__ = version("tutelage")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

_HOMES = {
    "load_environment": "tutelage.environments",
    "Library": "tutelage.strategy_store",
    "dialogue_graph": "tutelage.graphs",
    "coaching_graph": "tutelage.graphs",
    "CoachingOptions": "tutelage.graphs",
    "Retrieval": "tutelage.graphs",
    "StepOptions": "tutelage.graphs",
    "coached": "tutelage.agents.coached",
    "LocalEmbeddings": "tutelage.agents.models.local_embeddings",
    "StrategyMiddleware": "tutelage.agents.middleware",
    "app_student": "tutelage.agents.app_student",
    "strategies_text": "tutelage.strategy_store",
}

__all__ = [
    "CoachingOptions",
    "Library",
    "LocalEmbeddings",
    "Retrieval",
    "StepOptions",
    "StrategyMiddleware",
    "app_student",
    "coached",
    "coaching_graph",
    "dialogue_graph",
    "load_environment",
    "strategies_text",
]


def __getattr__(name: str) -> Any:
    # Names come on first use, so that `tutelage --help` need not wait for LangGraph.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
