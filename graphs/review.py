"""Review: a library as a person reviews it, and the changes made in that person's name."""

from __future__ import annotations

import asyncio
import getpass
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.environments import EnvironmentFault, Policy, Rule
from tutelage.environments.loading import find_environment, read_text
from tutelage.environments.surrogates import mended
from tutelage.strategy_store import (
    OF_MATTER,
    ChangedMeanwhile,
    Entry,
    Evidence,
    Library,
    LibraryFault,
    Source,
    Status,
    Strategy,
    Uplift,
    vet,
)
from tutelage.strategy_store.entry_document import entry_document, read_entry_document
from tutelage.strategy_store.history import Change, Version
from tutelage.strategy_store.lint import Finding, likeness, lint
from tutelage.strategy_store.reshaping import changed_parts

from .log.events import RunStarted
from .log.run_log import FILE_NAME, RunFault, RunLog

__all__ = [
    "OF_MATTER",
    "Change",
    "ChangedMeanwhile",
    "Entry",
    "Evidence",
    "Finding",
    "LibraryFault",
    "Review",
    "Rule",
    "Shelf",
    "Source",
    "Status",
    "Strategy",
    "Uplift",
    "Version",
    "entry_document",
    "open_review",
    "parts_now",
    "read_entry_document",
    "similar",
    "user_name",
    "vet",
]


def user_name() -> str:
    """The name under which this person's changes stand in the audit trail."""
    try:
        return mended(getpass.getuser())
    except (KeyError, OSError):
        return "unknown"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The library at one moment."""

    version: int = 0
    last: Version | None = None
    entries: Sequence[Entry] = ()


class Review:
    """An open library under review. No call blocks the event loop; each raises LibraryFault where
    the library refuses, and ChangedMeanwhile where what the person saw is no longer what is there.
    """

    def __init__(self, library: Library, user: str, firm: str | None = None):
        """Review an open library.

        Args:
            library: which.
            user: who reviews.
            firm: a bundled firm's name or a firm's folder, for the policy rules; looked up from
                the run beside the library and from the entries' provenance where not given.
        """
        self._library = library
        self._firm = firm
        self._rules: dict[str, dict[str, Rule]] = {}
        self._missing: dict[str, str] = {}
        self._run_firm: str | None = None
        self.user = mended(user)
        self.path = library.path

    async def version(self) -> int:
        """The number of the last change, by whomever."""
        return await self._do(lambda: self._library.version)

    async def shelf(self) -> Shelf:
        """All that stands in the library."""
        return await self._do(self._shelf)

    def _shelf(self) -> Shelf:
        # The number first: what is written in between shows as a change at the next look.
        versions = self._library.versions()
        last = versions[-1] if versions else None
        return Shelf(last.version if last else 0, last, self._library.entries())

    async def findings(self, entries: Sequence[Entry]) -> dict[str, list[Finding]]:
        """What lint finds in entries, by the id of the strategy or entry it is about. Of a large library
        it takes longer than a person waits.
        """
        found: dict[str, list[Finding]] = {}
        for finding in await asyncio.to_thread(lint, entries):
            found.setdefault(finding.where, []).append(finding)
        return found

    async def rules(self, entry: Entry) -> tuple[list[tuple[str, Rule | None]], str]:
        """The policy rules that an entry rests on, in order, each with its text where the firm can
        be loaded; and the reason why it cannot, or "".
        """
        if self._run_firm is None:
            self._run_firm = await self._firm_of_run()
        firm = self._firm_of(entry)
        if firm and firm not in self._rules and firm not in self._missing:
            try:
                self._rules[firm] = await asyncio.to_thread(_rules_of, firm)
            except EnvironmentFault as error:
                problem = str(error).splitlines()[0]
                self._missing[firm] = f"{problem}; name the firm with --env"
        found = self.rules_known(entry)
        assert found is not None
        return found

    def rules_known(self, entry: Entry) -> tuple[list[tuple[str, Rule | None]], str] | None:
        """The same without reading anything; None where something has to be read first."""
        if self._run_firm is None:
            return None
        firm = self._firm_of(entry)
        if not firm:
            return [(id_, None) for id_ in entry.rules], "name the firm with --env"
        if firm not in self._rules and firm not in self._missing:
            return None
        known = self._rules.get(firm, {})
        return [(id_, known.get(id_)) for id_ in entry.rules], self._missing.get(firm, "")

    def _firm_of(self, entry: Entry) -> str:
        named = [s.provenance.environment for s in entry.strategies if s.provenance.environment]
        return self._firm or self._run_firm or (named[0] if named else "")

    async def _firm_of_run(self) -> str:
        """The firm that a run beside the library names (it may be a folder), or ""."""
        if not (self.path.parent / FILE_NAME).is_file():
            return ""
        try:
            async with await RunLog.open(self.path.parent, create=False) as log:
                for logged in await log.read(kinds=("run_started",)):
                    if isinstance(logged.event, RunStarted):
                        named = logged.event.options.get("environment")
                        return str(named or logged.event.environment)
        except RunFault:
            # A broken run is no reason not to review; the provenance names the firm too.
            pass
        return ""

    # Changes

    async def approve(self, ids: Sequence[str], seen: Sequence[Entry]) -> int:
        """Approve strategies; returns how many changed. `seen` are their entries as the person read
        them.
        """
        return await self._do(self._library.approve, ids, self.user, seen=seen)

    async def reject(self, ids: Sequence[str], reason: str, seen: Sequence[Entry]) -> int:
        """Reject strategies, with a reason; else as `approve`."""
        return await self._do(self._library.reject, ids, self.user, reason, seen=seen)

    async def retire(self, ids: Sequence[str], reason: str, seen: Sequence[Entry]) -> int:
        """Take strategies out of use, with a reason; else as `approve`."""
        return await self._do(self._library.retire, ids, self.user, reason, seen=seen)

    async def revise(self, entry: Entry, texts: Mapping[str, str], **fields: Any) -> Entry:
        """Change the words of an entry as the person saw it: texts by strategy id, and any of
        `scenario`, `wants`, `feels`, `rules`, `cues`, `unless`, `threshold`.
        """
        return await self._do(
            self._library.revise, entry.id, self.user, texts=texts, seen=entry, **fields
        )

    async def split(
        self, entry: Entry, strategies: Sequence[str], cues: Sequence[str], scenario: str
    ) -> Entry:
        """Make two entries of one; returns the new one."""
        return await self._do(
            self._library.split, entry.id, strategies, scenario, self.user, cues=cues, seen=entry
        )

    async def merge(self, kept: Entry, gone: Entry) -> Entry:
        """Merge `gone` into `kept`; returns what stays."""
        seen = {kept.id: kept, gone.id: gone}
        return await self._do(self._library.merge, kept.id, gone.id, self.user, seen=seen)

    # History

    async def versions(self) -> list[Version]:
        """Every change, oldest first."""
        return await self._do(self._library.versions)

    async def diff(self, a: int, b: int) -> list[Change]:
        """What changed from version `a` to version `b`."""
        return await self._do(self._library.diff, a, b)

    async def texts(self, *versions: int) -> dict[str, str]:
        """What the strategies of some versions say, by id; of a later one named the later text."""

        def read() -> dict[str, str]:
            found = [entry for version in versions for entry in self._library.at(version)]
            return {s.id: s.text for entry in found for s in entry.strategies}

        return await self._do(read)

    async def rollback(self, version: int, seen: int, entry: str | None = None) -> int:
        """Bring back an old version (of one entry, if given), unless the library went on since
        version `seen`.
        """
        return await self._do(self._library.rollback, version, self.user, entry=entry, seen=seen)

    async def undo(self) -> Version:
        """Undo this person's last change; returns the version that does.

        Raises:
            LibraryFault: where they have none left to undo.
        """
        version = undoable(await self.versions(), self.user)
        if version is None:
            raise LibraryFault(f"{self.user} has no change left to undo")
        return await self._undo(version)

    async def redo(self) -> Version:
        """Do again what this person undid last; returns the version that does.

        Raises:
            LibraryFault: where nothing was undone since their last change.
        """
        version = redoable(await self.versions(), self.user)
        if version is None:
            raise LibraryFault("there is nothing to do again")
        return await self._undo(version)

    async def _undo(self, version: int) -> Version:
        number = await self._do(self._library.undo, self.user, version)
        return (await self.versions())[number - 1]

    async def _do(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *arguments, **options)
        except sqlite3.Error as error:
            raise LibraryFault(f"{self.path}: cannot be read: {error}") from error


def _rules_of(firm: str) -> dict[str, Rule]:
    # The policy alone: a broken persona is no reason not to show a rule.
    return Policy(read_text(find_environment(firm) / "policy.md")).rules


def similar(entry: Entry, entries: Sequence[Entry]) -> list[tuple[float, Entry]]:
    """The other entries, nearest first, with the likeness of their scenarios (0 to 1)."""
    others = [other for other in entries if other.id != entry.id]
    scored = [(likeness(entry, other), other) for other in others]
    return sorted(scored, key=lambda pair: -pair[0])


def parts_now(seen: Entry, now: Entry, fields: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Of the parts named, fields and strategies, those that are no longer as a person saw them, each as
    it reads now.
    """
    texts = {s.id: f"{s.text} ({s.status})" for s in now.strategies}
    return {
        part: str(getattr(now, part)) if part in Entry.model_fields else texts.get(part, "gone")
        for part in changed_parts(seen, now, fields, ids)
    }


@contextmanager
def open_review(path: Path, *, firm: str | None = None, by: str = "") -> Iterator[Review]:
    """A library's file under review, closed at the end.

    Args:
        path: the file.
        firm: for the policy rules; see `Review`.
        by: who reviews; the user where not given.

    Raises:
        LibraryFault: where it is no library; exit code 2 where it is missing.
        EnvironmentFault: where a firm is named and has no policy to read.
    """
    if firm is not None:
        _rules_of(firm)
    with Library.open(path) as library:
        yield Review(library, by or user_name(), firm)


def undoable(versions: Sequence[Version], user: str) -> int | None:
    """The last change of a person that is no undo and not undone."""
    own = [v.version for v in versions if v.author == user and not v.undoes and not v.undone_by]
    return own[-1] if own else None


def redoable(versions: Sequence[Version], user: str) -> int | None:
    """The last undo of a person that still stands and after which they changed nothing else."""
    by_number = {one.version: one for one in versions}
    for one in reversed(versions):
        if one.author != user:
            continue
        if one.undoes is None:
            return None
        if one.undone_by is None and not by_number[one.undoes].undoes:
            return one.version
    return None
