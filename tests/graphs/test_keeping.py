"""What passed is kept, whatever a person does to the library while it is compared."""

from __future__ import annotations

import pytest
import world
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.graphs.log.states import State
from tutelage.graphs.statistics.acceptance import Pair
from tutelage.graphs.steps import keeping
from tutelage.strategy_store import Entry, Library, Provenance, Strategy

SAYS = "my parcel is late"
NULL = [Pair("", "", "", 0.5, None, None)] * 4


def entry(scenario: str, text: str, cue: str) -> Entry:
    strategy = Strategy.new(text, Provenance(source="teacher"))
    return Entry.new(scenario, cues=[cue], strategies=[strategy])


@pytest.mark.parametrize("how", ["compared", "worded alike"])
async def test_a_new_strategy_is_added_where_a_person_merged_its_rival_away(
    tmp_path, library, monkeypatch, how
):
    text = "Say sorry first of all." if how == "worded alike" else "Offer the choice of two ways."
    rival = library.add(
        entry("a customer whose parcel is late", "Say sorry first of all.", SAYS), "r"
    )
    other = library.add(entry("a customer whose gift is spoilt", "Name the next step.", "no"), "r")

    def merged() -> None:
        if any(one.id == rival.id for one in library.entries()):
            with Library.open(library.path) as review:
                review.merge(other.id, rival.id, "ann")

    async def compare(*_: object) -> Pair:
        merged()
        return Pair("c", "x", "y", 0.4, None, None)

    def alike(*of: Entry) -> str:
        told = worded_alike(*of)
        if told:
            merged()
        return told

    async def draw(*_: object) -> None:
        return None

    worded_alike = keeping._worded_alike
    monkeypatch.setattr(keeping, "draw", draw)
    monkeypatch.setattr(keeping, "compare", compare)
    monkeypatch.setattr(keeping, "_worded_alike", alike)
    firm = load_environment(world.build_firm(tmp_path / "world"))
    home = State(
        dialogue="d", turn=1, scenario="s", persona="p",
        turns=(Turn(speaker="customer", text=SAYS),), reply="", score=3.0, ending="", reasons=(),
    )  # fmt: skip
    new = entry("a customer with a late parcel", text, SAYS)
    kept = await keeping.keep(
        world.seat(firm, library), library, "p", new, [home], NULL, 0.2, run="r", seed=0
    )
    assert kept == keeping.Kept([new.strategies[0].id])
    assert library.strategy(new.strategies[0].id)[1].text == text
