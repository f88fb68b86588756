"""The file of a library: entries in SQLite, every change a version with its author, nothing erased."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from rapidfuzz import process
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random
from tutelage.environments.surrogates import mended

from . import reshaping
from .entry import ALL_STATUSES, Entry, Status, Strategy
from .plain_text import escaped
from .read_only import may_be_written, reading_uri

SCHEMA = 1
WAITED = 10.0
"""Seconds that a process waits for another to let go of the file."""
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
    """One difference between two versions. `what` is added, removed, status, text or detail.

    Of a detail, which is of the entry where `strategy` is "", `before` and `after` hold a line for each
    part that differs: its name, and what it was or is; no line where it was or is nothing.
    """

    what: str
    entry: str
    strategy: str
    before: str
    after: str


class History:
    """What a library is kept in. Open with `open`; usable as a context manager, from any thread and by
    several processes at once.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self._connection = connection
        self._lock = threading.RLock()
        self.path = path
        self.read_only = False
        """Whether it was opened where it may not be written; every change is then a fault."""

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Self:
        """Open a library file: for reading only where it may not be written. In a folder that may not be
        written either it is then read as it lies, and what others change from now on may not be seen.

        Args:
            path: the file.
            create: make it where it is missing or the file is empty; it must be one that may be
                written then.

        Raises:
            LibraryFault: where it is missing (exit code 2), no library, broken, written by a newer
                version of tutelage, or cannot be written though it is to be made.
        """
        path = Path(path)
        if os.path.isdir(path) or not (create or path.is_file()):
            held = path / "library.db"
            hint = f"; did you mean {held}?" if os.path.isfile(held) else ""
            raise LibraryFault(f"{path}: there is no such library{hint}", 2)
        read_only = not create and not may_be_written(path)
        connection: sqlite3.Connection | None = None
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                reading_uri(path) if read_only else path, uri=read_only, timeout=WAITED,
                check_same_thread=False, isolation_level=None,
            )  # fmt: skip
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()
            }
            if tables and "library" not in tables:
                raise LibraryFault(f"{path}: is a database, but no library of strategies")
            if not tables and not create:
                raise LibraryFault(f"{path}: is empty, and no library of strategies")
            if not read_only:
                _make_ready(connection)
            (found,) = connection.execute(
                "SELECT value FROM library WHERE name='schema'"
            ).fetchone() or ("",)
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            raise LibraryFault(f"{path}: cannot be opened as a library: {error}") from error
        except LibraryFault:
            if connection is not None:
                connection.close()
            raise
        known = isinstance(found, str) and re.fullmatch("[0-9]{1,9}", found)
        if not known or int(found) > SCHEMA:
            connection.close()
            if not known:
                raise broken(path, f"its format is {str(found)[:20]!r}, which is no number")
            raise LibraryFault(
                f"{path}: was written by a newer tutelage (format {found}, this one reads {SCHEMA});"
                " update tutelage"
            )
        opened = cls(connection, path)
        opened.read_only = read_only
        return opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_writable(self) -> None:
        """Raise now what a later change would raise.

        Raises:
            LibraryFault: where the library may only be read.
        """
        if self.read_only:
            raise LibraryFault(
                f"{self.path}: is read-only: it, or the folder it lies in, may not be written here; "
                "change a copy that may"
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def entries(self, statuses: Sequence[Status] = ALL_STATUSES) -> list[Entry]:
        """Entries with at least one strategy of the given statuses, holding only those."""
        found = list(self._now().values())
        if set(statuses) == set(ALL_STATUSES):
            return found
        cut = [only(entry, statuses) for entry in found]
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
        with self._reading():
            rows = self._connection.execute(
                "SELECT v.version, at, author, action, undoes FROM versions v"
                " LEFT JOIN undos u ON u.version = v.version ORDER BY v.version DESC"
            ).fetchall()
        undone: dict[int, int] = {}
        found: list[Version] = []
        for row in rows:
            if not all(isinstance(part, str) for part in row[1:4]):
                raise broken(self.path, f"what is kept of version {row[0]} is no text")
            if not isinstance(row[4], int | None):
                raise broken(self.path, f"what version {row[0]} undoes is no version")
            one = Version(*row, undone_by=undone.get(row[0]))
            # An undo that is undone itself undoes nothing any more.
            if one.undoes is not None and one.undone_by is None:
                undone[one.undoes] = one.version
            found.append(one)
        return found[::-1]

    @property
    def version(self) -> int:
        """The number of the last change; 0 for an empty library."""
        with self._reading():
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
        state: dict[str, Entry | None] = {}
        with self._reading():
            rows = self._connection.execute(
                "SELECT entry, after FROM changes WHERE version <= ? ORDER BY rowid", (version,)
            )
            # What goes keeps its place, in case it comes back.
            for id_, after in rows:
                state[id_] = None if after is None else self._parsed(id_, after)
        return [entry for entry in state.values() if entry is not None]

    def diff(self, a: int, b: int) -> list[Change]:
        """What changed from version `a` to version `b`."""
        before = {entry.id: entry for entry in self.at(a)}
        after = {entry.id: entry for entry in self.at(b)}
        changes: list[Change] = []
        for id_ in dict.fromkeys([*before, *after]):
            changes += _differences(before.get(id_), after.get(id_))
        return changes

    def noted(self, name: str) -> str | None:
        """What is kept about the library beside its entries, under a name."""
        with self._reading():
            row = self._connection.execute(
                "SELECT value FROM library WHERE name = ?", (mended(name),)
            ).fetchone()
        return row[0] if row else None

    def note(self, name: str, value: str, by: str, action: str) -> None:
        """Keep something about the library beside its entries, as one version; `action` says what."""
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO library VALUES (?, ?)", (mended(name), mended(value))
            )
            self._versioned(by, action)

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
            LibraryFault: where it never had that version, or no such entry then or now; or where a
                strategy of the old entry stands in another one now, which is named.
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
            if entry not in old:
                del state[entry]
            else:
                if moved := reshaping.elsewhere(old[entry], state):
                    first, other = next(iter(moved.items()))
                    raise LibraryFault(
                        f"{self.path}: {entry} cannot be rolled back alone: {first} stands in {other} "
                        f"now; first: {self._rolling_back(version, other)} (or all of it: "
                        f"{self._rolling_back(version)})"
                    )
                state[entry] = old[entry]
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
            now = dict(state)
            for id_, before, after in rows:
                old, done = (self._parsed(id_, one) if one else None for one in (before, after))
                try:
                    put_back = reshaping.reverted(old, done, state.get(id_))
                except ValueError as error:
                    # What the old entry held may stand in others by now, which go back first.
                    others = reshaping.elsewhere(old, now).values() if old else ()
                    ways = [self._rolling_back(number - 1, one)
                            for one in dict.fromkeys([*others, id_])]  # fmt: skip
                    raise ChangedMeanwhile(
                        f"{self.path}: version {number} cannot be undone alone: in {id_} {error}; "
                        f"undo the later change first, or: {', then '.join(ways)}"
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

    # Within

    def _change(
        self,
        by: str,
        change: Callable[[dict[str, Entry]], str],
        then: Callable[[int], None] | None = None,
    ) -> int | None:
        """Apply a change to the current entries in one transaction, as one version.

        What the change looks at must be the state it is given: outside the transaction another
        process may write. Returns the version's number, None where nothing changed.

        Raises:
            LibraryFault: where a strategy would stand in two entries: a verdict on it would reach one.
        """
        number: int | None = None
        with self._writing():
            before = self._now()
            state = dict(before)
            action = change(state)
            changed = [
                id_ for id_ in dict.fromkeys([*before, *state]) if before.get(id_) != state.get(id_)
            ]
            if changed:
                self._one_of_a_kind(state)
                number = self._write(by, action, changed, before, state)
                if then is not None:
                    then(number)
        return number

    def _now(self) -> dict[str, Entry]:
        with self._reading():
            rows = self._connection.execute("SELECT id, payload FROM entries ORDER BY place, id")
            return {id_: self._parsed(id_, payload) for id_, payload in rows}

    def _parsed(self, id_: str, payload: str) -> Entry:
        try:
            entry = Entry.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise broken(
                self.path, f"{where}: {first['msg']}" if where else first["msg"]
            ) from error
        if entry.id != id_:
            raise broken(self.path, f"{entry.id!r} is kept as {id_!r}")
        return entry

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Nobody else uses the connection meanwhile.

        Raises:
            LibraryFault: where the file does not hold what a library holds.
        """
        with self._lock:
            try:
                yield
            except sqlite3.ProgrammingError:
                # A library that was closed is no broken one.
                raise
            except sqlite3.Error as error:
                raise broken(self.path, str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all that is done within, or nothing.

        Raises:
            LibraryFault: where the file cannot be written.
        """
        self.check_writable()
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
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
    ) -> int:
        number = self._versioned(by, action)
        for id_ in changed:
            old = _payload(before[id_]) if id_ in before else None
            new = _payload(state[id_]) if id_ in state else None
            self._connection.execute(
                "INSERT INTO changes VALUES (?, ?, ?, ?)", (number, id_, old, new)
            )
            if new is None:
                self._connection.execute("DELETE FROM entries WHERE id = ?", (id_,))
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO entries (id, payload) VALUES (?, ?)", (id_, new)
                )
        # In the order in which they came first, so that what comes back stands where it stood.
        came = self._connection.execute(
            "SELECT entry FROM changes GROUP BY entry ORDER BY MIN(rowid)"
        )
        self._connection.executemany(
            "UPDATE entries SET place = ? WHERE id = ? AND place IS NOT ?",
            [(place, id_, place) for place, (id_,) in enumerate(came.fetchall())],
        )
        return number

    def _versioned(self, by: str, action: str) -> int:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        cursor = self._connection.execute(
            "INSERT INTO versions (at, author, action) VALUES (?, ?, ?)",
            (now, mended(by), mended(action)),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

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

    def _one_of_a_kind(self, state: dict[str, Entry]) -> None:
        where: dict[str, str] = {}
        for entry in state.values():
            for strategy in entry.strategies:
                other = where.setdefault(strategy.id, entry.id)
                if other != entry.id:
                    raise LibraryFault(
                        f"{self.path}: {strategy.id} would stand in {other} and {entry.id}; merge them "
                        f"first: tutelage library merge {self.path} {other} {entry.id}"
                    )

    def _rolling_back(self, version: int, entry: str = "") -> str:
        only = f" --entry {entry}" if entry else ""
        return f"tutelage library rollback {self.path} {version}{only}"

    def _unchanged(self, what: str, seen: object, now: object) -> None:
        if seen is not None and seen != now:
            last = self.versions()[-1]
            raise ChangedMeanwhile(
                f"{self.path}: {what} was changed meanwhile (version {last.version} by "
                f"{last.author}: {last.action}); look at it again"
            )

    def _unknown(self, id_: str, valid: Iterable[str]) -> LibraryFault:
        close = process.extractOne(id_, list(valid), score_cutoff=60)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return LibraryFault(f"{self.path}: holds nothing with the id {id_!r}{hint}", 2)


def _locked(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    )


# SQLite does not wait by itself where a reader is about to become a writer, as here.
@retry(
    retry=retry_if_exception(_locked),
    wait=wait_random(0.01, 0.1),
    stop=stop_after_delay(WAITED),
    reraise=True,
)
def _make_ready(connection: sqlite3.Connection) -> None:
    """Bring a file to be written into the form of a library, as far as it is not."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_TABLES)
    connection.execute("INSERT OR IGNORE INTO library VALUES ('schema', ?)", (str(SCHEMA),))


def broken(path: Path, why: str) -> LibraryFault:
    """The fault of a file that does not hold what a library holds."""
    return LibraryFault(f"{path}: is broken, or of another release of tutelage: {why}")


def _payload(entry: Entry) -> str:
    try:
        return entry.model_dump_json()
    except PydanticSerializationError:
        # A folder's name, or what a terminal gave, may hold what UTF-8 cannot.
        return json.dumps(mended(entry.model_dump(mode="json")), ensure_ascii=False)


def only(entry: Entry, statuses: Sequence[Status]) -> Entry:
    """An entry with its strategies of the given statuses."""
    kept = [strategy for strategy in entry.strategies if strategy.status in statuses]
    return entry.model_copy(update={"strategies": kept})


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
            found += _detail(entry, id_, _parts(a, "text", "status"), _parts(b, "text", "status"))
    if before and after:
        a = _parts(before, "strategies") | {"order": ", ".join(id_ for id_ in old if id_ in new)}
        b = _parts(after, "strategies") | {"order": ", ".join(id_ for id_ in new if id_ in old)}
        found += _detail(entry, "", a, b)
    return found


def _detail(entry: str, strategy: str, a: Mapping[str, str], b: Mapping[str, str]) -> list[Change]:
    """What differs between the parts of two, if anything does."""
    if a == b:
        return []
    before, after = (
        "\n".join(f"{name}: {value}" for name, value in one.items() if other.get(name) != value)
        for one, other in ((a, b), (b, a))
    )
    return [Change("detail", entry, strategy, before, after)]


def _parts(of: Entry | Strategy, *but: str) -> dict[str, str]:
    """What is said of it, each part on one line by its name."""
    return _flat(of.model_dump(mode="json", exclude=set(but), exclude_defaults=True))


def _flat(said: Mapping[str, object], under: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in said.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{under}{name}.")
        elif isinstance(value, str) and value == " ".join(value.split()):
            found[under + name] = value
        else:
            found[under + name] = escaped(json.dumps(value, ensure_ascii=False))
    return found
