"""Whether asking more of the same two replies helps a judge, beside what code says of them.

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
from langchain_core.messages import HumanMessage
from rich.console import Console
from rich.progress import track
from rich.table import Table
from run import ahead
from tutelage.agents.chat_models import DEFAULT_MODEL
from tutelage.agents.judge import Judge
from tutelage.agents.meter import Meter
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import CalibrationItem, calibrated_firms, calibration_set
from tutelage.graphs.desk import voice_of

READ = Path(__file__).parent / "questions.json"
QUESTIONS = ("overall", "warm", "expected")
Odds = dict[str, list[float]]
"""Of each question the log-odds of the second reply: the good one second, then the flawed one."""


async def read(judge: Judge, item: CalibrationItem) -> Odds:
    """What the model answers to each question, in both orders."""
    scenario = judge.environment.scenarios[item.scenario]
    turns = [
        Turn(speaker="customer" if line.startswith("C:") else "student", text=line[3:])
        for line in item.turns
    ]

    async def says_second(first: str, second: str, question: str) -> float:
        task = (
            f"Two possible next replies of the AGENT:\n\nReply A: {first}\n\nReply B: {second}\n\n"
            f"{PAIR[question]} Answer A or B."
        )
        page = judge._messages(scenario, turns, task)
        assert isinstance(page[-1], HumanMessage)
        return logit((await judge.voice.weigh(page, ("A", "B"), for_odds=True))[1])

    return {
        one: [
            await says_second(item.bad, item.good, one),
            await says_second(item.good, item.bad, one),
        ]
        for one in QUESTIONS
    }


def right(odds: list[float]) -> str:
    """The share of pairs told right; a tie counts half."""
    return f"{fmean(0.5 if abs(one) < 1e-9 else float(one > 0) for one in odds):.2f}"


def same(pairs: list[tuple[float, float]]) -> str:
    """The share of pairs of which both orders say the same, from the log-odds of the second reply."""
    return f"{fmean((first > 0) == (second < 0) for first, second in pairs):.2f}"


def table(rows: dict[str, Odds], judges: dict[str, Judge]) -> Table:
    """Every set of questions, by the model alone and with code, on either half."""
    shown = Table(
        "half",
        "n",
        "questions",
        "model alone",
        "with code",
        "both orders agree",
        "leans to B",
        box=None,
    )
    for half, held_out in (("development", False), ("held-out", True)):
        own = [
            (rows[item.id], sum(ahead(judge, item)))
            for firm, judge in judges.items()
            for item in calibration_set(firm)
            if item.id in rows and item.held_out == held_out
        ]
        for many in range(len(QUESTIONS) + 1):
            for asked in combinations(QUESTIONS, many):
                said = [
                    [fmean(odds[one][order] for one in asked) if asked else 0.0 for order in (0, 1)]
                    for odds, _ in own
                ]
                model = [(first - second) / 2 for first, second in said]
                both = [by_model + code for by_model, (_, code) in zip(model, own, strict=True)]
                orders = [
                    (first + code, second - code)
                    for (first, second), (_, code) in zip(said, own, strict=True)
                ]
                lean = fmean((first + second) / 2 for first, second in said)
                shown.add_row(
                    half, str(len(own)), ", ".join(asked) or "none", right(model), right(both),
                    same(orders), f"{lean:+.2f}",
                )  # fmt: skip
    return shown


async def main() -> None:
    """Read on, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=0, help="Items to have read in the end.")
    parser.add_argument("--judge", default=DEFAULT_MODEL)
    asked = parser.parse_args()
    rows: dict[str, Odds] = json.loads(READ.read_text()) if READ.exists() else {}
    voice = voice_of("judge", asked.judge, Meter())
    judges = {firm: Judge(voice, load_environment(firm)) for firm in calibrated_firms()}
    items = [(firm, item) for firm in judges for item in calibration_set(firm)]
    todo = [(firm, item) for firm, item in items[: asked.items] if item.id not in rows]
    for firm, item in track(todo, "reading", console=Console(stderr=True)):
        rows[item.id] = await read(judges[firm], item)
        READ.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console(width=110).print(table(rows, judges))


if __name__ == "__main__":
    asyncio.run(main())
