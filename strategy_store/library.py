"""The library: what people and coaching do with its entries, and how it is searched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import reshaping
from .entry import ALL_STATUSES, Entry, Status, Strategy, Uplift, content_id, mask
from .given import TOKEN_BUDGET, TOP
from .history import History, LibraryFault, broken
from .prompt import PLACEMENTS
from .retrieval import Index
from .vetting import hostile, vet

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from .prompt import Placement
    from .retriever import LibraryRetriever


MOST_INDEXES = 8
"""Search indexes held at a time, one for each choice of statuses and embeddings; the one that was asked
for longest ago goes."""


@dataclass(slots=True)
class Added:
    """What adding entries brought: how many new `entries` and `strategies`; how many strategies were
    `there` already, and how many of all have `another_status` than they were added with. `not_taken`
    names, by an entry's id, the parts that stay here as they were though what was added says otherwise.
    """

    entries: int = 0
    strategies: int = 0
    there: int = 0
    another_status: int = 0
    not_taken: dict[str, list[str]] = field(default_factory=dict)


class Library(History):
    """Open with `Library.open`; usable as a context manager, from any thread and by several
    processes at once.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path):
        super().__init__(connection, path)
        self._indexes: dict[tuple[tuple[Status, ...], int], tuple[int, Index]] = {}
        self._building = threading.Lock()

    def placement_for(self, student: str, default: Placement = "after") -> Placement:
        """Where in this student's prompt the strategies stand best, as was measured.

        Args:
            student: the model's spec, as in `provider:model`.
            default: where nobody measured it.

        Raises:
            LibraryFault: where what was kept is none of the placements that there are.
        """
        found = self.noted(f"placement {student}")
        if found is None:
            return default
        try:
            kept = json.loads(found)["placement"]
        except (ValueError, KeyError, TypeError):
            kept = None
        if kept not in PLACEMENTS:
            raise broken(self.path, f"{found[:80]!r} is no placement for {student}")
        return kept

    def set_placement(self, student: str, placement: Placement, by: str, measured: str) -> None:
        """Keep what a student follows best; a change of version with its author like any other.

        Args:
            student: the model's spec.
            placement: where the strategies shall stand.
            by: who or which run measured it.
            measured: what was measured, in a few words.
        """
        value = json.dumps({"placement": placement, "measured": measured})
        self.note(
            f"placement {student}", value, by, f"placement for {student}: {placement} ({measured})"
        )

    def counts(self) -> dict[str, int]:
        """How many entries, strategies, and strategies of each status."""
        found = self.entries()
        every = [strategy for entry in found for strategy in entry.strategies]
        by_status = {status: sum(s.status == status for s in every) for status in ALL_STATUSES}
        return {"entries": len(found), "strategies": len(every), **by_status}

    def add(self, entry: Entry, by: str) -> Entry:
        """Add an entry, or merge its strategies, cues and limits into the one of the same id.

        What is there already stays as it is, so that adding twice changes nothing. An entry with
        approved strategies takes in the strategies only: what production sends, and where, changes by
        a person alone.

        Raises:
            LibraryFault: where a text may not enter a prompt; says why.
        """
        self.add_all([entry], by)
        return self.entry(entry.id)

    def add_all(self, entries: Sequence[Entry], by: str) -> Added:
        """Add several entries as one version: all of them, or none where one is refused. Else as
        `add`.

        Returns:
            What came in, and what was there already.
        """
        for entry in entries:
            self._vetted_scenario(entry.id, entry.scenario)
            for strategy in entry.strategies:
                self._vetted(strategy.text)

        added = Added()

        def merge(state: dict[str, Entry]) -> str:
            for entry in entries:
                old = state.get(entry.id)
                new = state[entry.id] = reshaping.extended(old, entry, reshaping.ids_of(state))
                came = len(new.strategies) - (len(old.strategies) if old else 0)
                status = {s.text.casefold(): s.status for s in new.strategies}
                added.entries += old is None
                added.strategies += came
                added.there += len(entry.strategies) - came
                added.another_status += sum(
                    status[s.text.casefold()] != s.status for s in entry.strategies
                )
                if parts := reshaping.not_taken(entry, new):
                    added.not_taken[entry.id] = parts
            ids = ", ".join(entry.id for entry in entries[:5])
            more = ", ..." if len(entries) > 5 else ""
            return f"added {added.strategies} strategies to {ids}{more}"

        self._change(by, merge)
        return added

    def approve(self, ids: Iterable[str] | None, by: str, *, seen: Sequence[Entry] = ()) -> int:
        """Approve strategies (None: all proposed); returns how many changed.

        Args:
            ids: which.
            by: who.
            seen: the entries as the person read them: what is approved must have the text, the status
                and the reason that it has there, and go to the same customers.

        Raises:
            ChangedMeanwhile: where one is another by now; nothing is approved then.
            LibraryFault: for an unknown id, or a text that may not enter a prompt.
        """
        return self._set_status(ids, "approved", by, "", seen)

    def reject(
        self, ids: Iterable[str], by: str, reason: str, *, seen: Sequence[Entry] = ()
    ) -> int:
        """Reject strategies, with a reason; returns how many changed. A new reason takes the place of
        the one of a strategy that is rejected already. Else as `approve`, whomever they go to.
        """
        return self._set_status(ids, "rejected", by, reason, seen)

    def retire(
        self, ids: Iterable[str], by: str, reason: str, *, seen: Sequence[Entry] = ()
    ) -> int:
        """Take strategies out of use, with a reason; returns how many changed. Else as `reject`."""
        return self._set_status(ids, "retired", by, reason, seen)

    def edit(
        self, id_: str, text: str, by: str, *, approve: bool = False, seen: str | None = None
    ) -> Strategy:
        """Change a strategy's text. It is proposed again unless the person approves at once, and has no
        evidence and no measured uplift any more: both are of the old text.

        Args:
            id_: which.
            text: the new text.
            by: who.
            approve: whether it is approved with that.
            seen: the text that the person began from, which must still stand there.

        Raises:
            ChangedMeanwhile: where another text stands there by now.
            LibraryFault: where the text may not enter a prompt, or there is no such strategy.
        """
        self._vetted(text)

        def change(state: dict[str, Entry]) -> str:
            entry, old = self._find(state, id_)
            self._unchanged(id_, seen, old.text)
            if approve:
                self._vetted_scenario(entry.id, entry.scenario)
            status = "approved" if approve else "proposed"
            new = old if text == old.text else reshaping.reworded(old, text)
            new = new.model_copy(update={"status": status, "reason": ""})
            state[entry.id] = reshaping.with_strategy(entry, new)
            return f"edited {id_}"

        self._change(by, change)
        return self.strategy(id_)[1]

    def revise(
        self,
        id_: str,
        by: str,
        *,
        texts: Mapping[str, str] | None = None,
        seen: Entry | None = None,
        **fields: Any,
    ) -> Entry:
        """Change the words of an entry as one version; strategies whose text changes are proposed
        again, as by `edit`.

        Args:
            id_: which entry.
            by: who.
            texts: new texts by strategy id.
            seen: the entry as the person saw it; what they change must be as it was.
            fields: any of `scenario`, `wants`, `feels`, `rules`, `cues`, `unless`, `threshold`,
                `general`.

        Raises:
            ChangedMeanwhile: where what they change is another by now.
            LibraryFault: where a text may not enter a prompt, the scenario is empty, or an id is
                unknown.
        """
        for text in (texts or {}).values():
            self._vetted(text)
        if "scenario" in fields:
            self._vetted_scenario(id_, fields["scenario"])

        def change(state: dict[str, Entry]) -> str:
            entry = self._entry_in(state, id_)
            if seen and (parts := reshaping.changed_parts(seen, entry, fields, texts or {})):
                self._unchanged(", ".join(parts), seen, entry)
            for strategy in texts or {}:
                if all(s.id != strategy for s in entry.strategies):
                    raise self._unknown(strategy, [s.id for s in entry.strategies])
            new = state[id_] = reshaping.revised(entry, fields, texts or {})
            words = [name for name in fields if getattr(new, name) != getattr(entry, name)]
            edited = [s.id for s, old in zip(new.strategies, entry.strategies, strict=True)
                      if s != old]  # fmt: skip
            return f"edited {', '.join([*words, *edited])} of {id_}"

        self._change(by, change)
        return self.entry(id_)

    def split(
        self,
        id_: str,
        strategies: Iterable[str],
        scenario: str,
        by: str,
        *,
        cues: Iterable[str] = (),
        seen: Entry | None = None,
    ) -> Entry:
        """Make two entries out of one; returns the new one.

        Args:
            id_: the entry.
            strategies: ids of the strategies that go to the new entry; they keep status and
                evidence. At least one must stay.
            scenario: the new entry's scenario, in one general sentence.
            by: who.
            cues: those of the entry's cues that go along.
            seen: the entry as the person saw it, which must be as it was.

        Raises:
            ChangedMeanwhile: where the entry is another by now.
            LibraryFault: where nothing would go or nothing would stay, an id is unknown, or the
                scenario is empty, may not enter a prompt, or has an entry already.
        """
        moving, going = list(strategies), list(cues)
        self._vetted_scenario(id_, scenario)

        def change(state: dict[str, Entry]) -> str:
            entry = self._entry_in(state, id_)
            self._unchanged(id_, seen, entry)
            ids = [s.id for s in entry.strategies]
            for strategy in moving:
                if strategy not in ids:
                    raise self._unknown(strategy, ids)
            if not moving or len(set(moving)) == len(ids):
                what = "all strategies" if moving else "no strategy"
                raise LibraryFault(
                    f"{self.path}: {id_}: {what} would go; name some, and leave at least one"
                )
            old, new = reshaping.split(entry, moving, going, scenario)
            if new.id in state:
                raise LibraryFault(f"{self.path}: {new.id} describes {new.scenario!r} already")
            state[id_], state[new.id] = old, new
            return f"split {', '.join(moving)} off {id_} into {new.id}"

        self._change(by, change)
        return self.entry(content_id("e", mask(scenario)))

    def merge(
        self, id_: str, other: str, by: str, *, seen: Mapping[str, Entry] | None = None
    ) -> Entry:
        """Merge one entry into another, which stays; returns it.

        Of two strategies with the same text the one of the entry that stays is kept. The other's
        scenario becomes a cue. Where one of them alone has approved strategies its limits stand, else
        those of both.

        Args:
            id_: the entry that stays.
            other: the entry that goes.
            by: who.
            seen: both entries as the person saw them, by id.

        Raises:
            ChangedMeanwhile: where one of them is another by now.
            LibraryFault: where an id is unknown or both are the same.
        """
        if id_ == other:
            raise LibraryFault(f"{self.path}: {id_}: cannot be merged with itself")

        def change(state: dict[str, Entry]) -> str:
            kept, gone = self._entry_in(state, id_), self._entry_in(state, other)
            for entry in (kept, gone):
                self._unchanged(entry.id, (seen or {}).get(entry.id), entry)
            state[id_] = reshaping.merged(kept, gone)
            del state[other]
            return f"merged {other} into {id_}"

        self._change(by, change)
        return self.entry(id_)

    def replace(
        self,
        id_: str,
        change: Callable[[Entry], Entry],
        by: str,
        action: str,
        *,
        seen: Entry | None = None,
    ) -> None:
        """Put another entry in the place of one, as one version.

        Args:
            id_: which entry.
            change: makes the new entry, of the same id, of the one that stands there; where it gives
                that back, there is no version.
            by: who.
            action: what is done, and why, for the version.
            seen: the entry as it was seen, which must stand there still, with all its verdicts.

        Raises:
            ChangedMeanwhile: where another, or none, stands there by now.
            LibraryFault: where there is none of that id, or a new text may not enter a prompt.
        """

        def put(state: dict[str, Entry]) -> str:
            self._unchanged(id_, seen, state.get(id_))
            old = self._entry_in(state, id_)
            new = state[id_] = change(old)
            if new.scenario != old.scenario:
                self._vetted_scenario(id_, new.scenario)
            for text in {s.text for s in new.strategies} - {s.text for s in old.strategies}:
                self._vetted(text)
            return action

        self._change(by, put)

    def leave_out(
        self, strategy: Strategy, by: str, reason: str, *, into: Strategy | None = None
    ) -> None:
        """Retire a strategy that is not needed, as one version. Where another stands for it, its
        wordings join that one, and the cues and limits of its entry join the other's entry, unless a
        person approved that and not this (see `reshaping.standing_for`).

        Args:
            strategy: what goes, as it was seen.
            by: who.
            reason: why; it stays with the strategy.
            into: what stands for it, as it was seen.

        Raises:
            ChangedMeanwhile: where the text or the status of either is another by now.
            LibraryFault: where one of them is not here.
        """

        def change(state: dict[str, Entry]) -> str:
            for seen in (strategy, into):
                if seen is not None:
                    _, now = self._find(state, seen.id)
                    self._unchanged(seen.id, (seen.text, seen.status), (now.text, now.status))
            entry, left = self._find(state, strategy.id)
            if into is not None:
                kept, _ = self._find(state, into.id)
                state[kept.id] = reshaping.standing_for(kept, into.id, entry, left)
            retired = left.model_copy(update={"status": "retired", "reason": reason})
            state[entry.id] = reshaping.with_strategy(state[entry.id], retired)
            return f"retired {strategy.id}: {reason}"

        self._change(by, change)

    def measured(self, uplifts: Mapping[str, Uplift], by: str) -> int:
        """Keep what each strategy was measured to add, beside it, as one version.

        Args:
            uplifts: by a strategy's id; passed over are ids that are not here (any more), and those
                whose words are others by now than the uplift's `text`, where it has one.
            by: who or which run measured.

        Returns:
            How many strategies have a new measurement.
        """
        found: dict[str, Uplift] = {}

        def change(state: dict[str, Entry]) -> str:
            for id_, entry in state.items():
                for strategy in entry.strategies:
                    uplift = uplifts.get(strategy.id)
                    if uplift is not None and uplift.text in ("", strategy.text):
                        found[strategy.id] = uplift.model_copy(update={"text": ""})
                        new = strategy.model_copy(update={"uplift": found[strategy.id]})
                        state[id_] = reshaping.with_strategy(state[id_], new)
            return f"measured the uplift of {len(found)} strategies"

        self._change(by, change)
        return len(found)

    # Retrieval

    def index(
        self, statuses: Sequence[Status] = ("approved",), embeddings: Embeddings | None = None
    ) -> Index:
        """The search index over strategies of the given statuses, made anew only after a change.

        Production retrieval leaves the default: nothing unapproved is found.
        """
        # An index holds on to its embeddings, so no other can have the same id meanwhile.
        key = (tuple(sorted(statuses)), id(embeddings))
        if found := self._index_of_now(key):
            return found
        # Embedding takes its time: others read and write meanwhile, and none embeds the same again.
        with self._building:
            if found := self._index_of_now(key):
                return found
            with self._lock:
                version, entries = self.version, self.entries(statuses)
            made = Index(entries, embeddings)
            with self._lock:
                self._indexes[key] = (version, made)
                if len(self._indexes) > MOST_INDEXES:
                    del self._indexes[next(iter(self._indexes))]
        return made

    async def aindex(
        self, statuses: Sequence[Status] = ("approved",), embeddings: Embeddings | None = None
    ) -> Index:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(self.index, statuses, embeddings)

    def as_retriever(
        self,
        *,
        k: int = TOP,
        threshold: float | None = None,
        token_budget: int = TOKEN_BUDGET,
        embeddings: Embeddings | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> LibraryRetriever:
        """A LangChain retriever over the approved strategies; no option reaches any other.

        Args:
            k: entries at most, general ones not counted; none at all for 0.
            threshold: similarity (0-1) below which an entry does not fit; see `Index.search`.
            token_budget: tokens of strategy text at most.
            embeddings: for retrieval by meaning beside that by words; no spec string.
            name, tags, metadata: LangChain's own, for its traces.

        Returns:
            A retriever that takes a text, or a dialogue as messages, and gives Documents.

        Raises:
            LibraryFault: where the embeddings are none (exit code 2).
        """
        from .retriever import LibraryRetriever

        return LibraryRetriever(
            library=self,
            k=k,
            threshold=threshold,
            token_budget=token_budget,
            embeddings=embeddings,
            name=name,
            tags=tags,
            metadata=metadata,
        )

    # Within

    def _index_of_now(self, key: tuple[tuple[Status, ...], int]) -> Index | None:
        """The index that was made of the library as it is now, if any."""
        with self._lock:
            held = self._indexes.pop(key, None)
            if held is None or held[0] != self.version:
                return None
            # The one asked for last stands last, so that the first may go.
            self._indexes[key] = held
        return held[1]

    def _set_status(
        self,
        ids: Iterable[str] | None,
        status: Status,
        by: str,
        reason: str,
        seen: Sequence[Entry],
    ) -> int:
        wanted = None if ids is None else list(dict.fromkeys(ids))
        read = {s.id: (entry, s) for entry in seen for s in entry.strategies}
        changed: list[str] = []

        def decided_on(entry: Entry, strategy: Strategy) -> object:
            told = strategy.text, strategy.status, strategy.reason
            return (told, reshaping.reach(entry)) if status == "approved" else told

        def change(state: dict[str, Entry]) -> str:
            every = {s.id: (e, s) for e in state.values() for s in e.strategies}
            chosen = wanted
            if chosen is None:
                chosen = [id_ for id_, (_, s) in every.items() if s.status == "proposed"]
            for id_ in chosen:
                if id_ not in every:
                    raise self._unknown(id_, every)
                entry, strategy = every[id_]
                same = strategy.status == status and reason in ("", strategy.reason)
                if id_ in read:
                    was = read[id_]
                    self._unchanged(id_, was[1].text, strategy.text)
                    if not same:
                        self._unchanged(id_, decided_on(*was), decided_on(entry, strategy))
                if same:
                    continue
                if status == "approved":
                    self._vetted(strategy.text)
                    self._vetted_scenario(entry.id, entry.scenario)
                new = strategy.model_copy(update={"status": status, "reason": reason})
                state[entry.id] = reshaping.with_strategy(state[entry.id], new)
                changed.append(id_)
            why = f": {reason}" if reason else ""
            return f"{status} {', '.join(changed)}{why}"

        self._change(by, change)
        return len(changed)

    def _entry_in(self, state: Mapping[str, Entry], id_: str) -> Entry:
        if id_ not in state:
            raise self._unknown(id_, state)
        return state[id_]

    def _find(self, state: Mapping[str, Entry], id_: str) -> tuple[Entry, Strategy]:
        found = {s.id: (entry, s) for entry in state.values() for s in entry.strategies}
        if id_ not in found:
            raise self._unknown(id_, found)
        return found[id_]

    def _vetted(self, text: str) -> None:
        if told := strategy_refused(text):
            raise LibraryFault(told)

    def _vetted_scenario(self, id_: str, scenario: str) -> None:
        if told := scenario_refused(scenario):
            raise LibraryFault(f"{id_}: {told}")


def strategy_refused(text: str) -> str:
    """Why a text may not be a strategy, in one sentence; "" where it may."""
    reasons = vet(text)
    return f"{text[:80]!r} may not enter a prompt: {'; '.join(reasons)}" if reasons else ""


def scenario_refused(scenario: str) -> str:
    """Why a text may not be an entry's scenario, in one sentence; "" where it may."""
    if not scenario.strip():
        return "an entry needs a scenario"
    # Of the entry's own words this alone stands in a prompt; it is kept masked.
    reasons = hostile(mask(scenario))
    told = f"the scenario {scenario[:80]!r} may not enter a prompt: {'; '.join(reasons)}"
    return told if reasons else ""
