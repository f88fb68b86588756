"""What is learned: entries, strategies, the library, its versions, retrieval."""

from .deployment import Deployment, on_trial
from .entry import Entry, Evidence, Provenance, Status, Strategy, mask
from .library import ALL_STATUSES, Library, LibraryFault
from .prompt import Placement, coach_messages, coach_wire, strategies_text
from .retrieval import Index, Retrieved, query_of
from .vetting import vet

__all__ = [
    "ALL_STATUSES",
    "Deployment",
    "Entry",
    "Evidence",
    "Index",
    "Library",
    "LibraryFault",
    "Placement",
    "Provenance",
    "Retrieved",
    "Status",
    "Strategy",
    "coach_messages",
    "coach_wire",
    "mask",
    "on_trial",
    "query_of",
    "strategies_text",
    "vet",
]
