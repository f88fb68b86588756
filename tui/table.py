"""A table of rows that says when its room changes, so that its columns can be fitted to it."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable


class RowTable(DataTable[Text]):
    """A `DataTable` with a row cursor. Cells are `Text`, so that nothing in them is markup."""

    DEFAULT_CSS = """
    RowTable { background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    RowTable:focus { background-tint: $foreground 0%; }
    RowTable > .datatable--header { background: $background; color: $quiet; text-style: none; }
    RowTable:focus > .datatable--header { background-tint: $foreground 0%; }
    """

    class Fitted(Message):
        """The table has another width now."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row")
        self._width = 0

    def on_resize(self, event: Resize) -> None:
        """Say so where the width is another."""
        if event.size.width != self._width:
            self._width = event.size.width
            self.post_message(self.Fitted())

    def begin(self, widths: dict[str, int], stretched: str, least: int = 12) -> None:
        """Empty the table and make its columns.

        Args:
            widths: the columns in order with their widths in cells; a name in brackets has no title.
            stretched: the column that takes what the others leave.
            least: the fewest cells for that one.
        """
        self.clear(columns=True)
        taken = sum(width for name, width in widths.items() if name != stretched)
        room = self.size.width - taken - 2 * len(widths)
        for name, width in widths.items():
            shown = "" if name.startswith("(") else name
            fitted = max(least, room) if name == stretched else width
            self.add_column(shown, width=fitted, key=name)

    def tone(self, meaning: str) -> Style:
        """The colour of a meaning of the theme, for `Text`."""
        try:
            return Style(color=Color.parse(self.app.theme_variables.get(meaning, "")).rich_color)
        except ValueError:
            return Style()
