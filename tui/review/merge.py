"""Merging entries: which other entry goes into this one, and what comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.review import Entry

from ..dialogs.saving import Saving
from .rows import MARKS

Save = Callable[[Entry], Awaitable[str | None]]


class Merge(Saving):
    """Ends with whether the entries were merged; what is refused stays with the reason."""

    DEFAULT_CSS = """
    Merge { align: center middle; }
    Merge > Vertical {
        width: 94%; max-width: 104; height: auto; max-height: 94%;
        border: round $primary; border-title-color: $primary; background: $surface;
        padding: 1 2 0 2;
    }
    Merge Static { height: auto; }
    Merge .told { color: $quiet; }
    Merge OptionList { height: auto; max-height: 8; border: none; background: $surface; padding: 0;
        margin-bottom: 1; }
    Merge OptionList:focus { border: none; }
    Merge #outcome { max-height: 9; border: round $panel; border-title-color: $quiet; padding: 0 1; }
    Merge .state { color: $error; }
    Merge Horizontal { height: auto; align: right middle; }
    Merge Button { margin-left: 2; }
    Merge.-low OptionList { max-height: 4; margin-bottom: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Merge", priority=True),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, kept: Entry, others: Sequence[tuple[float, Entry]], save: Save) -> None:
        """Begin a merge.

        Args:
            kept: the entry that stays.
            others: those that could go into it, with how alike they are (0 to 1).
            save: merges one; returns what hinders it, None where it is done.
        """
        super().__init__()
        self._kept, self._others, self._save = kept, list(others), save

    def compose(self) -> ComposeResult:
        """What stays, what may go, what comes out."""
        with Vertical() as box:
            box.border_title = "Merge another entry into this one"
            yield Static(Content(f"stays: {one_line(self._kept.scenario)}"), markup=False)
            yield Static("goes into it (nearest first)", classes="told", markup=False)
            yield OptionList(
                *[
                    Option(
                        Content.assemble((f"{like:.0%}".rjust(4), "$quiet"), "  ",
                                         one_line(entry.scenario)), id=entry.id,
                    )
                    for like, entry in self._others
                ]
            )  # fmt: skip
            yield Static("", id="outcome", markup=False)
            yield Static("", classes="state", markup=False)
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Merge (ctrl+s)", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """The nearest entry is chosen at first."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus(scroll_visible=False)
        self.query_one("#outcome").border_title = "what comes out"

    def on_option_list_option_highlighted(self) -> None:
        """Show what would come out."""
        other = self._other()
        if other is None:
            return
        known = {" ".join(s.text.casefold().split()) for s in self._kept.strategies}
        lines: list[Content] = []
        for strategy in [*self._kept.strategies, *other.strategies]:
            new = strategy not in self._kept.strategies
            same = new and " ".join(strategy.text.casefold().split()) in known
            sign, tone = ("=", "$quiet") if same else ("+", "$good") if new else (" ", "")
            words = f"{MARKS[strategy.status]} {clean(strategy.text)}"
            lines.append(Content.assemble((f"{sign} ", tone), (words, tone)))
            if same:
                lines.append(Content.styled("    says the same; stays once", "$quiet"))
        self.query_one("#outcome", Static).update(Content("\n").join(lines))

    def _other(self) -> Entry | None:
        place = self.query_one(OptionList).highlighted
        return None if place is None else self._others[place][1]

    def on_option_list_option_selected(self) -> None:
        """Enter goes to the button, so that one key more is needed."""
        self.query_one("#save").focus()

    def action_move(self, by: int) -> None:
        """Move in the list."""
        options = self.query_one(OptionList)
        place = (options.highlighted or 0) + by
        options.highlighted = max(0, min(len(self._others) - 1, place))

    async def save(self) -> str | None:
        """Merge."""
        other = self._other()
        return "choose an entry first" if other is None else await self._save(other)
