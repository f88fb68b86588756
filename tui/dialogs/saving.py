"""What the windows have in common that save something: one save at a time, and one end."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from ..ending import EndsWorkFirst
from ..shell import WRITE


class Saving(EndsWorkFirst, ModalScreen[bool]):
    """Ends with whether it was saved. What is refused stays on the screen with the reason; while a
    save is under way, neither another one nor leaving is taken. A subclass overrides `save`.
    """

    # A window chooses what the person begins in, and comes there when its room is known.
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    Saving > Vertical { overflow-y: auto; scrollbar-size-vertical: 1; }
    Saving > Vertical > Horizontal { dock: bottom; }
    Saving.-low > Vertical { max-height: 100%; padding: 0 1; }
    Saving.-low > Vertical > Horizontal { margin-top: 0; }
    Saving.-low Button { min-width: 0; margin-left: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("escape", "leave", "Cancel", priority=True),
    ]

    def __init__(self, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._busy = False
        self._end: bool | None = None

    def on_resize(self) -> None:
        """What the person writes in stays in sight where the window is lower than what it holds."""
        self.call_after_refresh(self._show_focused)

    def _show_focused(self) -> None:
        if self.focused is not None:
            self.focused.scroll_visible(animate=False)

    async def save(self) -> str | None:
        """Save what stands there; returns what hinders it, None where it is saved."""
        raise NotImplementedError

    def say(self, problem: str) -> None:
        """Show why it is not saved."""
        state = self.query_one(".state", Static)
        state.update(Content(f"✗ {problem}"))
        self.call_after_refresh(state.scroll_visible, animate=False)

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
        if not self.going:
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
