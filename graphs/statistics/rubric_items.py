"""Rubric items: what each item of a firm's rubric came to in the arms of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from tutelage.environments import Environment, RubricItem

from .experiment import Outcome, Paired, mean_over_scenarios, paired

By = Literal["code", "judge"]
OWN: Mapping[By, str] = {"code": "own checks", "judge": "own questions"}
"""What the scenarios ask beyond the firm's rubric, each for itself, taken together."""


@dataclass(frozen=True, slots=True)
class ItemFigures:
    """One item: its share (0-1) in each arm, over scenarios of equal weight, and what the second arm of
    the contrast differs from the first by. Where many items are looked at, one in twenty differs for
    certain by chance, so a difference here says where to look, and nothing is called real.
    """

    id: str
    text: str
    by: By
    arms: dict[str, float | None]
    difference: Paired | None


def items_by_arm(
    environment: Environment,
    outcomes: Sequence[Outcome],
    arms: Sequence[str],
    contrast: tuple[str, str],
    seed: int = 0,
) -> list[ItemFigures]:
    """The firm's rubric item by item, then what the scenarios ask by themselves, by code and by judge.

    Args:
        environment: the firm.
        outcomes: of one student, all arms.
        arms: in the order in which they are shown.
        contrast: the two arms whose difference is told.
        seed: for the resampling.

    Returns:
        The items that some valid dialogue has, in the order of the rubric.
    """
    found: list[ItemFigures] = []
    for id_, text, by, scores in _scored(environment, outcomes):
        if all(score is None for score in scores):
            continue
        seen = [
            one.model_copy(update={"checks": score})
            for one, score in zip(outcomes, scores, strict=True)
        ]
        own = {arm: [one for one in seen if one.arm == arm] for arm in arms}
        first, second = (own.get(arm, []) for arm in contrast)
        found.append(
            ItemFigures(
                id_, text, by,
                {arm: mean_over_scenarios(played, "checks") for arm, played in own.items()},
                paired(first, second, "checks", seed) if contrast[0] != contrast[1] else None,
            )
        )  # fmt: skip
    return found


def _scored(
    environment: Environment, outcomes: Sequence[Outcome]
) -> Iterator[tuple[str, str, By, list[float | None]]]:
    """Id, text, kind, and the score of every outcome; None where it has none."""
    for item in environment.config.rubric:
        yield item.id, _text(item), _by(item), [one.items.get(item.id) for one in outcomes]
    for by, name in OWN.items():
        own = [_own(environment, one, by) for one in outcomes]
        yield name, "what the scenario asks by itself", by, own


def _by(item: RubricItem) -> By:
    return "judge" if item.kind == "question" else "code"


def _text(item: RubricItem) -> str:
    return item.question if item.kind == "question" else item.note


def _own(environment: Environment, outcome: Outcome, by: By) -> float | None:
    scenario = environment.scenarios.get(outcome.scenario)
    asked = [item.id for item in (scenario.rubric if scenario else []) if _by(item) == by]
    scores = [outcome.items[id_] for id_ in asked if id_ in outcome.items]
    return fmean(scores) if scores else None
