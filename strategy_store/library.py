"""The library: entries in one SQLite file, every change a version with its author, nothing erased."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidfuzz import process

from . import reshaping
from .entry import Entry, Status, Strategy, Uplift, content_id, mask
from .vetting import vet

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from .prompt import Placement
    from .retrieval import Index
    from .retriever import LibraryRetriever

SCHEMA = 1
ALL_STATUSES: tuple[Status, ...] = ("proposed", "approved", "rejected", "retired")
MAX_CUES = 8
_TABLES = """
CREATE TABLE IF NOT EXISTS library (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, author TEXT NOT NULL, action TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS changes (
    version INTEGER NOT NULL REFERENCES versions (version),
    entry TEXT NOT NULL, before TEXT, after TEXT
);
CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, place INTEGER, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS undos (
    version INTEGER PRIMARY KEY REFERENCES versions (version),
    undoes INTEGER NOT NULL REFERENCES versions (version)
);
"""


class LibraryFault(Exception):
    """A library cannot be used as asked; str() says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


class ChangedMeanwhile(LibraryFault):
    """Somebody else changed what a person was looking at; nothing was written."""


@dataclass(frozen=True, slots=True)
class Version:
    """One change of the library: its number (from 1), when, who, and what was done.

    `undoes` is the version that it undid, None where it is no undo; `undone_by` is the version that
    undid this one.
    """

    version: int
    at: str
    author: str
    action: str
    undoes: int | None = None
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions. `what` is added, removed, status, text or detail."""

    what: str
    entry: str
    strategy: str
    before: str
    after: str


class Library:
    """Open with `Library.open`; usable as a context manager, from any thread and by several
    processes at once.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self._connection = connection
        self._lock = threading.RLock()
        self._indexes: dict[tuple[Status, ...], tuple[int, Index]] = {}
        self.path = path

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Library:
        """Open a library file.

        Args:
            path: the file.
            create: make it where it is missing.

        Raises:
            LibraryFault: where it is missing (exit code 2), no library, written by a newer
                version of tutelage, or cannot be written.
        """
        path = Path(path)
        if not create and not path.is_file():
            raise LibraryFault(f"{path}: there is no such library", 2)
        connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            connection.isolation_level = None
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()
            }
            if tables and "library" not in tables:
                raise LibraryFault(f"{path}: is a database, but no library of strategies")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_TABLES)
            connection.execute("INSERT OR IGNORE INTO library VALUES ('schema', ?)", (str(SCHEMA),))
            (found,) = connection.execute(
                "SELECT value FROM library WHERE name='schema'"
            ).fetchone()
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            raise LibraryFault(f"{path}: cannot be opened as a library: {error}") from error
        except LibraryFault:
            if connection is not None:
                connection.close()
            raise
        if int(found) > SCHEMA:
            connection.close()
            raise LibraryFault(
                f"{path}: was written by a newer tutelage (format {found}, this one reads {SCHEMA});"
                " update tutelage"
            )
        return cls(connection, path)

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # Reading

    def entries(self, statuses: Sequence[Status] = ALL_STATUSES) -> list[Entry]:
        """Entries with at least one strategy of the given statuses, holding only those."""
        with self._lock:
            rows = self._connection.execute("SELECT payload FROM entries ORDER BY place, id")
            found = [Entry.model_validate_json(payload) for (payload,) in rows]
        if set(statuses) == set(ALL_STATUSES):
            return found
        cut = [_only(entry, statuses) for entry in found]
        return [entry for entry in cut if entry.strategies]

    def entry(self, id_: str) -> Entry:
        """One entry.

        Raises:
            LibraryFault: where there is none of that id; offers the nearest.
        """
        found = {entry.id: entry for entry in self.entries()}
        if id_ not in found:
            raise self._unknown(id_, found)
        return found[id_]

    def strategy(self, id_: str) -> tuple[Entry, Strategy]:
        """One strategy with its entry.

        Raises:
            LibraryFault: where there is none of that id; offers the nearest.
        """
        found = {s.id: (entry, s) for entry in self.entries() for s in entry.strategies}
        if id_ not in found:
            raise self._unknown(id_, found)
        return found[id_]

    def versions(self) -> list[Version]:
        """Every change, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT v.version, at, author, action, undoes FROM versions v"
                " LEFT JOIN undos u ON u.version = v.version ORDER BY v.version DESC"
            ).fetchall()
        undone: dict[int, int] = {}
        found: list[Version] = []
        for row in rows:
            one = Version(*row, undone_by=undone.get(row[0]))
            # An undo that is undone itself undoes nothing any more.
            if one.undoes is not None and one.undone_by is None:
                undone[one.undoes] = one.version
            found.append(one)
        return found[::-1]

    @property
    def version(self) -> int:
        """The number of the last change; 0 for an empty library."""
        with self._lock:
            (number,) = self._connection.execute(
                "SELECT COALESCE(MAX(version), 0) FROM versions"
            ).fetchone()
        return int(number)

    def at(self, version: int) -> list[Entry]:
        """The entries as they were after a version (0: empty).

        Raises:
            LibraryFault: where the library never had that version.
        """
        if not 0 <= version <= self.version:
            raise LibraryFault(f"{self.path}: has versions 0 to {self.version}, not {version}", 2)
        state: dict[str, Entry] = {}
        with self._lock:
            rows = self._connection.execute(
                "SELECT entry, after FROM changes WHERE version <= ? ORDER BY rowid", (version,)
            )
            for id_, after in rows:
                if after is None:
                    state.pop(id_, None)
                else:
                    state[id_] = Entry.model_validate_json(after)
        return list(state.values())

    def diff(self, a: int, b: int) -> list[Change]:
        """What changed from version `a` to version `b`."""
        before = {entry.id: entry for entry in self.at(a)}
        after = {entry.id: entry for entry in self.at(b)}
        changes: list[Change] = []
        for id_ in dict.fromkeys([*before, *after]):
            changes += _differences(before.get(id_), after.get(id_))
        return changes

    def placement_for(self, student: str, default: Placement = "after") -> Placement:
        """Where in this student's prompt the strategies stand best, as was measured.

        Args:
            student: the model's spec, as in `provider:model`.
            default: where nobody measured it.
        """
        with self._lock:
            row = self._connection.execute(
                "SELECT value FROM library WHERE name = ?", (f"placement {student}",)
            ).fetchone()
        return json.loads(row[0])["placement"] if row else default

    def set_placement(self, student: str, placement: Placement, by: str, measured: str) -> None:
        """Keep what a student follows best; a change of version with its author like any other.

        Args:
            student: the model's spec.
            placement: where the strategies shall stand.
            by: who or which run measured it.
            measured: what was measured, in a few words.
        """
        value = json.dumps({"placement": placement, "measured": measured})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT OR REPLACE INTO library VALUES (?, ?)", (f"placement {student}", value)
            )
            self._connection.execute(
                "INSERT INTO versions (at, author, action) VALUES (?, ?, ?)",
                (now, by, f"placement for {student}: {placement} ({measured})"),
            )

    def counts(self) -> dict[str, int]:
        """How many entries, strategies, and strategies of each status."""
        found = self.entries()
        every = [strategy for entry in found for strategy in entry.strategies]
        by_status = {status: sum(s.status == status for s in every) for status in ALL_STATUSES}
        return {"entries": len(found), "strategies": len(every), **by_status}

    # Writing

    def add(self, entry: Entry, by: str) -> Entry:
        """Add an entry, or merge its strategies and cues into the one of the same id.

        What is there already stays as it is, so that adding twice changes nothing.

        Raises:
            LibraryFault: where a text may not enter a prompt; says why.
        """
        self.add_all([entry], by)
        return self.entry(entry.id)

    def add_all(self, entries: Sequence[Entry], by: str) -> None:
        """Add several entries as one version: all of them, or none where one is refused."""
        for entry in entries:
            for strategy in entry.strategies:
                self._vetted(strategy.text)

        def merge(state: dict[str, Entry]) -> str:
            new = 0
            for entry in entries:
                merged = _merged(state.get(entry.id), entry, reshaping.ids_of(state))
                had = len(state[entry.id].strategies) if entry.id in state else 0
                new += len(merged.strategies) - had
                state[entry.id] = merged
            ids = ", ".join(entry.id for entry in entries[:5])
            return f"added {new} strategies to {ids}{', ...' if len(entries) > 5 else ''}"

        self._change(by, merge)

    def approve(
        self, ids: Iterable[str] | None, by: str, *, seen: Mapping[str, str] | None = None
    ) -> int:
        """Approve strategies (None: all proposed); returns how many changed.

        Args:
            ids: which.
            by: who.
            seen: the texts that the person read, by id, which must be those that stand there now.

        Raises:
            ChangedMeanwhile: where one is another by now; nothing is approved then.
            LibraryFault: for an unknown id, or a text that may not enter a prompt.
        """
        return self._set_status(ids, "approved", by, "", seen)

    def reject(
        self, ids: Iterable[str], by: str, reason: str, *, seen: Mapping[str, str] | None = None
    ) -> int:
        """Reject strategies, with a reason; returns how many changed. Else as `approve`."""
        return self._set_status(ids, "rejected", by, reason, seen)

    def retire(
        self, ids: Iterable[str], by: str, reason: str, *, seen: Mapping[str, str] | None = None
    ) -> int:
        """Take strategies out of use, with a reason; returns how many changed. Else as `approve`."""
        return self._set_status(ids, "retired", by, reason, seen)

    def edit(
        self, id_: str, text: str, by: str, *, approve: bool = False, seen: str | None = None
    ) -> Strategy:
        """Change a strategy's text. It is proposed again unless the person approves at once.

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
            status = "approved" if approve else "proposed"
            new = old.model_copy(
                update={"text": text, "status": status, "reason": "", "uplift": None}
            )
            state[entry.id] = _with(entry, new)
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
        again.

        Args:
            id_: which entry.
            by: who.
            texts: new texts by strategy id.
            seen: the entry as the person saw it; what they change must be as it was.
            fields: any of `scenario`, `wants`, `feels`, `rules`, `cues`.

        Raises:
            ChangedMeanwhile: where what they change is another by now.
            LibraryFault: where a text may not enter a prompt, the scenario is empty, or an id is
                unknown.
        """
        for text in (texts or {}).values():
            self._vetted(text)
        if not fields.get("scenario", "?").strip():
            raise LibraryFault(f"{self.path}: {id_}: an entry needs a scenario")

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
                scenario is empty or has an entry already.
        """
        moving, going = list(strategies), list(cues)
        if not scenario.strip():
            raise LibraryFault(f"{self.path}: {id_}: the new entry needs a scenario")

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
        scenario becomes a cue.

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

    def replace(self, entry: Entry, by: str, action: str) -> None:
        """Put an entry in the place of the one with its id, as one version; `action` says why.

        Raises:
            LibraryFault: where there is none of that id, or a text may not enter a prompt.
        """
        self.entry(entry.id)
        for strategy in entry.strategies:
            self._vetted(strategy.text)

        def change(state: dict[str, Entry]) -> str:
            state[entry.id] = entry
            return action

        self._change(by, change)

    def measured(self, uplifts: Mapping[str, Uplift], by: str) -> int:
        """Keep what each strategy was measured to add, beside it, as one version.

        Args:
            uplifts: by a strategy's id; ids that are not here (any more) are passed over.
            by: who or which run measured.

        Returns:
            How many strategies have a new measurement.
        """
        there = {s.id for entry in self.entries() for s in entry.strategies}
        found = {id_: uplift for id_, uplift in uplifts.items() if id_ in there}

        def change(state: dict[str, Entry]) -> str:
            for id_, entry in state.items():
                state[id_] = entry.model_copy(
                    update={
                        "strategies": [
                            s.model_copy(update={"uplift": found[s.id]}) if s.id in found else s
                            for s in entry.strategies
                        ]
                    }
                )
            return f"measured the uplift of {len(found)} strategies"

        self._change(by, change)
        return len(found)

    def rollback(
        self, version: int, by: str, *, entry: str | None = None, seen: int | None = None
    ) -> int:
        """Make a new version with the content of an old one; returns its number.

        Args:
            version: the old version.
            by: who.
            entry: only this entry; the rest stays as it is now.
            seen: the version that the person compared with, which must still be the last.

        Raises:
            ChangedMeanwhile: where the library has a later version by now.
            LibraryFault: where it never had that version, or no such entry then or now.
        """
        old = {found.id: found for found in self.at(version)}

        def back(state: dict[str, Entry]) -> str:
            self._unchanged("the library", seen, self.version)
            if entry is None:
                state.clear()
                state.update(old)
                return f"rolled back to version {version}"
            if entry not in old and entry not in state:
                raise self._unknown(entry, {**old, **state})
            if entry in old:
                state[entry] = old[entry]
            else:
                del state[entry]
            return f"rolled {entry} back to version {version}"

        return self._change(by, back) or self.version

    def undo(self, by: str, version: int | None = None) -> int:
        """Undo one version by a new one; nothing is erased. Returns the new version's number.

        Only what it changed is put back, so that what others did since stays. To undo an undo is
        to do it again.

        Args:
            by: who.
            version: which; the last that is no undo and not undone, where none is given.

        Raises:
            ChangedMeanwhile: where the same was changed again since; undo that first.
            LibraryFault: where there is nothing to undo, it is undone already, or there is no such
                version.
        """
        chosen: list[int] = []

        def change(state: dict[str, Entry]) -> str:
            number = self._undoable(version)
            chosen.append(number)
            (action,) = self._connection.execute(
                "SELECT action FROM versions WHERE version = ?", (number,)
            ).fetchone()
            rows = self._connection.execute(
                "SELECT entry, before, after FROM changes WHERE version = ?", (number,)
            ).fetchall()
            for id_, before, after in rows:
                old, done = (Entry.model_validate_json(one) if one else None
                             for one in (before, after))  # fmt: skip
                try:
                    put_back = reshaping.reverted(old, done, state.get(id_))
                except ValueError as error:
                    raise ChangedMeanwhile(
                        f"{self.path}: version {number} cannot be undone alone: in {id_} {error}; "
                        f"undo the later change first, or: tutelage library rollback {self.path} "
                        f"{number - 1} --entry {id_}"
                    ) from error
                if put_back is None:
                    state.pop(id_, None)
                else:
                    state[id_] = put_back
            return f"undid version {number} ({action})"

        def mark(new: int) -> None:
            self._connection.execute("INSERT INTO undos VALUES (?, ?)", (new, chosen[0]))

        new = self._change(by, change, mark)
        assert new is not None, "a version that changed nothing is never written"
        return new

    # Retrieval

    def index(
        self, statuses: Sequence[Status] = ("approved",), embeddings: Embeddings | None = None
    ) -> Index:
        """The search index over strategies of the given statuses, made anew only after a change.

        Production retrieval leaves the default: nothing unapproved is found.
        """
        from .retrieval import Index

        key = tuple(sorted(statuses))
        with self._lock:
            version = self.version
            cached = self._indexes.get(key)
            if cached is None or cached[0] != version or cached[1].embeddings is not embeddings:
                cached = (version, Index(self.entries(statuses), embeddings))
                self._indexes[key] = cached
        return cached[1]

    async def aindex(
        self, statuses: Sequence[Status] = ("approved",), embeddings: Embeddings | None = None
    ) -> Index:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(self.index, statuses, embeddings)

    def as_retriever(self, **options: Any) -> LibraryRetriever:
        """A LangChain retriever over the approved strategies; options as of LibraryRetriever."""
        from .retriever import LibraryRetriever

        return LibraryRetriever(library=self, **options)

    # Within

    def _set_status(
        self,
        ids: Iterable[str] | None,
        status: Status,
        by: str,
        reason: str,
        seen: Mapping[str, str] | None,
    ) -> int:
        wanted = None if ids is None else list(dict.fromkeys(ids))
        changed: list[str] = []

        def change(state: dict[str, Entry]) -> str:
            every = {s.id: (e.id, s) for e in state.values() for s in e.strategies}
            chosen = wanted
            if chosen is None:
                chosen = [id_ for id_, (_, s) in every.items() if s.status == "proposed"]
            for id_ in chosen:
                if id_ not in every:
                    raise self._unknown(id_, every)
                entry_id, strategy = every[id_]
                self._unchanged(id_, (seen or {}).get(id_), strategy.text)
                if strategy.status == status:
                    continue
                if status == "approved":
                    self._vetted(strategy.text)
                new = strategy.model_copy(update={"status": status, "reason": reason})
                state[entry_id] = _with(state[entry_id], new)
                changed.append(id_)
            why = f": {reason}" if reason else ""
            return f"{status} {', '.join(changed)}{why}"

        self._change(by, change)
        return len(changed)

    def _change(
        self,
        by: str,
        change: Callable[[dict[str, Entry]], str],
        then: Callable[[int], None] | None = None,
    ) -> int | None:
        """Apply a change to the current entries in one transaction, as one version.

        What the change looks at must be the state it is given: outside the transaction another
        process may write. Returns the version's number, None where nothing changed.
        """
        number: int | None = None
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                rows = self._connection.execute(
                    "SELECT id, payload FROM entries ORDER BY place, id"
                )
                before = {id_: Entry.model_validate_json(payload) for id_, payload in rows}
                state = dict(before)
                action = change(state)
                changed = [
                    id_
                    for id_ in dict.fromkeys([*before, *state])
                    if before.get(id_) != state.get(id_)
                ]
                if changed:
                    number = self._write(by, action, changed, before, state)
                    if then is not None:
                        then(number)
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise LibraryFault(f"{self.path}: cannot be written: {error}") from error
                raise
        return number

    def _undoable(self, version: int | None) -> int:
        every = {one.version: one for one in self.versions()}
        # A measured placement is a version that changed no entry.
        reshaped = {number for (number,) in self._connection.execute("SELECT version FROM changes")}
        if version is None:
            open_ = [
                v.version
                for v in every.values()
                if v.undoes is None and v.undone_by is None and v.version in reshaped
            ]
            if not open_:
                raise LibraryFault(f"{self.path}: there is nothing to undo")
            return open_[-1]
        if version not in every:
            raise LibraryFault(f"{self.path}: has versions 1 to {len(every)}, not {version}", 2)
        if version not in reshaped:
            raise LibraryFault(
                f"{self.path}: version {version} ({every[version].action}) changed no entry; measure "
                f"anew: tutelage library place {self.path} FIRM"
            )
        if (by := every[version].undone_by) is not None:
            raise LibraryFault(
                f"{self.path}: version {version} was undone by version {by}; to do it again: "
                f"tutelage library undo {self.path} {by}"
            )
        return version

    def _unchanged(self, what: str, seen: object, now: object) -> None:
        if seen is not None and seen != now:
            last = self.versions()[-1]
            raise ChangedMeanwhile(
                f"{self.path}: {what} was changed meanwhile (version {last.version} by "
                f"{last.author}: {last.action}); look at it again"
            )

    def _entry_in(self, state: Mapping[str, Entry], id_: str) -> Entry:
        if id_ not in state:
            raise self._unknown(id_, state)
        return state[id_]

    def _find(self, state: Mapping[str, Entry], id_: str) -> tuple[Entry, Strategy]:
        found = {s.id: (entry, s) for entry in state.values() for s in entry.strategies}
        if id_ not in found:
            raise self._unknown(id_, found)
        return found[id_]

    def _write(
        self,
        by: str,
        action: str,
        changed: Sequence[str],
        before: dict[str, Entry],
        state: dict[str, Entry],
    ) -> int:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        cursor = self._connection.execute(
            "INSERT INTO versions (at, author, action) VALUES (?, ?, ?)", (now, by, action)
        )
        places = {id_: place for place, id_ in enumerate(state)}
        for id_ in changed:
            old = before[id_].model_dump_json() if id_ in before else None
            new = state[id_].model_dump_json() if id_ in state else None
            self._connection.execute(
                "INSERT INTO changes VALUES (?, ?, ?, ?)", (cursor.lastrowid, id_, old, new)
            )
            if new is None:
                self._connection.execute("DELETE FROM entries WHERE id = ?", (id_,))
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (id_, places[id_], new)
                )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _vetted(self, text: str) -> None:
        if reasons := vet(text):
            raise LibraryFault(f"{text[:80]!r} may not enter a prompt: {'; '.join(reasons)}")

    def _unknown(self, id_: str, valid: Iterable[str]) -> LibraryFault:
        close = process.extractOne(id_, list(valid), score_cutoff=60)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return LibraryFault(f"{self.path}: holds nothing with the id {id_!r}{hint}", 2)


def _only(entry: Entry, statuses: Sequence[Status]) -> Entry:
    kept = [strategy for strategy in entry.strategies if strategy.status in statuses]
    return entry.model_copy(update={"strategies": kept})


def _merged(old: Entry | None, entry: Entry, taken: set[str]) -> Entry:
    """The old entry with what the new one adds: strategies of other texts, cues while there is room."""
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
            id_ = reshaping.free_id(entry.id, strategy.text, taken)
        taken = taken | {id_}
        new.append(strategy.model_copy(update={"id": id_}))
    if old is None:
        return clean.model_copy(update={"strategies": new})
    cues = list(dict.fromkeys([*old.cues, *clean.cues]))[: max(MAX_CUES, len(old.cues))]
    return old.model_copy(update={"strategies": [*old.strategies, *new], "cues": cues})


def _with(entry: Entry, new: Strategy) -> Entry:
    strategies = [new if strategy.id == new.id else strategy for strategy in entry.strategies]
    return entry.model_copy(update={"strategies": strategies})


def _differences(before: Entry | None, after: Entry | None) -> list[Change]:
    entry = (after or before).id  # type: ignore[union-attr]
    old = {s.id: s for s in before.strategies} if before else {}
    new = {s.id: s for s in after.strategies} if after else {}
    found: list[Change] = []
    for id_ in dict.fromkeys([*old, *new]):
        a, b = old.get(id_), new.get(id_)
        if a is None and b is not None:
            found.append(Change("added", entry, id_, "", b.text))
        elif b is None and a is not None:
            found.append(Change("removed", entry, id_, a.text, ""))
        elif a is not None and b is not None and a != b:
            if a.text != b.text:
                found.append(Change("text", entry, id_, a.text, b.text))
            if a.status != b.status:
                found.append(Change("status", entry, id_, a.status, b.status))
    if before and after and before.model_copy(update={"strategies": after.strategies}) != after:
        skip = {"strategies"}
        found.append(
            Change(
                "detail", entry, "",
                json.dumps(before.model_dump(exclude=skip)), json.dumps(after.model_dump(exclude=skip)),
            )
        )  # fmt: skip
    return found
