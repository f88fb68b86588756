"""Rows of the review: one for each strategy, filtered, searched and put in order."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from tutelage.graphs.review import Entry, Finding, Source, Strategy

STATUSES = ("", "proposed", "approved", "rejected", "retired")
SOURCES = ("", *get_args(Source))
ORDERS = ("entry", "status", "preference", "newest")
MARKS = {"proposed": "○", "approved": "✓", "rejected": "✗", "retired": "–"}


@dataclass(frozen=True)
class Row:
    """One strategy in its entry (None for an entry that has none), with what lint found in both."""

    entry: Entry
    strategy: Strategy | None
    findings: Sequence[Finding]

    @property
    def id(self) -> str:
        """What the row is known by, whatever else changes."""
        return self.strategy.id if self.strategy else self.entry.id

    @property
    def preference(self) -> float | None:
        """How often the reply with the strategy was preferred, 0 to 1, where it was tried."""
        evidence = self.strategy.provenance.evidence if self.strategy else None
        return evidence.preference if evidence else None

    @cached_property
    def haystack(self) -> str:
        """All words that a search looks in."""
        entry, strategy = self.entry, self.strategy
        parts = [entry.id, entry.scenario, entry.wants, entry.feels, *entry.rules, *entry.cues]
        if strategy is not None:
            origin = strategy.provenance
            parts += [strategy.id, strategy.text, strategy.reason, origin.persona, origin.run,
                      origin.dialogue, *origin.tactics, *sorted(origin.learned_in)]  # fmt: skip
            if evidence := origin.evidence:
                parts += [evidence.customer, evidence.before, evidence.after]
        parts += [finding.what for finding in self.findings]
        return _plain(" ".join(parts))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are shown, and in what order. Empty values ask for nothing."""

    text: str = ""
    status: str = ""
    source: str = ""
    findings: bool = False
    order: str = "entry"

    @property
    def all(self) -> bool:
        """Whether every row is shown."""
        return not (self.text.strip() or self.status or self.source or self.findings)


def rows_of(entries: Iterable[Entry], findings: Mapping[str, Sequence[Finding]]) -> list[Row]:
    """Every row of a library, in its order; `findings` are by the id of what they are about."""
    rows: list[Row] = []
    for entry in entries:
        shared = findings.get(entry.id, ())
        for strategy in entry.strategies or [None]:
            own = findings.get(strategy.id, ()) if strategy else ()
            rows.append(Row(entry, strategy, [*own, *shared]))
    return rows


def chosen(rows: Iterable[Row], wanted: Wanted) -> list[Row]:
    """The rows asked for: those that hold every word of the search and pass the filters."""
    words = _plain(wanted.text).split()
    found = [
        row
        for row in rows
        if (not wanted.status or (row.strategy and row.strategy.status == wanted.status))
        and (
            not wanted.source or (row.strategy and row.strategy.provenance.source == wanted.source)
        )
        and (not wanted.findings or row.findings)
        and all(word in row.haystack for word in words)
    ]
    if wanted.order == "status":
        found.sort(key=lambda row: STATUSES.index(row.strategy.status) if row.strategy else 0)
    elif wanted.order == "preference":
        found.sort(key=lambda row: -1.0 if row.preference is None else row.preference, reverse=True)
    elif wanted.order == "newest":
        found.sort(key=lambda row: row.strategy.created_at if row.strategy else "", reverse=True)
    return found


def _plain(text: str) -> str:
    """Without regard to case, and to how a letter with an accent is written."""
    return unicodedata.normalize("NFKC", text).casefold()
