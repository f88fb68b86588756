"""Reading a Textual screen in a test: what stands on it, and waiting until it does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pytest
from textual.widgets import Input, TextArea


def text_of(app) -> str:
    """What the screen on top shows, as lines."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def until(pilot, look, seconds: float = 30.0):
    """Wait until a look at the app gives something true; returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause(0.05)
        try:
            if found := look():
                return found
        except Exception:
            continue
    raise AssertionError(f"it never came; the screen shows:\n{text_of(pilot.app)}")


async def says(pilot, *words: str, seconds: float = 30.0) -> str:
    """Wait until the screen shows all of the words; returns what it shows."""
    return await until(
        pilot, lambda: all(word in text_of(pilot.app) for word in words) and text_of(pilot.app),
        seconds,
    )  # fmt: skip


async def at_rest(pilot) -> None:
    """Wait, before the app is left, for a screen that was opened last: it may not be there yet."""
    if pilot.app.is_running:
        await pilot.pause()


async def still_cursors(pilot) -> None:
    """Leave every cursor of the screen on top shown, so that pictures of it are the same."""
    for cursor in (*pilot.app.screen.query(Input), *pilot.app.screen.query(TextArea)):
        cursor.cursor_blink = False
        # A text area keeps the line as the last blink drew it, and takes the two for the same.
        cursor.notify_style_update()
        cursor.refresh()
    await pilot.pause(0.3)


async def stated(pilot, *words: str) -> str:
    """Wait until the state line of the window on top says all of the words."""

    def look():
        said = pilot.app.screen.query_one(".state, #state").content.plain
        return all(word in said for word in words) and said

    return await until(pilot, look)


def listen(app) -> None:
    """Keep what the app tells in passing: a toast may be gone before a busy machine looks."""
    app.heard = []
    notify = app.notify

    def heard(message, *, title="", **options):
        app.heard.append(f"{title} {message}")
        notify(message, title=title, **options)

    app.notify = heard


async def told(pilot, *words: str) -> None:
    """Wait until the app tells something with all of the words; what it told is then forgotten."""
    await until(pilot, lambda: any(all(w in said for w in words) for said in pilot.app.heard))
    pilot.app.heard.clear()


async def write(pilot, text: str) -> None:
    """Type a text into what has the focus, key by key as a person does."""
    names = {
        " ": "space",
        ".": "full_stop",
        ",": "comma",
        "!": "exclamation_mark",
        "_": "underscore",
    }
    await pilot.press(*[names.get(letter, letter) for letter in text])


def in_sizes(name: str, views: Iterable[str], large: Sequence[str]):
    """Each view in the smallest terminal; in a large one those whose layout changes with the room."""
    small = [pytest.param(view, (80, 24), id=f"{view}-small") for view in views]
    wide = [pytest.param(view, (160, 48), id=f"{view}-large") for view in large]
    return pytest.mark.parametrize((name, "size"), small + wide)
