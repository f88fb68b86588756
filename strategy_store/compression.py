"""Compression: a smaller library that gives what the larger one gave, as far as was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .entry import Entry, Strategy
from .given import CHARS_PER_TOKEN, Room
from .history import only
from .library import Library
from .lint import ALIKE_FROM, likeness, measured_against
from .reshaping import has_approved
from .wording import same_orders

IN_USE = ("proposed", "approved")


@dataclass(frozen=True, slots=True)
class Size:
    """Entries and strategies in use, how many of these were measured to help, and the tokens that are
    added to a turn where an entry fits, in the mean: its own, and those of what is general.
    """

    entries: int
    strategies: int
    helping: int
    tokens_a_turn: float


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to leave out: a strategy to retire, and why; `into` is the one that stands for it."""

    strategy: str
    reason: str
    into: str = ""


def size_of(entries: Sequence[Entry]) -> Size:
    """The size of a library, counting strategies in use only."""
    cut = [only(entry, IN_USE) for entry in entries]
    used = [entry for entry in cut if entry.strategies]
    every = [strategy for entry in used for strategy in entry.strategies]
    general = [entry for entry in used if entry.general]
    turns = [[entry, *general] for entry in used if not entry.general] or [general]
    return Size(
        len(used),
        len(every),
        sum(map(_helps, every)),
        fmean(map(_letters, turns)) / CHARS_PER_TOKEN,
    )


def _letters(turn: Sequence[Entry]) -> int:
    """The letters that a turn is given of entries, the first having the first of the room."""
    room = Room()
    whole = room.left
    for entry in turn:
        room.take(entry)
    return whole - room.left


def plan(entries: Sequence[Entry]) -> list[Step]:
    """What may be left out without losing a measured effect.

    What was measured to harm or to add nothing; and of two strategies that say the same in nearly
    the same words for scenarios described alike, the one that is less well measured. One that was
    measured to help stays, whatever it resembles, unless its twin was as well; and one that is
    approved stays unless its twin is, for else customers would be served without it. Either stays
    where its twin's entry would not reach its states: approved twins of other limits stay apart. Of a
    general strategy and its twin the general one goes first.
    """
    steps: list[Step] = []
    gone: set[str] = set()
    used = [(entry, s) for entry in entries for s in entry.strategies if s.status in IN_USE]
    for _, strategy in used:
        if reason := measured_against(strategy):
            steps.append(Step(strategy.id, reason))
            gone.add(strategy.id)
    for first, second in same_orders([strategy.text for _, strategy in used]):
        if gone & {used[first][1].id, used[second][1].id}:
            continue
        (entry, keep), (other, leave) = sorted(
            (used[first], used[second]), key=_standing, reverse=True
        )
        if entry.id != other.id and likeness(entry, other) < ALIKE_FROM:
            continue
        if _helps(leave) and not _helps(keep):
            continue
        if leave.status == "approved" and keep.status != "approved":
            continue
        if (_helps(leave) or leave.status == "approved") and not _covers(entry, other, leave):
            continue
        steps.append(Step(leave.id, f"says the same as {keep.id}", keep.id))
        gone.add(leave.id)
    return steps


def apply(library: Library, entries: Sequence[Entry], steps: Sequence[Step], by: str) -> None:
    """Retire what a plan leaves out; its wordings join what stands for it. What nobody approved then
    reaches the states of both and none that either was kept from, and so do two that were approved;
    whom something approved reaches is not changed by a twin that was not.

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


def _covers(entry: Entry, other: Entry, leave: Strategy) -> bool:
    """Whether an entry reaches all that another does, once it stands for `leave` of it (see
    `reshaping.standing_for`).
    """
    if entry.general or entry.id == other.id:
        return True
    if leave.status != "approved":
        return not has_approved(entry)
    return (entry.threshold, {*entry.unless}) == (other.threshold, {*other.unless})


def _standing(one: tuple[Entry, Strategy]) -> tuple[bool, bool, bool, int]:
    """How well a strategy stands: general, measured to help, approved, pairs of evidence."""
    entry, strategy = one
    evidence = strategy.provenance.evidence
    pairs = evidence.pairs if evidence else 0
    return entry.general, _helps(strategy), strategy.status == "approved", pairs
