"""The review's app: a library on the screen, with our themes, help and palette."""

from __future__ import annotations

from collections.abc import Iterable

from tutelage.graphs.review import Review

from ..shell import Shell
from .board import Board
from .history import History


class ReviewApp(Shell):
    """Shows one library; the views are screens on top of each other."""

    TITLE = "review"

    def __init__(self, review: Review, theme: str | None = None) -> None:
        super().__init__(theme)
        self.review = review

    def on_mount(self) -> None:
        """Begin with the board."""
        self.push_screen(Board(self.review))

    def help_text(self) -> tuple[str, str]:
        """The help of the view on top."""
        top = self.screen
        return top.help if isinstance(top, Board | History) else ("review", "")

    def commands(self) -> Iterable[tuple[str, str, str]]:
        """The board's commands, by name."""
        # The palette itself is on top when it asks.
        views = [screen for screen in self.screen_stack if isinstance(screen, Board | History)]
        return Board.PALETTE if views and isinstance(views[-1], Board) else ()
