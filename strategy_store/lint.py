"""Lint: what a person should look at in a library, each finding with a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz import fuzz

from .entry import Entry
from .vetting import vet

DUPLICATE_FROM = 90.0
"""Similarity (0-100, rapidfuzz token_set_ratio) from which two texts say the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: where, what, and what to do."""

    where: str
    what: str
    proposal: str


def lint(entries: Sequence[Entry]) -> list[Finding]:
    """Near-duplicates, texts that may not enter a prompt, strategies without evidence, entries
    that give nothing.
    """
    findings: list[Finding] = []
    alive = [
        (entry, s)
        for entry in entries
        for s in entry.strategies
        if s.status in ("proposed", "approved")
    ]
    for _, strategy in alive:
        findings += [
            Finding(strategy.id, reason, "edit or reject it") for reason in vet(strategy.text)
        ]
        if strategy.provenance.evidence is None and strategy.provenance.source != "person":
            findings.append(Finding(strategy.id, "has no evidence", "try it in a coaching run"))
    for (_, a), (_, b) in combinations(alive, 2):
        if fuzz.token_set_ratio(a.text, b.text) >= DUPLICATE_FROM:
            findings.append(Finding(a.id, f"says the same as {b.id}", f"reject {b.id}"))
    for a, b in combinations(entries, 2):
        if fuzz.token_set_ratio(a.scenario, b.scenario) >= DUPLICATE_FROM:
            findings.append(Finding(a.id, f"describes the same as {b.id}", "merge them"))
    for entry in entries:
        if not any(s.status == "approved" for s in entry.strategies):
            findings.append(Finding(entry.id, "has no approved strategy", "approve or reject"))
    return findings
