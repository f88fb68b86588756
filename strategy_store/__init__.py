"""What is learned: entries, strategies, the library, its versions, retrieval."""

from .entry import Entry, Evidence, Provenance, Status, Strategy, Uplift, mask
from .library import ALL_STATUSES, Library, LibraryFault
from .prompt import PLACEMENTS, Placement, coach_messages, strategies_text
from .retrieval import Index, Retrieved, query_of
from .vetting import vet

__all__ = [
    "ALL_STATUSES",
    "PLACEMENTS",
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
    "Uplift",
    "coach_messages",
    "mask",
    "query_of",
    "strategies_text",
    "vet",
]
