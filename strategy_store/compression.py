"""Compression: a smaller library that gives what the larger one gave, as far as was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz import fuzz

from .entry import Entry, Strategy
from .library import Library
from .lint import DUPLICATE_FROM, measured_against
from .retrieval import CHARS_PER_TOKEN
from .wording import same_order

IN_USE = ("proposed", "approved")


@dataclass(frozen=True, slots=True)
class Size:
    """Entries and strategies in use, and the tokens that an entry adds to a turn in the mean."""

    entries: int
    strategies: int
    tokens_a_turn: float


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to leave out: a strategy to retire, and why; `into` is the one that stands for it."""

    strategy: str
    reason: str
    into: str = ""


def size_of(entries: Sequence[Entry]) -> Size:
    """The size of a library, counting strategies in use only."""
    texts = [[s.text for s in entry.strategies if s.status in IN_USE] for entry in entries]
    used = [of_entry for of_entry in texts if of_entry]
    letters = sum(len(text) for of_entry in used for text in of_entry)
    return Size(
        len(used), sum(map(len, used)), letters / CHARS_PER_TOKEN / len(used) if used else 0.0
    )


def plan(entries: Sequence[Entry]) -> list[Step]:
    """What may be left out without losing a measured effect.

    What was measured to harm or to add nothing; and of two strategies that say the same in nearly
    the same words for scenarios described alike, the one that is less well measured. One that was
    measured to help stays, whatever it resembles, unless its twin was as well; and one that is
    approved stays unless its twin is, for else customers would be served without it.
    """
    steps: list[Step] = []
    gone: set[str] = set()
    used = [(entry, s) for entry in entries for s in entry.strategies if s.status in IN_USE]
    for _, strategy in used:
        if reason := measured_against(strategy):
            steps.append(Step(strategy.id, reason))
            gone.add(strategy.id)
    for (entry_a, a), (entry_b, b) in combinations(used, 2):
        if gone & {a.id, b.id} or not same_order(a.text, b.text):
            continue
        alike = fuzz.token_set_ratio(entry_a.scenario, entry_b.scenario) >= DUPLICATE_FROM
        if entry_a.id != entry_b.id and not alike:
            continue
        keep, leave = sorted((a, b), key=_standing, reverse=True)
        if _helps(leave) and not _helps(keep):
            continue
        if leave.status == "approved" and keep.status != "approved":
            continue
        steps.append(Step(leave.id, f"says the same as {keep.id}", keep.id))
        gone.add(leave.id)
    return steps


def apply(library: Library, entries: Sequence[Entry], steps: Sequence[Step], by: str) -> None:
    """Retire what a plan leaves out; wordings, cues and limits of what was merged join what stands
    for it, so that it reaches the states of both and none that either was kept from.

    Every step is a version, and nothing is erased.

    Args:
        library: where.
        entries: what the plan was made from.
        steps: the plan.
        by: who.

    Raises:
        ChangedMeanwhile: where what a step is about has another text or status by now. The steps
            before it are done; plan anew for the rest.
    """
    seen = {strategy.id: strategy for entry in entries for strategy in entry.strategies}
    for step in steps:
        into = seen[step.into] if step.into else None
        library.leave_out(seen[step.strategy], by, step.reason, into=into)


def _helps(strategy: Strategy) -> bool:
    return strategy.uplift is not None and strategy.uplift.helps is True


def _standing(strategy: Strategy) -> tuple[bool, bool, int]:
    """How well a strategy stands: measured to help, approved, pairs of evidence."""
    evidence = strategy.provenance.evidence
    return _helps(strategy), strategy.status == "approved", evidence.pairs if evidence else 0
