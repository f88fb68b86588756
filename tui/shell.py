"""The shell: what all our full-screen apps share, themes and the keys that mean the same everywhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.screen import Screen
from textual.worker import WorkerError

from .help import Help, keys_of
from .themes import install, theme_names

WRITE = "write"
"""The group of the workers that write what a person decided. The app is left when they are done."""


class ScreenFault(Exception):
    """There is no screen to show, or it broke; str() says what to do. exit_code is 1 failed, 2 wrong
    use.
    """

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


def need_terminal() -> None:
    """Refuse to take the screen where there is none: keys would never come, and nothing be seen.

    Raises:
        ScreenFault: exit code 2; names what is no terminal.
    """
    if os.environ.get("TEXTUAL_DRIVER"):
        # Textual is told to draw elsewhere, as by `watch --serve` in a browser.
        return
    streams = {"stdin": sys.__stdin__, "stdout": sys.__stdout__, "stderr": sys.__stderr__}
    missing = [name for name, one in streams.items() if one is None or not one.isatty()]
    if missing:
        raise ScreenFault(
            f"a screen needs a terminal (not one: {', '.join(missing)}): call it without a pipe or a "
            "file; a picture of a run needs none: tutelage watch RUN --export FILE.svg",
            2,
        )


class Shell(App[None]):
    """An app with our themes, a help screen for each view, and a command palette.

    Keys that mean the same everywhere: q leaves the app, escape goes back one step, ? helps, T
    changes the theme, ctrl+p opens the palette, j and k move as the arrows do, g and G go to the
    first and the last, / filters, enter opens, space marks or plays. A subclass names its views'
    help by overriding `help_text`, and its own commands of the palette by overriding `commands`.
    """

    TITLE = "tutelage"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?", tooltip="This help"),
        Binding("T", "next_theme", "Theme", show=False, tooltip="Next theme"),
        Binding("q", "quit", "Leave"),
    ]

    def __init__(self, theme: str | None = None) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]
        install(self, theme)

    def run(self, *, headless: bool = False, **options: Any) -> Any:
        """Take the terminal until the person leaves.

        Returns:
            What the app was left with (`App.exit`): nothing, where a person leaves it.

        Raises:
            ScreenFault: where there is no terminal (exit code 2), or the app broke; the traceback is
                then on stderr.
        """
        if not headless:
            need_terminal()
        left_with = super().run(headless=headless, **options)
        if self.return_code:
            raise ScreenFault(f"the screen of `{self.TITLE}` broke; the defect is ours, see above")
        return left_with

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our meanings for Textual's own themes, which do not know them."""
        palette = self.current_theme.to_color_system().generate()
        quiet = Color.parse(palette["foreground"]).blend(Color.parse(palette["background"]), 0.4)
        return {
            "customer": palette["warning"], "student": palette["success"],
            "teacher": palette["secondary"], "judge": palette["primary"],
            "strategy": palette["accent"], "good": palette["success"], "bad": palette["error"],
            "quiet": quiet.hex,
        }  # fmt: skip

    def help_text(self) -> tuple[str, str]:
        """The title and the text of the help of the view that is shown; views override it."""
        return (self.TITLE or "", "")

    def commands(self) -> Iterable[tuple[str, str, str]]:
        """The palette's commands of the view that is shown: name, what it does, action."""
        return ()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Our commands before Textual's own (theme, keys, screenshot, leave)."""
        for name, told, action in self.commands():
            yield SystemCommand(name, told, lambda action=action: self.run_action(action))
        yield SystemCommand("Help", "What this view shows, and its keys", self.action_help)
        yield from super().get_system_commands(screen)

    async def action_quit(self) -> None:
        """Leave, once all that was decided is written."""
        self.run_worker(self._leave())

    async def _leave(self) -> None:
        for one in [worker for worker in self.workers if worker.group == WRITE]:
            # One that failed has said so.
            with contextlib.suppress(WorkerError):
                await one.wait()
        self.exit()

    def action_help(self) -> None:
        """Show the help of the view, over it."""
        if not isinstance(self.screen, Help):
            self.push_screen(Help(*self.help_text(), keys_of(self.screen)))

    def action_next_theme(self) -> None:
        """Go to the next of our themes."""
        names = theme_names()
        here = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(here + 1) % len(names)]
        self.notify(f"theme: {self.theme}", timeout=2, markup=False)
