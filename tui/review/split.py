"""Splitting an entry: which strategies and cues go, and to what scenario."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, SelectionList, Static
from textual.widgets.selection_list import Selection
from tutelage.graphs.plain_text import one_line
from tutelage.graphs.review import Entry

from ..dialogs.saving import Saving
from .rows import MARKS

Save = Callable[[list[str], list[str], str], Awaitable[str | None]]


class Split(Saving):
    """Ends with whether the entry was split; what is refused stays with the reason."""

    DEFAULT_CSS = """
    Split { align: center middle; }
    Split > Vertical {
        width: 94%; max-width: 104; height: auto; max-height: 94%;
        border: round $primary; border-title-color: $primary; background: $surface;
        padding: 1 2 0 2;
    }
    Split .body { height: auto; }
    Split Static { height: auto; color: $quiet; }
    Split #scenario { margin-bottom: 1; background: $panel; }
    Split SelectionList { height: auto; max-height: 7; margin-bottom: 1; border: none;
        background: $surface; padding: 0; }
    Split SelectionList:focus { border: none; }
    Split .state { color: $error; }
    Split Horizontal { height: auto; align: right middle; }
    Split Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Split", priority=True),
    ]

    def __init__(self, entry: Entry, going: set[str], save: Save) -> None:
        """Begin a split.

        Args:
            entry: what to split.
            going: ids of strategies chosen at first.
            save: splits; returns what hinders it, None where it is done.
        """
        super().__init__()
        self._entry, self._going, self._save = entry, going, save

    def compose(self) -> ComposeResult:
        """The new scenario, the strategies, the cues."""
        with Vertical() as box:
            box.border_title = "Split the entry"
            # One child, since Tab goes through a box by where its children lie, and the buttons lie low.
            with Vertical(classes="body"):
                yield Static(Content(f"stays: {one_line(self._entry.scenario)}"), markup=False)
                yield Input(placeholder="the new entry's scenario, one general sentence", id="scenario",
                            compact=True)  # fmt: skip
                yield Static("strategies that go to it (space)", markup=False)
                yield SelectionList[str](
                    *[
                        Selection(Content(f"{MARKS[s.status]} {one_line(s.text)}"), s.id,
                                  s.id in self._going)
                        for s in self._entry.strategies
                    ],
                    id="strategies",
                )  # fmt: skip
                if self._entry.cues:
                    yield Static("customer lines that go along", markup=False)
                    yield SelectionList[int](
                        *[Selection(Content(one_line(cue)), place)
                          for place, cue in enumerate(self._entry.cues)],
                        id="cues",
                    )  # fmt: skip
                yield Static("", classes="state", markup=False)
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Split (ctrl+s)", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """The person can write the scenario at once."""
        self.query_one("#scenario").focus(scroll_visible=False)

    def on_input_submitted(self) -> None:
        """Enter goes on to the strategies."""
        self.query_one("#strategies").focus()

    async def save(self) -> str | None:
        """Split."""
        chosen = self.query_one("#strategies", SelectionList).selected
        cues = self.query("#cues").results(SelectionList)
        going = [self._entry.cues[place] for found in cues for place in found.selected]
        scenario = self.query_one("#scenario", Input).value
        return await self._save(list(chosen), going, scenario)
