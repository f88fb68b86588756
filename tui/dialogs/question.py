"""A question over the screen, answered by yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from ..ending import EndsWorkFirst


class Question(EndsWorkFirst, ModalScreen[bool]):
    """Ends with whether the person agreed."""

    DEFAULT_CSS = """
    Question { align: center middle; }
    Question > Vertical {
        width: 90%; max-width: 76; height: auto; max-height: 80%;
        border: round $warning; border-title-color: $text-warning; background: $surface;
        padding: 1 2 0 2;
    }
    Question VerticalScroll { height: auto; max-height: 50vh; }
    Question .said { height: auto; }
    Question Horizontal { height: auto; align: right middle; margin-top: 1; }
    Question Button { margin-left: 2; }
    Question.-low > Vertical { max-height: 100%; padding: 0 1; }
    Question.-low VerticalScroll { max-height: 70vh; }
    Question.-low Horizontal { margin-top: 0; }
    Question.-low Button { min-width: 0; }
    """
    AUTO_FOCUS = "#no"
    """Enter does no harm: it says no."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, said: str | Content, yes: str = "Yes", no: str = "No") -> None:
        """Ask.

        Args:
            title: the question, in our own words.
            said: what it is about; a plain string is shown as it is.
            yes, no: what the buttons say.
        """
        super().__init__()
        self._title, self._said = title, Content(said) if isinstance(said, str) else said
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        """The question over two buttons."""
        with Vertical() as box:
            box.border_title = self._title
            with VerticalScroll():
                yield Static(self._said, classes="said", markup=False)
            with Horizontal():
                yield Button(f"{self._no} (n)", id="no", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", variant="warning", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A click or Enter on a button answers."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """A key answers."""
        self.dismiss(yes)
