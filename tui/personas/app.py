"""The personas' app: a firm's cast on the screen, with our themes, help and palette."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tutelage.graphs.play.desk import Model
from tutelage.graphs.review import user_name

from ..shell import Shell
from .cast import Cast
from .casting import Casting
from .rehearsal import RehearsalScreen


class PersonasApp(Shell):
    """Shows one firm's personas; a talk is a screen over them."""

    TITLE = "personas"

    def __init__(
        self,
        firm: str | Path,
        name: str | None = None,
        *,
        scenario: str | None = None,
        customer: Model | None = None,
        seed: int = 0,
        by: str = "",
        theme: str | None = None,
    ) -> None:
        super().__init__(theme)
        self.casting = Casting(firm, by or user_name(), customer, seed)
        self._name, self._scenario = name, scenario

    def on_mount(self) -> None:
        """Begin with the cast, and over it with the talk that was asked for."""
        self.push_screen(Cast(self.casting, self._name))
        if self._name is not None:
            self.push_screen(RehearsalScreen(self.casting, self._name, self._scenario))

    def help_text(self) -> tuple[str, str]:
        """The help of the view on top."""
        top = self.screen
        return top.help if isinstance(top, Cast | RehearsalScreen) else ("personas", "")

    def commands(self) -> Iterable[tuple[str, str, str]]:
        """The cast's commands, by name."""
        # The palette itself is on top when it asks.
        views = [s for s in self.screen_stack if isinstance(s, Cast | RehearsalScreen)]
        return Cast.PALETTE if views and isinstance(views[-1], Cast) else ()
