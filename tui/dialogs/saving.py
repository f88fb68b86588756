"""What the windows have in common that save something: one save at a time, and one end."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from ..shell import WRITE


class Saving(ModalScreen[bool]):
    """Ends with whether it was saved. What is refused stays on the screen with the reason; while a
    save is under way, neither another one nor leaving is taken. A subclass overrides `save`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("escape", "leave", "Cancel", priority=True),
    ]

    def __init__(self, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._busy = False
        self._end: bool | None = None

    async def save(self) -> str | None:
        """Save what stands there; returns what hinders it, None where it is saved."""
        raise NotImplementedError

    def say(self, problem: str) -> None:
        """Show why it is not saved."""
        self.query_one(".state", Static).update(Content(f"✗ {problem}"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The mouse can do what the keys do."""
        if event.button.id == "save":
            self.action_save()
        else:
            self.action_leave()

    def action_save(self) -> None:
        """Try to save; stay with the reason where that is refused."""
        if not self._busy:
            # Here and not in the worker: the next key may come before it begins.
            self._busy = True
            self._try()

    @work(group=WRITE)
    async def _try(self) -> None:
        problem = await self.save()
        if problem is None:
            self._finish(True)
            return
        self._busy = False
        if self.is_attached:
            self.say(problem)

    def action_leave(self) -> None:
        """Leave without saving."""
        if not self._busy:
            self._busy = True
            self._finish(False)

    def _finish(self, saved: bool) -> None:
        self._end = saved
        self._go()

    def on_screen_resume(self) -> None:
        """Go now, where it ended under another screen."""
        self._go()

    def _go(self) -> None:
        # What goes is the screen on top, whichever it is.
        if self._end is not None and self.is_active:
            self.dismiss(self._end)
