"""A run says how far it is: by a bar where somebody watches, else in a line now and then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions
from tutelage.graphs.log.events import DialogueEnded, DialogueStarted, StateClosed, StateExamined

from tutelage.runs import talking_log
from tutelage.runs.coach import work_of
from tutelage.runs.talking_log import TalkingLog


def started(number):
    return DialogueStarted(
        dialogue=f"d{number}", round=0, scenario="s", persona="p", title="A late bag"
    )


def ended(number):
    return DialogueEnded(dialogue=f"d{number}", reason="goal_met", turns=2, valid=True, seconds=1)


@pytest.fixture
def screen(monkeypatch):
    """Where the log talks; a terminal of 80 columns when asked for one."""

    def made(terminal):
        console = Console(
            file=StringIO(), width=80, force_terminal=terminal, force_interactive=terminal
        )
        monkeypatch.setattr(talking_log, "talk", lambda: console)
        return console.file

    return made


async def test_a_terminal_shows_how_far_a_run_is_and_keeps_the_lines_above(tmp_path, screen):
    said = screen(True)
    async with await TalkingLog.open(tmp_path) as log:
        going = asyncio.create_task(log.keep_talking(4))
        await asyncio.sleep(0)
        for number in range(2):
            await log.append(started(number))
            await log.append(ended(number))
        await asyncio.sleep(0.7)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    assert "50%" in said.getvalue() and "left" in said.getvalue()
    lines = [line for line in said.getvalue().split("\n") if "A late bag" in line]
    assert len(lines) == 2 and all("%" not in line.split("A late bag")[1] for line in lines)


async def test_a_bar_counts_what_a_resumed_run_has_done(tmp_path, screen):
    screen(False)
    async with await TalkingLog.open(tmp_path) as log:
        await log.append(ended(0))
        state = {"dialogue": "d0", "turn": 0, "round": 1}
        told = {"scenario": "s", "customer_says": "", "student_reply": "", "teacher_reply": ""}
        await log.append(StateExamined(**state, **told, preference=0.9, weak=True))
        await log.append(StateClosed(**state))
    async with await TalkingLog.open(tmp_path) as log:
        await log.recall()
        assert log.done == 7


async def test_elsewhere_a_line_now_and_then_says_it_less_and_less_often(
    tmp_path, screen, monkeypatch
):
    said, clock = screen(False), [0.0]

    async def sleep(seconds):
        clock[0] += seconds
        if clock[0] > 200:
            raise asyncio.CancelledError

    async with await TalkingLog.open(tmp_path) as log:
        await log.append(ended(0))
        log.last_said = 0.0
        monkeypatch.setattr(talking_log.asyncio, "sleep", sleep)
        monkeypatch.setattr(talking_log.time, "monotonic", lambda: clock[0])
        with pytest.raises(asyncio.CancelledError):
            await log.keep_talking(2)
    lines = [line.strip() for line in said.getvalue().splitlines() if "working" in line]
    assert lines == [f"... working, {second} s, 50% done" for second in (4, 12, 28, 60, 120, 180)]


def test_the_work_of_coaching_counts_no_validation_that_a_firm_has_not():
    firm = load_environment("airline")
    options = CoachingOptions(rounds=2, dialogues=3, validation_dialogues=2, states_per_round=1)
    assert work_of(firm, options) == 2 + 2 * (3 + 6 + 2)
    without = {**firm.config.splits, "validation": []}
    bare = replace(firm, config=firm.config.model_copy(update={"splits": without}))
    assert work_of(bare, options) == 2 * (3 + 6)
