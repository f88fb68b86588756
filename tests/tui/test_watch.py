"""The watch shows a run at 80x24 and at 160x48, live and finished, and obeys no model's text."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import time
from functools import partialmethod
from statistics import fmean

import pytest
from rich.console import Console
from screens import in_sizes
from story import ADVICE, COACHED, OVER, STORY, dialogue, written
from textual.css.query import NoMatches
from textual.widgets import DataTable, Input, Static, TabbedContent
from tutelage.graphs.log import events as ev
from tutelage.graphs.log import picture as pic
from tutelage.graphs.log.run_log import Logged, RunFault, RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.strategy_store.plain_text import clean, one_line
from tutelage.tui import export, watch
from tutelage.tui import themes as th
from tutelage.tui.app import HELP, WatchApp
from tutelage.tui.board import ORDERS, Board
from tutelage.tui.bubbles import bubbles
from tutelage.tui.cards import Cards
from tutelage.tui.compare import Compare, _about, partners
from tutelage.tui.feed import Line
from tutelage.tui.help import Help
from tutelage.tui.replay import Replay, falls
from tutelage.tui.rounds import _settled, intervals_of, series_of
from tutelage.tui.shell import ScreenFault
from tutelage.tui.workshop import workshop
from typer.testing import CliRunner

from tutelage.main import app as cli

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["small", "large"])


async def until(pilot, wanted, seconds=20.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause(0.05)
        with contextlib.suppress(NoMatches):
            if wanted():
                return
    raise AssertionError("never came about")


def plain(app, selector="#transcript") -> str:
    return app.screen.query_one(selector, Cards).plain


def said(app, selector) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(app.screen.query_one(selector, Static).content)
    return console.export_text()


def rows(app) -> list[list[str]]:
    board = app.query_one(Board)
    return [[cell.plain for cell in board.get_row_at(n)] for n in range(board.row_count)]


@pytest.fixture
async def run(tmp_path):
    return await written(tmp_path / "run")


@pytest.mark.parametrize("gone", ["#headline", "#dialogues", "#usage"])
async def test_a_timer_that_rings_while_the_screen_is_taken_down_draws_nothing(run, gone):
    app = WatchApp(run)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        await app.query_one(gone).remove()
        app._stale = True
        app._beat(at_once=True)


@SIZES
async def test_what_happened_is_seen(run, size):
    app = WatchApp(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        told = plain(app)
        for part in ("four hours", "pleased", "0.62", ADVICE, "r1.cancelled_waited.rude.3",
                     "role flip", "4.10", "✓ feeling named first", "goal met", "4.4 of 5"):  # fmt: skip
            assert part in told, part
        assert "[bold]long[/bold]" in told and "\x1b" not in told and "\u202e" not in told
        assert "שלום" in told and "😡" in told
        assert [row[1][:12] for row in rows(app)] == ["cancelled_wa", "weather_dela"] * 2
        assert rows(app)[0][3:5] == ["none", "3"] and "angry" not in rows(app)[0][5]
        assert "▃" in rows(app)[0][5] and rows(app)[0][6] == "2.2"
        assert "evaluate" in said(app, "#headline") and "over: done" in said(app, "#headline")
        await pilot.press("2")
        await until(pilot, lambda: "kept" in plain(app, "#workshop-cards"))
        workshop = plain(app, "#workshop-cards")
        for part in (
            "weak",
            "0.84",
            "▲▼",
            "0.55",
            "refused: Be polite",
            "Four hours is a long time.",
        ):
            assert part in workshop, part
        await pilot.press("3")
        await until(pilot, lambda: "4.10" in said(app, "#rounds-table"))
        await pilot.press("4")
        await until(pilot, lambda: "2,400" in said(app, "#usage-text"))
        usage = said(app, "#usage-text")
        assert "0.0123" in usage and "answered 500" in usage and "faults: 1" in usage


async def test_keys_and_mouse_choose_the_same_dialogues(run):
    app = WatchApp(run)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        board = app.query_one(Board)
        await pilot.press("g")
        await until(pilot, lambda: app.chosen == "none.cancelled_waited.rude.0")
        await pilot.press("j")
        await until(pilot, lambda: app.chosen == "none.weather_delay.hurried.1")
        await pilot.press("k", "down", "down")
        await until(pilot, lambda: app.chosen == "library.cancelled_waited.rude.0")
        await pilot.press("up", "G")
        await until(pilot, lambda: app.chosen == "library.weather_delay.hurried.1")
        assert not app.following
        await pilot.click(Board, offset=(8, 1))
        await until(pilot, lambda: app.chosen == "none.cancelled_waited.rude.0")
        await until(pilot, lambda: "apologise" in plain(app))
        for number, name in enumerate(HELP, start=1):
            await pilot.press(str(number))
            assert app.query_one(TabbedContent).active == name
        await pilot.click("#--content-tab-rounds")
        await until(pilot, lambda: app.query_one(TabbedContent).active == "rounds")
        await pilot.press("1")
        assert app.focused is board
        before = app.query_one("#transcript", Cards).scroll_y
        await pilot.resize_terminal(80, 24)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: app.query_one("#transcript", Cards).scroll_y > before)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: app.query_one("#transcript", Cards).scroll_y <= before)
        await pilot.press("q")
    assert app.return_code == 0


@pytest.mark.parametrize(
    ("number", "view"), [("2", "#workshop-cards"), ("3", "#rounds-view"), ("4", "#usage-box")]
)
async def test_keys_move_in_every_view(run, number, view):
    app = WatchApp(run)
    async with app.run_test(size=(60, 8)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        await pilot.press(number)
        box = app.query_one(view)
        await until(pilot, lambda: box.max_scroll_y > 1)
        await pilot.press("G")
        await until(pilot, lambda: box.scroll_y == box.max_scroll_y)
        await pilot.press("k")
        await until(pilot, lambda: box.scroll_y == box.max_scroll_y - 1)
        await pilot.press("g")
        await until(pilot, lambda: box.scroll_y == 0)
        await pilot.press("j")
        await until(pilot, lambda: box.scroll_y == 1)


async def test_the_rounds_show_the_held_out_curve_and_which_library_stays(tmp_path):
    folder = await written(tmp_path / "run", COACHED[:-2])
    app = WatchApp(folder)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "3.90" in said(app, "#rounds-table"))
        table = said(app, "#rounds-table").splitlines()
        assert [line.split()[5 if "to" not in line else 7] for line in table[1:4]] == [
            "2.60", "3.90", "3.20",
        ]  # fmt: skip
        plot = app.query_one("#plot")
        await until(pilot, lambda: "held out" in plot.plt.build())
        assert plot.plt.build().count("x") >= 4, "a mark for each round, and in the legend"
        assert not app.query_one("#settled").display and "★" not in "".join(table)
        await written(folder, COACHED[-2:])
        await until(pilot, lambda: "rolled back to version 4" in said(app, "#settled"))
        told = " ".join(said(app, "#settled").split())
        assert (
            "after round 1: the library after round 1 did better" in told and "[red]of[/]" in told
        )
        assert [line.split()[:2] for line in said(app, "#rounds-table").splitlines()[1:4]] == [
            ["0", "0"], ["★", "1"], ["2", "2"],
        ]  # fmt: skip


def test_the_rounds_can_be_seen_before_a_training_dialogue_is_judged(tmp_path):
    folder = asyncio.run(written(tmp_path / "run", COACHED[:4]))
    export(folder, tmp_path / "x.svg", view="rounds")
    assert "held&#160;out" in (tmp_path / "x.svg").read_text()


def test_repeats_of_a_scenario_do_not_make_an_interval_narrower():
    def judged(scenario, seed, satisfaction):
        name = f"none.{scenario}.p.{seed}"
        return [
            ev.DialogueStarted(dialogue=name, round=0, purpose="test", arm="none", seed=seed,
                               scenario=scenario, persona="p"),
            ev.DialogueJudged(dialogue=name, satisfaction=satisfaction, rubric=0.5),
        ]  # fmt: skip

    once = [judged(f"s{n}", 0, 2.0 + n % 3) for n in range(8)]
    often = [judged(f"s{n}", seed, 2.0 + n % 3) for n in range(8) for seed in range(5)]
    more = [judged("s0", seed, 2.0) for seed in range(40)]
    found = []
    for dialogues in (once, often, [*once, *more]):
        series = series_of(folded([STORY[0], *itertools.chain(*dialogues)]))
        found.append((fmean(series[0].means), intervals_of(series)["none"]))
    assert found[0] == found[1] == found[2]


def test_what_stays_is_told_apart_from_what_was_best():
    settled = ev.LibrarySettled(round=0, version=2, rolled_back=False, reason="ann changed it")
    assert _settled(settled).plain == (
        "library  stays; best is version 2, before the first round: ann changed it"
    )


async def test_the_board_is_filtered_and_ordered(run):
    app = WatchApp(run)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: len(rows(app)) == 4)
        await pilot.press("slash", *"library")
        await until(pilot, lambda: len(rows(app)) == 2)
        await pilot.press("space", *"weather")
        await until(pilot, lambda: len(rows(app)) == 1)
        await pilot.press("enter")
        assert app.focused is app.query_one(Board)
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(app)) == 4)
        assert not app.query_one("#filter", Input).display
        seen = []
        for _ in ORDERS:
            await pilot.press("o")
            seen.append(app.query_one(Board).order)
        assert sorted(seen) == sorted(ORDERS)
        app.query_one(Board).order = "newest"
        await pilot.press("o")
        assert [row[6] for row in rows(app)] == ["2.2", "2.2", "4.1", "4.1"], "least satisfied"


async def test_filter_and_order_hold_while_the_run_goes_on(tmp_path):
    first, second, third = (
        dialogue("none", n, name, "rude") for n, name in enumerate(("a_first", "b_next", "c_last"))
    )
    folder = await written(tmp_path / "run", [STORY[0], *first[:4], *second[:4]])
    app = WatchApp(folder)
    async with app.run_test(size=(160, 48)) as pilot:
        board = app.query_one(Board)

        def order():
            return [row[1] for row in rows(app)]

        await until(pilot, lambda: len(rows(app)) == 2)
        await pilot.press("slash", *"talking", "enter")
        await until(pilot, lambda: board.wanted == "talking")
        await pilot.press("j")
        await until(pilot, lambda: board.under_cursor == "none.b_next.rude.1")
        await written(folder, first[4:])
        await until(pilot, lambda: order() == ["b_next"])
        assert board.under_cursor == app.chosen == "none.b_next.rude.1", "it stays where it was"
        await written(folder, third[:4])
        await until(pilot, lambda: order() == ["b_next", "c_last"])
        await pilot.press("escape", "o")
        await until(pilot, lambda: order() == ["c_last", "b_next", "a_first"])
        board.order = "newest"
        await pilot.press("o")
        await until(pilot, lambda: board.order == "least satisfied")
        await pilot.press("j")
        chosen = board.under_cursor
        await written(folder, [*third[4:7], third[7].model_copy(update={"satisfaction": 1.0})])
        await until(pilot, lambda: order() == ["c_last", "a_first", "b_next"])
        assert board.under_cursor == chosen


async def test_the_cursor_stays_on_its_line_where_rows_come_above_it(tmp_path):
    events = [event for n in range(60) for event in dialogue("none", n, f"s{n}", "rude")[:1]]
    folder = await written(tmp_path / "run", [STORY[0], *events])
    app = WatchApp(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(rows(app)) == 60)
        board = app.query_one(Board)
        await pilot.press("o", "g", *["j"] * 30, *["k"] * 5)
        await until(pilot, lambda: board.cursor_row == 25 and board.scroll_offset.y > 0)
        line = board.cursor_row - board.scroll_offset.y
        await written(folder, dialogue("none", 60, "s60", "rude")[:1])
        await until(pilot, lambda: len(rows(app)) == 61)
        await until(pilot, lambda: board.cursor_row == 26)
        await pilot.pause(0.2)
        assert board.cursor_row - board.scroll_offset.y == line


def cells(strip):
    """What is seen of a line, character by character."""
    return [
        (sign, style.bgcolor) if sign == " " else (sign, style.bgcolor, style.color, style.bold)
        for text, style, _ in strip
        for sign in text
    ]


@pytest.mark.parametrize("width", [160, 109, 60, 40])
@pytest.mark.parametrize("theme", ["tutelage", "monochrome"])
async def test_rows_look_as_the_table_itself_would_draw_them(tmp_path, width, theme):
    odd = ["漢字" * 20, "e\u0301" * 30, "שלום", "[red]x", "s" * 50]
    events = [STORY[0], *(e for n, s in enumerate(odd) for e in dialogue("none", n, s, s))]
    app = WatchApp(await written(tmp_path / "run", [*events, *STORY[1:]]), theme)
    async with app.run_test(size=(width, 40)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        board = app.query_one(Board)
        await pilot.press("g", "j")
        await pilot.hover(Board, offset=(8, 4))
        await until(pilot, lambda: board.hover_row == board.cursor_row + 2)
        for across in (0, 7, 30):
            board.scroll_to(x=across, animate=False, force=True)
            await pilot.pause(0.05)
            for line in range(board.size.height):
                drawn, theirs = board.render_line(line), DataTable.render_line(board, line)
                seen, wanted = cells(drawn), cells(theirs)
                differ = [pair for pair in zip(seen, wanted, strict=False) if pair[0] != pair[1]]
                assert not differ and len(seen) == len(wanted), (across, line)
        await pilot.click(Board, offset=(width // 2, 2))
        await until(pilot, lambda: board.cursor_row == board.scroll_offset.y + 1)


async def test_a_run_going_on_is_followed_word_by_word(tmp_path):
    first, second = dialogue("none", 0, "a_first", "rude"), dialogue("none", 1, "b_second", "rude")
    folder = await written(tmp_path / "run", [STORY[0], *first[:4]])
    app = WatchApp(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "שלום" in plain(app))
        async with await Speech.open(folder) as speech:
            await until(pilot, lambda: speech.wanted)
            speech.hear("none.a_first.rude.0", 1, "student", "We apol[red]")
            await until(pilot, lambda: "We apol[red]▍" in plain(app))
            await until(pilot, lambda: rows(app)[0][-1] == "student speaks")
            speech.hear("none.a_first.rude.0", 1, "student", "We apologise for")
            await until(pilot, lambda: "We apologise for▍" in plain(app))
            await written(folder, [first[4]])
            speech.end("none.a_first.rude.0")
            await until(pilot, lambda: "inconvenience" in plain(app))
            assert plain(app).count("We apologise") == 1 and "▍" not in plain(app)
        await written(folder, [*second[:2], *first[5:]])
        await until(pilot, lambda: app.chosen == "none.b_second.rude.1")
        assert app.following, "its dialogue is over: it goes to the next"
        await pilot.press("k")
        await until(pilot, lambda: app.chosen == "none.a_first.rude.0")
        await written(folder, second[2:4])
        await until(pilot, lambda: rows(app)[1][4] == "2")
        assert app.chosen == "none.a_first.rude.0", "who moves about is not moved"
        await pilot.press("f")
        await until(pilot, lambda: app.chosen == "none.b_second.rude.1")
        await written(folder, [OVER])
        await until(pilot, lambda: "over: done" in said(app, "#headline"))


async def test_a_dialogue_begun_again_is_followed_word_by_word_from_its_beginning(tmp_path):
    events = dialogue("none", 0, "a", "rude")
    folder = await written(tmp_path / "run", [STORY[0]])
    app = WatchApp(folder)
    async with app.run_test(size=(120, 40)) as pilot, await Speech.open(folder) as speech:
        await until(pilot, lambda: app.loaded.is_set())
        await written(folder, events[:5])
        await until(pilot, lambda: "inconvenience" in plain(app))
        await written(folder, [STORY[0], events[0]])
        await until(pilot, lambda: "inconvenience" not in plain(app))
        speech.hear("none.a.rude.0", 0, "customer", "We have been")
        await until(pilot, lambda: "We have been▍" in plain(app), 5)


async def test_a_run_that_was_killed_is_said_to_be_silent(tmp_path, monkeypatch):
    folder = await written(tmp_path / "run", STORY)
    monkeypatch.setattr("tutelage.tui.headline.SILENCE", -1.0)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "no sign of life" in said(app, "#headline"))


async def test_a_dialogue_is_replayed_forward_and_back(run):
    app = WatchApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        await pilot.press("g")
        await until(pilot, lambda: app.chosen == "none.cancelled_waited.rude.0")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Replay))
        replay = app.screen
        cards = "#replay-cards"
        assert "1 of 6" in said(app, "#replay-place") and "שלום" not in plain(app, cards)
        for key in ("right", "l", "j"):
            await pilot.press(key)
        assert "4 of 6" in said(app, "#replay-place") and "apologise" in plain(app, cards)
        await pilot.press("left")
        assert "apologise" not in plain(app, cards)
        await pilot.press("G")
        assert "judge" in plain(app, cards) and "6 of 6" in said(app, "#replay-place")
        await pilot.press("g")
        await pilot.press("m")
        assert "3 of 6" in said(app, "#replay-place"), "where the mood fell from annoyed to angry"
        await pilot.press("plus", "plus", "plus", "plus")
        assert replay.speed == 8.0
        await pilot.press("minus")
        assert replay.speed == 4.0
        await pilot.press("g", "space")
        await until(pilot, lambda: "▍" in plain(app, cards))
        await until(pilot, lambda: replay.at == len(replay.lines) and not replay.playing, 40)
        assert "judge" in plain(app, cards)
        await pilot.press("space")
        assert replay.playing and replay.at == 1, "at the end it plays from the beginning"
        await pilot.press("space")
        assert not replay.playing
        await pilot.press("escape")
        assert not isinstance(app.screen, Replay)


async def test_two_arms_stand_side_by_side_with_the_differing_turn_marked(run):
    app = WatchApp(run)
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        await pilot.press("g")
        await until(pilot, lambda: app.chosen == "none.cancelled_waited.rude.0")
        await pilot.press("c")
        await until(
            pilot, lambda: isinstance(app.screen, Compare) and "judge" in plain(app, "#right")
        )
        assert app.screen.others[0].started.dialogue == "library.cancelled_waited.rude.0"
        assert app.screen.differs == [1] and "turn 2" in said(app, "#compare-title")
        for side in ("#left", "#right"):
            assert plain(app, side).count("≠ differs") == 1
        assert ADVICE in plain(app, "#right") and ADVICE not in plain(app, "#left")
        await pilot.press("d")
        assert app.screen.turn == 1
        await pilot.press("n", "p", "j", "k")
        assert app.screen.other == 0
        await pilot.press("escape")
        assert not isinstance(app.screen, Compare)


def of_students(*names):
    """An evaluation of several students, each of whom played two dialogues in two arms."""
    return [STORY[0], *(
        event.model_copy(update={"dialogue": f"{name}.{event.dialogue}"})
        for name in names for event in STORY[1:37]
    )]  # fmt: skip


def test_the_arms_of_several_students_are_kept_apart():
    picture = folded(of_students("a", "b"))
    second = picture.dialogues["b.none.cancelled_waited.rude.0"]
    assert [other.started.dialogue for other in partners(picture, second)] == [
        "b.library.cancelled_waited.rude.0",
        "a.library.cancelled_waited.rude.0", "a.none.cancelled_waited.rude.0",
    ]  # fmt: skip
    assert "none b" in _about(second).plain
    assert [(one.label, one.dialogues) for one in series_of(picture)] == [
        ("none a", 2), ("library a", 2), ("none b", 2), ("library b", 2)
    ]  # fmt: skip
    alone = folded(STORY)
    assert [one.label for one in series_of(alone)] == ["none", "library"]


async def test_students_whose_names_begin_alike_are_all_seen(tmp_path):
    long = "openai_gpt-5_of_a_long_name_"
    app = WatchApp(await written(tmp_path / "run", of_students(f"{long}a", f"{long}b")))
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "4.10" in said(app, "#rounds-table"))
        table = said(app, "#rounds-table")
        assert all(f"{arm} {long}{end}" in table for arm in ("none", "library") for end in "ab")


def test_the_judges_scores_stand_beside_the_replies_that_it_judged():
    lines = [event for event in dialogue("none", 0, "a", "rude") if isinstance(event, Line)]
    judged = ev.DialogueJudged(dialogue="d", satisfaction=3, rubric=0.5, turn_scores=[4.8])
    before = [line.model_copy(update={"replayed": line.turn == 0}) for line in lines]
    first, second = (card.text.plain for card in bubbles(before, judged) if card.kind == "student")
    assert "of 5" not in first and "4.8 of 5" in second


async def test_every_view_has_help_and_the_palette_knows_its_commands(run):
    app = WatchApp(run)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        for number, (title, text) in enumerate(HELP.values(), start=1):
            await pilot.press(str(number), "question_mark")
            await until(pilot, lambda: isinstance(app.screen, Help))
            shown = "\n".join(str(s.content) for s in app.screen.query(Static))
            assert app.screen._title == title and text[:40] in shown and "This help" in shown
            assert ("Filter the board" in shown) and ("Replay the" in shown) is (number == 1)
            await pilot.press("j", "escape")
        await pilot.press("1", "r")
        await until(pilot, lambda: isinstance(app.screen, Replay))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))
        keys = "\n".join(str(s.content) for s in app.screen.query(Static))
        assert app.screen._title == "Replay" and "To where the mood fell" in keys
        assert "Filter" not in keys and "Beside the same" not in keys
        await pilot.press("q", "escape")
        commands = {name for name, _, _ in app.commands()}
        assert {"Show rounds", "Replay this dialogue", "Filter the board"} <= commands
        await pilot.press("ctrl+p", *"show usage")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await until(pilot, lambda: app.query_one(TabbedContent).active == "usage")


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_themes_in_the_terminals_own_colours_are_drawn(run, theme):
    app = WatchApp(run, theme)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: len(rows(app)) == 4)
        await pilot.pause(0.3)
        for key in "1234":
            await pilot.press(key)
            await pilot.pause(0.2)
        await pilot.press("3")
        await until(pilot, lambda: "4.10" in said(app, "#rounds-table"))


async def test_themes_go_round_and_are_told_by_the_environment(run, monkeypatch):
    app = WatchApp(run)
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(rows(app)) == 4)
        seen = [app.theme]
        for _ in th.theme_names():
            await pilot.press("T")
            seen.append(app.theme)
        assert seen == [*th.theme_names(), th.DEFAULT]
        app.theme = "nord"
        await until(pilot, lambda: "#" in app.theme_variables["quiet"])
    monkeypatch.setenv(th.VARIABLE, "colour-blind")
    assert WatchApp(run).theme == "colour-blind"
    assert WatchApp(run, "monochrome").theme == "monochrome"
    monkeypatch.setenv(th.VARIABLE, "no such theme")
    assert WatchApp(run).theme == th.DEFAULT


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", th.THEMES, ids=lambda theme: theme.name)
def test_every_colour_can_be_read_on_its_ground(theme):
    for meaning in th.MEANINGS:
        for ground in (theme.background, theme.surface):
            assert contrast(theme.variables[meaning], ground) >= 4.0, (meaning, ground)


def test_good_and_bad_are_never_red_and_green_where_that_matters():
    theme = next(theme for theme in th.THEMES if theme.name == "colour-blind")
    good, bad = (theme.variables[m] for m in ("good", "bad"))
    blue = [int(c[5:7], 16) for c in (good, bad)]
    assert blue[0] > 200 > 100 > blue[1], "told apart by blue, which the colour-blind see"
    grey = next(theme for theme in th.THEMES if theme.name == "monochrome")
    for colour in grey.variables.values():
        if colour.startswith("#"):
            assert colour[1:3] == colour[3:5] == colour[5:7], colour


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60), (109, 30), (110, 30)])
async def test_it_fits_any_terminal(run, size):
    app = WatchApp(run)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "ended" in plain(app))
        await pilot.resize_terminal(*size)
        await pilot.pause(0.2)
        board = app.query_one(Board)
        assert board.row_count == 4 and board.under_cursor == app.chosen
        assert (
            board.region.right <= size[0] and app.query_one("#transcript").region.right <= size[0]
        )
        if size[0] >= 80:
            assert board.virtual_size.width <= size[0]
        assert app.query_one("#transcript").region.height >= 3


def test_what_is_no_run_is_said_before_the_screen_is_taken(tmp_path):
    for look in (watch, lambda run: export(run, tmp_path / "x.svg")):
        with pytest.raises(RunFault, match="is no run"):
            look(tmp_path)
    (tmp_path / "run.db").write_text("no database at all, but long enough to look like one" * 40)
    with pytest.raises(RunFault, match="is no run log"):
        watch(tmp_path)


def test_the_newest_run_is_the_one_that_was_written_to_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watched = []
    monkeypatch.setattr("tutelage.tui.watch", lambda run, *_: watched.append(run.name))
    none = CliRunner().invoke(cli, ["watch"])
    assert none.exception.exit_code == 2 and "no run under" in str(none.exception)
    for age, name in enumerate(["b", "c", "a"]):
        asyncio.run(written(tmp_path / "runs" / name, STORY[:1]))
        os.utime(tmp_path / "runs" / name / "run.db", (1e9 - age, 1e9 - age))
    for name, beside in (("a", b"words"), ("c", b"")):
        # What a run writes lies here first; a reader may leave an empty one.
        (tmp_path / "runs" / name / "run.db-wal").write_bytes(beside)
        assert CliRunner().invoke(cli, ["watch"]).exit_code == 0
    (tmp_path / "runs" / "a" / "run.db-wal").unlink()
    assert CliRunner().invoke(cli, ["watch"]).exit_code == 0
    assert watched == ["a", "a", "b"]


def test_a_watch_that_breaks_is_no_success(tmp_path, monkeypatch):
    def broken(app):
        raise ZeroDivisionError

    folder = asyncio.run(written(tmp_path / "run"))
    monkeypatch.setattr(WatchApp, "run", partialmethod(WatchApp.run, headless=True))
    monkeypatch.setattr(WatchApp, "_follow", broken)
    with pytest.raises(ScreenFault, match="broke") as fault:
        watch(folder)
    assert fault.value.exit_code == 1


def test_a_screen_is_saved_as_a_picture(tmp_path):
    folder = asyncio.run(written(tmp_path / "run"))
    for view, part in (("dialogues", "pleased"), ("workshop", "refused"), ("usage", "2,400")):
        export(folder, tmp_path / "x.svg", view=view, size=(120, 40))
        picture = (tmp_path / "x.svg").read_text()
        assert picture.startswith("<svg") and part in picture
    export(folder, tmp_path / "x.svg", dialogue="none.cancelled_waited.rude.0")
    assert "inconvenience" in (tmp_path / "x.svg").read_text()
    with pytest.raises(RunFault, match="no dialogue"):
        export(folder, tmp_path / "x.svg", dialogue="nobody")


@pytest.mark.parametrize("told", ["²0x24", "160×48", "160x", "9999999999x48"])
def test_what_is_no_size_is_refused(tmp_path, told):
    folder, picture = asyncio.run(written(tmp_path / "run")), tmp_path / "x.svg"
    options = ["watch", str(folder), "--export", str(picture), "--size", told]
    refused = CliRunner().invoke(cli, options)
    assert refused.exit_code == 2 and "is no size" in refused.output
    assert not picture.exists()


async def test_watching_changes_nothing_in_the_log_and_needs_no_right_to_write(tmp_path):
    folder = await written(tmp_path / "run")
    before = (folder / "run.db").read_bytes()
    folder.chmod(0o555)
    try:
        app = WatchApp(folder)
        async with app.run_test() as pilot:
            await until(pilot, lambda: len(rows(app)) == 4)
    finally:
        folder.chmod(0o755)
    assert (folder / "run.db").read_bytes() == before
    async with await RunLog.open(folder, create=False) as log:
        with pytest.raises(RunFault, match="could not be written"):
            await log.append(OVER)


def test_text_of_others_is_made_plain():
    assert clean("a\x1b[2Jb\x07\u202e\r\nc") == "a [2Jb  \nc"
    assert clean("می\u200cخواهم") == "می\u200cخواهم", "Persian keeps what its words need"
    assert one_line("a\n b  c", 0) == "a b c" and one_line("abcdef", 4) == "abc…"


def test_where_the_mood_fell():
    def line(feeling):
        return ev.TurnSpoken(dialogue="d", turn=0, speaker="customer", text="x", feeling=feeling)

    felt = ["calm", "annoyed", "calm", "angry", "angry", "pleased", "calm"]
    assert falls([line(f) for f in felt]) == [3, 1, 6]
    assert falls([]) == falls([line("calm"), line("pleased")]) == []


def folded(events) -> pic.RunPicture:
    picture = pic.RunPicture()
    for number, event in enumerate(events, start=1):
        picture.fold(Logged(number, 100.0 + number, event))
    return picture


def test_a_dialogue_begun_again_counts_once():
    events = dialogue("none", 0, "a", "rude")
    picture = folded([*events[:4], events[0]])
    assert picture.dialogues["none.a.rude.0"].feelings == []


@pytest.mark.parametrize("story", [(*STORY, OVER), COACHED], ids=["evaluated", "coached"])
async def test_a_log_read_in_outline_gives_the_picture_of_all_its_events(tmp_path, story):
    await written(tmp_path, [*story, *story[1:4]])
    async with await RunLog.open(tmp_path, create=False) as log:
        outlined = await pic.outlined(log)
        await pic.add_feelings(log, outlined)
        whole = pic.RunPicture()
        for logged in await log.read():
            whole.fold(logged)
    for picture in (outlined, whole):
        picture.changed, picture.rates = set(), {}
        for one in picture.dialogues.values():
            one.at = 0.0
        picture.began_at = picture.at = 0.0
        for seen in picture.faults:
            seen.at = 0.0
    assert outlined == whole


def test_usage_is_added_over_the_processes_of_a_resumed_run():
    used = ev.BudgetUsed(role="student", model="m", calls=1, input=10, output=4, cached=0, usd=0.5)
    more = used.model_copy(update={"output": 44, "calls": 5})
    picture = folded([STORY[0], used, more, STORY[0], used])
    assert (picture.usage["student"].output, picture.usage["student"].calls) == (48, 6)
    assert folded([STORY[0], used, more]).rates["student"].per_second == 40.0


def test_the_workshop_says_for_whom_something_was_written_that_no_state_was_examined_for():
    picture = folded([
        ev.StrategyProposed(proposal="r1.general", dialogue="r1.general", turn=0, attempt=0,
                            scenario="any customer", texts=["Be kind."], source="rubric")
    ])  # fmt: skip
    (card,) = workshop(picture)
    assert "state  any customer\n" in card.text.plain and "Be kind." in card.text.plain
    assert "turn" not in card.text.plain, "it was written at no turn"


@pytest.mark.parametrize("home", ["d", ""])
def test_the_workshop_says_from_where_an_entry_was_kept_afterwards(home):
    back = ev.EntryNarrowed(entry="e1", scenario="gift_1", how="by 2 counter-examples", gain=-0.4,
                            dialogue=home, turn=0, learned_for="a late parcel")  # fmt: skip
    written = ev.StrategyProposed(proposal="p", dialogue="d", turn=0, attempt=0,
                                  scenario="late", texts=["Say when."], source="teacher")  # fmt: skip
    cards = [card.text.plain for card in workshop(folded([written, back]))]
    assert len(cards) == (1 if home else 2)
    assert "given in gift_1 it did no good there (-0.40)" in cards[0]
    assert ("Say when." if home else "state  a late parcel\n") in cards[0]


def test_the_workshop_is_bounded():
    picture = folded(
        event
        for number in range(3 * pic.CASES)
        for event in (
            ev.StrategyProposed(proposal=f"p{number}", dialogue="d", turn=number, attempt=0,
                                scenario="s", texts=["t"], source="teacher"),
            ev.Fault(where="x", message="y"),
        )
    )  # fmt: skip
    assert len(picture.cases) == len(picture._attempts) == len(picture.faults) == pic.CASES
    assert picture.fault_count == 3 * pic.CASES


async def test_a_long_run_brings_its_rows_as_they_are_wanted(tmp_path):
    events = [STORY[0]]
    for number in range(1000):
        events += dialogue("none", number, f"s{number}", "rude")[::7][:1]
    folder = await written(tmp_path / "run", events)
    app = WatchApp(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(rows(app)) == 400)
        await until(pilot, lambda: "600 more" in said(app, "#more"))
        assert rows(app)[-1][1] == "s999"
        await pilot.press("g")
        await until(pilot, lambda: len(rows(app)) == 800)
        assert app.query_one(Board).under_cursor == "none.s600.rude.600"
        await pilot.press("g")
        await until(pilot, lambda: len(rows(app)) == 1000)
        await until(pilot, lambda: not app.query_one("#more").display)
        await pilot.press("slash", *"s123")
        await until(pilot, lambda: [row[1] for row in rows(app)] == ["s123"])


SCREENS = ["1", "2", "3", "4", "r", "c", "question_mark", "slash"]


@in_sizes("key", SCREENS, large=["1", "2", "3", "4", "r", "c"])
def test_screens_look_as_they_did(snap_compare, tmp_path, size, key):
    folder = asyncio.run(written(tmp_path / "run", COACHED if key == "3" else (*STORY, OVER)))
    app = WatchApp(folder)

    async def look(pilot):
        await until(pilot, lambda: "ended" in plain(app))
        app.query_one(Input).cursor_blink = False
        await pilot.press(key)
        await pilot.pause(0.3)
        if key == "3":
            await until(pilot, lambda: "4.10" in said(app, "#rounds-table"))
        if key == "r":
            await pilot.press("G")
        if key == "c":
            await until(pilot, lambda: "judge" in plain(app, "#right"))
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=look)


@pytest.mark.parametrize("theme", ["tutelage-light", "colour-blind", "monochrome"])
def test_themes_look_as_they_did(snap_compare, tmp_path, theme):
    folder = asyncio.run(written(tmp_path / "run"))
    app = WatchApp(folder, theme)

    async def look(pilot):
        await until(pilot, lambda: "ended" in plain(app))
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=(120, 36), run_before=look)
