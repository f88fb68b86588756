"""A run's log that talks: each event a line on the screen, and how far the run is."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tutelage.console import talk
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    EntryNarrowed,
    Event,
    Fault,
    LibrarySettled,
    RoundEnded,
    ScenarioGenerated,
    StateClosed,
    StateExamined,
    StrategyDecided,
    StrategyProposed,
    StrategyTried,
    TurnRejected,
    TurnSpoken,
)
from tutelage.graphs.log.run_log import RunLog

WORK: dict[type[BaseModel], int] = {DialogueEnded: 1, StateExamined: 1, StateClosed: 5}
"""What has been done with an event, in dialogues: to try strategies at a weak state takes about as long
as to play five."""
A_STATE = WORK[StateExamined] + WORK[StateClosed]
QUIET_SECONDS = 4.0
"""Silence after which a line says that work goes on, where no bar can; then after twice as long."""
MOST_QUIET_SECONDS = 60.0


class TalkingLog(RunLog):
    """A run log that also says each event in a line, and says so when nothing happens."""

    done = 0
    last_said = 0.0

    async def append(self, event: Event) -> None:
        """Write one event, then say it."""
        await super().append(event)
        self.done += WORK.get(type(event), 0)
        if line := line_of(event):
            self.last_said = time.monotonic()
            talk().print(line, soft_wrap=True)

    async def recall(self) -> None:
        """Count what was done before a run goes on."""
        kinds = tuple(kind.model_fields["kind"].default for kind in WORK)
        self.done = sum(WORK[type(one.event)] for one in await self.read(kinds=kinds))

    async def keep_talking(self, work: int | None = None) -> None:
        """Show how far the run is, until cancelled: by a bar, or now and then in a line where nobody
        watches.

        Args:
            work: all that is to do, in dialogues; None where nobody can know.
        """
        if talk().is_interactive:
            await self._draw_bar(work)
        else:
            await self._say_now_and_then(work)

    async def _draw_bar(self, work: int | None) -> None:
        columns = [SpinnerColumn(), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()]
        if work:
            columns += [TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left")]
        hour = 3600.0
        # An average over an hour: a dialogue takes seconds or minutes, by what is found in it.
        with Progress(*columns, console=talk(), transient=True, speed_estimate_period=hour) as bar:
            task = bar.add_task("", total=work, completed=self.done)
            while True:
                await asyncio.sleep(0.5)
                # What is left out for a stop or by a budget must not leave the bar beyond its end.
                bar.update(task, completed=min(self.done, work or self.done))

    async def _say_now_and_then(self, work: int | None) -> None:
        began, quiet = time.monotonic(), QUIET_SECONDS
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if now - self.last_said >= quiet:
                self.last_said, quiet = now, min(2 * quiet, MOST_QUIET_SECONDS)
                far = f", {min(1.0, self.done / work):.0%} done" if work else ""
                talk().print(f"  ... working, {now - began:.0f} s{far}", style="dim")


_SPEAKER_STYLES = {"customer": "cyan", "student": "green"}
_WIDTH = 110


def line_of(event: Event) -> Text | None:
    """The line that the terminal says for an event; None for those that only the log needs."""
    match event:
        case DialogueStarted():
            return _line(event.dialogue, "bold", f"begins: {event.title} ({event.persona})")
        case TurnSpoken():
            mood = f" ({event.feeling})" if event.feeling else ""
            given = f"  [{len(event.strategies)} strategies]" if event.strategies else ""
            if event.tools:
                given += f"  [called {', '.join(used.name for used in event.tools)}]"
            style = _SPEAKER_STYLES[event.speaker]
            who = f"{event.by} for the {event.speaker}" if event.by else event.speaker
            return _line(event.dialogue, style, f"{who}{mood}: {event.text}{given}")
        case TurnRejected():
            return _line(
                event.dialogue,
                "dim",
                f"line drawn again ({', '.join(event.reasons)}): {event.text}",
            )
        case DialogueJudged():
            said = f"satisfaction {event.satisfaction:.2f} of 5, rubric {event.rubric:.2f}"
            return _line(event.dialogue, "bold", said)
        case DialogueEnded():
            return _line(event.dialogue, "dim", f"ended: {event.reason.replace('_', ' ')}")
        case StateExamined():
            verdict = "weak" if event.weak else "good enough"
            said = f"turn {event.turn + 1} is {verdict} ({event.preference:.2f}): {event.scenario}"
            return _line(event.dialogue, "magenta", said)
        case StrategyProposed():
            said = " / ".join(event.texts)
            return _line(event.proposal, "yellow", f"strategies written: {said}", _WIDTH * 2)
        case StrategyTried():
            said = f"tried ({event.phase}): preference {event.preference:.2f}"
            return _line(event.proposal, "dim", said)
        case EntryNarrowed():
            said = f"does no good in {event.scenario}, and was narrowed {event.how}"
            return _line(event.entry, "yellow", said, _WIDTH * 2)
        case StrategyDecided():
            style = "bold green" if event.verdict == "kept" else "red"
            return _line(event.proposal, style, f"{event.verdict}: {event.reason}", _WIDTH * 2)
        case ScenarioGenerated():
            style = "bold green" if event.taken else "red"
            said = f"{'taken' if event.taken else 'refused'}: {event.title}"
            why = f" ({event.reason})" if event.reason else ""
            return _line(event.gap, style, said + why, _WIDTH * 2)
        case RoundEnded():
            csat = "-" if event.csat is None else f"{event.csat:.2f}"
            said = f"satisfaction {csat}, kept {event.kept}, dropped {event.dropped}"
            return _line(f"round {event.round}", "bold", said)
        case LibrarySettled():
            return _line("library", "bold", event.reason, _WIDTH * 2)
        case Fault():
            return _line("fault", "bold red", event.message, _WIDTH * 3)
    return None


def _line(where: str, style: str, text: str, width: int = _WIDTH) -> Text:
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(clean) > width:
        clean = clean[: width - 3] + "..."
    return Text.assemble((f"{where}  ", "dim"), (clean, style))
