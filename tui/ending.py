"""How a screen of ours ends: its work before its widgets."""

from __future__ import annotations

from textual.messages import Prune
from textual.screen import Screen


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
            # Once: a second time would break off what a worker does to end well, and an app that ends
            # has cancelled all of them by now.
            if worker.node is self and not worker.is_cancelled:
                worker.cancel()
