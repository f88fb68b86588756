"""`tutelage library find`: what of a library is given for a text, or for each scenario of a firm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.progress import track
from rich.table import Table
from rich.text import Text

from tutelage.agents.models.embedding_models import embedding_model
from tutelage.console import result, result_json, result_table, talk
from tutelage.environments import Split, load_environment
from tutelage.graphs.map.lookup import VERDICTS, Lookup, look_up
from tutelage.graphs.map.text_lookup import NEAREST, Nearby, nearby
from tutelage.strategy_store import Index, Library, LibraryFault, Near, Status
from tutelage.strategy_store.given import TOP
from tutelage.strategy_store.plain_text import one_line

_TOPIC_WIDTH = 24


def index_of(library: Path, proposed: bool, embeddings: str | None) -> Index:
    """The search index of a library's file.

    Args:
        library: the file.
        proposed: whether what is only proposed is looked up as well.
        embeddings: a spec, see `embedding_model`.

    Raises:
        LibraryFault: where it cannot be read, or has nothing that may be given.
        ModelFault: where the embeddings cannot be had.
    """
    statuses: tuple[Status, ...] = ("approved", "proposed") if proposed else ("approved",)
    model = embedding_model(embeddings)
    with Library.open(library) as opened, talk().status("reading the library"):
        index = opened.index(statuses, model)
    if not index.entries and not index.general:
        more = "" if proposed else "; approve some, or look in all with --proposed"
        raise LibraryFault(f"{library}: holds nothing that may be given{more}", 2)
    return index


def find_text(
    index: Index, text: str, *, top: int | None, threshold: float | None, as_json: bool
) -> None:
    """Say what is given for a text, and how near everything else is.

    Args:
        index: of the library.
        text: what a customer says.
        top, threshold: see `Index.search`.
        as_json: prints one JSON document.
    """
    found, near = nearby(index, index, text, TOP if top is None else top, threshold)
    if as_json:
        result_json(
            {
                "text": text,
                "given": [one.entry.id for one in found],
                "strategies": [order for one in found for order in one.orders()],
                "near": [_document(one) for one in near],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for name in ("similarity", "words", "meaning"):
        table.add_column(name, justify="right")
    for name in ("entry", "scenario", ""):
        table.add_column(name, overflow="fold")
    for one in near[:NEAREST]:
        table.add_row(
            f"{one.similarity:.2f}", f"{one.lexical:.2f}",
            "" if one.dense is None else f"{one.dense:.2f}",
            one.entry.id, Text(one_line(one.entry.scenario)), Text(one.kept_out or "given"),
        )  # fmt: skip
    if near:
        result_table(table)
    if len(near) > NEAREST:
        result(f"{len(near) - NEAREST} more are further")
    for one in found:
        result("\nto every customer:" if one.entry.general else f"\nof {one.entry.id}:")
        for order in one.orders():
            result(f"- {one_line(order)}")
    if not found:
        result("\nnothing is given")


def find_firm(
    index: Index, firm: str, split: Split | None, *, threshold: float | None, as_json: bool
) -> None:
    """Say what each scenario of a firm is given for the first thing that its customer says.

    Args:
        index: of the library.
        firm: a bundled firm's name or a folder.
        split: the scenarios of one split; of all where None.
        threshold: see `Index.search`.
        as_json: prints one JSON document.

    Raises:
        EnvironmentFault: where the firm cannot be read.
    """
    environment = load_environment(firm)
    asked = environment.split(split) if split else list(environment.scenarios.values())
    if index.embeddings is None:
        talk().print("note: by words alone; name the --embeddings that production uses, if any")
    looking = look_up(environment, index, asked, threshold)
    found = list(
        track(looking, "looking up", len(asked), console=talk(), transient=True,
              disable=not talk().is_terminal)
    )  # fmt: skip
    counts = Counter(one.verdict for one in found)
    told = {name: counts[name] for name in VERDICTS if counts[name]}
    if as_json:
        result_json({"counts": told, "scenarios": [_looked(one) for one in found]})
        return
    table = Table(box=None, pad_edge=False)
    # What may be copied stays on one line, and all of it within 80 columns.
    for name in ("scenario\nits topic", "", "given\nlearned for", "passed by,\nof its topic"):
        table.add_column(name, no_wrap=True)
    for one in found:
        passed = one.own if one.verdict in ("another", "missed") else None
        learned = one_line(", ".join(one.learned), _TOPIC_WIDTH)
        table.add_row(
            Text(f"{one.scenario}\n{one_line(one.topic, _TOPIC_WIDTH)}"), one.verdict,
            Text(f"{_short(one.given)}\n{learned}"), _short(passed),
        )  # fmt: skip
    result_table(table)
    result(f"\nof {len(found)} scenarios:")
    for name, said in VERDICTS.items():
        if name in told:
            result(f"{told[name]:>4}  {name:<8} {said}")
    if counts["another"] or counts["missed"]:
        result(
            "\nwhere the nearest of its topic was passed by, tell in its scenario and cues what such "
            "customers have in common, in their words: tutelage review LIBRARY"
        )


def _short(near: Near | None) -> str:
    return f"{near.similarity:.2f}  {near.entry.id}" if near else ""


def _document(near: Near | Nearby) -> dict[str, Any]:
    return {
        "entry": near.entry.id,
        "scenario": near.entry.scenario,
        "similarity": near.similarity,
        "words": near.lexical,
        "meaning": near.dense,
        "kept_out": near.kept_out,
    }


def _looked(one: Lookup) -> dict[str, Any]:
    return {
        "scenario": one.scenario,
        "split": one.split,
        "topic": one.topic,
        "text": one.text,
        "verdict": one.verdict,
        "given": one.given and _document(one.given),
        "own": one.own and _document(one.own),
    }
