"""Only scenarios of split train are learned from, whatever else a firm has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import world
import yaml
from tutelage.environments import EnvironmentFault, load_environment
from tutelage.graphs.baselines.playbook import grow_playbook
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.generation import gaps_to_fill, train_coverage
from tutelage.graphs.play.rollouts import plan_round

from tutelage.runs.simulate import SimulateRequest, plan_simulation


@pytest.fixture
def firm(tmp_path):
    """A firm of the world whose training scenarios were taken for testing."""
    folder = world.build_firm(tmp_path / "world")
    head = folder / "environment.yaml"
    value = yaml.safe_load(head.read_text())
    value["splits"]["test"] += value["splits"].pop("train")
    head.write_text(yaml.safe_dump(value))
    return load_environment(folder)


def test_a_firm_without_training_scenarios_is_refused_with_what_to_do(firm):
    with pytest.raises(EnvironmentFault, match="tutelage env generate") as caught:
        plan_round(firm, 1, 4, 0)
    said = str(caught.value)
    assert "\n" not in said and caught.value.exit_code == 2
    assert "environment.yaml: splits.train: names no scenario" in said
    empty = firm.config.model_copy(update={"splits": {**firm.config.splits, "train": []}})
    with pytest.raises(EnvironmentFault):
        plan_round(replace(firm, config=empty), 1, 4, 0)


def test_a_simulation_of_an_empty_split_is_refused_with_what_there_is(firm):
    splits = {**firm.config.splits, "train": []}
    firm = replace(firm, config=firm.config.model_copy(update={"splits": splits}))
    with pytest.raises(EnvironmentFault, match=r"splits\.train: names no scenario") as caught:
        plan_simulation(firm, SimulateRequest(environment="world"))
    said = str(caught.value)
    assert "\n" not in said and caught.value.exit_code == 2
    assert "--split with one of test, validation" in said
    request = SimulateRequest(environment="world", scenario=firm.config.splits["test"][0])
    assert len(plan_simulation(firm, request)) == request.dialogues, "a scenario needs no split"


async def test_neither_coaching_nor_a_baseline_learns_from_other_splits(firm):
    desk = world.seat(firm, None)
    options = CoachingOptions(rounds=1, dialogues=2, validation_dialogues=0, max_exchanges=1)
    with pytest.raises(EnvironmentFault):
        await compile_coaching(desk, options).ainvoke({})
    with pytest.raises(EnvironmentFault):
        await grow_playbook(desk, 50, max_exchanges=1)
    assert not await desk.log.read(kinds=("dialogue_started",))


def test_a_scenario_of_no_split_is_no_firm_at_all(firm):
    head = firm.path / "environment.yaml"
    head.write_text(yaml.safe_dump(yaml.safe_load(head.read_text()) | {"splits": {}}))
    with pytest.raises(EnvironmentFault, match="is in no split"):
        load_environment(firm.path)


def test_who_writes_training_scenarios_is_shown_none_of_another_split(firm):
    gaps = gaps_to_fill(firm, train_coverage(firm))
    assert gaps and not [one for gap in gaps for one in gap.wanted.examples]
