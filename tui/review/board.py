"""The board: the library as a table, the entry under the cursor, and all that a person does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.coordinate import Coordinate
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer
from textual.widgets import Button, DataTable, Input, Static
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.review import (
    OF_MATTER,
    ChangedMeanwhile,
    Entry,
    Finding,
    LibraryFault,
    Review,
    Shelf,
    Strategy,
    Version,
    entry_document,
    parts_now,
    read_entry_document,
    similar,
    vet,
)

from ..dialogs import Question, Save, Writing
from ..ending import EndsWorkFirst
from ..external import EditorFault, edit_outside
from ..keys import Keys
from ..shell import WRITE
from ..table import RowTable
from .card import TONES, Card
from .history import History
from .merge import Merge
from .rows import MARKS, ORDERS, SOURCES, STATUSES, Row, Wanted, chosen, rows_of
from .split import Split
from .trying import Trying

EVERY = 0.5
"""Seconds between two looks at whether somebody else changed the library."""
SETTLE = 0.06
"""Seconds the cursor rests before its entry is drawn, so that a held key runs freely."""
WIDE = 84
"""Cells from which the table has room for scenario and source."""
_TONES = {"proposed": "strategy", "approved": "good", "rejected": "bad", "retired": "quiet"}
_WORDS = 25
_TOLD = 6
"""Strategies whose words stand over the reason against them."""


class Board(EndsWorkFirst, Screen[None]):
    """Reads and changes a library. What others change meanwhile is shown, and never overwritten."""

    CSS_PATH = "review.tcss"
    help = (
        "review",
        "Every strategy of the library, and beside it the entry it belongs to: the replies without "
        "it and with it, how sure the judge was, the policy rules it rests on, and what lint found. "
        "Only approved strategies (✓) reach customers.\n\n"
        "What you do is written at once, under your name, as a new version; u takes it back. "
        "Mark several rows with space to approve, reject or retire them together. t tells what a "
        "customer would be given for a text.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", key_display="space"),
        Binding("a", "approve", "Approve", tooltip="Approve the strategy, or all marked"),
        Binding("x", "reject", "Reject", tooltip="Reject with a reason"),
        Binding("e", "edit", "Edit", tooltip="Edit the strategy's text here"),
        Binding("s", "split", "Split", tooltip="Split the entry in two"),
        Binding("m", "merge", "Merge", tooltip="Merge another entry into this one"),
        Binding("u", "undo", "Undo", tooltip="Undo your last change"),
        Binding("slash", "search", "Search", key_display="/", tooltip="Search in everything"),
        Binding("f", "status", "Status", tooltip="Show the next status only"),
        Binding("o", "source", "Source", tooltip="Show the next source only"),
        Binding("h", "history", "History", tooltip="Versions: compare, roll back"),
        Binding("E", "edit_outside", "$EDITOR", tooltip="Edit the whole entry in $EDITOR"),
        Binding("d", "describe", "Scenario", show=False, tooltip="Edit the scenario's sentence"),
        Binding("r", "retire", "Retire", show=False, tooltip="Take out of use, with a reason"),
        Binding("U", "redo", "Redo", show=False, tooltip="Do again what you undid"),
        Binding("l", "lint", "Lint", show=False, tooltip="Show only what lint found"),
        Binding("O", "order", "Order", show=False, tooltip="Next order of the rows"),
        Binding("t", "try_text", "Try a text", show=False, tooltip="See what a text would be given"),
        Binding("asterisk", "mark_all", "Mark all", show=False, key_display="*",
                tooltip="Mark all rows shown, or none"),
        Binding("escape", "back", "Back", show=False, tooltip="Clear search, filters, marks"),
        Binding("j", "move(1)", "Next", show=False, tooltip="Next row"),
        Binding("k", "move(-1)", "Previous", show=False, tooltip="Previous row"),
        Binding("g", "end(0)", "First", show=False, tooltip="First row"),
        Binding("G", "end(1)", "Last", show=False, tooltip="Last row"),
    ]  # fmt: skip
    PALETTE: ClassVar[tuple[tuple[str, str, str], ...]] = tuple(
        (binding.description, binding.tooltip or binding.description, f"screen.{binding.action}")
        for binding in BINDINGS
        if isinstance(binding, Binding) and not binding.action.startswith(("move", "end", "back"))
    )

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self.shelf = Shelf()
        self.rows: list[Row] = []
        self.shown: list[Row] = []
        self.marked: set[str] = set()
        self.wanted = Wanted()
        self._findings: Mapping[str, Sequence[Finding]] = {}
        self._changing = asyncio.Lock()
        self._loaded = False
        self._looking = False
        self._drawing = False
        self._card_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Headline, filters, table and card."""
        yield Static("", id="headline", markup=False)
        with Horizontal(id="filters"):
            yield Input(placeholder="search (/)", id="search", compact=True)
            yield Button("", id="status", compact=True, tooltip="Next status (f)")
            yield Button("", id="source", compact=True, tooltip="Next source (o)")
            yield Button("", id="lint", compact=True, tooltip="Only what lint found (l)")
            yield Button("", id="order", compact=True, tooltip="Next order (O)")
        with Horizontal(id="body"):
            yield RowTable("board")
            yield Card(id="card")
        yield Keys()

    def on_mount(self) -> None:
        """Read the library, then look now and then whether others change it."""
        self.query_one(RowTable).focus()
        self.app.theme_changed_signal.subscribe(self, self._repaint)
        self._draw()
        self.look()
        self.set_interval(EVERY, self.look)

    # Reading

    @work(group="look")
    async def look(self) -> None:
        """Read anew where somebody changed the library."""
        # A look that takes longer than the time between two must come to its end.
        if self._looking:
            return
        self._looking = True
        try:
            if not self._loaded or await self.review.version() != self.shelf.version:
                await self._read(tell=self._loaded)
        except LibraryFault as error:
            self._refuse(error)
        finally:
            self._looking = False

    async def _read(self, tell: bool = False) -> None:
        try:
            shelf = await self.review.shelf()
        except LibraryFault as error:
            self._refuse(error)
            return
        if shelf.version < self.shelf.version:
            # Of two who read at once the one that began earlier may end later.
            return
        self.shelf, self._loaded = shelf, True
        self._stock()
        self._lint()
        if tell and shelf.last and shelf.last.author != self.review.user:
            self.notify(
                one_line(shelf.last.action, 90), title=one_line(shelf.last.author), markup=False
            )

    def _stock(self) -> None:
        self.rows = rows_of(self.shelf.entries, self._findings)
        self.marked &= {row.id for row in self.rows}
        self._draw()

    @work(exclusive=True, group="lint")
    async def _lint(self) -> None:
        """Show what lint finds, when it has."""
        entries = self.shelf.entries
        found = await self.review.findings(entries)
        if entries is self.shelf.entries and found != self._findings:
            self._findings = found
            self._stock()

    # Drawing

    def _draw(self, keep: str | None = None) -> None:
        """Draw the table anew; the cursor stays on its row, or else where it was."""
        table = self.query_one(RowTable)
        here = keep or self._here_id()
        place = table.cursor_row
        self.shown = chosen(self.rows, self.wanted)
        self._drawing = True
        widths = {"(mark)": 1, "(status)": 1, "strategy": 0, "scenario": 22, "source": 8, "pref": 4,
                  "(look)": 1}  # fmt: skip
        if table.size.width < WIDE:
            del widths["scenario"], widths["source"]
        table.begin(widths, "strategy", 20)
        for row in self.shown:
            cells = self._cells(row)
            table.add_row(*[cells[name] for name in widths], key=row.id)
        ids = [row.id for row in self.shown]
        target = ids.index(here) if here in ids else min(place, max(0, len(ids) - 1))
        table.move_cursor(row=target, animate=False)
        self._drawing = False
        self._draw_card()
        self._draw_head()

    def _cells(self, row: Row) -> dict[str, Text]:
        strategy = row.strategy
        tone = self.query_one(RowTable).tone
        status = strategy.status if strategy else ""
        colour = tone(_TONES.get(status, "quiet"))
        faded = Style() if status in ("proposed", "approved") else tone("quiet")
        words = one_line(strategy.text) if strategy else "(no strategy)"
        pref = "" if row.preference is None else f"{row.preference:.2f}"
        matter = one_line(row.entry.scenario).removeprefix(OF_MATTER)
        return {
            "(mark)": Text("●" if row.id in self.marked else " ", tone("accent")),
            "(status)": Text(MARKS.get(status, " "), colour),
            "strategy": Text(words, faded, no_wrap=True, overflow="ellipsis"),
            "scenario": Text(matter, tone("quiet"), no_wrap=True, overflow="ellipsis"),
            "source": Text(strategy.provenance.source if strategy else "", tone("quiet")),
            "pref": Text(pref, justify="right"),
            "(look)": Text("⚑" if row.findings else " ", tone("warning")),
        }

    def _draw_head(self) -> None:
        every = [row.strategy for row in self.rows if row.strategy]
        parts: list[tuple[str, str]] = [
            (one_line(self.review.path.name), "bold"), (f"  v{self.shelf.version}  ", "$quiet")
        ]  # fmt: skip
        for status, mark in MARKS.items():
            count = sum(strategy.status == status for strategy in every)
            parts.append((f" {mark} {count} {status} ", f"${_TONES[status]}"))
        if self.marked:
            parts.append((f"  ● {len(self.marked)} marked", "bold $accent"))
        if last := self.shelf.last:
            parts.append((f"  last: {one_line(last.author)}, {one_line(last.action)}", "$quiet"))
        self.query_one("#headline", Static).update(Content.assemble(*parts))
        wanted = self.wanted
        self._label("status", wanted.status or "any status", bool(wanted.status))
        self._label("source", wanted.source or "any source", bool(wanted.source))
        self._label("lint", "⚑ only" if wanted.findings else "⚑ any", wanted.findings)
        self._label("order", f"by {wanted.order}", wanted.order != "entry")

    def _label(self, name: str, label: str, on: bool) -> None:
        button = self.query_one(f"#{name}", Button)
        button.label = Content(label)
        button.set_class(on, "-on")

    def _draw_card(self) -> None:
        row = self._here()
        nothing = "reading..." if not self._loaded else (
            "the library holds nothing yet" if not self.rows else
            "nothing fits the filter; escape clears it"
        )  # fmt: skip
        card = self.query_one(Card)
        with self.app.batch_update():
            card.show(row, nothing)
            card.scroll_home(animate=False)
            known = self.review.rules_known(row.entry) if row and row.entry.rules else ([], "")
            card.show_rules(*(known or ([], "")))
        if row is not None and known is None:
            self._fill_rules(row)

    @work(exclusive=True, group="rules")
    async def _fill_rules(self, row: Row) -> None:
        rules, why = await self.review.rules(row.entry)
        here = self._here()
        if here is not None and here.id == row.id:
            self.query_one(Card).show_rules(rules, why)

    def _repaint(self, _: Theme) -> None:
        self._draw()

    def on_row_table_fitted(self) -> None:
        """Fit the columns to the room there is."""
        self._draw()

    def on_data_table_row_highlighted(self) -> None:
        """Show the entry under the cursor, a moment later so that a held key runs freely."""
        if self._drawing:
            return
        if self._card_timer is not None:
            self._card_timer.stop()
        self._card_timer = self.set_timer(SETTLE, self._draw_card)

    def on_data_table_row_selected(self) -> None:
        """Enter, or a second click, goes to the card to scroll it."""
        self.query_one(Card).focus()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a column's head puts the rows in its order."""
        order = {"(status)": "status", "pref": "preference"}.get(
            str(event.column_key.value), "entry"
        )
        self._want(order=order)

    # Where the person is

    def _here(self) -> Row | None:
        place = self.query_one(RowTable).cursor_row
        return self.shown[place] if 0 <= place < len(self.shown) else None

    def _here_id(self) -> str | None:
        row = self._here()
        return row.id if row else None

    def _chosen(self) -> list[tuple[Entry, Strategy]]:
        """The strategies that an action is for, each with its entry: of what is shown the marked ones,
        or the one under the cursor.
        """
        rows = [row for row in self.shown if row.id in self.marked]
        here = self._here()
        return [(r.entry, r.strategy) for r in rows or [here] if r and r.strategy]

    def _one_here(self, chosen: list[tuple[Entry, Strategy]]) -> bool:
        """Whether what was chosen is what the person has under the cursor, and nothing else."""
        return [strategy.id for _, strategy in chosen] == [self._here_id()]

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        table = self.query_one(RowTable)
        table.move_cursor(row=table.cursor_row + by)

    def action_end(self, last: int) -> None:
        """Go to the first or the last row."""
        table = self.query_one(RowTable)
        table.move_cursor(row=len(self.shown) - 1 if last else 0)

    def action_back(self) -> None:
        """One step back: to the table, then without filters, then without marks."""
        table = self.query_one(RowTable)
        if not table.has_focus:
            table.focus()
        elif not self.wanted.all:
            self._want_all()
        elif self.marked:
            self.marked.clear()
            self._draw()

    # Filters

    def _want(self, **wanted: object) -> None:
        self.wanted = replace(self.wanted, **wanted)  # type: ignore[arg-type]
        self._draw()

    def _want_all(self) -> None:
        self.query_one("#search", Input).value = ""
        self._want(text="", status="", source="", findings=False)

    def action_search(self) -> None:
        """Write what to search for."""
        self.query_one("#search", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while the person writes."""
        if event.value != self.wanted.text:
            self._want(text=event.value)

    def on_input_submitted(self) -> None:
        """Enter goes to what was found."""
        self.query_one(RowTable).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The mouse can do what the keys do."""
        getattr(self, f"action_{event.button.id}")()
        self.query_one(RowTable).focus()

    def action_status(self) -> None:
        """Show the next status only."""
        self._want(status=_after(STATUSES, self.wanted.status))

    def action_source(self) -> None:
        """Show the next source only."""
        self._want(source=_after(SOURCES, self.wanted.source))

    def action_lint(self) -> None:
        """Show only what lint found, or all."""
        self._want(findings=not self.wanted.findings)

    def action_order(self) -> None:
        """Put the rows in the next order."""
        self._want(order=_after(ORDERS, self.wanted.order))

    def action_try_text(self) -> None:
        """Ask what a text would be given, and go to an entry that is near it."""
        self.app.push_screen(Trying(self.review.path), self._go_to)

    def _go_to(self, id_: str | None) -> None:
        if id_ is None:
            return
        if id_ not in {row.entry.id for row in self.shown}:
            self._want_all()
        row = next((row for row in self.shown if row.entry.id == id_), None)
        if row is None:
            self._refuse(LibraryFault(f"{id_} is not there any more"))
            return
        self._draw(row.id)
        self.query_one(RowTable).focus()

    # Marks

    def action_mark(self) -> None:
        """Mark the row, or take its mark away, and go on to the next."""
        row = self._here()
        if row is None:
            return
        self.marked ^= {row.id}
        table = self.query_one(RowTable)
        table.update_cell_at(Coordinate(table.cursor_row, 0), self._cells(row)["(mark)"])
        self.action_move(1)
        self._draw_head()

    def action_mark_all(self) -> None:
        """Mark all rows shown; if they are, none."""
        ids = {row.id for row in self.shown}
        self.marked = self.marked - ids if ids <= self.marked else self.marked | ids
        self._draw()

    # Changes

    def _refuse(self, error: Exception) -> None:
        self.notify(
            one_line(str(error), 300), title="not done", severity="error", timeout=8, markup=False
        )

    async def _try(
        self, change: Callable[[], Awaitable[object]], said: str, ids: Iterable[str] = ()
    ) -> str | None:
        """Make a change, one after the other, read the library anew and say what was done; returns
        what hindered it. The marks of `ids` are done with then.
        """
        try:
            async with self._changing:
                done = await change()
        except LibraryFault as error:
            if isinstance(error, ChangedMeanwhile):
                await self._read()
            return str(error)
        self.marked.difference_update(ids)
        await self._read()
        self.notify(said if done != 0 else "nothing changed", timeout=3, markup=False)
        return None

    def action_approve(self) -> None:
        """Approve what is marked, or what is under the cursor."""
        chosen = [(entry, one) for entry, one in self._chosen() if one.status != "approved"]
        if not chosen:
            self.notify("nothing here waits for approval", timeout=3)
            return
        ids, seen = [one.id for _, one in chosen], [entry for entry, _ in chosen]
        said = f"approved {_count(ids)}"
        if self._one_here(chosen):
            # Before anything is written, so that the next key is for the next row.
            self.action_move(1)
            self._apply(lambda: self.review.approve(ids, seen), said, ids)
            return
        listed = Content("\n").join(
            Content.assemble((f"{MARKS[s.status]} ", TONES[s.status]), clean(s.text),
                             ("" if s.status == "proposed" else f"  {s.status}", TONES[s.status]))
            for _, s in chosen
        )  # fmt: skip

        def answered(yes: bool | None) -> None:
            if yes:
                self._apply(lambda: self.review.approve(ids, seen), said, ids)

        what = f"these {len(ids)} strategies" if len(ids) > 1 else "this strategy"
        question = Question(f"Approve {what} for customers?", listed, "Approve", "Leave")
        self.app.push_screen(question, answered)

    @work(group=WRITE)
    async def _apply(
        self, change: Callable[[], Awaitable[object]], said: str, ids: Sequence[str]
    ) -> None:
        if problem := await self._try(change, said, ids):
            self._refuse(LibraryFault(problem))
            self._draw(ids[0])

    def action_reject(self) -> None:
        """Reject what is marked, or what is under the cursor, with a reason."""
        self._against("Reject", "rejected", self.review.reject)

    def action_retire(self) -> None:
        """Take out of use what is marked, or what is under the cursor, with a reason."""
        self._against("Retire", "retired", self.review.retire)

    def _against(
        self,
        verb: str,
        said: str,
        change: Callable[[Sequence[str], str, Sequence[Entry]], Awaitable[int]],
    ) -> None:
        chosen = self._chosen()
        if not chosen:
            return
        ids, seen = [one.id for _, one in chosen], [entry for entry, _ in chosen]
        here = self._one_here(chosen)

        async def save(reason: str) -> str | None:
            if not reason:
                return "write why; it stays with the strategy"
            done = f"{said} {_count(ids)}"
            return await self._try(lambda: change(ids, reason, seen), done, ids)

        def saved(done: bool | None) -> None:
            if done and here and self._here_id() == ids[0]:
                self.action_move(1)

        told = [clean(one.text) for _, one in chosen[:_TOLD]]
        if (more := len(chosen) - _TOLD) > 0:
            told.append(f"... and {more} more")
        writing = Writing(f"{verb} {_count(ids)}: why?", "", save, told="\n".join(told))
        self.app.push_screen(writing, saved)

    def _saving(
        self,
        first: Entry,
        said: str,
        read: Callable[[str], tuple[Mapping[str, object], Mapping[str, str]]],
    ) -> Save:
        """What saves a text that a person made of an entry: what they changed of it, and nothing else.
        Where others changed the same, the person decides with both before them.

        Args:
            first: the entry as the person began from it.
            said: said where it is saved.
            read: the fields and the strategies that a text changes of `first`.
        """
        seen = first

        async def save(text: str) -> str | None:
            nonlocal seen
            try:
                fields, texts = read(text)
            except LibraryFault as error:
                return str(error)
            if not fields and not texts:
                return None
            problem = await self._try(lambda: self.review.revise(seen, texts, **fields), said)
            now = self._entry(first.id)
            if problem is None or now is None:
                return problem
            theirs = parts_now(seen, now, fields, texts)
            if not theirs:
                return problem
            seen = now
            told = "; ".join(f"{part} reads now: {value}" for part, value in theirs.items())
            return f"{problem}. {told}. Save again to put yours in its place."

        return save

    def action_edit(self) -> None:
        """Edit the text of the strategy under the cursor."""
        row = self._here()
        if row is None or row.strategy is None:
            return
        id_, old = row.strategy.id, row.strategy.text

        def read(text: str) -> tuple[dict[str, object], dict[str, str]]:
            return {}, {} if text.split() == old.split() else {id_: text}

        save = self._saving(row.entry, "edited; it is proposed again", read)
        told = f"for {clean(row.entry.scenario)}"
        self.app.push_screen(
            Writing("Edit the strategy", old, save, check=vet, words=_WORDS, told=told)
        )

    def action_describe(self) -> None:
        """Edit the sentence of the scenario under the cursor."""
        row = self._here()
        if row is None:
            return
        old = row.entry.scenario

        def read(text: str) -> tuple[dict[str, object], dict[str, str]]:
            return {} if text.split() == old.split() else {"scenario": text}, {}

        save = self._saving(row.entry, "scenario edited", read)
        told = "One general sentence: what happened, to whom, without names or numbers."
        self.app.push_screen(Writing("Scenario", old, save, told=told))

    def action_edit_outside(self) -> None:
        """Edit the entry under the cursor in $EDITOR; what is refused can be set right here."""
        row = self._here()
        if row is None:
            return
        entry = row.entry
        document = entry_document(entry)
        try:
            text = edit_outside(self.app, document)
        except EditorFault as error:
            self._refuse(error)
            return
        if text == document:
            self.notify("nothing changed", timeout=3)
            return
        save = self._saving(entry, "entry edited", lambda text: read_entry_document(text, entry))
        self._save_outside(f"Entry {entry.id}", text, save)

    @work(group=WRITE)
    async def _save_outside(self, title: str, text: str, save: Save) -> None:
        if problem := await save(text):
            self.app.push_screen(Writing(title, text, save, long=True, problem=problem))

    def action_split(self) -> None:
        """Split the entry under the cursor."""
        row = self._here()
        if row is None:
            return
        if len(row.entry.strategies) < 2:
            self._refuse(LibraryFault("an entry of one strategy cannot be split"))
            return
        entry, going = row.entry, set(self.marked) or {row.id}

        async def save(strategies: list[str], cues: list[str], scenario: str) -> str | None:
            return await self._try(
                lambda: self.review.split(entry, strategies, cues, scenario),
                "split in two",
                [*self.marked],
            )

        self.app.push_screen(Split(entry, going, save))

    def action_merge(self) -> None:
        """Merge another entry into the one under the cursor."""
        row = self._here()
        if row is None:
            return
        kept = row.entry
        others = similar(kept, self.shelf.entries)
        if not others:
            self._refuse(LibraryFault("there is no other entry to merge with"))
            return
        marked = {r.entry.id for r in self.rows if r.id in self.marked} - {kept.id}
        others.sort(key=lambda pair: pair[1].id not in marked)

        async def save(other: Entry) -> str | None:
            return await self._try(lambda: self.review.merge(kept, other), "merged", [*self.marked])

        self.app.push_screen(Merge(kept, others, save))

    def action_undo(self) -> None:
        """Undo this person's last change."""
        self._again(self.review.undo)

    def action_redo(self) -> None:
        """Do again what this person undid last."""
        self._again(self.review.redo)

    @work(group=WRITE)
    async def _again(self, change: Callable[[], Awaitable[Version]]) -> None:
        try:
            async with self._changing:
                done = await change()
        except LibraryFault as error:
            self._refuse(error)
            return
        await self._read()
        self.notify(one_line(done.action, 120), timeout=3, markup=False)

    def action_history(self) -> None:
        """Look at the versions."""
        row = self._here()
        self.app.push_screen(History(self.review, row.entry.id if row else None), self._back_again)

    def _back_again(self, _: None) -> None:
        self.look()

    def _find(self, id_: str) -> Row | None:
        return next((row for row in self.rows if row.id == id_), None)

    def _entry(self, id_: str) -> Entry | None:
        return next((entry for entry in self.shelf.entries if entry.id == id_), None)


def _after(values: tuple[str, ...], value: str) -> str:
    return values[(values.index(value) + 1) % len(values)]


def _count(ids: Sequence[str]) -> str:
    return f"{len(ids)} strategies" if len(ids) > 1 else ids[0]
