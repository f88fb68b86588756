"""How often the strategies given are those that fit: retrieval alone, without any model.

The library is the one written by hand for the coaching benchmark; what is asked with is each scenario's
situation and, where it has one, its opening line; which entry fits was labelled by hand (`right.yaml`).
The ranking was chosen on the airline, so the other two firms are held out.

python benchmarks/retrieval/run.py             # writes result.json beside it; two seconds
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from tutelage.environments import load_environment
from tutelage.strategy_store import Index, query_of
from tutelage.strategy_store.exchange import entries_of

HERE = Path(__file__).parent
BY_HAND = HERE.parent / "coaching" / "by_hand"
KINDS = ("right", "wrong", "missed", "needless")


def kind(got: int | None, right: list[int]) -> str:
    """What it means that entry `got` (None: nothing) was given where these fit."""
    if got is None:
        return "missed" if right else "right"
    if not right:
        return "needless"
    return "right" if got in right else "wrong"


def asked(firm: str) -> list[tuple[str, str]]:
    """Scenario and query, of every scenario of a firm."""
    found: list[tuple[str, str]] = []
    for name, scenario in load_environment(firm).scenarios.items():
        found += [(name, text) for text in (scenario.situation, scenario.opening) if text]
    return found


def counted(firm: str, right: dict[str, list[int]], threshold: float) -> Counter[str]:
    """How many queries of a firm end in which way."""
    index = Index(entries_of(BY_HAND / f"{firm}.yaml"))
    found: Counter[str] = Counter()
    for scenario, text in asked(firm):
        hits = index.search(query_of(text), top=1, threshold=threshold)
        got = index.entries.index(hits[0].entry) + 1 if hits else None
        found[kind(got, right[scenario])] += 1
    return found


def main() -> None:
    """Count, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.2, 0.25, 0.3, 0.35, 0.4])
    thresholds: list[float] = parser.parse_args().thresholds
    labelled: dict[str, dict[str, list[int]]] = yaml.safe_load((HERE / "right.yaml").read_text())
    rows = [
        {"firm": firm, "threshold": threshold, **counted(firm, right, threshold)}
        for firm, right in labelled.items()
        for threshold in thresholds
    ]
    document = {"command": "python benchmarks/retrieval/run.py", "rows": rows}
    (HERE / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    shown = Table("firm", "threshold", *KINDS, box=None)
    for row in rows:
        shown.add_row(*(str(row.get(name, 0)) for name in ("firm", "threshold", *KINDS)))
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
