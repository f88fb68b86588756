"""How often the strategies given are those that fit: retrieval alone, no dialogue.

The library is the one written by hand for the coaching benchmark; what is asked with is each scenario's
situation and, where it has one, its opening line; which entry fits was labelled by hand (`right.yaml`),
by whoever wrote the strategies.

python benchmarks/retrieval/run.py                                          # two seconds
python benchmarks/retrieval/run.py --embeddings local:qwen2.5-coder-1.5b    # four minutes on two cores

Writes words.json or meaning.json beside it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from tutelage.agents.embedding_models import embedding_model
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


def counted(firm: str, index: Index, right: dict[str, list[int]], threshold: float) -> Counter[str]:
    """How many queries of a firm end in which way."""
    found: Counter[str] = Counter()
    for scenario, text in asked(firm):
        hits = index.search(query_of(text), top=1, threshold=threshold)
        got = index.entries.index(hits[0].entry) + 1 if hits else None
        found[kind(got, right[scenario])] += 1
    return found


def main() -> None:
    """Count, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.4, 0.45, 0.5, 0.55])
    parser.add_argument("--embeddings", help="A spec: search by meaning as well.")
    given = parser.parse_args()
    embeddings = embedding_model(given.embeddings)
    labelled: dict[str, dict[str, list[int]]] = yaml.safe_load((HERE / "right.yaml").read_text())
    rows: list[dict[str, Any]] = []
    for firm, right in labelled.items():
        index = Index(entries_of(BY_HAND / f"{firm}.yaml"), embeddings)
        for threshold in given.thresholds:
            found = counted(firm, index, right, threshold)
            rows.append({"firm": firm, "threshold": threshold, **{k: found[k] for k in KINDS}})
    for threshold in given.thresholds:
        same = [row for row in rows if row["threshold"] == threshold]
        total = {name: sum(row[name] for row in same) for name in KINDS}
        rows.append({"firm": "all", "threshold": threshold, **total})
    command = shlex.join(["python", "benchmarks/retrieval/run.py", *sys.argv[1:]])
    out = HERE / ("meaning.json" if embeddings else "words.json")
    out.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")
    shown = Table("firm", "threshold", *KINDS, box=None)
    for row in rows:
        shown.add_row(*(str(row[name]) for name in ("firm", "threshold", *KINDS)))
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
