"""Help: a screen over a screen, with what the view shows and every key that works in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from .ending import EndsWorkFirst


class Help(EndsWorkFirst, ModalScreen[None]):
    """What a view shows and its keys; any of escape, q, ? leaves it."""

    CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 76; max-width: 96%; height: auto; max-height: 92%; padding: 1 2;
        background: $surface; border: round $border; border-title-color: $accent;
        border-subtitle-color: $quiet;
    }
    Help Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, title: str, text: str, keys: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._text, self._keys = title, text, list(keys)

    def compose(self) -> ComposeResult:
        """The text, then the keys in two columns."""
        with VerticalScroll() as box:
            box.border_title, box.border_subtitle = self._title, "escape goes back"
            yield Static(Content(self._text.strip() + "\n"))
            width = max((len(key) for key, _ in self._keys), default=0)
            yield Static(
                Content("\n").join(
                    Content.assemble((key.ljust(width), "bold $accent"), "  ", told)
                    for key, told in self._keys
                )
            )

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def keys_of(screen: Screen[object]) -> list[tuple[str, str]]:
    """The keys that work on a screen now, with what they do; several keys of one action together.

    Those of the footer come first. A key that is in no footer is listed where it has a tooltip:
    tables and texts have dozens of keys without one.
    """
    told: dict[str, list[str]] = {}
    active = [one.binding for one in screen.active_bindings.values() if one.enabled]
    for binding in sorted(active, key=lambda one: not one.show):
        if binding.system or not (binding.show or binding.tooltip):
            continue
        keys = told.setdefault(binding.tooltip or binding.description, [])
        shown = screen.app.get_key_display(binding)
        if shown not in keys:
            keys.append(shown)
    return [(" ".join(keys), words) for words, keys in told.items()]
