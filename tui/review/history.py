"""History: every version of the library with its author, what it changed, and the way back to it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.review import Change, LibraryFault, Review, Version

from ..dialogs import Question
from ..ending import EndsWorkFirst
from ..keys import Keys
from ..shell import WRITE
from ..table import RowTable
from .card import TONES
from .rows import MARKS

EVERY = 1.0


class History(EndsWorkFirst, Screen[None]):
    """Versions, newest first, and the difference between the one under the cursor and its base."""

    CSS_PATH = "history.tcss"
    help = (
        "history",
        "Every change of the library: when, by whom, and what. Beside it stands what the version "
        "under the cursor changed; mark another version with space to compare with that one.\n\n"
        "b brings the content of a version back, of the whole library or (B) of the entry you came "
        "from, as a new version: nothing is erased.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "base", "Compare from", key_display="space"),
        Binding("b", "roll_back", "Roll back", tooltip="Bring the whole library back to this"),
        Binding("B", "roll_entry_back", "Entry only", tooltip="Bring only the entry back to this"),
        Binding("escape,h", "leave", "Back"),
        Binding("j", "move(1)", "Next", show=False, tooltip="Next version"),
        Binding("k", "move(-1)", "Previous", show=False, tooltip="Previous version"),
        Binding("g", "end(0)", "First", show=False, tooltip="Newest version"),
        Binding("G", "end(1)", "Last", show=False, tooltip="Oldest version"),
    ]

    def __init__(self, review: Review, entry: str | None) -> None:
        """Show a library's history; `entry` is the one the person came from."""
        super().__init__()
        self._review, self._entry = review, entry
        self._versions: list[Version] = []
        self._base: int | None = None
        self._reading = False

    def compose(self) -> ComposeResult:
        """Versions and difference."""
        yield Static("", id="headline", markup=False)
        with Horizontal(id="body"):
            yield RowTable("versions")
            with VerticalScroll(id="difference-scroll"):
                yield Static("", id="difference", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        """Read the versions."""
        self.query_one(RowTable).focus()
        self.read()
        self.set_interval(EVERY, self.read)

    @work(group="read")
    async def read(self) -> None:
        """Read the versions anew where there are new ones."""
        # A look that takes longer than the time between two must come to its end.
        if self._reading:
            return
        self._reading = True
        try:
            versions = await self._review.versions()
        except LibraryFault as error:
            self._refuse(error)
            return
        finally:
            self._reading = False
        if len(versions) != len(self._versions) or not versions:
            # Newest stands first, so that the row of a version is another with every new one.
            here = self.here if self._versions else len(versions)
            self._versions = versions
            self._draw(here)

    def _draw(self, here: int | None = None) -> None:
        """Draw the versions anew; the cursor is on a version then, the same as before by default."""
        table = self.query_one(RowTable)
        row = len(self._versions) - (self.here if here is None else here)
        table.begin({"(base)": 1, "v": 5, "when": 16, "who": 12, "what": 0}, "what", 20)
        for one in reversed(self._versions):
            gone = "dim strike" if one.undone_by else ""
            mark = "▸" if one.version == self._base else "↶" if one.undoes else " "
            when = one_line(one.at.replace("T", " ")[:16])
            table.add_row(
                Text(mark), Text(str(one.version), justify="right"), Text(when),
                Text(one_line(one.author), no_wrap=True, overflow="ellipsis"),
                Text(one_line(one.action), gone, no_wrap=True, overflow="ellipsis"),
                key=str(one.version),
            )  # fmt: skip
        # The beginning of everything can be gone back to as well.
        table.add_row(Text("▸" if self._base == 0 else " "), Text("0", justify="right"), Text(""),
                      Text(""), Text("the empty library"), key="0")  # fmt: skip
        table.move_cursor(row=row, animate=False)
        self._head()
        self.compare()

    def _head(self) -> None:
        said = f"history of {one_line(self._review.path.name)}, {len(self._versions)} versions"
        self.query_one("#headline", Static).update(Content.styled(said, "bold"))

    def on_row_table_fitted(self) -> None:
        """Fit the columns to the room there is."""
        self._draw()

    @property
    def here(self) -> int:
        """The version under the cursor."""
        return len(self._versions) - self.query_one(RowTable).cursor_row

    def on_data_table_row_highlighted(self) -> None:
        """Show what the version changed."""
        self.compare()

    @work(exclusive=True, group="compare")
    async def compare(self) -> None:
        """Draw the difference between the base and the version under the cursor."""
        here = self.here
        base = max(0, here - 1) if self._base is None else self._base
        try:
            changes = await self._review.diff(base, here)
            texts = await self._review.texts(base, here)
        except LibraryFault as error:
            self._refuse(error)
            return
        if here == self.here:
            said = difference(changes, base, here, texts)
            self.query_one("#difference", Static).update(said)
            self.query_one("#difference-scroll").scroll_home(animate=False)

    def action_base(self) -> None:
        """Compare from this version, or from the one before each again."""
        self._base = None if self._base == self.here else self.here
        self._draw()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        table = self.query_one(RowTable)
        table.move_cursor(row=table.cursor_row + by)

    def action_end(self, last: int) -> None:
        """Go to the newest or the oldest version."""
        self.query_one(RowTable).move_cursor(row=len(self._versions) if last else 0)

    def action_roll_back(self) -> None:
        """Bring the library back to the version under the cursor."""
        self._ask(self.here, None)

    def action_roll_entry_back(self) -> None:
        """Bring the entry that the person came from back to the version under the cursor."""
        if self._entry is None:
            self._refuse(LibraryFault("no entry was chosen on the board"))
            return
        self._ask(self.here, self._entry)

    @work(exclusive=True, group="ask")
    async def _ask(self, version: int, entry: str | None) -> None:
        last = len(self._versions)
        try:
            changes = await self._review.diff(last, version)
            texts = await self._review.texts(last, version)
        except LibraryFault as error:
            self._refuse(error)
            return
        if entry is not None:
            changes = [change for change in changes if change.entry == entry]
        if not changes:
            self.notify("it is the same now; nothing to bring back", timeout=3)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                # The app's: who goes back to the board at once has decided all the same.
                self.app.run_worker(self._roll_back(version, last, entry), group=WRITE)

        what = f"entry {entry}" if entry else "the whole library"
        said = difference(changes, last, version, texts)
        title = f"Bring {what} back to version {version}?"
        self.app.push_screen(Question(title, said, "Roll back", "Leave"), answered)

    async def _roll_back(self, version: int, last: int, entry: str | None) -> None:
        try:
            await self._review.rollback(version, last, entry)
        except LibraryFault as error:
            self._refuse(error)
        if not self.going:
            self.read()

    def action_leave(self) -> None:
        """Back to the board."""
        self.dismiss(None)

    def _refuse(self, error: Exception) -> None:
        self.notify(
            one_line(str(error), 300), title="not done", severity="error", timeout=8, markup=False
        )


def difference(changes: Sequence[Change], a: int, b: int, texts: Mapping[str, str]) -> Content:
    """What changed from version `a` to `b`, with the changed words marked.

    Args:
        changes: what the library says.
        a, b: the versions.
        texts: what strategies say, by id.
    """
    lines = [Content.styled(f"from version {a} to version {b}", "$quiet")]
    if not changes:
        lines.append(Content("nothing changed"))
    told = Counter(change.strategy for change in changes)
    for entry in dict.fromkeys(change.entry for change in changes):
        lines.append(Content.styled(f"\nentry {entry}", "bold"))
        for change in changes:
            if change.entry == entry:
                # What else changed of a strategy stands above its details, and names it.
                if change.what == "detail" and change.strategy and told[change.strategy] == 1:
                    named = clean(texts.get(change.strategy, ""))
                    lines.append(Content.assemble(f"~ {named}", (f"  {change.strategy}", "$quiet")))
                lines.append(_line(change, texts))
    return Content("\n").join(lines)


def _line(change: Change, texts: Mapping[str, str]) -> Content:
    match change.what:
        case "added":
            return Content.styled(f"+ {clean(change.after)}", "$good")
        case "removed":
            return Content.styled(f"- {clean(change.before)}", "$bad")
        case "status":
            tone = TONES.get(change.after, "")
            return Content.assemble(
                (f"{MARKS.get(change.after, '~')} ", tone), f"{change.before} → ",
                (change.after, f"bold {tone}"), f"  {clean(texts.get(change.strategy, ''))}",
                (f"  {change.strategy}", "$quiet"),
            )  # fmt: skip
        case _:
            before, after = words(clean(change.before), clean(change.after))
            # A text is one line; of details there is one for each part, on either side.
            return Content("\n").join(
                Content.assemble((mark, tone), line)
                for mark, tone, said in (("- ", "$bad", before), ("+ ", "$good", after))
                for line in said.split("\n")
                if line
            )


def words(before: str, after: str) -> tuple[Content, Content]:
    """Two texts with the words marked that only one of them has."""
    a, b = re.findall(r"\s+|\S+", before), re.findall(r"\s+|\S+", after)
    old: list[tuple[str, str]] = []
    new: list[tuple[str, str]] = []
    for kind, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = kind == "equal"
        old.append(("".join(a[a0:a1]), "" if same else "bold $bad"))
        new.append(("".join(b[b0:b1]), "" if same else "bold $good"))
    return Content.assemble(*old), Content.assemble(*new)
