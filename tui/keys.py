"""A footer that shows every key of the view: on a narrow screen in as many lines as that takes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.events import Resize
from textual.geometry import clamp
from textual.widgets import Footer

MOST_LINES = 3


class Keys(Footer):
    """Textual's footer, laid out as a grid where its keys do not fit on one line."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """The keys, then their places."""
        yield from super().compose()
        self._lay_out()

    def on_resize(self, _: Resize) -> None:
        """More room, fewer lines."""
        self._lay_out()

    def _lay_out(self) -> None:
        shown = [one.binding for one in self.screen.active_bindings.values() if one.binding.show]
        words = {b.action: f" {self.app.get_key_display(b)}  {b.description} " for b in shown}
        width = self.app.size.width
        if not words or sum(map(len, words.values())) <= width:
            self.styles.layout = "horizontal"
            self.styles.height = 1
            return
        columns = clamp(width // max(map(len, words.values())), 1, len(words))
        lines = -(-len(words) // columns)
        self.styles.layout = "grid"
        self.styles.grid_size_columns = -(-len(words) // lines)
        self.styles.grid_columns = "1fr"
        self.styles.grid_rows = "1"
        self.styles.height = min(lines, MOST_LINES)
