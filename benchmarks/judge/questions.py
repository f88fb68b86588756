"""Whether asking more of the same two replies helps the bundled judge, beside what code says of them.

python benchmarks/judge/questions.py               # the table of what was read
python benchmarks/judge/questions.py --items 126   # reads on; 16 seconds an item on two slow cores
"""

from __future__ import annotations

import argparse
import asyncio
import json
from itertools import combinations
from pathlib import Path
from statistics import fmean

from ideas import PAIR, logit
from rich.console import Console
from rich.progress import track
from rich.table import Table
from run import ahead
from tutelage.agents.judge import Judge
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import CalibrationItem, calibrated_firms, calibration_set
from tutelage.graphs.play.desk import voice_of
from tutelage.graphs.statistics.calibration import turn_of

READ = Path(__file__).parent / "questions.json"
QUESTIONS = ("overall", "warm", "expected")
TITLES = ("half", "n", "questions", "model alone", "with code", "both orders agree", "leans to B")
Orders = tuple[float, float]
"""The log-odds of reply B: where it is the good reply, and where it is the flawed one."""


async def read(judge: Judge, item: CalibrationItem) -> dict[str, Orders]:
    """What the model answers to each question."""
    asked = judge.environment.scenarios[item.scenario], [turn_of(line) for line in item.turns]
    return {
        one: (
            logit(await judge.weigh_pair(*asked, item.bad, item.good, PAIR[one])),
            logit(await judge.weigh_pair(*asked, item.good, item.bad, PAIR[one])),
        )
        for one in QUESTIONS
    }


def right(pairs: list[Orders]) -> str:
    """The share of pairs told right by both orders together; a tie counts half."""
    odds = [first - second for first, second in pairs]
    return f"{fmean(0.5 if abs(one) < 1e-9 else float(one > 0) for one in odds):.2f}"


def agree(pairs: list[Orders]) -> str:
    """The share of pairs of which both orders say the same."""
    return f"{fmean((first > 0) == (second < 0) for first, second in pairs):.2f}"


def table(rows: dict[str, dict[str, Orders]], judges: dict[str, Judge]) -> Table:
    """Every set of questions, by the model alone and with code, on either half."""
    shown = Table(*TITLES, box=None)
    sets = [one for many in range(len(QUESTIONS) + 1) for one in combinations(QUESTIONS, many)]
    for half, held_out in (("development", False), ("held-out", True)):
        own = [
            (rows[item.id], sum(ahead(judge, item)))
            for firm, judge in judges.items()
            for item in calibration_set(firm)
            if item.id in rows and item.held_out == held_out
        ]
        for asked in sets:
            model, coded = [], []
            for odds, code in own:
                first, second = (fmean(odds[q][at] for q in asked) if asked else 0 for at in (0, 1))
                model.append((first, second))
                coded.append((first + code, second - code))
            lean = fmean(map(fmean, model))
            shown.add_row(
                half, str(len(own)), ", ".join(asked) or "none", right(model), right(coded),
                agree(coded), f"{lean:+.2f}",
            )  # fmt: skip
    return shown


async def main() -> None:
    """Read on, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=0, help="Items to have read in the end.")
    asked = parser.parse_args()
    rows = json.loads(READ.read_text()) if READ.exists() else {}
    voice = voice_of("judge", DEFAULT_MODEL, Meter())
    judges = {firm: Judge(voice, load_environment(firm)) for firm in calibrated_firms()}
    items = [(firm, item) for firm in judges for item in calibration_set(firm)]
    todo = [(firm, item) for firm, item in items[: asked.items] if item.id not in rows]
    for firm, item in track(todo, "reading", console=Console(stderr=True)):
        rows[item.id] = await read(judges[firm], item)
        READ.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console(width=110).print(table(rows, judges))


if __name__ == "__main__":
    asyncio.run(main())
