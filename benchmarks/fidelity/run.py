"""Precision and recall of the fidelity check on customers' lines labelled by hand.

python benchmarks/fidelity/run.py            # prints the table, writes result.json beside it
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from tutelage.agents.customer import known_of, script_of
from tutelage.agents.reading.fidelity import breaks
from tutelage.environments import load_environment
from tutelage.graphs.statistics.calibration import turn_of

HERE = Path(__file__).parent
FAULTS = (
    "role_flip", "invented_fact", "contradicted_fact", "leaked_instructions", "early_stop",
    "missing_stop", "repeated_line",
)  # fmt: skip
SAID_AS = {
    "role flip": "role_flip",
    "leaked instructions": "leaked_instructions",
    "invented": "invented_fact",
    "contradicted": "contradicted_fact",
    "repeated line": "repeated_line",
    "copied the agent": "repeated_line",
    "copied a sample": "repeated_line",
    "premature stop": "early_stop",
    "missing stop": "missing_stop",
}


def found(item: dict[str, Any]) -> set[str]:
    """The faults that the check finds in one labelled line."""
    environment = load_environment(item["firm"])
    persona = environment.personas[item["persona"]]
    scenario = environment.scenarios[item["scenario"]]
    turns = [turn_of(line) for line in item["turns"]]
    known = known_of(script_of(environment, persona, scenario), scenario)
    reasons = breaks(
        item["line"], item["goal_met"], turns, known, samples=persona.lines,
        private=(persona.temperament, persona.stop),
    )  # fmt: skip
    return {SAID_AS[reason.partition(":")[0]] for reason in reasons}


def measured(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By fault and for any fault: lines that have it, lines said to have it, precision, recall."""
    said = {item["id"]: found(item) for item in items}
    rows: dict[str, dict[str, Any]] = {}
    for fault in FAULTS:
        have = {item["id"] for item in items if item["fault"] == fault}
        named = {id_ for id_, faults in said.items() if fault in faults}
        rows[fault] = _row(have, named)
    have = {item["id"] for item in items if item["fault"] != "none"}
    rows["any"] = _row(have, {id_ for id_, faults in said.items() if faults})
    return rows


def _row(have: set[str], named: set[str]) -> dict[str, Any]:
    both = len(have & named)
    return {
        "have": len(have),
        "named": len(named),
        "precision": round(both / len(named), 3) if named else None,
        "recall": round(both / len(have), 3) if have else None,
        "missed": sorted(have - named),
        "wrongly": sorted(named - have),
    }


def main() -> None:
    """Measure both halves of both sets, print, and write the result file."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for name, title in (("turns", "first set"), ("turns_more", "second set, written to mislead")):
        items = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))["turns"]
        for half, odd in (("development", 0), ("held out", 1)):
            own = [item for item in items if int(item["id"][4:]) % 2 == odd]
            rows = measured(own)
            result[f"{title}, {half}"] = rows
            Console().print(shown(f"{title}, {half}: {len(own)} lines", rows))
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def shown(title: str, rows: dict[str, dict[str, Any]]) -> Table:
    """The figures as a table."""
    table = Table(title=title, title_justify="left", box=None)
    for column in ("fault", "lines", "named", "precision", "recall"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for fault, row in rows.items():
        figures = [row["have"], row["named"], row["precision"], row["recall"]]
        table.add_row(fault, *("-" if value is None else str(value) for value in figures))
    return table


if __name__ == "__main__":
    main()
