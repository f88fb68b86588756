"""The watch shows a run at 80x24 and at 160x48, live and finished, and obeys no model's text."""

from __future__ import annotations

import asyncio
import io
import time

import pytest
from rich.console import Console
from textual.widgets import DataTable, TabbedContent
from tutelage.graphs import events as ev
from tutelage.graphs.picture import RunPicture
from tutelage.graphs.run_log import RunFault, RunLog
from tutelage.tui import drawing, watch
from tutelage.tui.app import WatchApp

GIVEN = ev.StrategyGiven(
    id="s1", entry="e1", scenario="a customer who waited", text="Name the wait.", similarity=0.62
)
RUN = [
    ev.RunStarted(command="coach", environment="airline", models={"student": "local:x"}),
    ev.DialogueStarted(dialogue="d1", round=1, scenario="cancelled", title="C", persona="rude"),
    ev.TurnSpoken(dialogue="d1", turn=0, speaker="customer", text="Four hours!", feeling="angry"),
    ev.TurnSpoken(
        dialogue="d1", turn=0, speaker="student", text="Four hours is [bold]long\x1b[2J.",
        strategies=[GIVEN],
    ),
    ev.TurnRejected(dialogue="d1", turn=1, text="How can I help?", reasons=["role flip"]),
    ev.TurnSpoken(dialogue="d1", turn=1, speaker="customer", text="Fine.", feeling="calm"),
    ev.DialogueJudged(
        dialogue="d1", satisfaction=3.4, rubric=0.71, checks={"short": 1.0},
        questions={"feeling_first": 0.2}, turn_scores=[3.1],
    ),
    ev.DialogueEnded(dialogue="d1", reason="goal_met", turns=3),
    ev.StrategyDecided(
        proposal="p.0", verdict="dropped", reason="no better", dialogue="d1", turn=0,
        scenario="a customer who waited", texts=["Name the wait."], before="b", after="a",
    ),
    ev.RoundEnded(
        round=1, dialogues=1, invalid=0, csat=3.4, rubric=0.71, proposed=1, kept=0, dropped=1
    ),
    ev.BudgetUsed(
        role="student", model="local:x", calls=2, input=2400, output=90, cached=1200, usd=0.0
    ),
    ev.Fault(where="dialogue", message="the endpoint answered 500"),
]  # fmt: skip


async def written(folder, events=RUN):
    async with await RunLog.open(folder) as log:
        for event in events:
            await log.append(event)
    return folder


async def shown(app, pilot, selector) -> str:
    await pilot.pause(0.4)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(app.query_one(selector).content)
    return console.export_text()


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_what_happened_is_seen(tmp_path, size):
    app = WatchApp(await written(tmp_path / "run"))
    async with app.run_test(size=size) as pilot:
        said = await shown(app, pilot, "#transcript")
        for part in ("Four hours!", "angry", "0.62", "Name the wait.", "role flip", "3.40", "✗"):
            assert part in said
        assert "[bold]long" in said and "\x1b" not in said
        board = app.query_one("#board", DataTable)
        assert board.get_row_at(0)[0] == "cancelled" and board.get_row_at(0)[-1] == "goal met"
        assert "no better" in await shown(app, pilot, "#workshop-text")
        assert "3.40" in await shown(app, pilot, "#rounds-text")
        usage = await shown(app, pilot, "#usage-text")
        assert "2,400" in usage and "answered 500" in usage
        for key, tab in (("2", "workshop"), ("3", "rounds"), ("4", "usage"), ("1", "dialogues")):
            await pilot.press(key)
            await pilot.pause()
            assert app.query_one(TabbedContent).active == tab


async def test_a_run_going_on_is_followed(tmp_path):
    folder = await written(tmp_path / "run", RUN[:3])
    app = WatchApp(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "long" not in await shown(app, pilot, "#transcript")
        await written(folder, RUN[3:4])
        assert "long" in await shown(app, pilot, "#transcript")


def test_what_is_no_run_is_said_before_the_screen_is_taken(tmp_path):
    with pytest.raises(RunFault, match="is no run"):
        watch(tmp_path)


def test_a_dialogue_begun_again_counts_once():
    picture = RunPicture()
    for event in [*RUN[:4], RUN[1]]:
        picture.fold(event)
    assert picture.dialogues["d1"].lines == []


def test_a_large_run_folds_quickly():
    picture = RunPicture()
    began = time.perf_counter()
    for number in range(2000):
        name = f"d{number}"
        picture.fold(RUN[1].model_copy(update={"dialogue": name}))
        for _ in range(9):
            for event in RUN[2:4]:
                picture.fold(event.model_copy(update={"dialogue": name}))
        drawing.headline(picture)
    assert time.perf_counter() - began < 10
    assert len(picture.dialogues) == 2000


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["small", "large"])
@pytest.mark.parametrize("key", "1234")
def test_screens_look_as_they_did(snap_compare, tmp_path, size, key):
    folder = asyncio.run(written(tmp_path / "run"))

    async def read(pilot):
        await pilot.pause(0.5)

    assert snap_compare(WatchApp(folder), press=[key], terminal_size=size, run_before=read)
