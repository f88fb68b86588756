"""`tutelage runs`: what each run was, how far it came, and whether somebody still works on it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from io import StringIO
from pathlib import Path

import pytest
from commands import tutelage
from rich.console import Console
from story import OVER, STORY, dialogue, written
from tutelage.graphs.log import events as ev
from tutelage.graphs.log.run_log import RunFault
from tutelage.graphs.log.speech import SILENCE, Speech, last_pulse

from tutelage.runs.listing import _table, newest_run, run_line

LONG_AGO = time.time() - 10 * SILENCE


def aged(folder, seconds):
    """Let a run have written all it wrote at a time (Unix s)."""
    with sqlite3.connect(folder / "run.db") as log:
        log.execute("UPDATE events SET at = ?", (seconds,))
    log.close()


async def test_a_run_goes_on_is_broken_off_or_over(tmp_path):
    live = await written(tmp_path / "live", STORY)
    assert (await run_line(live)).state == "under way"
    aged(live, LONG_AGO)
    assert (await run_line(live)).state == "broken off"
    async with await Speech.open(live):
        # Weights that are still being loaded write no event.
        async with asyncio.timeout(20):
            while await last_pulse(live) is None:
                await asyncio.sleep(0.01)
        assert await last_pulse(live) == pytest.approx(time.time(), abs=SILENCE)
        assert (await run_line(live)).state == "under way"
    assert await last_pulse(live) is None
    over = await run_line(await written(tmp_path / "over", [*STORY, OVER]))
    assert (over.state, over.why) == ("over", OVER.reason)


async def test_the_figures_are_those_of_the_log(tmp_path):
    cut = dialogue("none", 9, "cancelled_waited", "rude")[:2]
    line = await run_line(await written(tmp_path / "run", [*STORY, *cut, OVER]))
    begun = [one for one in [*STORY, *cut] if isinstance(one, ev.DialogueStarted)]
    ended = [one for one in STORY if isinstance(one, ev.DialogueEnded)]
    used = {one.role: one for one in STORY if isinstance(one, ev.BudgetUsed)}.values()
    verdicts = {one.proposal: one for one in STORY if isinstance(one, ev.StrategyDecided)}.values()
    assert (line.dialogues, line.ended) == (len(begun), len(ended))
    assert line.ended < line.dialogues
    assert line.tokens == sum(one.input + one.output for one in used) > 0
    assert line.decided == len(verdicts) > 0
    assert line.kept == sum(one.verdict == "kept" for one in verdicts)
    assert line.faults == sum(isinstance(one, ev.Fault) for one in STORY) > 0


def test_the_table_is_newest_first_and_says_how_to_go_on(tmp_path):
    for name in ("old", "deep/new[red]"):
        asyncio.run(written(tmp_path / "runs" / name, STORY))
    old = tmp_path / "runs" / "old"
    aged(old, LONG_AGO)
    broken = tmp_path / "runs" / "broken"
    broken.mkdir()
    (broken / "run.db").write_text("no database")
    told = tutelage("runs", cwd=tmp_path)
    assert told.returncode == 0
    rows = told.stdout.splitlines()
    assert rows[0].startswith("in runs") and "deep/new[red]" in told.stdout
    place = [next(i for i, row in enumerate(rows) if name in row) for name in ("deep/new", "old")]
    assert "unreadable" in told.stdout and "under way" in rows[place[0]]
    assert "broken off" in rows[place[1]]
    assert "--run runs/old --resume" in told.stderr
    lines = json.loads(tutelage("runs", "--json", cwd=tmp_path).stdout)
    assert {line["run"]: line["state"] for line in lines} == {
        "runs/old": "broken off", "runs/deep/new[red]": "under way", "runs/broken": "unreadable",
    }  # fmt: skip
    nothing = tutelage("runs", "nowhere", cwd=tmp_path)
    assert nothing.returncode == 2 and "no run under nowhere" in nothing.stderr
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFault, match="no run under"):
        newest_run(tmp_path / "empty")


def test_a_table_of_runs_that_were_given_no_name_fits_a_terminal(tmp_path):
    name = "20261127-072144-airline"
    made = asyncio.run(written(tmp_path / "runs" / name, [*STORY, OVER]))
    line = asyncio.run(run_line(made))
    many = line.model_copy(
        update={
            "tokens": 9_908_388,
            "decided": 18,
            "kept": 14,
            "run": name,
            "usd": 0.0,
            "faults": 0,
        }
    )
    console = Console(file=StringIO(), width=80)
    console.print(_table([many], Path()))
    (row,) = [row for row in console.file.getvalue().splitlines() if name in row]
    assert row.rstrip().endswith("14 of 18 9,908k") and len(row) <= 80
