"""The rehearsal: a talk with a persona, in which the person is the agent."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static
from tutelage.graphs.log.events import TurnSpoken
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.play.rehearsal import (
    EnvironmentFault,
    ModelFault,
    Rehearsal,
    load_environment,
    open_rehearsal,
    scenarios_for,
)

from ..ending import EndsWorkFirst
from ..keys import Keys
from ..talk import Talk
from .casting import Casting
from .choice import Choice


class RehearsalScreen(EndsWorkFirst, Screen[None]):
    """One talk; the desk beside it shows what the student would have before it."""

    CSS_PATH = "personas.tcss"
    help = (
        "talk with a persona",
        "You are the agent; the persona is played by the customer's model, as in a run: its lines "
        "pass the same check, and those that fail are drawn again. The desk shows the policy and "
        "the records that the student would see.\n\n"
        "Nothing of a rehearsal is kept, scored or learned from.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "say", "Say it", priority=True),
        Binding("ctrl+r", "again", "Again", priority=True, tooltip="Begin again, with other draws"),
        Binding("ctrl+o", "scenario", "Scenario", priority=True, tooltip="Choose what happened"),
        Binding("ctrl+d", "desk", "Desk", priority=True, tooltip="Show or hide the desk"),
        Binding("f1", "app.help", "Help"),
        Binding("escape", "leave", "Back", priority=True),
        Binding("pageup", "scroll(-1)", "Up", show=False, priority=True, tooltip="Scroll up"),
        Binding("pagedown", "scroll(1)", "Down", show=False, priority=True, tooltip="Scroll down"),
    ]

    def __init__(self, casting: Casting, persona: str, scenario: str | None = None) -> None:
        """Begin a talk with a persona; `scenario` is what brings it here, if named."""
        super().__init__()
        self.casting, self.persona, self._scenario = casting, persona, scenario
        self._seed = casting.seed
        self._rehearsal: Rehearsal | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """The talk, the desk, the line to speak."""
        yield Static("", id="headline", markup=False)
        with Horizontal(id="body"):
            yield Talk()
            with VerticalScroll(id="desk-scroll"):
                yield Static("", id="desk", markup=False)
        with Vertical(id="say"):
            yield Static("", id="state", markup=False)
            yield Input(placeholder="what the agent says", id="line", compact=True)
        yield Keys()

    def on_mount(self) -> None:
        """Hear the opening."""
        self.query_one("#line").focus()
        self.begin()

    @work(exclusive=True, group="talk")
    async def begin(self) -> None:
        """Seat the persona and let it open."""
        self._rehearsal, self._busy = None, True
        await self.query_one(Talk).remove_children()
        self._state(f"{self.persona} is coming to the desk...", "$quiet")
        try:
            rehearsal = await open_rehearsal(
                self.casting.firm, self.persona, by=self.casting.by, scenario=self._scenario,
                customer=self.casting.customer, seed=self._seed,
            )  # fmt: skip
        except (EnvironmentFault, ModelFault) as error:
            self._busy = False
            self._state(f"{error}", "$bad")
            return
        self._rehearsal = rehearsal
        head = Content.assemble(
            (one_line(self.persona), "bold $customer"), ("  ", ""),
            (one_line(rehearsal.scenario.title or rehearsal.scenario.id), ""),
            (f"  played by {one_line(rehearsal.model)}", "$quiet"),
        )  # fmt: skip
        self.query_one("#headline", Static).update(head)
        self.query_one("#desk", Static).update(Content(clean(rehearsal.desk)))
        self.query_one("#desk-scroll").scroll_home(animate=False)
        await self._hear(rehearsal, "")

    async def _hear(self, rehearsal: Rehearsal, reply: str) -> None:
        self._busy = True
        self._state(f"{self.persona} is thinking...", "$customer")
        line, talk = self.query_one("#line", Input), self.query_one(Talk)
        try:
            async for event in rehearsal.hear(reply, talk.speaking):
                await talk.hear(event)
                if isinstance(event, TurnSpoken) and event.by:
                    line.value = ""
        except ModelFault as error:
            await talk.silent()
            if reply:
                # The dialogue does not hold it; the person need not write it again.
                await talk.children[-1].remove()
                line.value = reply
            self._state(f"{error}; enter tries again", "$bad")
            return
        finally:
            self._busy = False
            await talk.silent()
        if rehearsal.over:
            self._state("it is over; ctrl+r begins again", "$quiet")
        else:
            self._state(f"your turn; patience for {rehearsal.patience_left} more", "$accent")

    def _state(self, said: str, tone: str) -> None:
        self.query_one("#state", Static).update(Content.styled(clean(said), tone))

    def action_say(self) -> None:
        """Say what stands in the line, and hear the answer."""
        text = " ".join(self.query_one("#line", Input).value.split())
        rehearsal = self._rehearsal
        if rehearsal is None or self._busy or rehearsal.over:
            return
        if text or rehearsal.customer_is_next:
            self.speak(rehearsal, "" if rehearsal.customer_is_next else text)

    @work(exclusive=True, group="talk")
    async def speak(self, rehearsal: Rehearsal, reply: str) -> None:
        """Say something and hear the answer; a talk that begins again ends it."""
        await self._hear(rehearsal, reply)

    def action_again(self) -> None:
        """Begin again, with another seed."""
        self._seed += 1
        self.begin()

    @work(exclusive=True, group="choose")
    async def action_scenario(self) -> None:
        """Choose what brings the persona here, and begin again."""
        try:
            environment = await asyncio.to_thread(load_environment, self.casting.firm)
        except EnvironmentFault as error:
            self._state(f"{error}", "$bad")
            return
        fitting = scenarios_for(environment, self.persona)
        options = [(s.id, s.title or s.id) for s in fitting]
        chosen = await self.app.push_screen_wait(Choice("What happened?", options))
        if chosen is not None:
            self._scenario = chosen
            self.begin()

    def action_desk(self) -> None:
        """Show or hide the desk; on a narrow screen it takes the place of the talk."""
        self.toggle_class("-desk")

    def action_scroll(self, by: int) -> None:
        """Scroll the talk, or the desk where that is what one sees."""
        desk, talk = self.query_one("#desk-scroll"), self.query_one(Talk)
        shown = talk if talk.display and talk.size.height else desk
        shown.scroll_relative(y=by * max(1, shown.size.height - 2), animate=False)

    def action_leave(self) -> None:
        """Back to the cast."""
        self.dismiss(None)
