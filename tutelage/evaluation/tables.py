"""An evaluation as tables for the terminal: arms, costs, single strategies, students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from tutelage.evaluation.result import ArmCost, StudentResult
from tutelage.strategy_store import Uplift


def arms_table(student: StudentResult) -> Table:
    """A student's arms side by side, with 95 % intervals over scenarios."""
    table = _table(f"student {student.student}: {student.stop}")
    _figures(
        table, "n", "invalid", "satisfaction 1-5", "rubric 0-1", "by code", "by judge", "pass^k"
    )
    for arm, figures in student.arms.items():
        table.add_row(
            arm, str(figures.n), str(figures.invalid),
            _estimate(figures.csat.mean, figures.csat.ci95),
            _estimate(figures.rubric.mean, figures.rubric.ci95),
            _estimate(figures.checks.mean, None), _estimate(figures.questions.mean, None),
            " ".join(f"{share:.2f}" for share in figures.pass_k.values()) or "-",
        )  # fmt: skip
    return table


def cost_table(student: StudentResult, costs: Mapping[str, ArmCost]) -> Table:
    """Effect against the first arm beside what it costs: calls to learn; texts given a turn, and the
    tokens that they add to it; tokens, money and seconds of the student's replies, as medians.
    """
    table = _table("")
    first = next(iter(student.arms), "")
    _figures(
        table, f"satisfaction\nagainst {first}", "calls\nto learn", "texts\na turn",
        "adding\ntokens", "tokens a\ndialogue", "US$", "seconds\na reply",
    )  # fmt: skip
    for arm, figures in student.arms.items():
        cost, found = costs.get(arm), student.csat.get(f"{arm}-{first}")
        if cost is None:
            continue
        table.add_row(
            arm, "-" if found is None else _estimate(found.diff, found.ci95),
            "-" if cost.learning_calls is None else f"{cost.learning_calls:,}",
            f"{cost.texts_a_turn:.1f}", f"{cost.tokens_a_turn:.0f}",
            f"{figures.tokens or 0:,.0f}", f"{figures.usd or 0:.4f}",
            "-" if figures.seconds is None else f"{figures.seconds:.1f}",
        )  # fmt: skip
    return table


def items_table(student: StudentResult) -> Table:
    """The rubric item by item: shares of each arm, and what the contrast differs by."""
    contrast = next((item.difference for item in student.items if item.difference), None)
    table = _table("rubric by item", "item")
    _figures(table, *student.arms)
    if contrast is not None:
        _figures(table, f"{contrast.second}\nless {contrast.first}")
    for item in student.items:
        shares = [_estimate(item.arms[arm], None) for arm in student.arms]
        if item.difference is not None:
            shares.append(_estimate(item.difference.diff, item.difference.ci95, "+.2f"))
        table.add_row(item.id, *shares)
    return table


def uplift_table(found: Mapping[str, Uplift]) -> Table:
    """What each strategy adds by itself; the library holds the same beside the strategy."""
    table = _table("uplift of single strategies, withheld at random", "strategy")
    _figures(table, "satisfaction", "rubric", "given", "withheld", "scenarios", "verdict")
    for id_, uplift in sorted(found.items(), key=lambda item: -item[1].csat):
        table.add_row(
            id_, _estimate(uplift.csat, uplift.csat_ci95),
            _estimate(uplift.rubric, uplift.rubric_ci95), str(uplift.given),
            str(uplift.withheld), str(uplift.scenarios), uplift.verdict,
        )  # fmt: skip
    return table


def students_table(students: Sequence[StudentResult]) -> Table:
    """Students by arms: whether a library that was learned for one helps another."""
    table = _table("satisfaction, students by arms", "student")
    differences = list(students[0].csat)[:1]
    _figures(table, *students[0].arms, *differences)
    for student in students:
        cells = [_estimate(f.csat.mean, None) for f in student.arms.values()]
        cells += [_estimate(student.csat[n].diff, student.csat[n].ci95) for n in differences]
        table.add_row(student.student, *cells)
    return table


def _estimate(mean: float | None, ci95: tuple[float, float] | None, shown: str = ".2f") -> str:
    if mean is None:
        return "-"
    # The interval stands below: side by side, six arms do not fit a terminal of 80 columns.
    return (
        f"{mean:{shown}}"
        if ci95 is None
        else f"{mean:{shown}}\n[{ci95[0]:{shown}}, {ci95[1]:{shown}}]"
    )


def _table(title: str, rows: str = "arm") -> Table:
    table = Table(box=None, pad_edge=False, title=title or None, title_justify="left")
    table.add_column(rows, overflow="fold")
    return table


def _figures(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right")
