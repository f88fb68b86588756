"""The board: every dialogue of a run as a row, live, with a filter and an order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable
from tutelage.graphs.log.events import Speaking
from tutelage.graphs.log.picture import VALENCE, DialoguePicture, RunPicture
from tutelage.graphs.plain_text import one_line

from .bubbles import mood_style, score_style, trail

COLUMNS = ("", "scenario", "persona", "arm", "turn", "mood", "csat", "state")
ROWS = 400
"""Rows to begin with; a table of thousands is slow to make."""
_WIDE = (1, 21, 12, 8, 4, 14, 4, 15)
_NARROW = (1, 15, 10, 8, 4, 12, 4, 8)
ORDERS: Mapping[str, Callable[[DialoguePicture], tuple[float, float]]] = {
    "started": lambda one: (0, one.number),
    "newest": lambda one: (0, -one.number),
    "least satisfied": lambda one: (one.judged.satisfaction if one.judged else 9, one.number),
    "worst mood": lambda one: (VALENCE.get(one.feeling, 9), one.number),
    "going on": lambda one: (one.ended is not None, -one.number),
}
_STATES = {
    "goal met": ("✓", "$good"), "talking": ("●", "$judge"), "judged": ("●", "$judge"),
    "invalid": ("✗", "$bad"), "fault": ("✗", "$bad"), "broken customer": ("✗", "$bad"),
}  # fmt: skip


class Board(DataTable[Text]):
    """The dialogues: of a long run the first ones in their order (the newest, where they stand as
    they started), and more whenever the cursor comes to their end.
    """

    class Rebuilt(Message):
        """All rows were made anew, or others are hidden."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Next", show=False, tooltip="Next dialogue"),
        Binding("k", "cursor_up", "Previous", show=False, tooltip="Previous dialogue"),
        Binding("g", "scroll_top", "First", show=False, tooltip="First dialogue"),
        Binding("G", "scroll_bottom", "Last", show=False, tooltip="Last dialogue"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True, cell_padding=1)
        self.order = "started"
        self.limit = ROWS
        self.hidden = 0
        self.wanted = ""
        self._cells: dict[str, tuple[Text, ...]] = {}
        self._newest = 0
        """The number of the newest dialogue that was ever shown: older ones that are not are hidden."""
        self._widths = _WIDE
        self._last: tuple[RunPicture, Mapping[str, Speaking], str | None] | None = None

    def on_mount(self) -> None:
        """Make the columns."""
        self._add_columns()

    def on_resize(self, event: Resize) -> None:
        """Narrower columns where the wide ones do not fit."""
        room = sum(_WIDE) + 2 * len(_WIDE) + 1
        widths = _WIDE if event.size.width >= room else _NARROW
        if widths == self._widths:
            return
        self._widths = widths
        chosen = self.under_cursor
        self.clear(columns=True)
        self._add_columns()
        if self._last is not None:
            self.rebuild(*self._last[:2], chosen)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Bring more rows where the cursor came to the end of those shown."""
        edge = 0 if self.order == "started" else self.row_count - 1
        if self.hidden and self._last and event.cursor_row == self.cursor_row == edge:
            self.limit *= 2
            self.rebuild(*self._last[:2], self.under_cursor)

    def _add_columns(self) -> None:
        for name, width in zip(COLUMNS, self._widths, strict=True):
            self.add_column(name, key=name or "mark", width=width)

    def style(self, style: str) -> str:
        """A style in our names for colours as one that a cell understands."""
        variables = self.app.theme_variables
        words = (variables.get(w[1:], "") if w[0] == "$" else w for w in style.split())
        # Textual's names for the terminal's own colours are rich's, but for this.
        return " ".join(word.removeprefix("ansi_") for word in words)

    def rebuild(
        self, picture: RunPicture, speaking: Mapping[str, Speaking], chosen: str | None
    ) -> None:
        """All rows anew: after a change of the filter, of the order or of the theme."""
        self._last = (picture, speaking, chosen)
        self.clear()
        self._cells.clear()
        shown, self.hidden = self._wanted_rows(picture)
        for one in shown:
            self._add(one, speaking)
        self.post_message(self.Rebuilt())
        if chosen is not None:
            self.choose(chosen)

    def _wanted_rows(self, picture: RunPicture) -> tuple[list[DialoguePicture], int]:
        """The dialogues that filter and limit leave, in their order, and how many the limit hides."""
        found = self._ordered(picture)
        shown = found[-self.limit :] if self.order == "started" else found[: self.limit]
        return shown, len(found) - len(shown)

    def _ordered(self, picture: RunPicture) -> list[DialoguePicture]:
        found = [one for one in picture.dialogues.values() if self.fits(one)]
        return sorted(found, key=ORDERS[self.order])

    def refresh_rows(
        self, picture: RunPicture, names: Iterable[str], speaking: Mapping[str, Speaking]
    ) -> None:
        """Draw the rows of these dialogues anew; new ones come below, unless filter or order put
        them elsewhere.
        """
        self._last = (picture, speaking, None)
        if (self.wanted or self.order != "started") and self._rearrange(picture, speaking):
            return
        for name in names:
            one = picture.dialogues.get(name)
            if one is None:
                continue
            if name not in self._cells:
                if self.fits(one) and one.number > self._newest:
                    self._add(one, speaking)
                continue
            cells = self._row(one, speaking)
            for column, old, new in zip(COLUMNS, self._cells[name], cells, strict=True):
                if old != new or old.spans != new.spans or old.style != new.style:
                    self.update_cell(name, column or "mark", new)
            self._cells[name] = cells

    def _rearrange(self, picture: RunPicture, speaking: Mapping[str, Speaking]) -> bool:
        """All rows anew if others are wanted than are shown, or in another order; says whether. The
        cursor keeps its dialogue, which keeps its line on the screen.
        """
        shown, hidden = self._wanted_rows(picture)
        if [one.started.dialogue for one in shown] == list(self._cells):
            if hidden != self.hidden:
                self.hidden = hidden
                self.post_message(self.Rebuilt())
            return False
        chosen, row, top = self.under_cursor, self.cursor_row, self.scroll_offset.y
        self.rebuild(picture, speaking, chosen)
        if chosen not in self._cells:
            self.move_cursor(row=min(row, self.row_count - 1), animate=False)
        self.scroll_to(y=top + self.cursor_row - row, animate=False, immediate=True)
        return True

    def choose(self, name: str) -> None:
        """Put the cursor on a dialogue, if it is shown."""
        if name in self._cells:
            self.move_cursor(row=self.get_row_index(name), animate=False)

    def reveal(self, name: str) -> None:
        """Put the cursor on a dialogue that fits, with as many rows more as reach to it."""
        if name not in self._cells and self._last is not None:
            picture, speaking, _ = self._last
            names = [one.started.dialogue for one in self._ordered(picture)]
            place = names.index(name)
            rows = len(names) - place if self.order == "started" else place + 1
            self.limit = max(self.limit, rows)
            self.rebuild(picture, speaking, name)
        self.choose(name)

    def render_line(self, y: int) -> Strip:
        """One line of the table. Its rows are drawn here: the table's own way draws every cell anew
        when one has changed, and whoever presses a key meanwhile waits for all of them.
        """
        row = y - self.header_height + self.scroll_offset.y
        if y < self.header_height or not self.is_valid_row_index(row):
            return super().render_line(y)
        key = self.coordinate_to_cell_key(Coordinate(row, 0)).row_key.value or ""
        stripe = "datatable--even-row" if row % 2 == 0 else "datatable--odd-row"
        ground = self.rich_style + self.get_component_rich_style(stripe)
        over = Style()
        if self._show_hover_cursor and row == self.hover_row:
            over += self.get_component_rich_style("datatable--hover")
        if row == self.cursor_row:
            over += self.get_component_rich_style("datatable--cursor")
        ground += over
        # A click finds its row by these.
        ground += Style.from_meta({"row": row, "column": 0})
        front = Style(color=over.color, bgcolor=over.bgcolor)
        pad = " " * self.cell_padding
        segments: list[Segment] = []
        for cell, width in zip(self._cells[key], self._widths, strict=True):
            text = set_cell_size(cell.plain, min(width, cell.cell_len))
            room = " " * (width - cell_len(text))
            told = f"{room}{text}" if cell.justify == "right" else f"{text}{room}"
            segments.append(
                Segment(f"{pad}{told}{pad}", ground + Style.parse(str(cell.style)) + front)
            )
        left, right = self.scroll_offset.x, self.scroll_offset.x + self.size.width
        strip = Strip(segments).extend_cell_length(self.size.width, ground)
        return strip.crop(left, right).extend_cell_length(self.size.width, self.rich_style)

    @property
    def coaching(self) -> bool:
        """Whether the run coaches, so that rounds and not arms tell its dialogues apart."""
        started = self._last[0].started if self._last else None
        return started is not None and started.command == "coach"

    @property
    def under_cursor(self) -> str | None:
        """The dialogue under the cursor."""
        if not self.is_valid_row_index(self.cursor_row):
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def _add(self, one: DialoguePicture, speaking: Mapping[str, Speaking]) -> None:
        name = one.started.dialogue
        cells = self._row(one, speaking)
        self._cells[name] = cells
        self._newest = max(self._newest, one.number)
        self.add_row(*cells, key=name, height=1)

    def fits(self, one: DialoguePicture) -> bool:
        """Whether the filter lets a dialogue through."""
        if not self.wanted:
            return True
        started = one.started
        told = f"{started.scenario} {started.persona} {self._arm(one)} {one.state} {one.feeling}"
        return all(word in told.casefold() for word in self.wanted.casefold().split())

    def _row(self, one: DialoguePicture, speaking: Mapping[str, Speaking]) -> tuple[Text, ...]:
        mark, style = _STATES.get(one.state, ("·", "$quiet"))
        state = one.state
        if one.ended is None and (now := speaking.get(one.started.dialogue)):
            mark, style, state = "▶", f"${now.speaker}", f"{now.speaker} speaks"
        score = one.judged.satisfaction if one.judged else None
        _, scenario, persona, arm, _, felt, _, _ = self._widths
        curve = trail(one.feelings)[9 - felt :]
        return (
            Text(mark, self.style(style)),
            Text(one_line(one.started.scenario, scenario)),
            Text(one_line(one.started.persona, persona), self.style("$quiet")),
            Text(one_line(self._arm(one), arm), self.style("$quiet")),
            Text(str(one.exchanges), justify="right"),
            Text(f"{one_line(one.feeling, 8):8} {curve}", self.style(mood_style(one.feeling))),
            Text("") if score is None else Text(f"{score:.1f}", self.style(score_style(score))),
            Text(state, self.style(style)),
        )

    def _arm(self, one: DialoguePicture) -> str:
        """The round and split in coaching, else the arm."""
        if not self.coaching:
            return one_line(one.started.arm)
        return f"r{one.started.round}{'·val' if one.started.purpose == 'validation' else ''}"
