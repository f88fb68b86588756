"""How often the strategies given are those that fit: retrieval alone, no dialogue.

The library is the one written by hand for the coaching benchmark; what is asked with is each scenario's
situation and, where it has one, its opening line; which entry fits was labelled by hand (`right.yaml`),
by whoever wrote the strategies.

python benchmarks/retrieval/run.py                                       # two seconds
python benchmarks/retrieval/run.py --embeddings local:qwen2.5-coder-1.5b # over ten minutes, two cores

A library that was just begun holds few entries, and every customer is nearest to one of them. The second
table is of libraries of three entries, drawn at random, asked with the test split: as they are, and with
the counter-examples that the generalisation gate gives them where its judge makes no error: the lines of
ten training scenarios that an entry does not fit but would be given in.

Writes words.json or meaning.json beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from tutelage.agents.models.embedding_models import embedding_model
from tutelage.environments import load_environment
from tutelage.strategy_store import Entry, Index, query_of
from tutelage.strategy_store.exchange import entries_of

HERE = Path(__file__).parent
BY_HAND = HERE.parent / "coaching" / "by_hand"
KINDS = ("right", "wrong", "missed", "needless")
FEW, MET, DRAWS, MOST = 3, 10, 20, 8
"""Entries of a small library, training scenarios that its gate met, libraries drawn a firm, and
counter-examples of an entry at most."""


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


def given(index: Index, text: str, threshold: float | None = None) -> int | None:
    """The position of the entry that is given, from 0; None where none is."""
    hits = index.search(query_of(text), top=1, threshold=threshold)
    return index.entries.index(hits[0].entry) if hits else None


def counted(firm: str, index: Index, right: dict[str, list[int]], threshold: float) -> Counter[str]:
    """How many queries of a firm end in which way."""
    found: Counter[str] = Counter()
    for scenario, text in asked(firm):
        got = given(index, text, threshold)
        found[kind(None if got is None else got + 1, right[scenario])] += 1
    return found


def with_counter_examples(
    entry: Entry, fits: set[str], met: list[tuple[str, str]], embeddings: Any
) -> Entry:
    """The entry as the gate leaves it, of the queries that it met."""
    index = Index([entry], embeddings)
    reached = [text for name, text in met if name not in fits and given(index, text) is not None]
    return entry.model_copy(update={"unless": [query_of(text) for text in reached[:MOST]]})


def small_libraries(
    firm: str, right: dict[str, list[int]], embeddings: Any
) -> dict[str, Counter[str]]:
    """What libraries of FEW entries give to the test split, without and with counter-examples."""
    environment, queries = load_environment(firm), asked(firm)
    entries = entries_of(BY_HAND / f"{firm}.yaml")
    test = {scenario.id for scenario in environment.split("test")}
    train = sorted(scenario.id for scenario in environment.split("train"))
    rng, found = random.Random(0), {"as they are": Counter(), "with counter-examples": Counter()}
    for _ in range(DRAWS):
        own = sorted(rng.sample(range(len(entries)), FEW))
        seen = set(rng.sample(train, MET))
        met = [(name, text) for name, text in queries if name in seen]
        fits = {at: {name for name, fit in right.items() if at + 1 in fit} for at in own}
        plain = [entries[at] for at in own]
        kept_out = [with_counter_examples(entries[at], fits[at], met, embeddings) for at in own]
        for how, library in zip(found, (plain, kept_out), strict=True):
            index = Index(library, embeddings)
            for name, text in queries:
                if name in test:
                    got = given(index, text)
                    fitting = [place for place, at in enumerate(own) if name in fits[at]]
                    # Nothing where nothing fits is right, but says little of a library this small.
                    nothing = got is None and not fitting
                    found[how]["silent" if nothing else kind(got, fitting)] += 1
    return found


def main() -> None:
    """Count, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.45, 0.5, 0.55, 0.58, 0.6])
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
    few: dict[str, Counter[str]] = {}
    for firm, right in labelled.items():
        for how, counts in small_libraries(firm, right, embeddings).items():
            few[how] = few.get(how, Counter()) + counts
    command = shlex.join(["python", "benchmarks/retrieval/run.py", *sys.argv[1:]])
    out = HERE / ("meaning.json" if embeddings else "words.json")
    document = {"command": command, "rows": rows, "small_libraries": few}
    out.write_text(json.dumps(document, indent=1) + "\n")
    shown = Table("firm", "threshold", *KINDS, box=None)
    for row in rows:
        shown.add_row(*(str(row[name]) for name in ("firm", "threshold", *KINDS)))
    small = Table(f"libraries of {FEW}", *KINDS, "silent", box=None)
    for how, counts in few.items():
        small.add_row(how, *(str(counts[name]) for name in (*KINDS, "silent")))
    Console(width=100).print(shown, small)


if __name__ == "__main__":
    main()
