"""The rubric item by item: what each came to in the arms, and where two of them differ."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import world
import yaml
from rich.console import Console
from tutelage.environments import load_environment
from tutelage.graphs.evaluation import EvaluationOptions, compile_evaluation, outcomes_of
from tutelage.graphs.log.states import played
from tutelage.graphs.statistics.experiment import Outcome
from tutelage.graphs.statistics.rubric_items import items_by_arm
from tutelage.strategy_store import Entry, Library, Provenance, Strategy

from tutelage.evaluation.result import student_result
from tutelage.evaluation.tables import items_table


@pytest.fixture
def firm(tmp_path):
    """The scripted firm; of two scenarios one has a check of its own."""
    folder = world.build_firm(tmp_path / "world")
    scenarios = sorted((folder / "scenarios").glob("*.yaml"))
    document = yaml.safe_load(scenarios[0].read_text())
    document["rubric"] = [{"id": "says_when", "kind": "contains", "any_of": ["today"]}]
    scenarios[0].write_text(yaml.safe_dump(document))
    return load_environment(folder)


def outcome(arm, scenario, seed=0, **items):
    return Outcome(
        arm=arm,
        scenario=scenario,
        persona="p",
        seed=seed,
        csat=3,
        rubric=0.5,
        items=items,
        valid=True,
    )


def test_scenarios_count_alike_however_often_they_were_played(firm):
    cured = firm.config.rubric[0].id
    one, two = list(firm.scenarios)[:2]
    outcomes = [outcome("none", one, seed, **{cured: 1.0}) for seed in range(9)]
    outcomes.append(outcome("none", two, **{cured: 0.0}))
    (found,) = items_by_arm(firm, outcomes, ("none",), ("none", "none"))
    assert found.arms == {"none": 0.5} and found.difference is None


def test_what_a_scenario_asks_by_itself_is_told_apart_from_what_the_firm_asks(firm):
    cured = firm.config.rubric[0].id
    own = next(one.id for one in firm.scenarios.values() if one.rubric)
    other = next(one.id for one in firm.scenarios.values() if not one.rubric)
    outcomes = [
        outcome("none", own, **{cured: 0.0, "says_when": 0.0}),
        outcome("library", own, **{cured: 1.0, "says_when": 1.0}),
        outcome("none", other, **{cured: 1.0}),
        outcome("library", other, **{cured: 1.0}),
    ]
    found = items_by_arm(firm, outcomes, ("none", "library"), ("none", "library"))
    assert [(one.id, one.by) for one in found][-1] == ("own checks", "code")
    first, last = found[0], found[-1]
    assert first.id == cured and first.by == "judge" and first.text.endswith("?")
    assert first.arms == {"none": 0.5, "library": 1.0} and first.difference.diff == 0.5
    assert last.difference.diff == 1.0 and last.difference.scenarios == 1


def test_dialogues_that_broke_and_items_that_nobody_has_say_nothing(firm):
    one = next(iter(firm.scenarios))
    broken = Outcome(arm="none", scenario=one, persona="p", seed=0, valid=False)
    assert items_by_arm(firm, [broken], ("none",), ("none", "none")) == []
    assert items_by_arm(firm, [], ("none",), ("none", "none")) == []
    strange = outcome("none", "no_scenario_of_this_firm", says_when=1.0)
    assert items_by_arm(firm, [strange], ("none",), ("none", "none")) == []


async def test_an_evaluation_says_which_items_moved(firm, tmp_path):
    options = EvaluationOptions(arms=("none", "library"), dialogues=6, max_exchanges=2)
    with Library.open(tmp_path / "l.db", create=True) as library:
        for cure, says in world.TROUBLES.values():
            strategy = Strategy.new(f"Speak of {cure} first.", Provenance(source="teacher"))
            library.add(Entry.new(f"a customer who says {says}", strategies=[strategy]), "t")
        library.approve(None, "a person")
        desk = world.seat(firm, library)
        await compile_evaluation(desk, options).ainvoke({})
    outcomes = outcomes_of(await played(desk.log))
    items = items_by_arm(firm, outcomes, options.arms, ("none", "library"))
    found = student_result("s", outcomes, options, "", items=items)
    cured = next(one for one in found.items if one.id == "cured")
    assert cured.arms == {"none": 0.0, "library": 1.0} and cured.difference.diff == 1.0
    console = Console(width=80, file=StringIO())
    console.print(items_table(found))
    (row,) = [row for row in console.file.getvalue().splitlines() if row.startswith("cured")]
    assert row.split() == ["cured", "0.00", "1.00", "+1.00"]
    assert json.loads(found.model_dump_json())["items"][0]["id"] == found.items[0].id
