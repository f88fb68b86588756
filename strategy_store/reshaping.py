"""Reshaping: what is done to entries (extend, revise, split, merge, undo) as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .entry import Entry, Strategy, content_id, mask

State = dict[str, Entry]
_FIELDS = ("scenario", "wants", "feels", "rules", "cues", "unless", "threshold")
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


def extended(old: Entry | None, entry: Entry, taken: set[str]) -> Entry:
    """The old entry with what the new one adds: strategies of other texts, cues while there is room.

    Args:
        old: the entry of the same id; None where there is none.
        entry: what is added.
        taken: ids of strategies that the library has already.
    """
    clean = entry.model_copy(
        update={"scenario": mask(entry.scenario), "cues": [mask(cue) for cue in entry.cues]}
    )
    known = {strategy.text.casefold() for strategy in old.strategies} if old else set()
    new: list[Strategy] = []
    for strategy in clean.strategies:
        if strategy.text.casefold() in known:
            continue
        id_ = strategy.id
        if id_ in taken:
            id_ = free_id(entry.id, strategy.text, taken)
        taken = taken | {id_}
        new.append(strategy.model_copy(update={"id": id_}))
    if old is None:
        return clean.model_copy(update={"strategies": new})
    cues = list(dict.fromkeys([*old.cues, *clean.cues]))[: max(MAX_CUES, len(old.cues))]
    return old.model_copy(update={"strategies": [*old.strategies, *new], "cues": cues})


def with_strategy(entry: Entry, new: Strategy) -> Entry:
    """An entry with a strategy in the place of the one of the same id."""
    strategies = [new if strategy.id == new.id else strategy for strategy in entry.strategies]
    return entry.model_copy(update={"strategies": strategies})


def revised(entry: Entry, fields: Mapping[str, Any], texts: Mapping[str, str]) -> Entry:
    """An entry with other words: a strategy whose text changes is proposed again.

    Args:
        entry: what it was.
        fields: any of `scenario`, `wants`, `feels`, `rules`, `cues`, with their new values.
        texts: new texts by strategy id; those not named stay.
    """
    clean: dict[str, Any] = {
        name: [mask(item) for item in value] if name == "cues" else
        value if name == "rules" else mask(value)
        for name, value in fields.items()
    }  # fmt: skip
    strategies = [
        strategy.model_copy(
            update={"text": text, "status": "proposed", "reason": "", "uplift": None}
        )
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

    Of two strategies with the same text the one of `kept` stays. The other's scenario becomes a
    cue, so that states it described are still found.
    """
    known = {_plain(strategy) for strategy in kept.strategies}
    new = [strategy for strategy in other.strategies if _plain(strategy) not in known]
    return limited(kept, other).model_copy(
        update={
            "strategies": [*kept.strategies, *new],
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
