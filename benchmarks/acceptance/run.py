"""False acceptance, missed good strategies and calls of three rules of acceptance, in simulation.

python benchmarks/acceptance/run.py            # prints the table, writes result.json beside it
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from planted import (
    CALLS_A_PAIR,
    PLANTED,
    by_best_of_three,
    by_betting,
    by_fixed_t_test,
    table,
)
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ACCURACIES = (0.6, 0.7, 0.8, 0.9, 0.97)
PLANNED = 24


def main() -> None:
    """Run all rules, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="Strategies of each kind.")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    both = {"betting": by_betting, "fixed t test": by_fixed_t_test}
    rows = table(both, ACCURACIES, asked.trials, PLANNED, seed=asked.seed)
    rows += table(both, ACCURACIES, asked.trials, PLANNED, code_sees=0.7, seed=asked.seed)
    rows += table({"best of three": by_best_of_three}, ACCURACIES, asked.trials, 6, seed=asked.seed)
    document = {
        "command": f"python benchmarks/acceptance/run.py --trials {asked.trials} --seed {asked.seed}",
        "planned_pairs": PLANNED,
        "calls_a_pair": CALLS_A_PAIR,
        "planted": {kind: {"plain": a, "coached": b} for kind, (a, b) in PLANTED.items()},
        "rows": [asdict(row) for row in rows],
    }
    (HERE / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    shown = Table(title=f"kept, share of {asked.trials} strategies (mean calls)", box=None)
    for name in ("rule", "code sees", "judge"):
        shown.add_column(name)
    for kind in PLANTED:
        shown.add_column(kind, justify="right")
    lines: dict[tuple[str, float, float], list[str]] = {}
    for row in rows:
        cells = lines.setdefault((row.rule, row.code_sees, row.accuracy), [])
        cells.append(f"{row.kept:.3f} ({row.calls:.0f})")
    for (rule, code, accuracy), cells in lines.items():
        shown.add_row(rule, f"{code:.1f}", f"{accuracy:.2f}", *cells)
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
