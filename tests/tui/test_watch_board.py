"""The board of the watch under a person's hands: what keys act on, and what is seen of a long run."""

from __future__ import annotations

import pytest
from screens import says, text_of, until
from story import STORY, dialogue, written
from textual.widgets import Static, TabbedContent
from tutelage.graphs.log import events as ev
from tutelage.tui.app import WatchApp
from tutelage.tui.board import Board
from tutelage.tui.compare import Compare
from tutelage.tui.replay import Replay
from tutelage.tui.takeover import Takeover


def going_on(number: int, scenario: str) -> list[ev.Event]:
    """A dialogue of which two exchanges were spoken."""
    return dialogue("none", number, scenario, "rude")[:5]


def at_once(app, *keys: str) -> None:
    """Keys as a held key or a slow line brings them: all before the app has answered the first."""
    for key in keys:
        app.simulate_key(key)


def board_of(app) -> Board:
    return app.query_one(Board)


def listed(app) -> list[str]:
    board = board_of(app)
    return [board.get_row_at(row)[1].plain for row in range(board.row_count)]


def seen(app) -> list[str | None]:
    """Whose transcript is shown, and what is under the cursor."""
    return [app.chosen, board_of(app).under_cursor]


async def at_the_first(pilot) -> None:
    app = pilot.app
    await until(pilot, lambda: app.loaded.is_set() and board_of(app).row_count)
    await pilot.press("g")
    await until(pilot, lambda: board_of(app).cursor_row == 0 and len(set(seen(app))) == 1)


@pytest.mark.parametrize(
    ("keys", "screen"),
    [("jjr", Replay), ("jjc", Compare), ("jjt", Takeover), (["j", "j", "enter"], Replay)],
    ids=["replay", "compare", "takeover", "enter"],
)
@pytest.mark.parametrize("after", ["", "jj"], ids=["alone", "and-more-behind-them"])
async def test_keys_that_come_together_act_on_the_dialogue_under_the_cursor(
    tmp_path, keys, screen, after
):
    events = [event for n in range(5) for event in going_on(n, "late")]
    app = WatchApp(await written(tmp_path / "run", [STORY[0], *events]))
    async with app.run_test(size=(100, 30)) as pilot:
        await at_the_first(pilot)
        at_once(app, *keys, *after)
        await until(pilot, lambda: isinstance(app.screen, screen))
        over = app.screen
        opened = over._dialogue if screen is Takeover else over.one.started.dialogue
        assert opened == "none.late.rude.2"


async def test_of_two_screens_that_are_asked_for_at_once_one_comes(tmp_path):
    app = WatchApp(await written(tmp_path / "run", [STORY[0], *going_on(0, "late")]))
    async with app.run_test(size=(100, 30)) as pilot:
        await at_the_first(pilot)
        at_once(app, "r", "t")
        await until(pilot, lambda: isinstance(app.screen, Takeover))
        await pilot.pause(0.3)
        assert isinstance(app.screen, Takeover) and len(app.screen_stack) == 2


async def test_following_keeps_to_the_dialogues_that_the_filter_shows(tmp_path):
    first, second, third = (going_on(n, s) for n, s in enumerate(("late", "lost", "later")))
    ended = dialogue("none", 0, "late", "rude")[5:]
    folder = await written(tmp_path / "run", [STORY[0], *first, *second])
    app = WatchApp(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: seen(app) == ["none.lost.rude.1"] * 2)
        await pilot.press("slash", *"late", "enter")
        await until(pilot, lambda: seen(app) == ["none.late.rude.0"] * 2)
        assert app.following, "who filters is still following"
        await written(folder, [*ended, *going_on(3, "lost")])
        await until(pilot, lambda: app.feed.picture.dialogues["none.late.rude.0"].ended)
        await until(pilot, lambda: board_of(app).get_row_at(0)[-1].plain != "talking")
        assert seen(app) == ["none.late.rude.0"] * 2, "nothing else that fits goes on"
        await written(folder, third)
        await until(pilot, lambda: seen(app) == ["none.later.rude.2"] * 2)
        await pilot.press("k")
        await until(pilot, lambda: seen(app) == ["none.late.rude.0"] * 2)
        await pilot.press("f")
        await until(pilot, lambda: seen(app) == ["none.later.rude.2"] * 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(listed(app)) == 4)
        assert seen(app) == ["none.later.rude.2"] * 2 and app.following, "it goes on: it is kept"


async def test_what_no_longer_fits_is_no_longer_followed(tmp_path):
    calm, angry = (
        ev.TurnSpoken(
            dialogue="none.lost.rude.1", turn=2, speaker="customer", text=".", feeling=felt
        )
        for felt in ("calm", "angry")
    )
    folder = await written(tmp_path / "run", [STORY[0], *going_on(0, "late"), *going_on(1, "lost")])
    app = WatchApp(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: seen(app) == ["none.lost.rude.1"] * 2)
        await pilot.press("slash", *"angry", "enter")
        await until(pilot, lambda: len(listed(app)) == 2)
        await written(folder, [calm])
        await until(pilot, lambda: listed(app) == ["late"])
        await until(pilot, lambda: seen(app) == ["none.late.rude.0"] * 2)
        await written(folder, [calm.model_copy(update={"dialogue": "none.late.rude.0"})])
        await says(pilot, "nothing fits")
        await written(folder, [angry])
        await until(pilot, lambda: listed(app) == ["lost"])
        await until(pilot, lambda: seen(app) == ["none.lost.rude.1"] * 2)
        assert app.following


async def test_a_filter_that_fits_nothing_says_so_and_nothing_is_opened(tmp_path):
    app = WatchApp(await written(tmp_path / "run", [STORY[0], *going_on(0, "late")]))
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: app.chosen)
        assert not app.query_one("#more", Static).display
        await pilot.press("slash", *"zzz", "enter")
        await says(pilot, "nothing fits; escape drops the filter")
        for key in "rct":
            await pilot.press(key)
            await says(pilot, "choose a dialogue first")
            app.clear_notifications()
            await until(pilot, lambda: "choose a" not in text_of(app))
        assert len(app.screen_stack) == 1
        await pilot.press("escape")
        await until(pilot, lambda: seen(app) == ["none.late.rude.0"] * 2)
        assert app.following and not app.query_one("#more", Static).display


async def long_run(folder, dialogues: int = 900):
    """More dialogues than a board begins with; something was said in the third only."""
    events = [event for n in range(dialogues) for event in going_on(n, f"s{n}")[:1]]
    return await written(folder, [STORY[0], *events, *going_on(2, "s2")[1:]])


async def test_a_picture_of_a_dialogue_that_the_board_did_not_reach_shows_that_dialogue(tmp_path):
    app = WatchApp(await long_run(tmp_path / "run"))
    async with app.run_test(size=(160, 48)) as pilot:
        await app.show_still("dialogues", "none.s2.rude.2")
        await pilot.pause(0.5)
        assert seen(app) == ["none.s2.rude.2"] * 2, "and no message that came late chose another"
        lines = text_of(app).splitlines()
        assert any(line.split()[1:4] == ["s2", "rude", "none"] for line in lines)
        assert any("We have been at the gate" in line for line in lines)


async def test_what_is_followed_is_on_the_board_in_any_order(tmp_path):
    folder = await long_run(tmp_path / "run")
    app = WatchApp(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: seen(app) == ["none.s899.rude.899"] * 2)
        await pilot.press("o", "o")
        await until(pilot, lambda: seen(app) == ["none.s0.rude.0"] * 2)
        await pilot.press("f")
        await until(pilot, lambda: seen(app) == ["none.s899.rude.899"] * 2)
        assert listed(app)[-1] == "s899"


@pytest.mark.parametrize(("width", "curve"), [(80, "▁▁█"), (160, "▁▁▁▁█")])
async def test_the_curve_on_the_board_ends_with_the_newest_mood(tmp_path, width, curve):
    name = "none.late.rude.0"
    felt = [
        ev.TurnSpoken(dialogue=name, turn=turn, speaker="customer", text=".", feeling=feeling)
        for turn, feeling in enumerate(["angry"] * 6 + ["pleased"])
    ]
    app = WatchApp(await written(tmp_path / "run", [STORY[0], going_on(0, "late")[0], *felt]))
    async with app.run_test(size=(width, 40)) as pilot:
        await says(pilot, f"pleased  {curve} ")


async def test_after_a_click_on_a_tab_the_keys_move_in_what_it_shows(tmp_path):
    app = WatchApp(await written(tmp_path / "run"))
    async with app.run_test(size=(80, 16)) as pilot:
        await at_the_first(pilot)
        for name, view in (("usage", "#usage-box"), ("workshop", "#workshop-cards")):
            await pilot.click(f"#--content-tab-{name}")
            box = app.query_one(view)
            await until(pilot, lambda box=box: app.focused is box)
        await until(pilot, lambda: box.max_scroll_y > 0)
        await pilot.press("G")
        await until(pilot, lambda: box.scroll_y == box.max_scroll_y)
        await pilot.click("#--content-tab-dialogues")
        await until(pilot, lambda: app.focused is board_of(app))
        await pilot.click("#--content-tab-dialogues")
        await pilot.press("j")
        await until(pilot, lambda: board_of(app).cursor_row == 1)
        await pilot.press("3", "slash")
        await until(pilot, lambda: app.query_one(TabbedContent).active == "dialogues")
        await pilot.pause(0.2)
        assert app.focused.id == "filter", "what shows the tab does not take the keys from it"


async def test_the_palette_offers_what_works_where_it_is_opened(tmp_path):
    app = WatchApp(await written(tmp_path / "run"))
    async with app.run_test(size=(100, 30)) as pilot:
        await at_the_first(pilot)

        def offered():
            return {action for _, _, action in app.commands() if not action.startswith("tab")}

        on_the_board = {"follow", "replay", "compare", "take_over", "filter", "order"}
        assert offered() == on_the_board
        for key in "234":
            await pilot.press(key)
            assert offered() == {"filter"}, "it goes to the board first"
        await pilot.press("1")
        assert offered() == on_the_board


@pytest.mark.parametrize("size", [(40, 10), (40, 12), (40, 15)])
async def test_two_rows_are_seen_in_the_smallest_terminal(tmp_path, size):
    app = WatchApp(await written(tmp_path / "run"))
    async with app.run_test(size=size) as pilot:
        await at_the_first(pilot)
        await says(pilot, "cancelled_wait", "weather_delay")
        await pilot.press("slash", *"rude", "enter")
        await until(pilot, lambda: text_of(app).count("cancelled_wait") == 2)
