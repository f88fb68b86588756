"""How a screen of ours ends: its work before its widgets."""

from __future__ import annotations

from typing import Any

from textual.messages import Prune
from textual.screen import Screen
from textual.worker import Worker


class EndsWorkFirst:
    """What every screen of ours is besides: its workers end before its widgets go.

    Textual ends them after (its issue 6361): a worker that came back in between would draw on a
    widget that is no more, and break the app.
    """

    going = False
    """Whether the screen is on its way out: nothing is to be drawn on it, or begun for it."""

    async def on_prune(self, event: Prune) -> None:
        """The screen goes, with its app or alone; Textual asks this before any of its widgets."""
        assert isinstance(self, Screen)
        self.going = True
        for worker in self.workers:
            if worker.node is self:
                call_off(worker)


def call_off(worker: Worker[Any]) -> None:
    """Cancel a worker, once: a second time would break off what it does to end well, and an app that
    ends has cancelled all of them by then.
    """
    if not worker.is_cancelled:
        worker.cancel()
