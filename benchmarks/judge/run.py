"""The bundled judge on the calibration set: what the model reads, and what code adds to it.

python benchmarks/judge/run.py              # all 126 items, about an hour on two cores
python benchmarks/judge/run.py --half held-out --judge openai:gpt-4o-mini
python benchmarks/judge/run.py --half held-out --plot docs/media/judge-curve.svg
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest
from tutelage.agents.judge import CHECK_LOGIT, FAULT_LOGIT, Judge, checks_held
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.agents.reading.reply_faults import reply_faults
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import CalibrationItem, calibrated_firms, calibration_set
from tutelage.graphs.play.desk import voice_of
from tutelage.graphs.statistics.calibration import Reading, figures_of, read_item, turn_of

from tutelage.reports.plots import BAD, GOOD, INK, SOFT, as_svg

HERE = Path(__file__).parent
TARGET = 0.95
RAW = HERE / "readings.json"


def by_code(judge: Judge, item: CalibrationItem, reply: str) -> tuple[float, float]:
    """What code adds to a reply's log-odds: for its faults, and for the rubric's checks."""
    turns = [turn_of(line) for line in item.turns]
    known = (judge.environment.policy.text, judge.environment.config.today)
    scenario = judge.environment.scenarios[item.scenario]
    faults = sum(reply_faults(reply, turns, scenario, known).values())
    held = checks_held(judge.environment, scenario, turns, reply) or 0.0
    return -FAULT_LOGIT * faults, CHECK_LOGIT * held


def by_certainty(readings: list[Reading]) -> list[bool]:
    """Whether each pair was told right, the most certain first."""
    ordered = sorted(readings, key=lambda r: -abs(r.prefers_good - 0.5))
    return [r.prefers_good > 0.5 for r in ordered]


def coverage_curve(readings: list[Reading]) -> list[tuple[float, float]]:
    """Share of pairs told right among the most certain ones: (share of pairs kept, right)."""
    right = by_certainty(readings)
    curve: list[tuple[float, float]] = []
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        kept = right[: max(1, round(share * len(right)))]
        curve.append((share, round(fmean(kept), 3)))
    return curve


def draw(readings: list[Reading]) -> str:
    """The whole curve as SVG, with 95 % Wilson intervals and the target."""
    from matplotlib.figure import Figure

    right = by_certainty(readings)
    counts = range(5, len(right) + 1)
    found = [binomtest(sum(right[:count]), count) for count in counts]
    bands = [one.proportion_ci(method="wilson") for one in found]
    shares = [count / len(right) for count in counts]
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(
        shares, [band.low for band in bands], [band.high for band in bands], color=SOFT, alpha=0.3,
        linewidth=0,
    )  # fmt: skip
    axes.plot(shares, [one.statistic for one in found], color=INK)
    axes.axhline(TARGET, color=GOOD, linewidth=1, linestyle="--")
    axes.axhline(0.5, color=BAD, linewidth=1, linestyle="--")
    axes.set(
        xlim=(0, 1), ylim=(0.4, 1.02), xlabel="share of pairs kept, the most certain first",
        ylabel="pairs told right",
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    return as_svg(figure)


async def main() -> None:
    """Read what was not read yet, then print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default=DEFAULT_MODEL)
    parser.add_argument("--half", choices=("development", "held-out", "both"), default="both")
    parser.add_argument("--plot", type=Path, help="Draw the held-out half's curve as SVG.")
    given = parser.parse_args()
    voice = voice_of("judge", given.judge, Meter())
    judges = {firm: Judge(voice, load_environment(firm)) for firm in calibrated_firms()}
    items = [
        (firm, item)
        for firm in judges
        for item in calibration_set(firm)
        if given.half == "both" or item.held_out == (given.half == "held-out")
    ]
    raw = json.loads(RAW.read_text()) if RAW.exists() else {}
    readings: list[Reading] = [Reading.model_validate(found) for found in raw.get(given.judge, [])]
    done = {reading.id for reading in readings}
    todo = [(firm, item) for firm, item in items if item.id not in done]
    for firm, item in track(todo, "reading", console=Console(stderr=True)):
        readings.append(await read_item(judges[firm], item))
        raw[given.judge] = [reading.model_dump() for reading in readings]
        RAW.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    by_id = {item.id: (firm, item) for firm in judges for item in calibration_set(firm)}
    report: dict[str, object] = {}
    for name, half in (("development", False), ("held-out", True)):
        own = [reading for reading in readings if reading.held_out is half]
        if not own:
            continue
        code = [ahead(judges[by_id[r.id][0]], by_id[r.id][1]) for r in own]
        told = {"its faults": [f for f, _ in code], "the rubric's checks": [c for _, c in code],
                "both": [f + c for f, c in code]}  # fmt: skip
        report[name] = {
            "judge with code": figures_of(own).model_dump(),
            "pairs right by code alone (ties count half)": {
                by: round(fmean(0.5 if abs(odds) < 1e-9 else float(odds > 0) for odds in all_), 3)
                for by, all_ in told.items()
            },
            "pairs right by the model alone": round(
                fmean(
                    _odds(reading) - sum(by) > 0 for reading, by in zip(own, code, strict=True)
                ),
                3,
            ),
            "right among the most certain": coverage_curve(own),
        }  # fmt: skip
    (HERE / "result.json").write_text(
        json.dumps({"judge": given.judge, **report}, indent=1) + "\n", encoding="utf-8"
    )
    held_out = [reading for reading in readings if reading.held_out]
    if given.plot and held_out:
        given.plot.write_text(draw(held_out), encoding="utf-8")
    table = Table(box=None, title=given.judge, title_justify="left")
    for column in ("half", "n", "pairs right", "model alone", "code alone", "AUC", "swap"):
        table.add_column(column, justify="left" if column == "half" else "right")
    for name, found in report.items():
        assert isinstance(found, dict)
        figures = found["judge with code"]
        table.add_row(
            name, str(figures["n"]), f"{figures['pairs_right']:.2f}",
            f"{found['pairs right by the model alone']:.2f}",
            f"{found['pairs right by code alone (ties count half)']['both']:.2f}",
            f"{figures['auc']:.2f}", f"{figures['swap_consistency']:.2f}",
        )  # fmt: skip
    Console().print(table)


def ahead(judge: Judge, item: CalibrationItem) -> tuple[float, float]:
    """How far code puts the good reply ahead of the flawed one, by faults and by checks."""
    good, bad = (by_code(judge, item, reply) for reply in (item.good, item.bad))
    return good[0] - bad[0], good[1] - bad[1]


def _odds(reading: Reading) -> float:
    """The mean log-odds that the good reply is better, over both orders."""

    def logit(p: float) -> float:
        kept = min(max(p, 1e-6), 1 - 1e-6)
        return math.log(kept / (1 - kept))

    return (logit(reading.backward) - logit(reading.forward)) / 2


if __name__ == "__main__":
    asyncio.run(main())
