"""The page of commands and variables is whole: each that the code has stands on it, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tutelage.graphs.evaluation import Arm
from typer.main import get_command

from tutelage.main import app
from tutelage.runs.coach import CoachRequest

ROOT = Path(__file__).parents[2]
PYTHON = (ROOT / "docs" / "langchain.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ROLES = {f"TUTELAGE_{role}" for role in ("STUDENT", "CUSTOMER", "JUDGE", "TEACHER")}


def commands(group, before: str = ""):
    for name, command in group.commands.items():
        whole = f"{before}{name}"
        yield from commands(command, f"{whole} ") if hasattr(command, "commands") else [whole]


def test_every_command_stands_on_the_page():
    told: set[str] = set()
    for row in re.findall(r"^\| (`.+?) \|", PAGE.partition("| word |")[0], re.MULTILINE):
        names = re.findall(r"`([^`]+)`", row)
        group, _, first = names[0].rpartition(" ")
        if not group:
            told.update(names)
            continue
        told.update(f"{group} {name}" for name in [first, *names[1:]])
    told = {name for name in told if name == name.lower()}
    assert told == set(commands(get_command(app)))


def test_every_arm_is_among_the_words():
    words = PAGE.partition("| word |")[2]
    rows = re.findall(r"^\| (`.+?) \| arms: ", words, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*get_args(Arm)}


def test_every_variable_of_ours_stands_on_the_page():
    read = {
        name
        for floor in ("agents", "graphs", "environments", "strategy_store", "tui", "tutelage")
        for path in (ROOT / floor).rglob("*.py")
        for name in re.findall(r"TUTELAGE_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert read | ROLES == set(re.findall(r"TUTELAGE_[A-Z_]+", PAGE))


def test_what_an_option_of_coach_is_called_in_python_is_told_right():
    rows = re.findall(r"^\| `--(\w+)` \| `(\w+)\.(\w+)` \|", PYTHON, re.MULTILINE)
    assert {option for option, _, _ in rows} > {"validation", "states", "exchanges", "pairs"}
    for option, kind, name in rows:
        given = 17
        assert option in {p.name for p in get_command(app).commands["coach"].params}
        options = CoachRequest.model_validate({"environment": "airline", option: given}).options()
        holder = {type(one).__name__: one for one in (options, options.step)}[kind]
        assert getattr(holder, name) == given, option
