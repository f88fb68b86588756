"""The history screen: what any version changed is seen and can be taken back, and the cursor stays."""

from __future__ import annotations

import contextlib

import pytest
from commands import tutelage
from screens import listen, says, text_of, until
from shelf import FOREIGN, fill, origin, strategy
from tutelage.graphs.review import open_review
from tutelage.strategy_store import Entry, Library, Uplift
from tutelage.tui.dialogs import Question
from tutelage.tui.review.app import ReviewApp
from tutelage.tui.review.history import History
from tutelage.tui.table import RowTable

MEASURED = Uplift(csat=-1, csat_ci95=(-2, -0.5), rubric=0, given=5, withheld=5, scenarios=5)


@pytest.fixture
def path(tmp_path):
    return fill(tmp_path / "library.db")


@contextlib.asynccontextmanager
async def opened(path, size=(160, 48)):
    """The history of a library, read and drawn."""
    with open_review(path, by="bea") as review:
        app = ReviewApp(review)
        listen(app)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.screen._loaded)
            await pilot.press("h")
            await until(pilot, lambda: isinstance(app.screen, History) and app.screen._versions)
            await pilot.pause()
            yield app, pilot


def add(path, scenario):
    with Library.open(path) as library:
        library.add(
            Entry.new(scenario, strategies=[strategy("Do something good.", origin())]), "run"
        )


@pytest.mark.parametrize("downs", [0, 1, 3])
async def test_the_cursor_stays_on_its_version_while_others_write(path, downs):
    async with opened(path) as (app, pilot):
        await pilot.press(*["down"] * downs)
        assert app.screen.here == 3 - downs
        for count in (4, 5):
            add(path, f"another customer, who writes {'again ' * count}")
            await until(pilot, lambda count=count: len(app.screen._versions) == count)
            await pilot.pause()
            assert app.screen.here == 3 - downs
            table = app.screen.query_one(RowTable)
            assert table.get_row_at(table.cursor_row)[1].plain == str(3 - downs)
        if downs < 3:
            await says(pilot, f"from version {2 - downs} to version {3 - downs}")


async def test_the_cursor_stays_on_its_version_over_a_roll_back(path):
    async with opened(path) as (app, pilot):
        await pilot.press("down", "b")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: len(app.screen._versions) == 4)
        await pilot.pause()
        assert app.screen.here == 2


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_measurement_is_a_change_and_can_be_taken_back(path, size):
    with Library.open(path) as library:
        foreign = library.entries()[1].strategies[1]
        library.measured({foreign.id: MEASURED}, "run eval")
    async with opened(path, size) as (app, pilot):
        await says(pilot, "from version 3 to version 4", "uplift.csat: -1.0", foreign.id)
        shown = app.screen.query_one("#difference").content.plain
        assert f"~ {FOREIGN}  {foreign.id}\n+ uplift.csat: -1.0\n+ uplift.csat_ci95: " in shown
        assert "nothing changed" not in text_of(app) and "\n-" not in shown
        await pilot.press("down", "b")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await says(pilot, "- uplift.csat: -1.0")
        await pilot.press("y")
        await until(pilot, lambda: len(app.screen._versions) == 5)
    with Library.open(path) as library:
        assert library.strategy(foreign.id)[1].uplift is None


async def test_of_an_entry_each_part_that_changed_stands_on_its_own_lines(path):
    with Library.open(path) as library:
        one = library.entries()[1]
        library.revise(one.id, "ann", scenario="a customer in grief", cues=["my \x1b[J died"])
        version = library.version
    async with opened(path) as (app, pilot):
        await says(pilot, "+ scenario: a customer in grief")
        shown = app.screen.query_one("#difference").content.plain
        assert '- cues: ["my mother died"]' in shown and "strategies" not in shown
        assert "\x1b" not in shown
    done = tutelage("library", "diff", path, version - 1, version)
    assert done.stdout.splitlines() == [
        f"detail   {one.id} ",
        f"  - scenario: {one.scenario}",
        '  - cues: ["my mother died"]',
        "  + scenario: a customer in grief",
        '  + cues: ["my \\u001b[J died"]',
    ]


def test_the_command_names_the_strategy_whose_parts_changed(path):
    with Library.open(path) as library:
        foreign = library.entries()[1].strategies[1]
        library.measured({foreign.id: MEASURED}, "run eval")
        id_ = library.entries()[1].id
    lines = tutelage("library", "diff", path).stdout.splitlines()
    assert lines[:2] == [f"detail   {id_} {foreign.id}", "  + uplift.csat: -1.0"]
    assert len(lines) == 7
