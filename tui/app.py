"""The watch: a run's dialogues, workshop, rounds and usage, live or finished."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import DataTable, Input, Static, TabbedContent, TabPane, Tabs
from textual.worker import WorkerCancelled, WorkerFailed
from tutelage.graphs.log.events import Speaking
from tutelage.graphs.log.picture import DialoguePicture
from tutelage.graphs.log.run_log import Logged, RunFault
from tutelage.graphs.log.speech import SILENCE
from tutelage.graphs.plain_text import one_line

from .board import ORDERS, Board
from .bubbles import bubbles
from .cards import Card, Cards, View
from .compare import Compare, partners
from .ending import call_off
from .feed import Feed, Line
from .headline import headline
from .help import Help
from .keys import Keys
from .replay import Replay
from .rounds import Rounds, intervals_of, series_of
from .shell import Shell
from .takeover import Takeover
from .usage import usage
from .workshop import workshop

HELP = {
    "dialogues": (
        "Dialogues",
        "Every dialogue of the run with the customer's mood (a word, and its course line by line), "
        "the judge's score and its state; beside it the one under the cursor, word by word while it "
        "is spoken. ◆ is a strategy that the student was given: its similarity, its text, and the "
        "dialogue it was learned in. ✓ and ✗ are the judge's marks.\n\n"
        "Following stays with a dialogue to its end, then goes to the next that began. Moving about "
        "stops it. Leaving does not stop the run.\n\n"
        "Taking over lets you speak for the student in the dialogue under the cursor; it is then "
        "neither scored nor learned from.",
    ),
    "workshop": (
        "Workshop",
        "How strategies come about, newest first: the state, the student's reply and the teacher's, "
        "what was proposed, each try (▲ the second reply was better, ▼ worse), the verdict.",
    ),
    "rounds": (
        "Rounds",
        "Satisfaction (1 to 5) dialogue by dialogue, then by round of a coaching run or by arm of an "
        "evaluation: mean and 95 % interval. × is held out: the mean on dialogues never learned "
        "from, by which the best library is chosen; ★ marks its round, and the line above says "
        "whether the run put it back.",
    ),
    "usage": (
        "Usage",
        "Calls, tokens, their rate and money by role; then the faults, newest first.",
    ),
}
BOARD_ACTIONS = (
    "follow", "replay", "compare", "take_over", "order", "unfilter", "scroll_transcript",
)  # fmt: skip
COVERS = (Replay, Compare, Takeover)
"""The screens that lie over the board."""
BEAT = 1.0
"""Seconds between two drawings of the board: a table draws all its rows or none."""
CROWD, CROWDED_BEAT = 16, 2.0
"""From so many dialogues speaking at once, the board is drawn every so many seconds."""
MOVING, LONGEST_REST = 0.5, 4.0
"""Seconds after a move in which the board is not drawn anew, unless it was not for so many."""
SETTLE = 0.2
"""Seconds the cursor must rest before a dialogue is read: a held key must not wait for the disk."""


class WatchApp(Shell):
    """Reads a run's log; leaving it does not touch the run. Only who takes over changes anything."""

    CSS_PATH = "watch.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "tab('dialogues')", "Dialogues", show=False, tooltip="Show the dialogues"),
        Binding("2", "tab('workshop')", "Workshop", show=False, tooltip="Show the workshop"),
        Binding("3", "tab('rounds')", "Rounds", show=False, tooltip="Show the rounds"),
        Binding("4", "tab('usage')", "Usage", show=False, tooltip="Show usage"),
        Binding("f", "follow", "Follow", tooltip="Follow the newest dialogue again"),
        Binding("enter,r", "replay", "Replay", key_display="r",
                tooltip="Replay the dialogue step by step"),
        Binding("c", "compare", "Compare", tooltip="Beside the same dialogue in another arm"),
        Binding("t", "take_over", "Take over",
                tooltip="Speak for the student in this dialogue"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Filter the board"),
        Binding("o", "order", "Order", tooltip="Change the order of the board"),
        Binding("escape", "unfilter", "Back", show=False, tooltip="Drop the filter"),
        Binding("right_square_bracket", "scroll_transcript(8)", "Transcript down", show=False,
                key_display="]", tooltip="Scroll the transcript down"),
        Binding("left_square_bracket", "scroll_transcript(-8)", "Transcript up", show=False,
                key_display="[", tooltip="Scroll the transcript up"),
    ]  # fmt: skip

    def __init__(self, run: Path, theme: str | None = None, by: str = "") -> None:
        """Watch a run.

        Args:
            run: the run's folder.
            theme: the theme to begin with; else the environment's or the default.
            by: who speaks where a dialogue is taken over; the user where not given.
        """
        super().__init__(theme)
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-high")]
        self.feed = Feed(run)
        self._by = by
        self.chosen: str | None = None
        self.following = True
        self.loaded = asyncio.Event()
        self._lines: dict[int, Line] = {}
        self._lines_of: str | None = None
        self._stale = False
        self._moved_at = self._drawn_at = 0.0
        self._speakers: dict[str, str] = {}
        self._tellings = 0

    def compose(self) -> ComposeResult:
        """Headline, tabs, footer."""
        yield Static("", id="headline", markup=False)
        with TabbedContent(initial="dialogues"):
            with TabPane("Dialogues", id="dialogues"), Horizontal(id="dialogues-box"):
                with Vertical(id="board-box"):
                    yield Input(
                        placeholder="filter: scenario, persona, arm, state, mood", id="filter"
                    )
                    yield Board(id="board")
                    yield Static("", id="more", markup=False)
                with Vertical(id="transcript-box"):
                    yield Static("", id="about", markup=False)
                    yield Cards(id="transcript")
            with TabPane("Workshop", id="workshop"):
                yield View(id="workshop-cards")
            with TabPane("Rounds", id="rounds"):
                yield Rounds(id="rounds-view")
            with TabPane("Usage", id="usage"), View(id="usage-box"):
                yield Static(id="usage-text", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        """Begin to read the log."""
        self.query_one("#filter").display = False
        self.query_one(Tabs).can_focus = False
        self.query_one(Board).focus()
        self._draw_headline()
        self.query_one("#transcript", Cards).show([])
        self._reader = self.run_worker(self._read(), exclusive=True)
        self.set_interval(BEAT, self._beat)
        self.theme_changed_signal.subscribe(self, lambda _: self._draw_all())

    async def _read(self) -> None:
        try:
            await self.feed.follow(self._changed)
        finally:
            self.loaded.set()
        # It ends by itself only where the run cannot be read any further.
        self.exit()

    async def on_unmount(self) -> None:
        """Close the log before the loop goes."""
        call_off(self._reader)
        with contextlib.suppress(WorkerCancelled, WorkerFailed):
            await self._reader.wait()
        await self.feed.close()

    async def show_still(self, view: str, dialogue: str | None = None) -> None:
        """Wait until the run is read, then show a view and a dialogue whole, for a picture.

        Raises:
            RunFault: where the run cannot be read or has no such dialogue.
        """
        await self.loaded.wait()
        if self.feed.fault is not None:
            raise self.feed.fault
        if dialogue is not None:
            if dialogue not in self.feed.picture.dialogues:
                raise RunFault(f"{self.feed.run}: has no dialogue {dialogue!r}", 2)
            self.following = False
            self._choose(dialogue)
            self.query_one(Board).reveal(dialogue)
        self.action_tab(view)
        if self.chosen is not None:
            await self._show_lines(self.chosen)
        if view == "rounds":
            await self._show_rounds()
        if self.feed.fault is not None:
            raise self.feed.fault

    # What came in

    def _changed(self, batch: list[Logged]) -> None:
        """Take in what is new; the words of the transcript are drawn at once, all else at a beat."""
        if not self._standing:
            return
        for logged in batch:
            if isinstance(logged.event, Line) and logged.event.dialogue == self.chosen:
                self._lines[logged.number] = logged.event
        if self.chosen in self.feed.speaking or self.chosen in self.feed.picture.changed:
            self._draw_transcript()
        self._stale = self._stale or bool(batch)
        if self._tellings < 2:
            self._tellings += 1
            self._stale = True
            self._beat(at_once=True)
            if self._tellings == 2:
                # The second telling brings the feelings: all that lay on disk is seen.
                self.loaded.set()
                if not self.is_headless:
                    # What is there now stays; collections that go through it make keys wait.
                    gc.freeze()

    def _beat(self, at_once: bool = False) -> None:
        """Draw the board, the headline and the tab, where something in them changed."""
        if not self._standing or not (at_once or self._is_time()):
            return
        self._drawn_at = time.monotonic()
        picture, speaking = self.feed.picture, self.feed.speaking
        board = self.query_one(Board)
        speakers = {name: one.speaker for name, one in speaking.items()}
        touched = picture.changed | {name for name, _ in speakers.items() ^ self._speakers.items()}
        self._speakers = speakers
        picture.changed = set()
        with self.batch_update():
            if touched and not board.row_count:
                board.rebuild(picture, speaking, self.chosen)
            elif touched:
                known = [name for name in touched if name in picture.dialogues]
                known.sort(key=lambda name: picture.dialogues[name].number)
                board.refresh_rows(picture, known, speaking)
            if self.following or self.chosen is None:
                self._follow()
            goes_on = picture.ended is None
            # Rates and pulse tell of the time that passes, too.
            if self._stale or (goes_on and self.query_one(TabbedContent).active == "usage"):
                self._draw_tab()
            if self._stale or goes_on:
                self._draw_headline()
        self._stale = False

    def _is_time(self) -> bool:
        """Whether to draw now: a table draws slowly, and who moves about in it is answered first."""
        now = time.monotonic()
        rest = CROWDED_BEAT if len(self.feed.speaking) >= CROWD else 0.9 * BEAT
        moving = now - self._moved_at < MOVING
        return now - self._drawn_at >= (LONGEST_REST if moving else rest)

    def _follow(self) -> None:
        """Stay with a dialogue to its end, then go to the one that began last and goes on, among those
        that the filter lets through.
        """
        board, dialogues = self.query_one(Board), self.feed.picture.dialogues
        here = dialogues.get(self.chosen or "")
        if here is not None and here.ended is None and board.fits(here):
            return
        fitting = [name for name, one in dialogues.items() if board.fits(one)]
        going_on = [name for name in fitting if dialogues[name].ended is None]
        wanted = next(reversed(going_on or fitting), None)
        if wanted is not None and wanted != self.chosen:
            self._choose(wanted)
            board.reveal(wanted)

    def _choose(self, name: str) -> None:
        self.chosen = self.feed.listen_to = name
        self._lines, self._lines_of = {}, None
        self._read_lines(name)

    @work(exclusive=True, group="lines")
    async def _read_lines(self, name: str) -> None:
        if not self.following:
            await asyncio.sleep(SETTLE)
        await self._show_lines(name)

    async def _show_lines(self, name: str) -> None:
        lines = await self.feed.lines(name)
        if name == self.chosen and self._standing:
            # What came in while the log was read may be in both.
            self._lines, self._lines_of = lines | self._lines, name
            self._draw_transcript(fresh=True)

    # Drawing

    def _draw_all(self) -> None:
        self.query_one(Board).rebuild(self.feed.picture, self.feed.speaking, self.chosen)
        self._draw_headline()
        self._draw_transcript()
        self._draw_tab()

    def _draw_headline(self) -> None:
        self.query_one("#headline", Static).update(headline(self.feed), layout=False)

    def _draw_transcript(self, fresh: bool = False) -> None:
        one = self.feed.picture.dialogues.get(self.chosen or "")
        cards = self.query_one("#transcript", Cards)
        if one is None or self._lines_of != self.chosen:
            return
        self.query_one("#about", Static).update(
            _about(one.started.title, one.started.persona), layout=False
        )
        speaking: Speaking | None = self.feed.speaking.get(one.started.dialogue)
        lines = [line for number, line in self._lines.items() if number > one.number]
        shown = bubbles(lines, one.judged, one.ended, speaking)
        at_end = cards.max_scroll_y - cards.scroll_y <= 2
        cards.show(shown, end=self.following or (at_end and one.ended is None and not fresh))
        if fresh and not self.following:
            cards.scroll_home(animate=False)

    def _draw_tab(self) -> None:
        picture = self.feed.picture
        match self.query_one(TabbedContent).active:
            case "workshop":
                waiting = "no weak reply was examined yet"
                if picture.started and picture.started.command != "coach":
                    waiting = "strategies are written in coaching runs only"
                self.query_one("#workshop-cards", Cards).show(
                    workshop(picture) or [Card("ended", Content.styled(waiting, "$quiet"))]
                )
            case "rounds":
                self._draw_rounds()
            case "usage":
                self.query_one("#usage-text", Static).update(
                    usage(picture, self.query_one(Board).style)
                )
            case _:
                pass

    @work(exclusive=True, group="rounds")
    async def _draw_rounds(self) -> None:
        await self._show_rounds()

    async def _show_rounds(self) -> None:
        picture = self.feed.picture
        series = series_of(picture)
        intervals = await asyncio.to_thread(intervals_of, series)
        if self._standing:
            self.query_one(Rounds).show(picture, series, intervals)

    # What a person does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the board work on the board only, those of the tabs where tabs are shown."""
        if action in ("tab", "filter", *BOARD_ACTIONS) and self._covered:
            return False
        if action in BOARD_ACTIONS and self._standing:
            return self.query_one(TabbedContent).active == "dialogues"
        return True

    @property
    def _standing(self) -> bool:
        """Whether the whole view is there: timers ring and messages come while it is taken down, too,
        from the headline on.
        """
        return bool(self.query(Board)) and bool(self.query("#headline"))

    @property
    def _covered(self) -> bool:
        """Whether another screen of ours lies over the board."""
        return any(isinstance(screen, (*COVERS, Help)) for screen in self.screen_stack)

    def on_board_rebuilt(self) -> None:
        """Say how many rows are hidden, or that the filter leaves none."""
        if not self._standing:
            return
        board = self.query_one(Board)
        more = self.query_one("#more", Static)
        nothing = bool(board.wanted) and not board.row_count
        more.display = nothing or board.hidden > 0
        where = "go up" if board.order == "started" else "go down"
        told = f"{board.hidden:,} more: {where} to the end, or / filters"
        more.update(
            Content.styled("nothing fits; escape drops the filter" if nothing else told, "$quiet")
        )

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the dialogue under the cursor; a person who moves about is no longer moved."""
        name = event.row_key.value if event.row_key is not None and self._standing else None
        if name is not None and name != self.chosen and name == self.query_one(Board).under_cursor:
            self.following = False
            self._moved_at = time.monotonic()
            self._choose(name)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """A click or enter on the row under the cursor opens the replay."""
        one = self.feed.picture.dialogues.get(event.row_key.value or "")
        if one is not None:
            self._open_replay(one)

    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Draw the tab that is shown now; after a click the keys go to what it shows, too."""
        if not self._standing:
            return
        focused = event.pane.screen.focused
        if focused is None or event.pane not in focused.ancestors:
            self._focus_tab()
        self._draw_tab()
        self.refresh_bindings()

    @on(Input.Changed, "#filter")
    def filter_board(self, event: Input.Changed) -> None:
        """Filter while it is written; what is written on other screens comes by here, too."""
        board = self.query_one(Board)
        board.wanted = event.value
        board.rebuild(self.feed.picture, self.feed.speaking, self.chosen)
        if self.following:
            self._follow()

    def on_input_submitted(self) -> None:
        """Enter keeps the filter and goes to the board."""
        self.query_one(Board).focus()

    def action_follow(self) -> None:
        """Follow the newest activity again."""
        self.following = True
        self.chosen = None
        self._follow()

    def action_tab(self, name: str) -> None:
        """Show a tab, with the keys going to what it shows."""
        self.query_one(TabbedContent).active = name
        # At once and not at the next message: the next key may already wait.
        self._focus_tab()

    def _focus_tab(self) -> None:
        tabs = self.query_one(TabbedContent)
        inner = {"dialogues": "#board", "workshop": "#workshop-cards", "rounds": "#rounds-view",
                 "usage": "#usage-box"}[tabs.active]  # fmt: skip
        tabs.screen.set_focus(self.query_one(inner))

    def action_filter(self) -> None:
        """Write a filter for the board."""
        self.action_tab("dialogues")
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_unfilter(self) -> None:
        """Drop the filter."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self.query_one(Board).focus()

    def action_order(self) -> None:
        """Put the board in the next order."""
        board = self.query_one(Board)
        names = list(ORDERS)
        board.order = names[(names.index(board.order) + 1) % len(names)]
        board.rebuild(self.feed.picture, self.feed.speaking, self.chosen)
        self.notify(f"order: {board.order}", timeout=2, markup=False)

    def action_scroll_transcript(self, by: int) -> None:
        """Scroll the transcript while the cursor stays on the board."""
        self.query_one("#transcript", Cards).scroll_relative(y=by, animate=False)

    def _here(self) -> DialoguePicture | None:
        """The dialogue under the cursor, which may be further than the message that it moved; says so
        where there is none.
        """
        one = self.feed.picture.dialogues.get(self.query_one(Board).under_cursor or "")
        if one is None:
            self.notify("choose a dialogue first", severity="warning", markup=False)
        return one

    def action_replay(self) -> None:
        """Replay the dialogue under the cursor."""
        if (one := self._here()) is not None:
            self._open_replay(one)

    @work(exclusive=True, group="open")
    async def _open_replay(self, one: DialoguePicture) -> None:
        lines = await self.feed.lines(one.started.dialogue)
        if not lines:
            self.notify("nothing was said in it yet", severity="warning", markup=False)
        elif not self._covered:
            self.push_screen(Replay(one, list(lines.values())))

    def action_compare(self) -> None:
        """Put the dialogue under the cursor beside the same one in another arm."""
        one = self._here()
        if one is None:
            return
        others = partners(self.feed.picture, one)
        if not others:
            self.notify(
                "no other dialogue of this run has the same scenario",
                severity="warning",
                markup=False,
            )
            return
        self.push_screen(Compare(self.feed, one, others))

    def action_take_over(self) -> None:
        """Speak for the student in the dialogue under the cursor, or say why that cannot be."""
        one = self._here()
        if one is None:
            return
        if why := self._refusal(one):
            self.notify(why, severity="warning", markup=False)
            return
        self.push_screen(Takeover(self.feed.run, one.started.dialogue, self._by))

    def _refusal(self, one: DialoguePicture) -> str:
        """Why nobody can take over a dialogue; "" where a person can."""
        picture = self.feed.picture
        if self.is_web:
            # Nobody is asked for a password there.
            return f"a browser only watches; at a terminal: tutelage takeover {self.feed.run.name}"
        if one.ended is not None:
            return f"this dialogue is over ({one.state}); take over one that goes on"
        if picture.ended is not None:
            return "the run is over, and this dialogue with it"
        if self.feed.silence(time.time()) > SILENCE:
            return "the run gives no sign of life, so nobody would hear you"
        return ""

    def help_text(self) -> tuple[str, str]:
        """The help of the tab or of the screen above."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, COVERS):
                return screen.HELP_TEXT
        return HELP[self.query_one(TabbedContent).active]

    def commands(self) -> Iterable[tuple[str, str, str]]:
        """What the palette offers here."""
        if self._covered:
            return
        for number, (name, (title, _)) in enumerate(HELP.items(), start=1):
            yield f"Show {title.lower()}", f"Key {number}", f"tab('{name}')"
        for name, told, action in (
            ("Follow the newest dialogue", "Key f", "follow"),
            ("Replay this dialogue", "Key r: step by step, forward and back", "replay"),
            ("Compare with another arm", "Key c: side by side, differing turns marked", "compare"),
            ("Take over this dialogue", "Key t: speak for the student in it", "take_over"),
            ("Filter the board", "Key /", "filter"),
            ("Change the order of the board", "Key o", "order"),
        ):
            if self.check_action(action, ()):
                yield name, told, action


def _about(title: str, persona: str) -> Content:
    return Content.assemble((one_line(title, 80), "bold"), (f"  {one_line(persona, 24)}", "$quiet"))
