"""Taking over: a person speaks for the student in a dialogue under way, from any process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import WorkerError
from tutelage.graphs.log.events import TurnSpoken
from tutelage.graphs.log.run_log import RunFault
from tutelage.graphs.plain_text import one_line
from tutelage.graphs.play.takeover import BEAT_SECONDS, PATIENCE_SECONDS, InboxFault, Seat
from tutelage.graphs.review import user_name

from .ending import EndsWorkFirst, call_off
from .keys import Keys
from .talk import Talk

EVERY = 0.2


class Takeover(EndsWorkFirst, Screen[None]):
    """One dialogue, with a line to speak in the student's place.

    Push it from any app: `app.push_screen(Takeover(run, dialogue))`. Leaving it hands back; if the
    screen dies, the run notices and the student goes on.
    """

    CSS = """
    Takeover #head { height: 1; padding: 0 1; background: $panel; text-overflow: ellipsis;
        text-wrap: nowrap; }
    Takeover #say { height: auto; border-top: solid $panel; padding: 0 1; }
    Takeover #state { height: auto; color: $quiet; }
    Takeover #line { background: $surface; }
    Takeover #line:focus { background: $panel; }
    """
    HELP_TEXT = (
        "Take over",
        "You speak for the student: the run waits for your reply at each of its turns, and goes on "
        "with the student when you hand back, leave, or say nothing for five minutes.\n\n"
        "A dialogue in which a person spoke is neither scored nor learned from.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "say", "Say it", priority=True),
        Binding("ctrl+b", "hand_back", "Hand back", priority=True),
        Binding("ctrl+t", "take", "Take over", priority=True),
        Binding("f1", "app.help", "Help"),
        Binding("escape", "leave", "Leave", priority=True, tooltip="Hand back and leave"),
        Binding("pageup", "scroll(-1)", "Up", show=False, priority=True),
        Binding("pagedown", "scroll(1)", "Down", show=False, priority=True),
    ]

    def __init__(self, run: Path, dialogue: str, by: str = "") -> None:
        """Take over a dialogue.

        Args:
            run: the run's folder; it may go on in another process.
            dialogue: the dialogue's id.
            by: who speaks; the user where not given.
        """
        super().__init__()
        self._run, self._dialogue, self._by = run, dialogue, by or user_name()
        self._seat: Seat | None = None
        self._since = time.monotonic()
        self._mine: int | None = None
        self._told = ""

    def compose(self) -> ComposeResult:
        """The dialogue, and the line to speak under it."""
        yield Static("", id="head", markup=False)
        yield Talk()
        with Vertical(id="say"):
            yield Static("", id="state", markup=False)
            yield Input(placeholder="what the agent says", id="line", compact=True)
        yield Keys()

    def on_mount(self) -> None:
        """Take the seat."""
        head = Content.assemble(("you speak in ", "$quiet"), (one_line(self._dialogue), "bold"))
        self.query_one("#head", Static).update(head)
        self.query_one("#line").focus()
        self._worker = self.sit()

    async def on_unmount(self) -> None:
        """Hand back before the loop goes."""
        call_off(self._worker)
        with contextlib.suppress(WorkerError):
            await self._worker.wait()

    @work(exclusive=True, group="seat")
    async def sit(self) -> None:
        """Hold the seat until the screen goes."""
        try:
            await self._hold()
        except (RunFault, InboxFault) as error:
            self._seat = None
            if self.display:
                self._say(str(error))
        except NoMatches:
            # The parts of a screen that is left go before its workers.
            if self.display:
                raise
        finally:
            self._seat = None

    async def _hold(self) -> None:
        """Take the seat, beat, and hear what is said."""
        async with Seat(self._run, self._dialogue, self._by) as seat:
            self._seat = seat
            await self._hear(seat)
            try:
                await seat.take()
            except InboxFault as error:
                self._say(str(error))
            beaten = time.monotonic()
            while True:
                await asyncio.sleep(EVERY)
                await self._hear(seat)
                if time.monotonic() - beaten >= BEAT_SECONDS:
                    beaten, held = time.monotonic(), seat.held
                    if not await seat.beat() and held and not seat.over:
                        self._say("you said nothing for too long; the student goes on")
                self._draw(seat)

    async def _hear(self, seat: Seat) -> None:
        for event in await seat.events():
            await self.query_one(Talk).hear(event)
            if isinstance(event, TurnSpoken):
                self._since = time.monotonic()
                if event.speaker == "student" and self._mine == event.turn:
                    self._mine = None
                    if event.by == self._by:
                        self._drop(event.text)
                        self._say("")
                    else:
                        self._say("the student had spoken already; your words are still here")

    def _drop(self, heard: str) -> None:
        """Take what was heard out of the line; what was typed since stays."""
        line = self.query_one("#line", Input)
        before, at = len(line.value), line.cursor_position
        line.value = line.value.removeprefix(heard).lstrip()
        line.cursor_position = at - (before - len(line.value))

    def _say(self, told: str) -> None:
        self._told = told
        if self._seat is None:
            self.query_one("#state", Static).update(Content.styled(told, "$error"))

    def _draw(self, seat: Seat) -> None:
        if seat.unheard:
            state = (seat.unheard, "$quiet" if seat.over else "bold $bad")
        elif not seat.held:
            state = ("the student speaks; ctrl+t takes over", "$student")
        elif self._mine is not None:
            state = ("said; waiting for it to be heard...", "$quiet")
        elif seat.waited_for:
            left = max(0, PATIENCE_SECONDS - (time.monotonic() - self._since))
            state = (f"your turn: the customer waits ({left:.0f} s left)", "bold $accent")
        else:
            state = ("the customer is thinking...", "$customer")
        told = self._told and not seat.over
        parts = [state] + ([("   " + self._told, "$error")] if told else [])
        self.query_one("#state", Static).update(Content.assemble(*parts))

    @work(exclusive=True, group="act")
    async def action_say(self) -> None:
        """Say what stands in the line."""
        line = self.query_one("#line", Input)
        text = " ".join(line.value.split())
        if self._seat is None or not text:
            return
        # As it will be heard, so that it is found again there.
        line.value = text
        try:
            self._mine = await self._seat.say(text)
            self._told = ""
        except InboxFault as error:
            self._say(str(error))

    @work(exclusive=True, group="act")
    async def action_hand_back(self) -> None:
        """Let the student go on, and look on."""
        if self._seat is not None:
            self._mine = None
            await self._seat.hand_back()

    @work(exclusive=True, group="act")
    async def action_take(self) -> None:
        """Take over again."""
        if self._seat is not None:
            try:
                await self._seat.take()
                self._told, self._since = "", time.monotonic()
            except InboxFault as error:
                self._say(str(error))

    def action_scroll(self, by: int) -> None:
        """Scroll by a page."""
        talk = self.query_one(Talk)
        talk.scroll_relative(y=by * talk.size.height, animate=False)

    def action_leave(self) -> None:
        """Hand back and leave."""
        self.dismiss(None)
