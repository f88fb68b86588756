"""The feed: reads a run's log and what is being said, and tells a screen when something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tutelage.graphs.log.events import DialogueStarted, Speaking, TurnRejected, TurnSpoken
from tutelage.graphs.log.picture import RunPicture, add_feelings, outlined
from tutelage.graphs.log.run_log import Logged, RunFault, RunLog
from tutelage.graphs.log.speech import Listener

Line = TurnSpoken | TurnRejected
LINE_KINDS = ("turn_spoken", "turn_rejected")
TICK = 0.15
"""Seconds between two looks at the log."""


class Feed:
    """A run as it comes in. It reads only; what it asks of the run is to say what it says."""

    def __init__(self, run: Path):
        self.run = run
        self.picture = RunPicture()
        self.speaking: dict[str, Speaking] = {}
        self.pulse_at: float | None = None
        self.listen_to = ""
        """The dialogue whose words are wanted; of the others only who speaks."""
        self.fault: RunFault | None = None
        """Why the run cannot be read any further."""
        self._log: RunLog | None = None
        self._listener = Listener(run)
        self._spoken: dict[str, tuple[int, bool]] = {}

    async def follow(self, tell: Callable[[list[Logged]], None]) -> None:
        """Read until cancelled, or until there is a fault.

        Args:
            tell: called with the new events, in order, whenever something changed; the first call
                brings the picture so far and no events.
        """
        try:
            await self._follow(tell)
        except RunFault as fault:
            self.fault = fault

    async def _follow(self, tell: Callable[[list[Logged]], None]) -> None:
        self._log = await RunLog.open(self.run, create=False)
        self.picture = await outlined(self._log)
        tell([])
        await add_feelings(self._log, self.picture)
        tell([])
        while self.fault is None:
            speaking = {} if self.picture.ended else await self._listener.read(self.listen_to)
            self.pulse_at = await self._listener.pulse()
            batch = await self._log.read(self.picture.last)
            for logged in batch:
                self.picture.fold(logged)
                if isinstance(logged.event, TurnSpoken):
                    self._spoken[logged.event.dialogue] = _place(logged.event)
                elif isinstance(logged.event, DialogueStarted):
                    # A resumed run begins it again.
                    self._spoken.pop(logged.event.dialogue, None)
            # Read before the events, it may hold a turn that they already tell.
            speaking = {name: one for name, one in speaking.items() if self._goes_on(one)}
            if batch or speaking != self.speaking:
                self.speaking = speaking
                tell(batch)
            await asyncio.sleep(TICK)

    def silence(self, now: float) -> float:
        """Seconds since the run last gave a sign of life, at a time (Unix s)."""
        return now - max(self.picture.at, self.pulse_at or 0.0)

    def _goes_on(self, one: Speaking) -> bool:
        seen = self.picture.dialogues.get(one.dialogue)
        last = self._spoken.get(one.dialogue, (-1, False))
        return seen is not None and seen.ended is None and _place(one) > last

    async def lines(self, dialogue: str) -> dict[int, Line]:
        """What was said in a dialogue so far, refused lines among it, by the events' numbers; nothing
        where that cannot be read, which ends `follow`.
        """
        one = self.picture.dialogues.get(dialogue)
        if self._log is None or one is None:
            return {}
        try:
            logged = await self._log.read(one.number, kinds=LINE_KINDS, dialogue=dialogue)
        except RunFault as fault:
            self.fault = fault
            return {}
        return {found.number: found.event for found in logged if isinstance(found.event, Line)}

    async def close(self) -> None:
        """Close the log."""
        await self._listener.close()
        if self._log is not None:
            await self._log.close()


def _place(one: Speaking | TurnSpoken) -> tuple[int, bool]:
    return one.turn, one.speaker == "student"
