"""Coverage: what of a firm was met - rules, persona x topic cells, corners - and what stands twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel
from tutelage.environments import Environment, Scenario

from .text_space import close_pairs, far_corners, points

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

SAME_WITHIN = 0.35
"""Distance (0-1) up to which two texts are taken for one thing said twice."""


class Meeting(NamedTuple):
    """A scenario played by a persona."""

    scenario: str
    persona: str


class RuleGap(BaseModel):
    """A rule of the policy that nothing met; `scenarios` are those in train that would."""

    id: str
    section: str
    text: str
    scenarios: list[str]


class CellGap(BaseModel):
    """A persona that never came with a topic; `scenarios` are those in train that allow it."""

    persona: str
    topic: str
    scenarios: list[str]


class Corner(BaseModel):
    """What lies far from all that was met. `distance` is 0 to 1; `nearest` is what comes closest."""

    kind: Literal["scenario", "rule"]
    id: str
    text: str
    distance: float
    nearest: str


class Overlap(BaseModel):
    """Two that say the same. `similarity` is 0 to 1."""

    kind: Literal["entry", "scenario"]
    first: str
    second: str
    similarity: float


class Coverage(BaseModel):
    """How much of a firm was met, and what was not. `farthest` (0-1) is the farthest corner's."""

    rules_met: int
    rules: int
    cells_met: int
    cells: int
    farthest: float
    rule_gaps: list[RuleGap]
    cell_gaps: list[CellGap]
    corners: list[Corner]

    def sums(self) -> dict[str, float]:
        """The counts alone, to be put beside another coverage."""
        return self.model_dump(include={"rules_met", "rules", "cells_met", "cells", "farthest"})


def possible_meetings(environment: Environment, scenarios: Iterable[Scenario]) -> list[Meeting]:
    """Every scenario with every persona that it allows."""
    return [
        Meeting(scenario.id, persona.name)
        for scenario in scenarios
        for persona in environment.personas_for(scenario)
    ]


NO_TOPIC = "other"
"""The topic of scenarios that tell none."""


def topic_of(environment: Environment, scenario: Scenario) -> str:
    """A scenario's topic; where it names none, the policy section of its first rule."""
    if scenario.topic:
        return scenario.topic
    rule = environment.policy.rules.get(scenario.rules[0]) if scenario.rules else None
    return rule.section if rule else NO_TOPIC


def scenario_text(scenario: Scenario) -> dict[str, float]:
    """A scenario as a text to compare: what happened and what is wanted, its title at half weight."""
    return {f"{scenario.situation} {scenario.goal}": 1.0, scenario.title: 0.5}


def coverage(
    environment: Environment,
    met: Iterable[Meeting],
    *,
    corners: int = 5,
    embeddings: Embeddings | None = None,
) -> Coverage:
    """What of a firm was met, and what was not.

    Args:
        environment: the firm. Gaps are looked for in its policy, personas and training scenarios.
        met: what was played; scenarios that the firm does not have are passed over.
        corners: far corners to name, at most: training scenarios and rules, farthest first.
        embeddings: for the distances; TF-IDF without.
    """
    meetings = [one for one in met if one.scenario in environment.scenarios]
    played = {one.scenario: environment.scenarios[one.scenario] for one in meetings}
    train = environment.split("train")
    topics = sorted({topic_of(environment, one) for one in environment.scenarios.values()})
    rules_met = {rule for scenario in played.values() for rule in scenario.rules}
    cells_met = {
        (one.persona, topic_of(environment, played[one.scenario]))
        for one in meetings
        if one.persona in environment.personas
    }
    allowed: dict[tuple[str, str], list[str]] = {}
    for scenario in train:
        for persona in environment.personas_for(scenario):
            cell = (persona.name, topic_of(environment, scenario))
            allowed.setdefault(cell, []).append(scenario.id)
    cells = [(persona, topic) for persona in sorted(environment.personas) for topic in topics]
    found = _corners(environment, train, played, corners, embeddings)
    return Coverage(
        rules_met=len(rules_met & environment.policy.rules.keys()),
        rules=len(environment.policy.rules),
        cells_met=len(cells_met),
        cells=len(cells),
        farthest=found[0].distance if found else 0.0,
        rule_gaps=[
            RuleGap(
                id=rule.id, section=rule.section, text=rule.text,
                scenarios=[one.id for one in train if rule.id in one.rules],
            )
            for rule in environment.policy.rules.values()
            if rule.id not in rules_met
        ],
        cell_gaps=[
            CellGap(persona=persona, topic=topic, scenarios=allowed.get((persona, topic), []))
            for persona, topic in cells
            if (persona, topic) not in cells_met
        ],
        corners=found,
    )  # fmt: skip


def overlaps(
    kind: Literal["entry", "scenario"],
    texts: Sequence[tuple[str, str]],
    embeddings: Embeddings | None = None,
) -> list[Overlap]:
    """Which of several named texts say the same, nearest first.

    Args:
        kind: what they are.
        texts: name and text of each.
        embeddings: for the distances; TF-IDF without.
    """
    rows = points([text for _, text in texts], embeddings)
    return [
        Overlap(kind=kind, first=texts[a][0], second=texts[b][0], similarity=1 - apart)
        for a, b, apart in close_pairs(rows, SAME_WITHIN)
    ]


def _corners(
    environment: Environment,
    train: Sequence[Scenario],
    played: dict[str, Scenario],
    most: int,
    embeddings: Embeddings | None,
) -> list[Corner]:
    covered = list(played.values())
    unmet = [one for one in train if one.id not in played]
    rules_met = {rule for scenario in covered for rule in scenario.rules}
    rules = [rule for rule in environment.policy.rules.values() if rule.id not in rules_met]
    rows = points(
        [*map(scenario_text, covered), *map(scenario_text, unmet), *(rule.text for rule in rules)],
        embeddings,
    )
    found: list[Corner] = []
    for position, distance, nearest in far_corners(
        rows[len(covered) :], rows[: len(covered)], most
    ):
        beside = covered[nearest].id if nearest is not None else ""
        if position < len(unmet):
            one = unmet[position]
            found.append(
                Corner(
                    kind="scenario", id=one.id, text=one.title, distance=distance, nearest=beside
                )
            )
        else:
            rule = rules[position - len(unmet)]
            found.append(
                Corner(kind="rule", id=rule.id, text=rule.text, distance=distance, nearest=beside)
            )
    return found
