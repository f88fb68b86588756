"""What happens when: dialogue and coaching graphs, run log, events."""

from .coaching import CoachingOptions, coaching_graph
from .dialogue import dialogue_graph
from .run_log import RunFault, RunLog

__all__ = ["CoachingOptions", "RunFault", "RunLog", "coaching_graph", "dialogue_graph"]
