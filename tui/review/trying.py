"""Trying a text: what a customer who says it would be given, and how near every other entry is."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from tutelage.graphs.map.text_lookup import Nearby, look_up_text
from tutelage.graphs.plain_text import one_line
from tutelage.graphs.review import LibraryFault

from ..ending import EndsWorkFirst


class Trying(EndsWorkFirst, ModalScreen[str | None]):
    """Ends with the id of the entry to go to, None where the person only looked."""

    DEFAULT_CSS = """
    Trying { align: center middle; }
    Trying > Vertical {
        width: 94%; max-width: 104; height: auto; max-height: 94%;
        border: round $primary; border-title-color: $primary; background: $surface;
        border-subtitle-color: $text-muted; padding: 1 2;
    }
    Trying Input { background: $panel; margin-bottom: 1; }
    Trying OptionList, Trying OptionList:focus { height: auto; max-height: 60vh; border: none;
        background: $surface; padding: 0; }
    Trying .state { height: auto; color: $quiet; }
    Trying.-low > Vertical { max-height: 100%; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", priority=True),
        Binding("down", "move(1)", "Next", priority=True),
        Binding("up", "move(-1)", "Previous", priority=True),
    ]

    def __init__(self, library: Path) -> None:
        """Begin with nothing; `library` is the file that is looked in."""
        super().__init__()
        self._library = library

    def compose(self) -> ComposeResult:
        """The text, what is near it, how it stands."""
        with Vertical() as box:
            box.border_title, box.border_subtitle = "Try a text", "enter looks, then goes there"
            yield Input(placeholder="what a customer says", compact=True)
            yield OptionList()
            yield Static("", classes="state", markup=False)

    def on_mount(self) -> None:
        """The person can write at once."""
        self.query_one(Input).focus()
        self._show([], "by words, as where no --embeddings are named")

    def on_input_changed(self) -> None:
        """What was found is for another text."""
        self._show([], "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter looks; where that is done, it goes to the entry that is highlighted."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)
        elif event.value.strip():
            self._look(event.value)

    @work(exclusive=True, group="look")
    async def _look(self, text: str) -> None:
        try:
            found = await look_up_text(self._library, text)
        except LibraryFault as error:
            found, said = [], f"✗ {one_line(str(error), 300)}"
        else:
            given = any(not one.kept_out for one in found)
            said = (
                ""
                if given
                else "nothing is given"
                if found
                else "the library holds nothing to give"
            )
        if self.query_one(Input).value == text:
            self._show(found, said)

    def _show(self, found: list[Nearby], said: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_line(one), id=one.entry.id) for one in found])
        options.display = bool(found)
        options.highlighted = 0 if found else None
        self.query_one(".state", Static).update(Content(said))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click goes to the entry."""
        self.dismiss(event.option_id)

    def action_move(self, by: int) -> None:
        """Move in the list while the line keeps the keys."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            options.highlighted = max(0, min(options.option_count - 1, options.highlighted + by))

    def action_leave(self) -> None:
        """Stay where one was."""
        self.dismiss(None)


def _line(one: Nearby) -> Content:
    like = " any" if one.entry.general else f"{one.similarity:.2f}"
    tone = {"": "bold $good", "not approved": "$strategy"}.get(one.kept_out, "$quiet")
    return Content.assemble(
        (f"{like}  ", "bold"), (one.kept_out or "✓ given", tone), "  ", one_line(one.entry.scenario)
    )
