"""Reshaping: what is done to entries (extend, revise, split, merge, undo) as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .entry import Entry, Strategy, content_id, mask

State = dict[str, Entry]
_FIELDS = ("scenario", "wants", "feels", "rules", "cues", "unless", "threshold", "general")
MAX_CUES = 8
"""Of an entry that is added to; what a person wrote stays."""
SEVERAL = 1_000
"""Ids tried for one text before something else must be wrong."""


def free_id(entry: str, text: str, taken: set[str]) -> str:
    """An id for a strategy that no other strategy of the library has.

    An id follows from the text it was made for, and stays when the text is edited or the strategy
    moves to another entry; so the same text may later find its own id in use.
    """
    for number in range(SEVERAL):
        again = f"|{number}" if number else ""
        found = content_id("s", f"{entry}|{text}{again}")
        if found not in taken:
            return found
    raise RuntimeError(f"no free id for {text!r}")


def ids_of(state: State) -> set[str]:
    """The ids of every strategy."""
    return {strategy.id for entry in state.values() for strategy in entry.strategies}


def elsewhere(entry: Entry, state: State) -> dict[str, str]:
    """The strategies of an old entry that stand in another one now, each with the id of that."""
    own = {strategy.id for strategy in entry.strategies}
    return {
        strategy.id: other.id
        for other in state.values()
        if other.id != entry.id
        for strategy in other.strategies
        if strategy.id in own
    }


def extended(old: Entry | None, entry: Entry, taken: set[str]) -> Entry:
    """The old entry with what the new one adds: strategies of other texts, cues while there is room,
    and its limits.

    Where the old entry has approved strategies, it goes on reaching what a person approved it for: it
    takes neither cues nor limits, and a new strategy that was kept within narrower limits says so in
    its reason.

    Args:
        old: the entry of the same id; None where there is none.
        entry: what is added.
        taken: ids of strategies that the library has already.
    """
    clean = masked(entry)
    known = {strategy.text.casefold() for strategy in old.strategies} if old else set()
    new: list[Strategy] = []
    for strategy in clean.strategies:
        if strategy.text.casefold() in known:
            continue
        known.add(strategy.text.casefold())
        id_ = strategy.id
        if id_ in taken:
            id_ = free_id(entry.id, strategy.text, taken)
        taken = taken | {id_}
        new.append(strategy.model_copy(update={"id": id_}))
    if old is None:
        return clean.model_copy(update={"strategies": new})
    if has_approved(old):
        new = _told_of_limits(new, clean, old)
        return old.model_copy(update={"strategies": [*old.strategies, *new]})
    cues = list(dict.fromkeys([*old.cues, *clean.cues]))[: max(MAX_CUES, len(old.cues))]
    rules = list(dict.fromkeys([*old.rules, *clean.rules]))
    return limited(old, clean).model_copy(
        update={"strategies": [*old.strategies, *new], "cues": cues, "rules": rules}
    )


def masked(entry: Entry) -> Entry:
    """An entry as it is kept: without what its scenario and its cues tell of a single customer."""
    return entry.model_copy(
        update={"scenario": mask(entry.scenario), "cues": [mask(cue) for cue in entry.cues]}
    )


def not_taken(entry: Entry, now: Entry) -> list[str]:
    """The parts of an entry that was added in which another stands now: names of fields, of those that
    it says anything of, and ids of strategies that have their text in other letters. In a list the
    order tells nothing.
    """
    added = masked(entry)

    def words(of: Entry, name: str) -> object:
        value = getattr(of, name)
        return set(value) if isinstance(value, list) else value

    texts = {strategy.text for strategy in now.strategies}
    ids = {strategy.text.casefold(): strategy.id for strategy in now.strategies}
    return [
        *(
            name
            for name in _FIELDS
            if name in entry.model_fields_set and words(added, name) != words(now, name)
        ),
        *(ids[s.text.casefold()] for s in entry.strategies if s.text not in texts),
    ]


def has_approved(entry: Entry) -> bool:
    """Whether customers are served by an entry, so that a person has approved whom it reaches."""
    return any(strategy.status == "approved" for strategy in entry.strategies)


def _told_of_limits(strategies: Sequence[Strategy], own: Entry, wide: Entry) -> list[Strategy]:
    """The strategies of one entry as they come to stand in another: those that are in use, or may
    come to be, say so where that one is wider.
    """
    if (own.threshold or 0) <= (wide.threshold or 0) and {*own.unless} <= {*wide.unless}:
        return list(strategies)
    told = _limits_left_out(own)
    return [
        strategy if strategy.out_of_use else strategy.model_copy(update={"reason": told})
        for strategy in strategies
    ]


def _limits_left_out(entry: Entry) -> str:
    """What a person must know of a strategy that stands in an entry wider than its own."""
    limits = [f"a similarity of {entry.threshold:.2f}"] if entry.threshold is not None else []
    if entry.unless:
        limits.append(f"no customer who writes {' / '.join(repr(line) for line in entry.unless)}")
    return (
        f"it was kept within narrower limits ({'; '.join(limits)}) than this entry has, which was "
        "approved as wide as it is: it may do harm beyond them"
    )


def reach(entry: Entry) -> dict[str, Any]:
    """All by which an entry is found: where it is the same, it goes to the same customers."""
    found_by = {"scenario", "wants", "feels", "cues", "unless", "threshold", "general"}
    return entry.model_dump(include=found_by)


def with_strategy(entry: Entry, new: Strategy) -> Entry:
    """An entry with a strategy in the place of the one of the same id."""
    strategies = [new if strategy.id == new.id else strategy for strategy in entry.strategies]
    return entry.model_copy(update={"strategies": strategies})


def reworded(strategy: Strategy, text: str) -> Strategy:
    """A strategy with another text, proposed again. What the old words were measured to do, and the
    exchange that shows them, are not the new ones'; the versions keep them.
    """
    origin = strategy.provenance.model_copy(update={"evidence": None})
    return strategy.model_copy(
        update={
            "text": text, "status": "proposed", "reason": "", "uplift": None, "provenance": origin,
        }
    )  # fmt: skip


def revised(entry: Entry, fields: Mapping[str, Any], texts: Mapping[str, str]) -> Entry:
    """An entry with other words: a strategy whose text changes is proposed again.

    Args:
        entry: what it was.
        fields: any of `scenario`, `wants`, `feels`, `rules`, `cues`, `unless`, `threshold`,
            `general`, with their new values.
        texts: new texts by strategy id; those not named stay.
    """
    clean: dict[str, Any] = {
        name: [mask(item) for item in value] if name in ("cues", "unless") else
        value if name in ("rules", "threshold", "general") else mask(value)
        for name, value in fields.items()
    }  # fmt: skip
    strategies = [
        reworded(strategy, text)
        if (text := texts.get(strategy.id, strategy.text)) != strategy.text
        else strategy
        for strategy in entry.strategies
    ]
    return entry.model_copy(update={**clean, "strategies": strategies})


def worded_also(entry: Entry, id_: str, texts: Sequence[str]) -> Entry:
    """An entry one of whose strategies keeps other wordings of itself; what it says already is left
    out.
    """
    return entry.model_copy(
        update={
            "strategies": [
                s.model_copy(
                    update={
                        "also": list(dict.fromkeys([*s.also, *(t for t in texts if t != s.text)]))
                    }
                )
                if s.id == id_
                else s
                for s in entry.strategies
            ]
        }
    )


def standing_for(kept: Entry, id_: str, other: Entry, left: Strategy) -> Entry:
    """`kept`, one of whose strategies stands for one of another entry: it has that one's wordings.

    Where nobody approved anything of `kept` it reaches the states of both entries and none that either
    was kept from, and so where the other strategy is approved, too. Else it goes on reaching what a
    person approved it for, no less and no more.
    """
    worded = worded_also(kept, id_, [*left.also, left.text])
    if has_approved(kept) and left.status != "approved":
        return worded
    return limited(worded, other).model_copy(
        update={"cues": list(dict.fromkeys([*kept.cues, *other.cues]))}
    )


def split(entry: Entry, moving: Sequence[str], cues: Sequence[str], scenario: str) -> list[Entry]:
    """Two entries out of one: the old one with what stays, and a new one for `scenario`.

    Strategies keep their ids, status and evidence; every cue stands in exactly one of the two.
    """
    there = [s for s in entry.strategies if s.id in moving]
    stays = [s for s in entry.strategies if s.id not in moving]
    gone = [cue for cue in entry.cues if cue in cues]
    kept = [cue for cue in entry.cues if cue not in cues]
    new = Entry.new(mask(scenario), wants=entry.wants, feels=entry.feels, rules=list(entry.rules))
    return [
        entry.model_copy(update={"strategies": stays, "cues": kept}),
        # What was found to be out of reach stays out of reach for both.
        new.model_copy(
            update={
                "strategies": there,
                "cues": gone,
                "unless": entry.unless,
                "threshold": entry.threshold,
            }
        ),
    ]


def merged(kept: Entry, other: Entry) -> Entry:
    """One entry out of two: all of `kept`, and what only the other holds.

    Of two strategies with the same text, or the same id, the one of `kept` stays. The other's
    scenario becomes a cue, so that states it described are still found. It has the limits of both;
    where one alone has approved strategies those of that one, and proposed strategies that were kept
    within narrower ones say so in their reason.
    """
    ids = {strategy.id for strategy in kept.strategies}
    known = {_plain(strategy) for strategy in kept.strategies}
    new = [s for s in other.strategies if s.id not in ids and _plain(s) not in known]
    approved = [entry for entry in (kept, other) if has_approved(entry)]
    limits = approved[0] if len(approved) == 1 else limited(kept, other)
    return kept.model_copy(
        update={
            "unless": limits.unless,
            "threshold": limits.threshold,
            "strategies": [
                *_told_of_limits(kept.strategies, kept, limits),
                *_told_of_limits(new, other, limits),
            ],
            "cues": list(dict.fromkeys([*kept.cues, *other.cues, other.scenario])),
            "rules": list(dict.fromkeys([*kept.rules, *other.rules])),
        }
    )


def limited(kept: Entry, other: Entry) -> Entry:
    """`kept` with the limits of both: what either was found to harm stays out of reach."""
    thresholds = [entry.threshold for entry in (kept, other) if entry.threshold is not None]
    return kept.model_copy(
        update={
            "unless": list(dict.fromkeys([*kept.unless, *other.unless])),
            "threshold": max(thresholds, default=None),
        }
    )


def reverted(before: Entry | None, after: Entry | None, now: Entry | None) -> Entry | None:
    """An entry without what one change did to it, with what others did since.

    Args:
        before, after: the entry on both sides of the change; None where there was none.
        now: the entry as it is.

    Raises:
        ValueError: where the same part was changed again since.
    """
    if now == after:
        return before
    if before is None or after is None or now is None:
        raise ValueError("it was made, removed or changed again")
    fields: dict[str, Any] = {}
    for name in _FIELDS:
        old, done, is_ = (getattr(entry, name) for entry in (before, after, now))
        if old != done:
            if is_ != done:
                raise ValueError(f"{name} was changed again")
            fields[name] = old
    old, done = ({s.id: s for s in entry.strategies} for entry in (before, after))
    strategies: list[Strategy] = []
    for strategy in now.strategies:
        was, made = old.get(strategy.id), done.get(strategy.id)
        if was == made:
            strategies.append(strategy)
        elif strategy != made:
            raise ValueError(f"{strategy.id} was changed again")
        elif was is not None:
            strategies.append(was)
    there = {strategy.id for strategy in now.strategies}
    for id_ in dict.fromkeys([*old, *done]):
        if old.get(id_) != done.get(id_) and id_ not in there:
            if id_ in done:
                raise ValueError(f"{id_} was removed since")
            strategies.append(old[id_])
    return now.model_copy(update={**fields, "strategies": strategies})


def changed_parts(seen: Entry, now: Entry, fields: Iterable[str], ids: Iterable[str]) -> list[str]:
    """Which of the parts named, fields and strategies, are no longer as they were seen."""
    old, new = ({s.id: (s.text, s.status) for s in entry.strategies} for entry in (seen, now))
    return [
        *(name for name in fields if getattr(seen, name) != getattr(now, name)),
        *(id_ for id_ in ids if old.get(id_) != new.get(id_)),
    ]


def _plain(strategy: Strategy) -> str:
    return " ".join(strategy.text.casefold().split())
