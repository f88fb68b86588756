"""A choice among named things, in a small window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option
from tutelage.graphs.plain_text import one_line

from ..ending import EndsWorkFirst


class Choice(EndsWorkFirst, ModalScreen[str | None]):
    """Ends with the id chosen, None where nothing was; typing narrows the choice."""

    DEFAULT_CSS = """
    Choice { align: center middle; }
    Choice > Vertical {
        width: 94%; max-width: 90; height: auto; max-height: 90%;
        border: round $primary; border-title-color: $primary; background: $surface; padding: 1 2;
    }
    Choice Input { background: $panel; margin-bottom: 1; }
    Choice OptionList, Choice OptionList:focus { height: auto; max-height: 62vh; border: none;
        background: $surface; padding: 0; }
    Choice.-low > Vertical { padding: 0 1; }
    Choice.-low OptionList { max-height: 50vh; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", priority=True),
        Binding("down", "move(1)", "Next", priority=True),
        Binding("up", "move(-1)", "Previous", priority=True),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        """Offer things to choose, each an id and what it is called."""
        super().__init__()
        self._title, self._options = title, list(options)

    def compose(self) -> ComposeResult:
        """A line that narrows, over the list."""
        with Vertical() as box:
            box.border_title = self._title
            yield Input(placeholder="type to narrow, enter chooses", compact=True)
            yield OptionList()

    def on_mount(self) -> None:
        """All of them at first."""
        self.query_one(Input).focus()
        self._fill("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the choice."""
        self._fill(event.value)

    def _fill(self, typed: str) -> None:
        words = typed.casefold().split()
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            [
                Option(Content.assemble(one_line(title), (f"  {id_}", "$quiet")), id=id_)
                for id_, title in self._options
                if all(word in f"{title} {id_}".casefold() for word in words)
            ]
        )
        options.highlighted = 0 if options.option_count else None

    def on_input_submitted(self) -> None:
        """Enter chooses what is highlighted."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click chooses."""
        self.dismiss(event.option_id)

    def action_move(self, by: int) -> None:
        """Move in the list while the line keeps the keys."""
        options = self.query_one(OptionList)
        if options.option_count:
            place = (options.highlighted or 0) + by
            options.highlighted = max(0, min(options.option_count - 1, place))

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)
