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

from .entry import Entry, Status, Strategy, Uplift, mask
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
"""


class LibraryFault(Exception):
    """A library cannot be used as asked; str() says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Version:
    """One change of the library: its number (from 1), when, who, and what was done."""

    version: int
    at: str
    author: str
    action: str


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
                "SELECT version, at, author, action FROM versions ORDER BY version"
            )
            return [Version(*row) for row in rows]

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

    def placement_for(self, student: str) -> Placement:
        """Where in this student's prompt the strategies stand best, as was measured; `after` where
        nobody measured it. Deployment reads it from here.

        Args:
            student: the model's spec, as in `provider:model`.
        """
        with self._lock:
            row = self._connection.execute(
                "SELECT value FROM library WHERE name = ?", (f"placement {student}",)
            ).fetchone()
        return json.loads(row[0])["placement"] if row else "after"

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
                merged = _merged(state.get(entry.id), entry)
                had = len(state[entry.id].strategies) if entry.id in state else 0
                new += len(merged.strategies) - had
                state[entry.id] = merged
            ids = ", ".join(entry.id for entry in entries[:5])
            return f"added {new} strategies to {ids}{', ...' if len(entries) > 5 else ''}"

        self._change(by, merge)

    def approve(self, ids: Iterable[str] | None, by: str) -> int:
        """Approve strategies (None: all proposed); returns how many changed."""
        return self._set_status(ids, "approved", by, "")

    def reject(self, ids: Iterable[str], by: str, reason: str) -> int:
        """Reject strategies, with a reason; returns how many changed."""
        return self._set_status(ids, "rejected", by, reason)

    def retire(self, ids: Iterable[str], by: str, reason: str) -> int:
        """Take strategies out of use, with a reason; returns how many changed."""
        return self._set_status(ids, "retired", by, reason)

    def edit(self, id_: str, text: str, by: str, *, approve: bool = False) -> Strategy:
        """Change a strategy's text. It is proposed again unless the person approves at once.

        Raises:
            LibraryFault: where the text may not enter a prompt, or there is no such strategy.
        """
        self._vetted(text)
        entry, old = self.strategy(id_)

        def change(state: dict[str, Entry]) -> str:
            status = "approved" if approve else "proposed"
            new = old.model_copy(update={"text": text, "status": status})
            state[entry.id] = _with(state[entry.id], new)
            return f"edited {id_}"

        self._change(by, change)
        return self.strategy(id_)[1]

    def revise(self, entry: Entry, by: str, action: str) -> None:
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

    def rollback(self, version: int, by: str) -> int:
        """Make a new version with the content of an old one; returns its number."""
        old = {entry.id: entry for entry in self.at(version)}

        def back(state: dict[str, Entry]) -> str:
            state.clear()
            state.update(old)
            return f"rolled back to version {version}"

        self._change(by, back)
        return self.version

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

    def _set_status(self, ids: Iterable[str] | None, status: Status, by: str, reason: str) -> int:
        every = {s.id: (e.id, s) for e in self.entries() for s in e.strategies}
        wanted = (
            [id_ for id_, (_, s) in every.items() if s.status == "proposed"]
            if ids is None
            else list(ids)
        )
        for id_ in wanted:
            if id_ not in every:
                raise self._unknown(id_, every)
        changing = [id_ for id_ in wanted if every[id_][1].status != status]
        if not changing:
            return 0
        if status == "approved":
            for id_ in changing:
                self._vetted(every[id_][1].text)

        def change(state: dict[str, Entry]) -> str:
            for id_ in changing:
                entry_id, strategy = every[id_]
                new = strategy.model_copy(update={"status": status, "reason": reason})
                state[entry_id] = _with(state[entry_id], new)
            why = f": {reason}" if reason else ""
            return f"{status} {', '.join(changing)}{why}"

        self._change(by, change)
        return len(changing)

    def _change(self, by: str, change: Callable[[dict[str, Entry]], str]) -> None:
        """Apply a change to the current entries in one transaction, as one version."""
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
                    self._write(by, action, changed, before, state)
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise LibraryFault(f"{self.path}: cannot be written: {error}") from error
                raise

    def _write(
        self,
        by: str,
        action: str,
        changed: Sequence[str],
        before: dict[str, Entry],
        state: dict[str, Entry],
    ) -> None:
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


def _merged(old: Entry | None, entry: Entry) -> Entry:
    """The old entry with what the new one adds: strategies of other texts, cues while there is room."""
    clean = entry.model_copy(
        update={"scenario": mask(entry.scenario), "cues": [mask(cue) for cue in entry.cues]}
    )
    if old is None:
        return clean
    known = {strategy.text.casefold() for strategy in old.strategies}
    new = [strategy for strategy in clean.strategies if strategy.text.casefold() not in known]
    cues = list(dict.fromkeys([*old.cues, *clean.cues]))[:MAX_CUES]
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
