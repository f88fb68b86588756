"""The windows that save: one save at a time, and they take nothing away but themselves."""

from __future__ import annotations

import asyncio

import pytest
from screens import stated, until
from shelf import fill
from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import Input, Static, TextArea
from tutelage.strategy_store import Library
from tutelage.tui.dialogs import Writing
from tutelage.tui.review.merge import Merge
from tutelage.tui.review.split import Split
from tutelage.tui.shell import WRITE, Shell


class Under(Screen[None]):
    """What lies below the window."""

    def compose(self):
        yield Static("below")


class Saves:
    """A save that ends when the test says how."""

    def __init__(self):
        self.begun, self.ended = 0, []
        self._answer = asyncio.get_running_loop().create_future()

    async def __call__(self, *_):
        self.begun += 1
        answer = await self._answer
        self._answer = asyncio.get_running_loop().create_future()
        self.ended.append(answer)
        return answer

    def answer(self, problem: str | None):
        self._answer.set_result(problem)


@pytest.fixture(params=["writing", "split", "merge"])
async def window(request, tmp_path):
    """A window that is open over a screen with its save, the pilot and what it ended with."""
    with Library.open(fill(tmp_path / "library.db")) as library:
        kept, *others = library.entries()
    save, ended, app = Saves(), [], Shell()
    opened = {
        "writing": lambda: Writing("Why?", "", save),
        "split": lambda: Split(kept, set(), save),
        "merge": lambda: Merge(kept, [(0.5, other) for other in others], save),
    }[request.param]()
    async with app.run_test(size=(100, 40)) as pilot:
        await app.push_screen(Under())
        await app.push_screen(opened, ended.append)
        await pilot.pause()
        for area in opened.query(TextArea):
            area.text = "too pushy"
        for line in opened.query("#scenario").results(Input):
            line.value = "a customer who waits"
        await pilot.pause()
        yield opened, save, pilot, ended


async def test_while_it_saves_neither_a_second_save_nor_leaving_is_taken(window):
    opened, save, pilot, ended = window
    app = pilot.app
    for key in ("ctrl+s", "escape", "escape", "ctrl+s"):
        app.simulate_key(key)
    await until(pilot, lambda: save.begun)
    await pilot.press("escape", "ctrl+s", "escape")
    await pilot.click("#cancel")
    assert app.screen is opened and save.begun == 1 and not ended
    assert [worker.group for worker in app.workers if worker.node is opened] == [WRITE]
    save.answer(None)
    await until(pilot, lambda: ended == [True])
    assert save.ended == [None] and isinstance(app.screen, Under)


async def test_what_is_refused_can_be_saved_again_or_left(window):
    _, save, pilot, ended = window
    await pilot.press("ctrl+s")
    await until(pilot, lambda: save.begun)
    save.answer("somebody changed it")
    await stated(pilot, "somebody changed it")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: save.begun == 2)
    save.answer("and again")
    await stated(pilot, "and again")
    await pilot.press("escape", "escape")
    await until(pilot, lambda: ended == [False])
    assert isinstance(pilot.app.screen, Under)


async def test_what_lies_over_a_window_that_ends_stays(window):
    opened, save, pilot, ended = window
    await pilot.press("ctrl+s", "ctrl+p")
    await until(pilot, lambda: save.begun and isinstance(pilot.app.screen, CommandPalette))
    save.answer(None)
    await until(pilot, lambda: save.ended)
    await pilot.pause(0.1)
    assert isinstance(pilot.app.screen, CommandPalette) and not ended
    await pilot.press("escape")
    await until(pilot, lambda: ended == [True])
    assert isinstance(pilot.app.screen, Under) and not opened.is_attached
