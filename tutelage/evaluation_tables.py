"""An evaluation as tables for the terminal: arms, costs, single strategies, students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from tutelage.evaluation_result import ArmCost, StudentResult
from tutelage.strategy_store import Uplift


def arms_table(student: StudentResult) -> Table:
    """A student's arms side by side; tokens, money and seconds are medians of its replies' cost."""
    table = Table(box=None, pad_edge=False, title=f"student {student.student}: {student.stop}",
                  title_justify="left")  # fmt: skip
    table.add_column("arm")
    for name in ("n", "invalid", "satisfaction 1-5", "rubric 0-1", "by code", "by judge", "pass^k",
                 "tokens", "US$", "s/reply"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for arm, figures in student.arms.items():
        table.add_row(
            arm, str(figures.n), str(figures.invalid),
            _estimate(figures.csat.mean, figures.csat.ci95),
            _estimate(figures.rubric.mean, figures.rubric.ci95),
            _estimate(figures.checks.mean, None), _estimate(figures.questions.mean, None),
            " ".join(f"{share:.2f}" for share in figures.pass_k.values()) or "-",
            f"{figures.tokens or 0:,.0f}", f"{figures.usd or 0:.4f}",
            "-" if figures.seconds is None else f"{figures.seconds:.1f}",
        )  # fmt: skip
    return table


def cost_table(student: StudentResult, costs: Mapping[str, ArmCost]) -> Table:
    """Effect against the first arm beside what it costs: calls to learn, texts and tokens a turn."""
    table = Table(box=None, pad_edge=False)
    table.add_column("arm")
    first = next(iter(student.arms), "")
    for name in (f"satisfaction against {first}", "calls to learn", "texts/turn", "tokens/turn"):
        table.add_column(name, justify="right")
    for arm in student.arms:
        cost, found = costs.get(arm), student.csat.get(f"{arm}-{first}")
        if cost is None:
            continue
        learned = "-" if cost.learning_calls is None else f"{cost.learning_calls:,}"
        table.add_row(
            arm, "-" if found is None else _estimate(found.diff, found.ci95), learned,
            f"{cost.texts_a_turn:.1f}", f"{cost.tokens_a_turn:.0f}",
        )  # fmt: skip
    return table


def uplift_table(found: Mapping[str, Uplift]) -> Table:
    """What each strategy adds by itself; the library holds the same beside the strategy."""
    table = Table(box=None, pad_edge=False, title="uplift of single strategies, withheld at random",
                  title_justify="left")  # fmt: skip
    table.add_column("strategy")
    for name in ("satisfaction", "rubric", "given", "withheld", "scenarios", "verdict"):
        table.add_column(name, justify="right")
    for id_, uplift in sorted(found.items(), key=lambda item: -item[1].csat):
        table.add_row(
            id_, _estimate(uplift.csat, uplift.csat_ci95),
            _estimate(uplift.rubric, uplift.rubric_ci95), str(uplift.given),
            str(uplift.withheld), str(uplift.scenarios), uplift.verdict,
        )  # fmt: skip
    return table


def students_table(students: Sequence[StudentResult]) -> Table:
    """Students by arms: whether a library that was learned for one helps another."""
    table = Table(box=None, pad_edge=False, title="satisfaction, students by arms",
                  title_justify="left")  # fmt: skip
    table.add_column("student", overflow="fold", min_width=20)
    for arm in students[0].arms:
        table.add_column(arm, justify="right", no_wrap=True)
    differences = list(students[0].csat)[:1]
    for name in differences:
        table.add_column(name, justify="right", no_wrap=True)
    for student in students:
        cells = [_estimate(f.csat.mean, None) for f in student.arms.values()]
        cells += [_estimate(student.csat[n].diff, student.csat[n].ci95) for n in differences]
        table.add_row(student.student, *cells)
    return table


def _estimate(mean: float | None, ci95: tuple[float, float] | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.2f}" if ci95 is None else f"{mean:.2f} [{ci95[0]:.2f}, {ci95[1]:.2f}]"
