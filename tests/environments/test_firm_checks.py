"""The bundled firms' checks by code tell right handlings of every scenario from wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tutelage.environments import bundled_names, check_score, load_environment
from tutelage.environments.rubric import Question, RubricItem, StateCheck

REPLIES = Path(__file__).parents[1] / "replies"
"""For every scenario, handlings that a reader called right, and wrong ones with what they miss."""


def failing(items: Sequence[RubricItem], replies: list[str]) -> set[str]:
    checks = [item for item in items if not isinstance(item, Question | StateCheck)]
    return {check.id for check in checks if check_score(check, replies) < 1}


def handled(firm: str) -> list[dict[str, Any]]:
    return yaml.safe_load((REPLIES / f"{firm}.yaml").read_text())


@pytest.mark.parametrize("firm", bundled_names())
def test_right_handlings_pass_every_check_and_wrong_ones_fail_just_what_they_miss(firm):
    environment = load_environment(firm)
    misread: list[str] = []
    for record in handled(firm):
        scenario = environment.scenarios[record["scenario"]]
        for replies in record["good"]:
            if failed := failing(environment.rubric_for(scenario), replies):
                misread.append(f"{scenario.id}: right, yet fails {failed}: {replies}")
        for wrong in record["bad"]:
            failed = failing(scenario.rubric, wrong["replies"])
            if failed != set(wrong["fails"]):
                misread.append(
                    f"{scenario.id}: fails {failed}, not {wrong['fails']}: {wrong['replies']}"
                )
    assert not misread, "\n".join(misread)


@pytest.mark.parametrize("firm", bundled_names())
def test_every_scenario_has_a_check_that_decides_and_each_check_is_shown_to_tell(firm):
    environment = load_environment(firm)
    shown = {record["scenario"]: record for record in handled(firm)}
    assert list(shown) == sorted(environment.scenarios)
    for scenario in environment.scenarios.values():
        checks = [item for item in scenario.rubric if not isinstance(item, Question)]
        assert any(check.weight > 1 for check in checks), scenario.id
        caught = {id_ for wrong in shown[scenario.id]["bad"] for id_ in wrong["fails"]}
        assert caught == {check.id for check in checks}, scenario.id
        assert len(shown[scenario.id]["good"]) > 1 and len(shown[scenario.id]["bad"]) > 1
