"""What single ideas give a judge: each question by itself, on items of the development half.

python benchmarks/judge/ideas.py --items 15     # about 15 minutes on two cores; sums ideas.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tutelage.agents.judge import FAULT_LOGIT, Judge
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.agents.reading.reply_faults import reply_faults
from tutelage.agents.templates import render
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import CalibrationItem, calibrated_firms, calibration_set
from tutelage.graphs.play.desk import voice_of
from tutelage.graphs.statistics.calibration import turn_of

HERE = Path(__file__).parent
PAIR = {
    "overall": "Which reply is better for this CUSTOMER and keeps to the policy?",
    "expected": "Which reply comes closer to what a good agent does here?",
    "warm": "Which reply takes up what the CUSTOMER feels, in a warmer way?",
    "wrong": "Which reply makes a mistake?",
    "asks": "Which reply asks for something that the CUSTOMER has already told?",
    "gives": "Which reply allows something that the policy or the desk screen forbids?",
}
BLAMES = {"wrong", "asks", "gives", "cold"}
"""Questions whose answer names the worse reply."""
YES = {
    "expected": "Does the AGENT's last reply do what a good agent does here?",
    "warm": "Does the AGENT's last reply take up what the CUSTOMER feels?",
    "cold": "Does the AGENT's last reply sound cold or like a form letter?",
    "wrong": "Does the AGENT's last reply make a mistake?",
    "asks": "Does the AGENT's last reply ask for something that the CUSTOMER has already told?",
    "gives": "Does the AGENT's last reply allow something that the policy or the desk screen forbids?",
}
RATE = "How good is the AGENT's last reply, from 1 (useless or harmful) to 5 (excellent)?"
SATISFIED = (
    "How satisfied is this CUSTOMER with the AGENT at the end, from 1 (very dissatisfied) to 5 "
    "(very satisfied)?"
)


async def read(judge: Judge, item: CalibrationItem) -> dict[str, Any]:
    """Every question's answer on one item, as probabilities."""
    config, scenario = judge.environment.config, judge.environment.scenarios[item.scenario]
    turns = [turn_of(line) for line in item.turns]
    system = SystemMessage(
        render(
            "judge", title=config.title, sells=config.sells, today=config.today,
            policy=judge.environment.policy.text.strip(), agent=config.agent,
            records=scenario.records, expected=scenario.expected,
        )
    )  # fmt: skip

    async def ask(turns: list[Turn], task: str, answers: Any) -> list[float]:
        page = HumanMessage(render("judge_transcript", turns=turns, task=task))
        return [round(p, 5) for p in await judge.voice.weigh([system, page], answers)]

    async def pair(a: str, b: str, questions: dict[str, str]) -> dict[str, float]:
        shown = f"Two possible next replies of the AGENT:\n\nReply A: {a}\n\nReply B: {b}\n\n"
        return {
            name: (await ask(turns, f"{shown}{question} Answer A or B.", ("A", "B")))[1]
            for name, question in questions.items()
        }

    async def alone(reply: str) -> dict[str, Any]:
        whole = [*turns, Turn(speaker="student", text=reply)]
        said: dict[str, Any] = {
            name: (await ask(whole, f"{question} Answer Yes or No.", ("Yes", "No")))[0]
            for name, question in YES.items()
        }
        said["rate"] = await ask(whole, f"{RATE} Answer with one digit.", "12345")
        said["sat"] = await ask(whole, f"{SATISFIED} Answer with one digit.", "12345")
        only = {"overall": PAIR["overall"]}
        forward = await pair(scenario.expected, reply, only)
        backward = await pair(reply, scenario.expected, only)
        said["exp"] = {"overall": (forward["overall"] + 1 - backward["overall"]) / 2}
        return said

    return {
        "id": item.id,
        "firm": config.name,
        "flaw": item.flaw,
        "level": item.level,
        "fwd": await pair(item.good, item.bad, PAIR),
        "bwd": await pair(item.bad, item.good, PAIR),
        "good": await alone(item.good),
        "bad": await alone(item.bad),
    }


def faults(judge: Judge, item: CalibrationItem, reply: str) -> float:
    """How many faults code finds in a reply."""
    turns = [turn_of(line) for line in item.turns]
    known = (judge.environment.policy.text, judge.environment.config.today)
    scenario = judge.environment.scenarios[item.scenario]
    return sum(reply_faults(reply, turns, scenario, known).values())


def logit(p: float) -> float:
    """Log-odds, kept finite."""
    kept = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(kept / (1 - kept))


def auc(good: list[float], bad: list[float]) -> float:
    """The chance that a good reply scores above a flawed one."""
    return fmean((g > b) + (g == b) / 2 for g in good for b in bad)


def table(rows: list[dict[str, Any]], judges: dict[str, Judge]) -> Table:
    """One row an idea: pairs right, or the AUC of single ratings, without and with code's faults."""
    items = {item.id: item for firm in judges for item in calibration_set(firm)}
    found = {
        row["id"]: tuple(
            faults(judges[row["firm"]], items[row["id"]], reply)
            for reply in (items[row["id"]].good, items[row["id"]].bad)
        )
        for row in rows
    }

    def margin(row: dict[str, Any], names: list[str]) -> float:
        signs = [-1 if name in BLAMES else 1 for name in names]
        both = [logit(row["bwd"][name]) - logit(row["fwd"][name]) for name in names]
        return fmean(s * b / 2 for s, b in zip(signs, both, strict=True))

    shown = Table(box=None, title=f"{len(rows)} development items", title_justify="left")
    for column in ("idea", "figure", "model", "with code"):
        shown.add_column(column, justify="right" if column in ("model", "with code") else "left")
    ideas = [[name] for name in PAIR]
    for names in [*ideas, ["overall", "expected", "warm"], list(PAIR)]:
        plain = [margin(row, names) for row in rows]
        coded = [
            m + FAULT_LOGIT * (found[row["id"]][1] - found[row["id"]][0])
            for m, row in zip(plain, rows, strict=True)
        ]
        shares = [fmean(float(value > 0) for value in values) for values in (plain, coded)]
        shown.add_row("pair: " + " + ".join(names), "right", *(f"{share:.2f}" for share in shares))
    for name in [*YES, "rate", "sat", "exp"]:
        values = [[_single(row[kind], name) for row in rows] for kind in ("good", "bad")]
        spread = max(1e-6, max(map(max, values)) - min(map(min, values)))
        coded = [
            [v / spread - found[row["id"]][side] for v, row in zip(values[side], rows, strict=True)]
            for side in (0, 1)
        ]
        label = {"rate": "rating 1-5", "sat": "satisfaction 1-5", "exp": "against `expected`"}
        shown.add_row(
            f"single: {label.get(name, name + '?')}", "AUC",
            f"{auc(*values):.2f}", f"{auc(*coded):.2f}",
        )  # fmt: skip
    return shown


def _single(said: dict[str, Any], name: str) -> float:
    value = said[name]
    if isinstance(value, list):
        return sum(digit * p for digit, p in enumerate(value, start=1))
    if isinstance(value, dict):
        return logit(value["overall"])
    return -value if name in BLAMES else value


async def main() -> None:
    """Read what was not read yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default=DEFAULT_MODEL)
    parser.add_argument("--items", type=int, default=15)
    given = parser.parse_args()
    judges = {firm: Judge(voice_of("judge", given.judge, Meter()), load_environment(firm))
              for firm in calibrated_firms()}  # fmt: skip
    path = HERE / "ideas.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    done = {row["id"] for row in rows}
    items = [
        (firm, item) for firm in judges for item in calibration_set(firm) if not item.held_out
    ][: given.items]
    todo = [(firm, item) for firm, item in items if item.id not in done]
    for firm, item in track(todo, "reading", console=Console(stderr=True)):
        rows.append(await read(judges[firm], item))
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console().print(table(rows, judges))


if __name__ == "__main__":
    asyncio.run(main())
