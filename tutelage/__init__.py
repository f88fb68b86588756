"""tutelage: a strong model coaches a small one through text alone."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutelage.agents.app_student import app_student
    from tutelage.agents.coached import coached
    from tutelage.agents.middleware import StrategyMiddleware
    from tutelage.agents.models.chat_models import chat_model
    from tutelage.agents.models.local_embeddings import LocalEmbeddings
    from tutelage.agents.models.meter import Meter
    from tutelage.environments import load_environment
    from tutelage.graphs import (
        CoachingOptions,
        Retrieval,
        RunLog,
        StepOptions,
        coaching_graph,
        dialogue_graph,
    )
    from tutelage.graphs.log import events
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
    "RunLog": "tutelage.graphs",
    "chat_model": "tutelage.agents.models.chat_models",
    "Meter": "tutelage.agents.models.meter",
    "coached": "tutelage.agents.coached",
    "LocalEmbeddings": "tutelage.agents.models.local_embeddings",
    "StrategyMiddleware": "tutelage.agents.middleware",
    "app_student": "tutelage.agents.app_student",
    "strategies_text": "tutelage.strategy_store",
}
_MODULES = {"events": "tutelage.graphs.log.events"}

__all__ = [
    "CoachingOptions",
    "Library",
    "LocalEmbeddings",
    "Meter",
    "Retrieval",
    "RunLog",
    "StepOptions",
    "StrategyMiddleware",
    "app_student",
    "chat_model",
    "coached",
    "coaching_graph",
    "dialogue_graph",
    "events",
    "load_environment",
    "strategies_text",
]


def __getattr__(name: str) -> Any:
    # Names come on first use, so that `tutelage --help` need not wait for LangGraph.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
