"""How well a model tells orders that break a rule from orders that keep it.

Asked twice: about the rule that an order is about, to see what the model reads, and as coaching asks,
about the rules that are nearest in words, to see what is caught and what is refused for nothing. The
latter also of strategies that a person wrote for these firms, and of the tactics in their handbooks.

python benchmarks/policy_check/run.py          # prints the table, writes result.json beside it
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tutelage.agents.advice.policy_check import BREAKS_FROM, breach, break_probability
from tutelage.agents.advice.rule_orders import of_the_policy
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.environments import load_environment
from tutelage.graphs.play.desk import voice_of

HERE = Path(__file__).parent
BY_HAND = HERE.parent / "coaching" / "by_hand"
FIRMS = {name: load_environment(name) for name in ("airline", "broadband", "furniture")}
EACH_HAND, EACH_TACTIC = 3, 4
"""Of what a person wrote every third is asked about, of a handbook's tactics every fourth."""


def orders() -> list[dict[str, Any]]:
    """The orders with the rule that each is about."""
    told = yaml.safe_load((HERE / "orders.yaml").read_text())
    return [{"firm": "airline", "kind": "order", **item} for item in told]


def good() -> list[dict[str, Any]]:
    """What keeps the policy, for all that its authors know, and is not one of its own sentences."""
    found = []
    for firm, environment in FIRMS.items():
        entries = yaml.safe_load((BY_HAND / f"{firm}.yaml").read_text())["entries"]
        by_hand = [text for entry in entries for text in entry["strategies"]]
        tactics = [tactic.do for tactic in environment.handbook.values()]
        chosen = [("by hand", text) for text in by_hand[::EACH_HAND]]
        chosen += [("handbook", text) for text in tactics[::EACH_TACTIC]]
        found += [
            {"firm": firm, "kind": kind, "rule": "", "breaks": False, "order": text}
            for kind, text in chosen
            if not of_the_policy(text, environment.policy)
        ]
    return found


def auc(rows: Sequence[dict[str, Any]]) -> float:
    """How often an order that breaks its rule has the higher probability of two (0-1)."""
    broken, kept = ([r["probability"] for r in rows if r["breaks"] is b] for b in (True, False))
    return sum((b > k) + (b == k) / 2 for b in broken for k in kept) / len(broken) / len(kept)


def of(rows: Sequence[dict[str, Any]]) -> str:
    """How many were refused."""
    return f"{sum(bool(row['refused']) for row in rows)} of {len(rows)}"


async def main() -> None:
    """Ask about every order, print what was found, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default=DEFAULT_MODEL)
    asked = parser.parse_args()
    voice = voice_of("judge", asked.judge, Meter())
    rows = [*orders(), *good()]
    for row in track(rows, "asked", console=Console(stderr=True)):
        firm = FIRMS[row["firm"]]
        if row["rule"]:
            read = await break_probability(voice, firm.policy.rules[row["rule"]], row["order"])
            row["probability"] = round(read, 3)
        found = await breach(firm, voice, row["order"])
        row["refused"] = found.rule.id if found else ""
    shown = Table(box=None)
    for name in ("firm", "AUC, rule given", "caught", "refused, keeps it", "by hand", "handbook"):
        shown.add_column(name, justify="left" if name == "firm" else "right")
    document: dict[str, Any] = {
        "command": f"python benchmarks/policy_check/run.py --judge {asked.judge}",
        "threshold": BREAKS_FROM,
    }
    for firm in (*FIRMS, "all"):
        own = [row for row in rows if firm in ("all", row["firm"])]
        told = [row for row in own if row["rule"]]
        figures = {
            "auc": round(auc(told), 3),
            "caught": of([row for row in told if row["breaks"]]),
            "refused": of([row for row in told if not row["breaks"]]),
            "by hand": of([row for row in own if row["kind"] == "by hand"]),
            "handbook": of([row for row in own if row["kind"] == "handbook"]),
        }
        document[firm] = figures
        shown.add_row(firm, *map(str, figures.values()))
    Console().print(shown)
    (HERE / "result.json").write_text(json.dumps({**document, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
