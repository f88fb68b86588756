"""What is learned: entries, strategies, the library, its versions, retrieval."""

from .deployment import Deployment, on_trial
from .entry import (
    ALL_STATUSES,
    ANY_CUSTOMER,
    OF_MATTER,
    Entry,
    Evidence,
    Provenance,
    Source,
    Status,
    Strategy,
    Uplift,
    mask,
)
from .given import Retrieved, always
from .history import ChangedMeanwhile, LibraryFault
from .library import Library
from .prompt import PLACEMENTS, Placement, coach_messages, coach_wire, strategies_text
from .retrieval import Index, Near, query_of, terms_of
from .vetting import vet

__all__ = [
    "ALL_STATUSES",
    "ANY_CUSTOMER",
    "OF_MATTER",
    "PLACEMENTS",
    "ChangedMeanwhile",
    "Deployment",
    "Entry",
    "Evidence",
    "Index",
    "Library",
    "LibraryFault",
    "Near",
    "Placement",
    "Provenance",
    "Retrieved",
    "Source",
    "Status",
    "Strategy",
    "Uplift",
    "always",
    "coach_messages",
    "coach_wire",
    "mask",
    "on_trial",
    "query_of",
    "strategies_text",
    "terms_of",
    "vet",
]
