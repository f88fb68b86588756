"""The review where much happens at once: quick keys, hidden rows, and others who write meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from reviewing import CONDOLE, FIRST, SECOND, at_once, changed, last, listed, opened, stored
from screens import says, stated, told, until, write
from shelf import fill, origin, strategy
from textual.widgets import TextArea
from tutelage.graphs import review
from tutelage.strategy_store import Entry, Library
from tutelage.tui.dialogs import Question, Writing
from tutelage.tui.review.board import Board
from tutelage.tui.review.history import History


@pytest.fixture
def path(tmp_path):
    return fill(tmp_path / "library.db")


def of(held, text):
    """A strategy of a library, with its entry, by its text."""
    return next((e, s) for e in held.entries() for s in e.strategies if s.text == text)


async def test_a_key_after_reject_is_not_one_for_the_board(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j")
        at_once(app, "x", "a")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        await pilot.pause()
        assert last(path).version == 3, "the a was for the reason"


async def test_each_of_several_quick_approvals_is_for_the_next_row(path):
    async with opened(path) as (app, pilot):
        wanted = listed(app)[1:4]
        await pilot.press("j")
        at_once(app, "a", "a", "a")
        await changed(pilot, path, lambda held: all(held[one][0] == "approved" for one in wanted))
        assert last(path).version == 6


async def test_who_leaves_at_once_has_approved_all_the_same(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j")
        at_once(app, "a", "q")
        await until(pilot, lambda: not app.is_running)
    assert stored(path)[SECOND] == ("approved", "")


async def test_two_quick_undos_are_two(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j", "a")
        await changed(pilot, path, lambda held: held[SECOND][0] == "approved")
        await pilot.press("j", "a")
        await changed(pilot, path, lambda held: held[CONDOLE][0] == "approved")
        at_once(app, "u", "u")
        await changed(pilot, path, lambda held: held[SECOND][0] == held[CONDOLE][0] == "proposed")


async def test_a_roll_back_is_to_the_version_that_was_under_the_cursor(path):
    async with opened(path) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, History) and app.screen._versions)
        await pilot.press("j")
        await until(pilot, lambda: app.screen.here == 2)
        at_once(app, "b", "j")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "version 2" in app.screen._title


async def test_who_leaves_at_once_has_rolled_back_all_the_same(path, monkeypatch):
    async with opened(path) as (app, pilot):
        back = app.screen.review.rollback

        async def late(*arguments):
            await asyncio.sleep(0.3)
            return await back(*arguments)

        monkeypatch.setattr(app.screen.review, "rollback", late)
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, History) and app.screen._versions)
        await pilot.press("j", "b")
        await until(pilot, lambda: isinstance(app.screen, Question))
        at_once(app, "y", "escape", "q")
        await until(pilot, lambda: not app.is_running)
    assert last(path).action == "rolled back to version 2"


@pytest.mark.parametrize("ending", ["the app", "the screen"])
async def test_what_is_found_while_a_screen_goes_is_shown_on_no_widget(path, monkeypatch, ending):
    async with opened(path) as (app, pilot):
        found = asyncio.Event()

        async def late(*_):
            await found.wait()
            return found_at_last

        if ending == "the screen":
            await pilot.press("h")
            await until(pilot, lambda: isinstance(app.screen, History) and app.screen._versions)
            found_at_last = []
            monkeypatch.setattr(app.screen._review, "versions", late)
            app.screen.read()
            staying = app.screen.query_one("#difference")
        else:
            found_at_last = {"an-id": []}
            monkeypatch.setattr(app.screen.review, "findings", late)
            app.screen._lint()
            staying = app.screen.query_one("#card")
        # One widget that takes its time to go, while the table beside it is gone already.
        staying.call_later(asyncio.sleep, 0.6)
        asyncio.get_running_loop().call_later(0.3, found.set)
        if ending == "the screen":
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Board))
    assert found.is_set()


async def test_marks_that_a_filter_hides_are_not_acted_on(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j", "space")
        await pilot.press("slash", *"condole", "enter")
        await until(pilot, lambda: listed(app) == [CONDOLE])
        await pilot.press("a")
        await changed(pilot, path, lambda held: held[CONDOLE][0] == "approved")
        assert stored(path)[SECOND][0] == "proposed", "nobody saw it"
        assert len(app.screen.marked) == 1, "the mark stays for when it is shown again"


async def test_a_marked_row_that_is_not_under_the_cursor_is_asked_about(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j", "space", "j", "a")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await says(pilot, SECOND[:40])
        await pilot.press("y")
        await changed(pilot, path, lambda held: held[SECOND][0] == "approved")


async def test_what_is_rejected_while_a_question_is_open_is_not_approved(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j", "space", "j", "space", "a")
        await until(pilot, lambda: isinstance(app.screen, Question))
        with Library.open(path) as other:
            other.reject([of(other, SECOND)[1].id], "legal", "never say this")
        await pilot.press("y")
        await told(pilot, "was changed meanwhile")
        held = stored(path)
        assert held[SECOND] == ("rejected", "never say this") and held[CONDOLE][0] == "proposed"


async def test_a_reason_is_kept_for_what_is_rejected_already(path):
    async with opened(path) as (app, pilot):
        await pilot.press("j")
        for reason in ("no use", "illegal here"):
            await until(pilot, lambda: app.screen._here().strategy.text == SECOND)
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Writing))
            await write(pilot, reason)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Board))
            await changed(pilot, path, lambda held, why=reason: held[SECOND] == ("rejected", why))
            await pilot.press("k")


async def test_in_the_editor_only_what_the_person_changed_is_written(path, monkeypatch):
    async with opened(path) as (app, pilot):
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)

        def edited(app, document):
            with Library.open(path) as other:
                entry, mine = of(other, FIRST)
                other.edit(mine.id, "Say how long it took.", "ann", approve=True)
                other.revise(entry.id, "ann", feels="tired")
            return document.replace("feels: ''", "feels: sad").replace(
                SECOND, " ".join(["word"] * 30)
            )

        monkeypatch.setattr("tutelage.tui.review.board.edit_outside", edited)
        with Library.open(path) as held:
            held.revise(of(held, FIRST)[0].id, "bea", feels="")
        await until(pilot, lambda: app.screen.shelf.version == last(path).version)
        await pilot.press("E")
        await stated(pilot, "words")
        area = app.screen.query_one(TextArea)
        area.text = area.text.replace(" ".join(["word"] * 30), SECOND)
        await pilot.press("ctrl+s")
        await stated(pilot, "was changed meanwhile", "feels reads now: tired")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Board))
        with Library.open(path) as held:
            entry, mine = of(held, "Say how long it took.")
            assert (entry.feels, mine.status) == ("sad", "approved")
            assert held.versions()[-1].action == f"edited feels of {entry.id}"


async def test_spaces_alone_are_no_other_words(tmp_path):
    path = fill(tmp_path / "library.db")
    spaced = "Say  \u00ab\u00a0bonjour\u00a0\u00bb before all else."
    with Library.open(path) as held:
        entry = held.add(Entry.new("a guest", strategies=[strategy(spaced, origin())]), "run")
        held.approve([entry.strategies[0].id], "bea")
    document = review.entry_document(entry).replace("feels: ''", "feels: sad")
    assert review.read_entry_document(document, entry) == ({"feels": "sad"}, {})
    async with opened(path) as (app, pilot):
        await pilot.press("G", "e")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Board))
        assert stored(path)[spaced][0] == "approved"


async def test_a_library_is_there_before_lint_is_done(path, monkeypatch):
    async with opened(path) as (app, pilot):
        board = app.screen
        await until(pilot, lambda: any(row.findings for row in board.rows))

        async def never(entries):
            await asyncio.Event().wait()

        before = [row.id for row in board.rows if row.findings]
        monkeypatch.setattr(board.review, "findings", never)
        await pilot.press("j", "a")
        await changed(pilot, path, lambda held: held[SECOND][0] == "approved")
        assert [row.id for row in board.rows if row.findings] == before, "what it found stays shown"
