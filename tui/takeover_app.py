"""The takeover as an app of its own, for one dialogue of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tutelage.graphs.play.takeover import dialogue_under_way

from .shell import Shell
from .takeover import Takeover


class TakeoverApp(Shell):
    """Shows one dialogue with a line to speak in it, until the person leaves."""

    TITLE = "take over"

    def __init__(self, run: Path, dialogue: str, by: str = "", theme: str | None = None) -> None:
        super().__init__(theme)
        self._run, self._dialogue, self._by = run, dialogue, by

    def on_mount(self) -> None:
        """The one screen; leaving it leaves the app."""
        self.push_screen(Takeover(self._run, self._dialogue, self._by), lambda _: self.exit())

    def help_text(self) -> tuple[str, str]:
        """The help of the screen."""
        return Takeover.HELP_TEXT


def take_over(run: Path, dialogue: str | None = None, by: str = "") -> None:
    """Let a person speak for the student in a dialogue that goes on in another process.

    Args:
        run: the run's folder.
        dialogue: its id; the one that began last of those under way where not given.
        by: who speaks; the user where not given.

    Raises:
        RunFault: where there is no such run or dialogue, or none is under way (exit code 2).
        ScreenFault: where there is no terminal (exit code 2), or the screen broke.
    """
    TakeoverApp(run, asyncio.run(dialogue_under_way(run, dialogue)), by).run()
