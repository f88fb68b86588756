"""An environment: one firm, loaded whole - policy, personas, scenarios, handbook and rubric."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from .handbook import Tactic
from .persona import Persona
from .policy import Policy
from .rubric import RubricItem
from .scenario import Scenario
from .strict import Strict

Split = Literal["train", "validation", "test"]


class EnvironmentConfig(Strict):
    """What environment.yaml holds."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="The folder's name.")
    title: str = Field(min_length=2, description="The firm's name as customers know it.")
    sells: str = Field(min_length=3, description="What the firm sells, in one line.")
    language: str = Field("en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    agent: str = Field(
        "a customer service agent", description="Who the student is at this firm's desk."
    )
    today: str = Field("", description="The date and time in which all dialogues play, if any.")
    origin: str = Field("", description="Where the firm comes from, if it was imported.")
    rubric: list[RubricItem] = Field(min_length=1)
    splits: dict[Split, list[str]] = Field(
        description="Scenario ids by split; every scenario stands in exactly one."
    )


@dataclass(frozen=True)
class Environment:
    """A firm as the rest of the product sees it. Made by `load_environment`, never changed."""

    config: EnvironmentConfig
    policy: Policy
    personas: dict[str, Persona]
    scenarios: dict[str, Scenario]
    handbook: dict[str, Tactic]
    path: Path

    @property
    def name(self) -> str:
        """The firm's short name."""
        return self.config.name

    def split(self, name: Split) -> list[Scenario]:
        """The scenarios of one split, in the order of environment.yaml; empty if it has none."""
        return [self.scenarios[id_] for id_ in self.config.splits.get(name, [])]

    def split_of(self, scenario_id: str) -> Split | None:
        """Which split a scenario stands in, or None for one that is not of this firm."""
        for name, ids in self.config.splits.items():
            if scenario_id in ids:
                return name
        return None

    def rubric_for(self, scenario: Scenario) -> list[RubricItem]:
        """The firm's rubric items, then the scenario's own."""
        return [*self.config.rubric, *scenario.rubric]

    def personas_for(self, scenario: Scenario) -> list[Persona]:
        """The personas that a scenario allows, in order of name."""
        names = scenario.personas or sorted(self.personas)
        return [self.personas[name] for name in names]
