"""A talk: the lines of one dialogue as bubbles, customer to the left, agent to the right."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueStarted,
    Event,
    TurnRejected,
    TurnSpoken,
)
from tutelage.graphs.plain_text import clean, one_line


class Talk(VerticalScroll):
    """Grows by one event at a time and stays at its end."""

    DEFAULT_CSS = """
    Talk { height: 1fr; padding: 0 1; background: $background; scrollbar-size-vertical: 1; }
    Talk Static { height: auto; }
    Talk .customer { border: round $customer; border-title-color: $customer; margin-right: 8;
        padding: 0 1; }
    Talk .student { border: round $student; border-title-color: $student; margin-left: 8;
        padding: 0 1; border-title-align: right; }
    Talk .person { border: heavy $accent; border-title-color: $accent; margin-left: 8;
        padding: 0 1; border-title-align: right; }
    Talk .aside { color: $quiet; padding: 0 2; }
    Talk .end { color: $quiet; text-align: center; margin-top: 1; }
    """
    can_focus = True
    _spoken: Static | None = None

    def on_mount(self) -> None:
        """The newest line stays in sight until the person scrolls away."""
        self.anchor()

    async def hear(self, event: Event) -> None:
        """Take one event in; what is no part of a talk is passed over."""
        await self.silent()
        match event:
            case DialogueStarted():
                await self.remove_children()
            case TurnSpoken(speaker="customer"):
                await self._bubble("customer", f"customer {one_line(event.feeling)}", event.text)
            case TurnSpoken() if event.by:
                await self._bubble("person", f"{one_line(event.by)} for the agent", event.text)
            case TurnSpoken():
                await self._bubble("student", "student", event.text)
            case TurnRejected():
                why = one_line(", ".join(event.reasons))
                await self.aside(f"drawn again ({why}): {one_line(event.text)}")
            case DialogueEnded():
                why = event.reason.replace("_", " ")
                await self.mount(Static(Content(f"the end: {why}"), classes="end", markup=False))
            case _:
                pass

    async def aside(self, text: str) -> None:
        """A line that nobody in the dialogue says."""
        await self.mount(Static(Content(clean(text)), classes="aside", markup=False))

    def speaking(self, text: str) -> None:
        """Show what the customer is saying, as far as it is said."""
        if self._spoken is None:
            self._spoken = Static("", classes="aside", markup=False)
            self.mount(self._spoken)
        self._spoken.update(Content(f"{clean(text)}▍"))

    async def silent(self) -> None:
        """Nobody is speaking any more."""
        if self._spoken is not None:
            await self._spoken.remove()
            self._spoken = None

    async def _bubble(self, kind: str, title: str, text: str) -> None:
        bubble = Static(Content(clean(text)), classes=kind, markup=False)
        bubble.border_title = Content(title.strip())
        await self.mount(bubble)
