"""The report of an evaluation: one self-contained HTML page with plots and dialogues side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tutelage.evaluation.result import Evaluation, StudentResult
from tutelage.graphs.log.states import Played
from tutelage.graphs.statistics.calibration import warnings_of
from tutelage.reports.plots import intervals
from tutelage.reports.report import marked, write_page
from tutelage.strategy_store import Entry, Library
from tutelage.tui.students import student_of

SHOWN = 5
"""Pairs of dialogues side by side."""


@dataclass(frozen=True, slots=True)
class Side:
    """One cell in two arms; `differs` is the first student turn (from 0) that is not the same."""

    before: Played
    after: Played
    differs: int | None

    @property
    def student(self) -> str:
        """Whose dialogues they are, where there are several students; else ""."""
        return student_of(self.before.started)

    @property
    def gain(self) -> float:
        """Satisfaction in the second arm less that in the first."""
        if self.before.judged is None or self.after.judged is None:
            return 0.0
        return self.after.judged.satisfaction - self.before.judged.satisfaction


def write_evaluation(path: Path, evaluation: Evaluation, dialogues: Mapping[str, Played]) -> None:
    """Write the page; it needs no network, and every text from a model is escaped in it."""
    entries: list[Entry] = []
    if evaluation.request.library:
        statuses = ("approved", "proposed") if evaluation.request.proposed else ("approved",)
        with Library.open(evaluation.request.library) as library:
            entries = library.entries(statuses)
    arms = evaluation.request.arms
    first, second = ("none", "library") if {"none", "library"} <= set(arms) else (arms[0], arms[-1])
    write_page(
        path,
        "evaluation.html.jinja",
        evaluation=evaluation,
        plots={student.student: _plots(student) for student in evaluation.students},
        entries=entries,
        texts={s.id: s.text for entry in entries for s in entry.strategies},
        sides=sides(dialogues, first, second),
        first=first,
        second=second,
        marked=marked,
        warnings=warnings_of(evaluation.judge),
    )


def sides(dialogues: Mapping[str, Played], first: str, second: str) -> list[Side]:
    """Cells valid in both arms side by side: the greatest gains and losses, by turns, at most five."""
    by_cell: dict[tuple[str, str, str, int], dict[str, Played]] = {}
    for one in dialogues.values():
        if one.valid:
            its = one.started
            cell = (student_of(its), its.scenario, its.persona, its.seed)
            by_cell.setdefault(cell, {})[its.arm] = one
    found = [
        Side(arms[first], arms[second], _first_difference(arms[first], arms[second]))
        for arms in by_cell.values()
        if first in arms and second in arms and first != second
    ]
    ordered = sorted(found, key=lambda side: side.gain)
    # Best, worst, second best, second worst, ...: neither kind is hidden.
    mixed = [ordered.pop(-1 if i % 2 == 0 else 0) for i in range(len(ordered))]
    return mixed[:SHOWN]


def _first_difference(before: Played, after: Played) -> int | None:
    replies = [
        [turn.text for turn in one.turns if turn.speaker == "student"] for one in (before, after)
    ]
    for place in range(max(map(len, replies))):
        if replies[0][place : place + 1] != replies[1][place : place + 1]:
            return place
    return None


def _plots(student: StudentResult) -> dict[str, Markup]:
    arms = {arm: (f.csat.mean, f.csat.ci95) for arm, f in student.arms.items()}
    plots = {"arms": Markup(intervals(arms, "satisfaction, 1 to 5", limits=(1, 5)))}  # noqa: S704
    if student.csat:
        rows = {name: (found.diff, found.ci95) for name, found in student.csat.items()}
        label = "difference of satisfaction, with 95 % interval"
        real = {name for name, found in student.csat.items() if found.real}
        plots["paired"] = Markup(intervals(rows, label, zero=True, real=real))  # noqa: S704
    if moved := {item.id: item.difference for item in student.items if item.difference}:
        rows = {name: (found.diff, found.ci95) for name, found in moved.items()}
        label = "difference of an item, 0 to 1, with 95 % interval"
        plots["moved"] = Markup(intervals(rows, label, zero=True))  # noqa: S704
    return plots
