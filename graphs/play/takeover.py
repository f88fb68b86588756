"""Takeover: a person speaks in the student's place in a dialogue under way, and hands back."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rapidfuzz import process

from ..log.events import DialogueEnded, DialogueStarted, Event, RunEnded, RunStarted, TurnSpoken
from ..log.inbox import Inbox, InboxFault, Reply
from ..log.run_log import Log, RunFault, RunLog
from ..log.speech import silent

__all__ = [
    "BEAT_SECONDS",
    "PATIENCE_SECONDS",
    "InboxFault",
    "Seat",
    "dialogue_under_way",
    "person_reply",
]

BEAT_SECONDS = 2.0
"""How often a screen says that it is still there."""
PATIENCE_SECONDS = 300.0
"""How long a dialogue waits for one reply of a person whose screen is there."""
_LOOK_SECONDS = 0.2
_KINDS = ("dialogue_started", "turn_spoken", "turn_rejected", "dialogue_judged", "dialogue_ended")
_RUN_KINDS = ("run_started", "run_ended")
_RUN_OVER = "the run is over, and this dialogue with it"
_SILENT = "the run gives no sign of life, so nobody would hear you"


async def person_reply(
    log: Log | None, dialogue: str, turn: int, patience: float = PATIENCE_SECONDS
) -> Reply | None:
    """What a person says in the student's place; None where the student is to speak.

    Returns at once where nobody has taken over. Else it waits for their reply, but never for ever:
    it ends where they hand back, where their screen is gone (`inbox.LOST_SECONDS`), and where they
    say nothing for `patience` seconds, which also ends the takeover.

    Args:
        log: the run's; only a log on disk has an inbox.
        dialogue: which.
        turn: the exchange, from 0.
        patience: seconds.
    """
    if not isinstance(log, RunLog):
        return None
    inbox = log.inbox
    until = time.monotonic() + patience
    try:
        while await inbox.holder(dialogue) is not None:
            if (said := await inbox.reply(dialogue, turn)) is not None:
                return said
            if time.monotonic() >= until:
                await inbox.hand_back(dialogue)
                return None
            await asyncio.sleep(_LOOK_SECONDS)
    except InboxFault:
        # A person's wish is no reason to lose the dialogue: the student goes on.
        return None
    return None


@dataclass
class Seat:
    """A person's seat in one dialogue of a run, which may go on in another process.

    Use `async with Seat(run, dialogue, by) as seat`; leaving it hands back. Somebody has to call
    `beat` every `BEAT_SECONDS`, else the run takes the person for gone.
    """

    run: Path
    dialogue: str
    by: str

    async def __aenter__(self) -> Self:
        """Open the run's log.

        Raises:
            RunFault: where it is no run.
        """
        self._screen = uuid.uuid4().hex
        async with await RunLog.open(self.run, create=False):
            # Reading first: what is no run must not become one.
            pass
        self._log = await RunLog.open(self.run)
        self._after = 0
        self._turn = -1
        self._over = self._run_over = self._silent = False
        self.held = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hand back and close the log."""
        try:
            await self.hand_back()
        finally:
            await self._log.close()

    @property
    def _inbox(self) -> Inbox:
        return self._log.inbox

    @property
    def over(self) -> bool:
        """Whether the dialogue has ended, or its run with it in the middle."""
        return self._over or self._run_over

    @property
    def unheard(self) -> str:
        """Why nobody hears what the person says, in words; "" while the dialogue goes on."""
        if self._over:
            return "the dialogue is over"
        return _RUN_OVER if self._run_over else _SILENT if self._silent else ""

    @property
    def waited_for(self) -> bool:
        """Whether the customer has spoken and the person holds the answer."""
        return self.held and not self.over and self._turn >= 0

    async def take(self) -> None:
        """Speak for the student from its next reply on.

        Raises:
            InboxFault: where the dialogue is over or another person has it.
        """
        if self.over:
            raise InboxFault(self.unheard)
        await self._inbox.take(self.dialogue, self.by, self._screen)
        self.held = True

    async def beat(self) -> bool:
        """Say that the screen is still there, and see whether the run is; False where nothing is held,
        also where the run ended the takeover meanwhile.
        """
        upto = await self._log.last_number()
        self._silent = await silent(self.run, await self._log.last_at(upto))
        if not self.held:
            return False
        if self.over or not await self._inbox.holds(self.dialogue, self._screen):
            self.held = False
            return False
        await self._inbox.take(self.dialogue, self.by, self._screen)
        return True

    async def say(self, text: str) -> int:
        """Answer the customer's last line; returns the exchange that the reply is for.

        Raises:
            InboxFault: where there is no line to answer, or the dialogue is over.
        """
        if self.over:
            raise InboxFault(self.unheard)
        if not self.held:
            raise InboxFault("take over first")
        if self._turn < 0:
            raise InboxFault("wait for the customer to speak")
        await self._inbox.say(self.dialogue, self._turn, self._screen, text)
        return self._turn

    async def hand_back(self) -> None:
        """Let the student go on."""
        if self.held:
            self.held = False
            await self._inbox.hand_back(self.dialogue, self._screen)

    async def events(self) -> list[Event]:
        """What happened in the dialogue since the last look, oldest first."""
        found: list[Event] = []
        upto = await self._log.last_number()
        mine = await self._log.read(self._after, kinds=_KINDS, upto=upto, dialogue=self.dialogue)
        runs = await self._log.read(self._after, kinds=_RUN_KINDS, upto=upto)
        self._after = upto
        for logged in sorted([*mine, *runs], key=lambda one: one.number):
            event = logged.event
            match event:
                case RunStarted() | RunEnded():
                    # Whose turn it was does not count: a resumed run begins the dialogue again.
                    self._turn, self._run_over = -1, isinstance(event, RunEnded)
                    continue
                case DialogueStarted():
                    # Begun again by a resumed run: what was said before does not count.
                    found.clear()
                    self._turn, self._over = -1, False
                case TurnSpoken(speaker="customer"):
                    self._turn = event.turn
                case TurnSpoken():
                    # Answered: what is said from now on would be for a line not yet spoken.
                    self._turn = -1
                case DialogueEnded():
                    self._over = True
            found.append(event)
        return found


async def dialogue_under_way(run: Path, dialogue: str | None = None) -> str:
    """The dialogue of a run that a person may take over.

    Args:
        run: the run's folder.
        dialogue: its id; the one that began last of those not ended where not given.

    Raises:
        RunFault: where there is no such run or dialogue, it is over, or the run is, or gives no sign of
            life (exit code 2).
    """
    open_: list[str] = []
    every: set[str] = set()
    over = False
    async with await RunLog.open(run, create=False) as log:
        kinds = (*_RUN_KINDS, "dialogue_started", "dialogue_ended")
        for logged in await log.read(kinds=kinds):
            event = logged.event
            if isinstance(event, RunStarted | RunEnded):
                # What the process before left in the middle, a resumed run begins again.
                open_.clear()
                over = isinstance(event, RunEnded)
            elif isinstance(event, DialogueStarted):
                every.add(event.dialogue)
                open_ = [name for name in open_ if name != event.dialogue] + [event.dialogue]
            elif isinstance(event, DialogueEnded) and event.dialogue in open_:
                open_.remove(event.dialogue)
        written_at = await log.last_at(await log.last_number())
    if over:
        raise RunFault(f"{run}: the run is over, and its dialogues with it", 2)
    if open_ and await silent(run, written_at):
        raise RunFault(f"{run}: {_SILENT}", 2)
    listed = f"; under way: {', '.join(open_[-8:])}" if open_ else "; none is under way"
    if dialogue is None:
        if not open_:
            raise RunFault(f"{run}: no dialogue is under way", 2)
        return open_[-1]
    if dialogue not in every:
        close = process.extractOne(dialogue, list(every), score_cutoff=60)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RunFault(f"{run}: has no dialogue {dialogue!r}{hint}{listed}", 2)
    if dialogue not in open_:
        raise RunFault(f"{run}: {dialogue} is over{listed}", 2)
    return dialogue
