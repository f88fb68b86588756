"""Lint: what a person should look at in a library, each finding with a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from .entry import ANY_CUSTOMER, Entry, Strategy
from .vetting import vet
from .wording import content_words, opposed_to, opposites, same_orders

ALIKE_FROM = 0.8
"""Likeness from which two scenarios are one: no two rules of a bundled firm are nearer than 0.77."""

NO_EFFECT = 0.2
"""Points of satisfaction within which a measured uplift is none, if its interval lies there whole."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: where, what, and what to do."""

    where: str
    what: str
    proposal: str


def lint(entries: Sequence[Entry], rules: Mapping[str, str] | None = None) -> list[Finding]:
    """Near-duplicates, contradictions, texts that may not enter a prompt, strategies that were
    measured to do harm or nothing, strategies without evidence, entries of which nothing is approved
    yet. What was rejected or retired is done with.

    Args:
        entries: the library's.
        rules: the policy's, by id, to look for contradictions with; code finds the plain ones only.
    """
    findings: list[Finding] = []
    alive = [
        (entry, s)
        for entry in entries
        for s in entry.strategies
        if s.status in ("proposed", "approved")
    ]
    texts = [strategy.text for _, strategy in alive]
    of_policy = list((rules or {}).items())
    against_rule = opposed_to(texts, [rule for _, rule in of_policy])
    for place, (_, strategy) in enumerate(alive):
        findings += [
            Finding(strategy.id, reason, "edit or reject it") for reason in vet(strategy.text)
        ]
        if against := measured_against(strategy):
            findings.append(Finding(strategy.id, against, "retire it"))
        findings += [
            Finding(strategy.id, f"contradicts rule {id_}: {rule!r}", "reject it")
            for number, (id_, rule) in enumerate(of_policy)
            if (place, number) in against_rule
        ]
        if strategy.provenance.evidence is None and strategy.provenance.source != "person":
            findings.append(Finding(strategy.id, "has no evidence", "try it in a coaching run"))
    same = set(same_orders(texts))
    contrary = set(opposites(texts))
    for i, j in sorted(same | contrary):
        (of_a, a), (of_b, b) = alive[i], alive[j]
        # What two entries say alike is said to other customers, unless one of them goes to all.
        if (i, j) in same and (of_a.id == of_b.id or of_a.general or of_b.general):
            findings.append(Finding(a.id, f"says the same as {b.id}", f"reject {b.id}"))
        elif (i, j) in contrary:
            told = f"contradicts {b.id}: {b.text!r}"
            findings.append(Finding(a.id, told, "keep the one that was measured to help"))
    used = list({entry.id: entry for entry, _ in alive}.values())
    for a, b in _described_alike(used):
        findings.append(Finding(a.id, f"describes the same as {b.id}", "merge them"))
    for entry in used:
        if entry.general and entry.scenario != ANY_CUSTOMER:
            told = f"goes to every customer, though its scenario is {entry.scenario!r}"
            todo = f"set `general: false`, or call it {ANY_CUSTOMER!r}"
            findings.append(Finding(entry.id, told, f"in tutelage review {todo}"))
        if not any(s.status == "approved" for s in entry.strategies):
            findings.append(Finding(entry.id, "has no approved strategy", "approve or reject"))
    return findings


def _described_alike(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Every two entries whose scenarios say the same, the earlier first."""
    if len(entries) < 2:
        return []
    told = [*map(_told, entries)]
    near = process.cdist(told, told, scorer=fuzz.token_sort_ratio, score_cutoff=100 * ALIKE_FROM)
    alike = zip(*near.nonzero(), strict=True)
    return [(entries[int(i)], entries[int(j)]) for i, j in alike if i < j]


def likeness(first: Entry, second: Entry) -> float:
    """How much two entries' scenarios say the same, 0 to 1. What is in one alone counts against it:
    entries of one matter share most of their words.
    """
    return fuzz.token_sort_ratio(_told(first), _told(second)) / 100


def _told(entry: Entry) -> str:
    return " ".join(content_words(entry.described))


def measured_against(strategy: Strategy) -> str:
    """What its measured uplift says against a strategy; "" where it says nothing."""
    uplift = strategy.uplift
    if uplift is None:
        return ""
    told = f"satisfaction {uplift.csat:+.2f}, rubric {uplift.rubric:+.2f}, {uplift.scenarios} scenarios"
    if uplift.helps is False:
        return f"was measured to do harm ({told})"
    ci95 = uplift.csat_ci95
    if uplift.helps is None and ci95 and ci95[0] > -NO_EFFECT and ci95[1] < NO_EFFECT:
        return f"was measured to add nothing ({told})"
    return ""
