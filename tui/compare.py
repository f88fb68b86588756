"""Compare: the same scenario in two arms (or rounds) side by side, the differing turns marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static
from tutelage.graphs.log.events import TurnSpoken
from tutelage.graphs.log.picture import DialoguePicture, RunPicture
from tutelage.graphs.plain_text import one_line

from .bubbles import bubbles, mood_style, trail
from .cards import Cards
from .ending import EndsWorkFirst
from .feed import Feed, Line
from .students import arm_of, student_of


def partners(picture: RunPicture, one: DialoguePicture) -> list[DialoguePicture]:
    """The dialogues that may stand beside one: of the same scenario; those with the same customer
    and seed in another arm first, the same student's before others', then those with the same customer.
    """
    mine = one.started
    found = [
        other
        for name, other in picture.dialogues.items()
        if name != mine.dialogue and other.started.scenario == mine.scenario and other.exchanges
    ]

    def far(other: DialoguePicture) -> tuple[bool, bool, bool, bool, int]:
        its = other.started
        return (
            its.persona != mine.persona,
            its.seed != mine.seed,
            student_of(its) != student_of(mine),
            its.arm == mine.arm,
            other.number,
        )

    return sorted(found, key=far)


def differing(left: Sequence[Line], right: Sequence[Line]) -> list[int]:
    """The turns whose replies differ, or that only one of two dialogues has."""
    replies = [
        {x.turn: x.text for x in side if isinstance(x, TurnSpoken) and x.speaker == "student"}
        for side in (left, right)
    ]
    turns = sorted(replies[0].keys() | replies[1].keys())
    return [turn for turn in turns if replies[0].get(turn) != replies[1].get(turn)]


class Compare(EndsWorkFirst, Screen[None]):
    """Two transcripts that scroll together."""

    HELP_TEXT = (
        "Compare",
        "The same scenario twice, side by side: in two arms of an evaluation, or in two rounds. "
        "≠ marks the replies that differ; from the first on, the dialogues are no longer the same. "
        "d goes from one differing turn to the next.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "differing(1)", "Next difference"),
        Binding("D", "differing(-1)", "Previous", show=False, tooltip="Previous difference"),
        Binding("n", "other(1)", "Next partner"),
        Binding("p", "other(-1)", "Previous partner", show=False, tooltip="Previous partner"),
        Binding("j,down", "scroll(3)", "Down", show=False, tooltip="Scroll both down"),
        Binding("k,up", "scroll(-3)", "Up", show=False, tooltip="Scroll both up"),
        Binding("escape", "dismiss", "Back to the board"),
    ]

    def __init__(self, feed: Feed, one: DialoguePicture, others: Sequence[DialoguePicture]) -> None:
        super().__init__()
        self._feed, self.one, self.others = feed, one, list(others)
        self.other = 0
        self.turn = -1
        self._places: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.differs: list[int] = []

    def compose(self) -> ComposeResult:
        """Title, two columns, keys."""
        yield Static("", id="compare-title", markup=False)
        with Horizontal():
            for side in ("left", "right"):
                with Vertical(classes="side"):
                    yield Static("", id=f"{side}-about", markup=False)
                    yield Cards(id=side)
        yield Footer()

    async def on_mount(self) -> None:
        """Show the first partner, at the first difference."""
        await self._show()

    async def _show(self) -> None:
        # As they are before their lines are read: a judgement stands below all lines or not at all.
        pair = [replace(one) for one in (self.one, self.others[self.other])]
        started = self._feed.picture.started
        coaching = started is not None and started.command == "coach"
        lines = [list((await self._feed.lines(one.started.dialogue)).values()) for one in pair]
        self.differs = differing(*lines)
        self.turn = -1
        where = [_reply_places(side) for side in lines]
        self._places = (where[0], where[1])
        for name, one, said in zip(("left", "right"), pair, lines, strict=True):
            self.query_one(f"#{name}-about", Static).update(_about(one, coaching))
            self.query_one(f"#{name}", Cards).show(
                bubbles(said, one.judged, one.ended, marked=self.differs)
            )
        told = (
            f"first differ at turn {self.differs[0] + 1}, {len(self.differs)} in all"
            if self.differs
            else "every reply is the same"
        )
        self.query_one("#compare-title", Static).update(
            Content.assemble(
                ("compare  ", "bold $strategy"), (one_line(self.one.started.title, 50), "bold"),
                (f"  {told} · partner {self.other + 1} of {len(self.others)}", "$quiet"),
            )
        )  # fmt: skip
        self.query_one("#left", Cards).focus()

    def action_differing(self, by: int) -> None:
        """Go to the next differing turn in both columns."""
        if not self.differs:
            self.notify("every reply is the same", timeout=2, markup=False)
            return
        here = self.differs.index(self.turn) if self.turn in self.differs else -1 if by > 0 else 0
        self.turn = self.differs[(here + by) % len(self.differs)]
        for name, places in zip(("left", "right"), self._places, strict=True):
            if (place := places.get(self.turn)) is not None:
                self.query_one(f"#{name}", Cards).reveal(place)

    async def action_other(self, by: int) -> None:
        """Put the next partner beside it."""
        self.other = (self.other + by) % len(self.others)
        await self._show()

    def action_scroll(self, by: int) -> None:
        """Scroll both columns."""
        for side in ("left", "right"):
            self.query_one(f"#{side}", Cards).scroll_relative(y=by, animate=False)


def _reply_places(lines: Sequence[Line]) -> dict[int, int]:
    """Where the reply of each turn stands among the lines."""
    return {
        line.turn: place
        for place, line in enumerate(lines)
        if isinstance(line, TurnSpoken) and line.speaker == "student"
    }


def _about(one: DialoguePicture, coaching: bool = False) -> Content:
    started = one.started
    arm = f"round {started.round}" if coaching and started.round >= 0 else arm_of(started)
    score = f"{one.judged.satisfaction:.2f} of 5" if one.judged else "not judged"
    return Content.assemble(
        (one_line(arm, 32), "bold $strategy"),
        (f"  {one_line(started.persona, 16)} · seed {started.seed} · {score}  ", "$quiet"),
        (trail(one.feelings), mood_style(one.feeling)),
    )
