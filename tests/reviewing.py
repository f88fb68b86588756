"""The review on a screen for tests: a library opened by a person, and what stands on disk."""

from __future__ import annotations

import contextlib
import stat

from screens import at_rest, listen, until
from textual.events import Key
from tutelage.graphs.review import open_review
from tutelage.strategy_store import Library
from tutelage.tui.review.app import ReviewApp


@contextlib.asynccontextmanager
async def opened(path, size=(160, 48), by="bea"):
    """The review of a library, read and drawn."""
    with open_review(path, by=by) as review:
        app = ReviewApp(review)
        listen(app)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.screen._loaded and app.screen.rows)
            await pilot.pause()
            yield app, pilot
            await at_rest(pilot)


def stored(path):
    """The strategies on disk: text to (status, reason)."""
    with Library.open(path) as library:
        return {s.text: (s.status, s.reason) for e in library.entries() for s in e.strategies}


def last(path):
    with Library.open(path) as library:
        return library.versions()[-1]


def listed(app):
    return [row.strategy.text for row in app.screen.shown]


async def changed(pilot, path, look):
    """Wait until the library on disk is as it should be."""
    await until(pilot, lambda: look(stored(path)))
    await until(pilot, lambda: pilot.app.screen.shelf.version == last(path).version)


FIRST = "Name the wait in the first sentence, then apologise once."
SECOND = "Offer exactly two ways forward and ask which one suits."
THIRD = "Offer exactly two ways forward and ask which suits."
CONDOLE = "Condole before anything else, and do not call it a case."


def at_once(app, *keys):
    """Keys that arrive together, as from a slow line or a held key."""
    for key in keys:
        app.post_message(Key(key, key if len(key) == 1 else None))


def editor(tmp_path, body) -> str:
    """An editor that is a script."""
    script = tmp_path / "editor.sh"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)
