"""A text to write or change over the screen, kept until it is saved or given up twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Button, Static, TextArea

from .saving import Saving

Save = Callable[[str], Awaitable[str | None]]
"""Takes the text; returns what hinders it, None where it is saved."""
Check = Callable[[str], list[str]]


class _Area(TextArea):
    """A text area in which Enter saves where the text is one line."""

    def __init__(self, text: str, one_line: bool) -> None:
        super().__init__(text, soft_wrap=True, show_line_numbers=not one_line, tab_behavior="focus")
        self._one_line = one_line

    async def _on_key(self, event: Key) -> None:
        if self._one_line and event.key == "enter":
            event.stop()
            event.prevent_default()
            assert isinstance(self.screen, Writing)
            self.screen.action_save()
            return
        await super()._on_key(event)


class Writing(Saving):
    """A text, and how it stands with it; a changed one is given up by leaving twice."""

    DEFAULT_CSS = """
    Writing { align: center middle; }
    Writing > Vertical {
        width: 94%; max-width: 100; height: auto; max-height: 94%;
        border: round $primary; border-title-color: $text-primary; background: $surface;
        border-subtitle-color: $text-muted; padding: 1 2 0 2;
    }
    Writing .told { color: $text-muted; height: auto; max-height: 8; margin-bottom: 1; }
    Writing TextArea { height: 5; border: tall $border-blurred; }
    Writing TextArea:focus { border: tall $border; }
    Writing.-long TextArea { height: 1fr; min-height: 8; }
    Writing.-long > Vertical { height: 90%; }
    Writing .state { height: auto; max-height: 9; }
    Writing Horizontal { height: auto; align: right middle; margin-top: 1; }
    Writing Button { margin-left: 2; }
    Writing.-low TextArea { height: 4; }
    Writing.-low.-long TextArea { height: 1fr; min-height: 4; }
    Writing.-low.-long > Vertical { height: 100%; }
    """

    def __init__(
        self,
        title: str,
        text: str,
        save: Save,
        *,
        told: str = "",
        check: Check | None = None,
        words: int | None = None,
        long: bool = False,
        problem: str = "",
    ) -> None:
        """Open a text.

        Args:
            title: what it is, in our own words.
            text: what stands there at first.
            save: tries to save it, and says what hinders it.
            told: shown above, as it is.
            check: what is wrong with a text, told while the person writes.
            words: the most words it may have, counted while the person writes.
            long: several lines; Enter then makes a new one.
            problem: shown at once, for a text that was refused elsewhere.
        """
        super().__init__(classes="-long" if long else "")
        self._title, self._text, self._save = title, text, save
        self._told, self._check, self._words = told, check, words
        self._long, self._problem = long, problem
        self._leaving = False

    def compose(self) -> ComposeResult:
        """What it is for, the text, its state, two buttons."""
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "ctrl+s save" if self._long else "enter save"
            if self._told:
                yield Static(Content(self._told), classes="told", markup=False)
            yield _Area(self._text, not self._long)
            yield Static(classes="state", markup=False)
            with Horizontal():
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Button("Save (ctrl+s)", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """The person can write at once, behind what is there."""
        area = self.query_one(TextArea)
        area.focus(scroll_visible=False)
        if not self._long:
            area.move_cursor(area.document.end)
        self.say(self._problem)

    @property
    def text(self) -> str:
        """What stands there now."""
        text = self.query_one(TextArea).text
        return text if self._long else " ".join(text.split())

    def on_text_area_changed(self) -> None:
        """Say how it stands with the text."""
        self._leaving = False
        self.say("")
        self.call_after_refresh(self.query_one(TextArea).scroll_visible, animate=False)

    async def save(self) -> str | None:
        """Save the text."""
        return await self._save(self.text)

    def say(self, problem: str) -> None:
        """How it stands with the text: its words, and what is wrong with it."""
        parts: list[tuple[str, str]] = []
        if self._words:
            count = len(self.text.split())
            parts.append((f"{count} of {self._words} words\n", "$text-muted"))
        found = [problem] if problem else self._check(self.text) if self._check else []
        parts += [(f"✗ {line}\n", "$text-error") for line in found if line]
        state = self.query_one(".state", Static)
        state.update(Content.assemble(*[Content.styled(*part) for part in parts]).rstrip())
        if problem:
            self.call_after_refresh(state.scroll_visible, animate=False)

    def action_leave(self) -> None:
        """Leave; a changed text must be given up twice."""
        same = self.text == (self._text if self._long else " ".join(self._text.split()))
        if same or self._leaving or self._busy:
            super().action_leave()
            return
        self._leaving = True
        self.say("not saved; press esc again to give it up")
