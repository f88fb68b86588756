"""The replay: one dialogue step by step, at a chosen speed, forward and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static
from tutelage.graphs.log.events import TurnSpoken
from tutelage.graphs.log.picture import VALENCE, DialoguePicture
from tutelage.graphs.plain_text import one_line

from .bubbles import bubbles, mood_style, trail
from .cards import Cards
from .ending import EndsWorkFirst
from .feed import Line

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
CHARACTERS = 45.0
"""Characters a second at speed 1: quick reading."""
PAUSE = 0.9
"""Seconds between two lines at speed 1."""
FRAME = 1 / 20


def falls(lines: Sequence[Line]) -> list[int]:
    """The positions of the customer's lines before which the mood fell, the deepest fall first."""
    found: list[tuple[int, int]] = []
    before: int | None = None
    for position, line in enumerate(lines):
        if not isinstance(line, TurnSpoken) or line.feeling not in VALENCE:
            continue
        now = VALENCE[line.feeling]
        if before is not None and now < before:
            found.append((now - before, position))
        before = now
    return [position for _, position in sorted(found)]


class Replay(EndsWorkFirst, Screen[None]):
    """Shows the lines up to where it stands; playing types the next."""

    HELP_TEXT = (
        "Replay",
        "A dialogue step by step. The figures below tell where it stands; the curve is the "
        "customer's mood line by line. m goes to the line where the mood fell most, again to the "
        "next such line.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play"),
        Binding("right,l,j,down", "step(1)", "Forward", key_display="→"),
        Binding("left,h,k,up", "step(-1)", "Back", key_display="←"),
        Binding("plus,equals_sign", "speed(1)", "Faster", key_display="+"),
        Binding("minus", "speed(-1)", "Slower", key_display="-"),
        Binding("m", "fall", "Mood fell", tooltip="To where the mood fell"),
        Binding("g,home", "go(1)", "First", show=False, tooltip="First line"),
        Binding("G,end", "go(-1)", "Last", show=False, tooltip="Last line"),
        Binding("escape", "dismiss", "Back to the board"),
    ]

    def __init__(self, one: DialoguePicture, lines: Sequence[Line]) -> None:
        super().__init__()
        # The run may go on: what it tells from here on is of lines that are not here.
        self.one, self.lines = replace(one), list(lines)
        self.at = 1
        self.typed: float | None = None
        self.playing = False
        self.speed = 1.0
        self._rest = 0.0
        self._falls = falls(self.lines)
        self._fall = -1

    def compose(self) -> ComposeResult:
        """Title, transcript, where it stands, keys."""
        yield Static("", id="replay-title", markup=False)
        yield Cards(id="replay-cards")
        yield Static("", id="replay-place", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show the first line."""
        started = self.one.started
        self.query_one("#replay-title", Static).update(
            Content.assemble(
                ("replay  ", "bold $strategy"), (one_line(started.title, 60), "bold"),
                (f"  {one_line(started.persona, 20)} · {one_line(started.dialogue, 60)}", "$quiet"),
            )
        )  # fmt: skip
        self._clock = self.set_interval(FRAME, self._frame, pause=True)
        self._draw()
        self.query_one(Cards).focus()

    def _frame(self) -> None:
        """One step of the clock while it plays."""
        text = self.lines[self.at - 1].text
        if self.typed is not None and self.typed < len(text):
            self.typed += CHARACTERS * self.speed * FRAME
            self._rest = 0.0
            self._draw()
            return
        self._rest += FRAME * self.speed
        if self._rest < PAUSE:
            return
        self._rest = 0.0
        if self.at == len(self.lines):
            self.action_play()
        else:
            self.at, self.typed = self.at + 1, 0.0
        self._draw()

    def _draw(self) -> None:
        last = self.at == len(self.lines)
        typed = None if self.typed is None else int(self.typed)
        whole = last and (typed is None or typed >= len(self.lines[-1].text))
        cards = bubbles(
            self.lines[: self.at],
            self.one.judged if whole else None,
            self.one.ended if whole else None,
            typed=typed,
        )
        self.query_one(Cards).show(cards, end=True)
        self.query_one("#replay-place", Static).update(self._place())

    def _place(self) -> Content:
        seen = [x for x in self.lines[: self.at] if isinstance(x, TurnSpoken) and x.feeling]
        feeling = seen[-1].feeling if seen else ""
        bar = "".join("█" if n < self.at else "░" for n in range(len(self.lines)))
        state = "▶ playing" if self.playing else "■ paused"
        return Content.assemble(
            (f"{state}  ", "bold $strategy"), f"{self.speed:g}×  line {self.at} of {len(self.lines)}  ",
            (bar, "$judge"), "  mood ", (trail([x.feeling for x in seen]), mood_style(feeling)),
            (f" {one_line(feeling, 10)}", mood_style(feeling)),
        )  # fmt: skip

    def action_play(self) -> None:
        """Play on, or pause; at the end, from the beginning."""
        self.playing = not self.playing
        if self.playing:
            at_end = self.at == len(self.lines) and (
                self.typed is None or self.typed >= len(self.lines[-1].text)
            )
            if at_end:
                self.at, self.typed = 1, 0.0
            self._clock.resume()
        else:
            self._clock.pause()
        self._draw()

    def action_step(self, by: int) -> None:
        """Go one line forward or back; a line being typed is first shown whole."""
        text = self.lines[self.at - 1].text
        if by > 0 and self.typed is not None and self.typed < len(text):
            self.typed = None
        else:
            self._go(self.at + by)
        self._draw()

    def action_go(self, to: int) -> None:
        """Go to the first line (1) or the last (-1)."""
        self._go(to if to > 0 else len(self.lines))
        self._draw()

    def _go(self, to: int) -> None:
        self.at, self.typed, self._rest = min(max(to, 1), len(self.lines)), None, 0.0

    def action_speed(self, by: int) -> None:
        """Faster or slower."""
        here = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[min(max(here, 0), len(SPEEDS) - 1)]
        self._draw()

    def action_fall(self) -> None:
        """Go to where the mood fell most, then to the next such line."""
        if not self._falls:
            self.notify("the mood never fell", timeout=2, markup=False)
            return
        self._fall = (self._fall + 1) % len(self._falls)
        self._go(self._falls[self._fall] + 1)
        self._draw()
