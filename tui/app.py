"""The watch: a run's dialogues, workshop, rounds and usage, live or finished."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane
from textual.worker import WorkerCancelled
from tutelage.graphs.picture import DialoguePicture, RunPicture
from tutelage.graphs.run_log import RunLog

from . import drawing

COLUMNS = ("scenario", "persona", "turn", "mood", "score", "state")


class WatchApp(App[None]):
    """Reads a run's log and nothing else; leaving it does not touch the run."""

    CSS_PATH = "watch.tcss"
    TITLE = "tutelage"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Leave"),
        Binding("f", "follow", "Follow"),
        Binding("j", "step(1)", "Next", show=False),
        Binding("k", "step(-1)", "Previous", show=False),
        Binding("1", "tab('dialogues')", "Dialogues"),
        Binding("2", "tab('workshop')", "Workshop"),
        Binding("3", "tab('rounds')", "Rounds"),
        Binding("4", "tab('usage')", "Usage"),
    ]

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
        self.run_path = run
        self.picture = RunPicture()
        self.chosen: str | None = None
        self.follow = True
        self._run_log: RunLog | None = None

    def compose(self) -> ComposeResult:
        """Board and transcript; workshop, rounds and usage behind tabs."""
        yield Static("", id="headline", markup=False)
        with TabbedContent(initial="dialogues"):
            with TabPane("Dialogues", id="dialogues"), Horizontal():
                yield DataTable(id="board", cursor_type="row", zebra_stripes=True)
                with VerticalScroll(id="transcript-scroll"):
                    yield Static(id="transcript", markup=False)
            with TabPane("Workshop", id="workshop"), VerticalScroll():
                yield Static(id="workshop-text", markup=False)
            with TabPane("Rounds", id="rounds"), VerticalScroll():
                yield Static(id="rounds-text", markup=False)
            with TabPane("Usage", id="usage"), VerticalScroll():
                yield Static(id="usage-text", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read the log."""
        board = self.query_one("#board", DataTable)
        for name in COLUMNS:
            board.add_column(name, key=name)
        board.focus()
        self._draw()
        self._reader = self.run_worker(self._read(), exclusive=True)

    async def on_unmount(self) -> None:
        """Close the log before the loop goes."""
        self._reader.cancel()
        with contextlib.suppress(WorkerCancelled):
            await self._reader.wait()
        if self._run_log is not None:
            await self._run_log.close()

    async def _read(self) -> None:
        self._run_log = await RunLog.open(self.run_path, create=False)
        async for batch in self._run_log.follow():
            for logged in batch:
                self.picture.fold(logged.event)
            if batch:
                self._draw()

    def _draw(self) -> None:
        board = self.query_one("#board", DataTable)
        newest: str | None = None
        for name in [n for n in self.picture.dialogues if n in self.picture.changed]:
            cells = _cells(self.picture.dialogues[name])
            if name in board.rows:
                for column, cell in zip(COLUMNS, cells, strict=True):
                    board.update_cell(name, column, cell)
            else:
                board.add_row(*cells, key=name)
            newest = name
        if newest is not None and (self.follow or self.chosen is None):
            self.chosen = newest
            board.move_cursor(row=board.get_row_index(newest), animate=False)
        if self.chosen is not None and (self.chosen in self.picture.changed or newest is None):
            self._draw_transcript()
        self.picture.changed.clear()
        self.query_one("#headline", Static).update(drawing.headline(self.picture))
        self.query_one("#workshop-text", Static).update(drawing.workshop(self.picture))
        self.query_one("#rounds-text", Static).update(drawing.rounds(self.picture))
        self.query_one("#usage-text", Static).update(drawing.usage(self.picture))
        if not self.picture.dialogues:
            self.query_one("#transcript", Static).update("waiting for the first dialogue...")

    def _draw_transcript(self) -> None:
        if self.chosen in self.picture.dialogues:
            one = self.picture.dialogues[self.chosen]
            self.query_one("#transcript", Static).update(drawing.transcript(one))
            if self.follow:
                self.query_one("#transcript-scroll", VerticalScroll).scroll_end(animate=False)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the dialogue under the cursor."""
        if event.row_key is not None and event.row_key.value != self.chosen:
            self.chosen = event.row_key.value
            self._draw_transcript()

    def on_key(self) -> None:
        """A person who moves about no longer wants to be moved."""
        self.follow = False

    def action_follow(self) -> None:
        """Follow the newest activity again."""
        self.follow = True
        if self.picture.dialogues:
            self.picture.changed.add(list(self.picture.dialogues)[-1])
        self._draw()

    def action_step(self, by: int) -> None:
        """Move the cursor of the board."""
        board = self.query_one("#board", DataTable)
        board.move_cursor(row=board.cursor_row + by)

    def action_tab(self, name: str) -> None:
        """Show a tab, with the keys going to what it shows."""
        self.query_one(TabbedContent).active = name
        inner = "#board" if name == "dialogues" else f"#{name} VerticalScroll"
        self.query_one(inner).focus()


def _cells(one: DialoguePicture) -> tuple[str, ...]:
    score = f"{one.judged.satisfaction:.1f}" if one.judged else ""
    return (
        drawing.clean(one.started.scenario)[:22],
        drawing.clean(one.started.persona)[:13],
        str(one.exchanges),
        one.feeling,
        score,
        one.state,
    )
