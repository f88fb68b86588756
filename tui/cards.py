"""Cards: a column of texts that scrolls, of which only those that changed are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static


class Card(NamedTuple):
    """One text with the CSS class that says what it is (`customer`, `judge`, ...)."""

    kind: str
    text: Content


MOVES: list[BindingType] = [
    Binding("j", "scroll_down", "Down", show=False, tooltip="Scroll down"),
    Binding("k", "scroll_up", "Up", show=False, tooltip="Scroll up"),
    Binding("g", "scroll_home", "First", show=False, tooltip="To the beginning"),
    Binding("G", "scroll_end", "Last", show=False, tooltip="To the end"),
]
"""The keys of a view that is nothing but a long text."""


class Cards(VerticalScroll):
    """Shows cards, one below the other."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: list[Card] = []
        self._widgets: list[Static] = []

    def show(self, cards: Sequence[Card], *, end: bool = False) -> None:
        """Show these cards in place of the ones before; with `end`, scroll to the last."""
        grown = len(cards) != len(self._shown)
        with self.app.batch_update():
            for position, card in enumerate(cards):
                if position == len(self._widgets):
                    widget = Static(card.text, classes=f"card -{card.kind}", markup=False)
                    self._widgets.append(widget)
                    self.mount(widget)
                elif self._shown[position] != card:
                    widget = self._widgets[position]
                    grown = self._redraw(widget, self._shown[position], card) or grown
            for widget in self._widgets[len(cards) :]:
                widget.remove()
            del self._widgets[len(cards) :]
            self._shown = list(cards)
        if end and grown:
            self.call_after_refresh(self.scroll_end, animate=False)

    def _redraw(self, widget: Static, old: Card, new: Card) -> bool:
        """Draw a card anew; says whether it takes another height. One that keeps its height moves
        nothing else, which is most of what streaming does.
        """
        if old.kind != new.kind:
            widget.set_classes(f"card -{new.kind}")
        width, height = widget.content_size
        # A card that was never laid out has no width yet.
        grown = old.kind != new.kind or not width or new.text.get_height({}, width) != height
        widget.update(new.text, layout=grown)
        return grown

    def reveal(self, position: int) -> None:
        """Scroll to a card."""
        if 0 <= position < len(self._widgets):
            self._widgets[position].scroll_visible(animate=False, top=True)

    @property
    def plain(self) -> str:
        """All that is shown, as plain text."""
        return "\n".join(card.text.plain for card in self._shown)


class View(Cards):
    """Cards that are a whole view, so that the keys move in them."""

    BINDINGS: ClassVar[list[BindingType]] = MOVES
