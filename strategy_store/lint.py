"""Lint: what a person should look at in a library, each finding with a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

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
    for i, j in _alike([strategy.text for _, strategy in alive]):
        a, b = alive[i][1], alive[j][1]
        findings.append(Finding(a.id, f"says the same as {b.id}", f"reject {b.id}"))
    for i, j in _alike([entry.scenario for entry in entries]):
        a, b = entries[i], entries[j]
        findings.append(Finding(a.id, f"describes the same as {b.id}", "merge them"))
    for entry in entries:
        if not any(s.status == "approved" for s in entry.strategies):
            findings.append(Finding(entry.id, "has no approved strategy", "approve or reject"))
    return findings


def _alike(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The places of every two texts that say the same, the earlier first."""
    if len(texts) < 2:
        return []
    scores = process.cdist(
        texts, texts, scorer=fuzz.token_set_ratio, score_cutoff=DUPLICATE_FROM
    )  # fmt: skip
    return [(int(i), int(j)) for i, j in zip(*scores.nonzero(), strict=True) if i < j]
