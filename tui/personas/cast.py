"""The cast: a firm's personas as a list, and beside it the file of the one under the cursor."""

from __future__ import annotations

import asyncio
from difflib import unified_diff
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import Screen
from textual.widgets import Static
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.play.rehearsal import (
    EnvironmentFault,
    PersonaFile,
    check_persona,
    find_environment,
    new_persona,
    personas_stamp,
    read_persona,
    read_personas,
    refuse_bundled,
    save_persona,
)

from ..dialogs import Save, Writing
from ..ending import EndsWorkFirst
from ..external import EditorFault, edit_outside
from ..keys import Keys
from ..shell import WRITE
from ..table import RowTable
from .casting import Casting
from .rehearsal import RehearsalScreen

EVERY = 1.0
WIDE = 30
"""Cells from which the list has room for more than the names."""
MOST_LINES = 5
"""Of what others changed, in the window of who writes."""


class Cast(EndsWorkFirst, Screen[None]):
    """Reads and changes a firm's personas; a broken one is shown with what is wrong in it."""

    CSS_PATH = "personas.tcss"
    help = (
        "personas",
        "The customers of a firm. Enter lets you talk with the one under the cursor, as the agent, "
        "to hear how it reacts.\n\n"
        "What you edit is checked before it is saved: an error names the line and the field, and "
        "nothing broken is ever written.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "talk", "Talk", priority=True, tooltip="Talk with the persona, as the agent"
        ),
        Binding("e", "edit", "Edit", tooltip="Edit the persona's file here"),
        Binding("E", "edit_outside", "$EDITOR", tooltip="Edit the file in $EDITOR"),
        Binding("n", "new", "New", tooltip="Add a persona to the firm"),
        Binding("j", "move(1)", "Next", show=False, tooltip="Next persona"),
        Binding("k", "move(-1)", "Previous", show=False, tooltip="Previous persona"),
        Binding("g", "end(0)", "First", show=False, tooltip="First persona"),
        Binding("G", "end(1)", "Last", show=False, tooltip="Last persona"),
        Binding("space", "page", "Page", show=False, tooltip="Scroll the file"),
    ]
    PALETTE: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("Talk", "Talk with the persona, as the agent", "screen.talk"),
        ("Edit", "Edit the persona's file here", "screen.edit"),
        ("Edit in $EDITOR", "Edit the file in your editor", "screen.edit_outside"),
        ("New persona", "Add a persona to the firm", "screen.new"),
    )

    def __init__(self, casting: Casting, first: str | None = None) -> None:
        """Show a firm's cast; `first` is where the cursor begins."""
        super().__init__()
        self.casting = casting
        self.files: list[PersonaFile] = []
        self._first = first
        self._stamp: object = None
        self._looking = False

    def compose(self) -> ComposeResult:
        """List and file."""
        yield Static("", id="headline", markup=False)
        with Horizontal(id="body"):
            yield RowTable("cast")
            with VerticalScroll(id="file-scroll"):
                yield Static("", id="problems", markup=False)
                yield Static("", id="file", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        """Read the files, then look now and then whether they change."""
        self.query_one(RowTable).focus()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())
        self.look()
        self.set_interval(EVERY, self.look)

    @work(group="look")
    async def look(self) -> None:
        """Read the files anew where one changed."""
        # A look that takes longer than the time between two must come to its end.
        if self._looking:
            return
        self._looking = True
        try:
            stamp = await asyncio.to_thread(personas_stamp, self.casting.firm)
            if stamp == self._stamp:
                return
            files = await asyncio.to_thread(read_personas, self.casting.firm)
        except EnvironmentFault as error:
            self._refuse(error)
            return
        finally:
            self._looking = False
        here = self._here()
        self._stamp, self.files = stamp, files
        self._draw(here)

    def _draw(self, seen: PersonaFile | None = None) -> None:
        """Draw the list anew, with the cursor where it is to begin, or else on what the person saw."""
        table = self.query_one(RowTable)
        seen = seen or self._here()
        here = self._first or (seen.name if seen else "")
        self._first = None
        widths = {"(broken)": 1, "persona": 0, "mode": 6, "turns": 5}
        if table.size.width < WIDE:
            del widths["mode"], widths["turns"]
        table.begin(widths, "persona")
        for file in self.files:
            cells = self._cells(file)
            table.add_row(*[cells[name] for name in widths], key=file.name)
        names = [file.name for file in self.files]
        if here in names:
            table.move_cursor(row=names.index(here), animate=False)
        broken = sum(bool(file.problems) for file in self.files)
        parts = [
            (one_line(Path(self.casting.firm).resolve().name), "bold"),
            (f"  {len(names)} personas", "$quiet"),
        ]  # fmt: skip
        if broken:
            parts.append((f"  ✗ {broken} broken", "bold $bad"))
        if Path(self.casting.firm).is_dir():
            parts.append((f"  {one_line(str(self.casting.firm))}", "$quiet"))
        self.query_one("#headline", Static).update(Content.assemble(*parts))
        self._show()

    def _cells(self, file: PersonaFile) -> dict[str, Text]:
        who, tone = file.persona, self.query_one(RowTable).tone
        return {
            "(broken)": Text("✗" if file.problems else " ", tone("bad")),
            "persona": Text(one_line(file.name), no_wrap=True, overflow="ellipsis"),
            "mode": Text(who.mode if who else "", tone("quiet")),
            "turns": Text(str(who.patience) if who else "", tone("quiet"), justify="right"),
        }

    def _show(self) -> None:
        file = self._here()
        problems = self.query_one("#problems", Static)
        problems.display = bool(file and file.problems)
        text = clean(file.text) if file else "this firm has no personas yet; n adds one"
        if file and file.problems:
            said = "\n".join(f"✗ {clean(str(problem))}" for problem in file.problems)
            problems.update(Content.styled(said, "$bad"))
        self.query_one("#file", Static).update(highlight(text, language="yaml"))
        self.query_one("#file-scroll").scroll_home(animate=False)

    def _here(self) -> PersonaFile | None:
        place = self.query_one(RowTable).cursor_row
        return self.files[place] if 0 <= place < len(self.files) else None

    def on_row_table_fitted(self) -> None:
        """Fit the columns to the room there is."""
        self._draw()

    def on_data_table_row_highlighted(self) -> None:
        """Show the file under the cursor."""
        self._show()

    def on_data_table_row_selected(self) -> None:
        """Enter, or a second click, begins a talk."""
        self.action_talk()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        table = self.query_one(RowTable)
        table.move_cursor(row=table.cursor_row + by)

    def action_end(self, last: int) -> None:
        """Go to the first or the last persona."""
        self.query_one(RowTable).move_cursor(row=len(self.files) - 1 if last else 0)

    def action_page(self) -> None:
        """Scroll the file by a page, and from its end back to its beginning."""
        scroll = self.query_one("#file-scroll", VerticalScroll)
        if scroll.scroll_y >= scroll.max_scroll_y:
            scroll.scroll_home(animate=False)
        else:
            scroll.scroll_relative(y=scroll.size.height - 2, animate=False)

    def action_talk(self) -> None:
        """Talk with the persona under the cursor, unless its file is broken."""
        file = self._here()
        if file is None:
            return
        if file.problems:
            self._refuse(EnvironmentFault(list(file.problems)))
            return
        self.app.push_screen(RehearsalScreen(self.casting, file.name))

    # Changes

    def _may_change(self, file: PersonaFile) -> bool:
        """Whether a file may be changed; it is said why not, of one that comes with tutelage and of one
        whose text cannot be shown.
        """
        try:
            refuse_bundled(file.path)
            if file.unread:
                raise EnvironmentFault(list(file.problems))
        except EnvironmentFault as error:
            self._refuse(error)
            return False
        return True

    def _saving(self, file: PersonaFile) -> Save:
        """What saves a text in a file's place. Where somebody changed or deleted that meanwhile it says
        so, and then goes on from what is there.
        """
        seen = file

        async def save(text: str) -> str | None:
            nonlocal seen
            try:
                await asyncio.to_thread(save_persona, seen, text)
            except EnvironmentFault as error:
                now = await asyncio.to_thread(read_persona, file.path)
                if now == seen or check_persona(file.path, text)[1]:
                    return _short(file, error)
                before, seen = seen, now
                if now.unread:
                    return f"{_short(file, error)}. Saving again writes it anew."
                # The person decides with both before them.
                return (
                    f"{_short(file, error)}. Saving again puts yours in the place of what others made "
                    f"of it:\n{_changed_lines(before.text, now.text)}"
                )
            here = self._here()
            if here is None or here.path != file.path:
                # It was deleted, and the cursor went to another one.
                self._first = file.name
            self._stamp = None
            self.look()
            self.notify(f"{file.name} saved", timeout=3, markup=False)
            return None

        return save

    def action_edit(self) -> None:
        """Edit the file under the cursor."""
        file = self._here()
        if file is not None and self._may_change(file):
            self._write(file, file.text, self._saving(file))

    def _write(self, file: PersonaFile, text: str, save: Save, problem: str = "") -> None:
        def check(text: str) -> list[str]:
            return [_short(file, problem) for problem in check_persona(file.path, text)[1][:4]]

        self.app.push_screen(
            Writing(f"Persona {file.name}", text, save, check=check, long=True, problem=problem)
        )

    def action_edit_outside(self) -> None:
        """Edit the file under the cursor in $EDITOR; what is broken can be set right here."""
        file = self._here()
        if file is None or not self._may_change(file):
            return
        try:
            text = edit_outside(self.app, file.text)
        except EditorFault as error:
            self._refuse(error)
            return
        if text == file.text:
            self.notify("nothing changed", timeout=3)
            return
        self._save_outside(file, text)

    @work(group=WRITE)
    async def _save_outside(self, file: PersonaFile, text: str) -> None:
        save = self._saving(file)
        if problem := await save(text):
            self._write(file, text, save, problem)

    def action_new(self) -> None:
        """Add a persona, with comments that teach the main fields."""

        async def save(name: str) -> str | None:
            try:
                folder = await asyncio.to_thread(find_environment, self.casting.firm)
                await asyncio.to_thread(new_persona, folder, name)
            except EnvironmentFault as error:
                return str(error)
            self._first, self._stamp = name, None
            self.look()
            return None

        told = "Its short name: lower-case letters, digits and underscores."
        self.app.push_screen(Writing("New persona", "", save, told=told))

    def _refuse(self, error: Exception) -> None:
        self.notify(
            one_line(str(error), 400), title="not done", severity="error", timeout=8, markup=False
        )


def _changed_lines(before: str, after: str) -> str:
    """The lines that only one of two texts has, marked by - and +; the first MOST_LINES."""
    _, _, *lines = unified_diff(before.split("\n"), after.split("\n"), n=0, lineterm="")
    changed = [f"{line[0]} {clean(line[1:])}" for line in lines if line[0] in "-+"]
    if (more := len(changed) - MOST_LINES) > 0:
        changed[MOST_LINES:] = [f"and {more} more"]
    return "\n".join(changed)


def _short(file: PersonaFile, problem: object) -> str:
    """A problem without the folder, for which there is no room while one writes."""
    return str(problem).replace(f"{file.path.parent}/", "")
