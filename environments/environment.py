"""An environment: one firm, loaded whole - policy, personas, scenarios, handbook and rubric."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from .handbook import Tactic
from .persona import Persona
from .policy import Policy
from .rubric import RubricItem
from .scenario import Scenario
from .state import merged
from .strict import Strict
from .tool_source import DeclaredTool, McpServer

Split = Literal["train", "validation", "test"]


class EnvironmentConfig(Strict):
    """What environment.yaml holds."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="The folder's name.")
    title: str = Field(min_length=2, description="The firm's name as customers know it.")
    sells: str = Field(min_length=3, description="What the firm sells, in one line.")
    language: str = Field(
        "en",
        pattern=r"^[a-z]{2}(-[A-Z]{2})?$",
        description="What is spoken at the desk: en, pt-BR.",
    )
    agent: str = Field(
        "a customer service agent", description="Who the student is at this firm's desk."
    )
    today: str = Field("", description="The date and time in which all dialogues play, if any.")
    origin: str = Field("", description="Where the firm comes from, if it was imported.")
    tools: str = Field(
        "",
        pattern=r"^([a-z_][a-z0-9_]*\.py)?$",
        description="The Python file of this folder whose functions are the student's tools. "
        "Naming it says that its code may run.",
    )
    mcp: McpServer | None = Field(None, description="Or the MCP server that gives the tools.")
    state: str = Field(
        "",
        pattern=r"^([a-z_][a-z0-9_]*\.(yaml|json))?$",
        description="The YAML or JSON file with the state in which every dialogue begins.",
    )
    tool_calls: int = Field(8, ge=1, le=50, description="Tool calls at most in one turn.")
    rubric: list[RubricItem] = Field(
        min_length=1, description="What a good dialogue shows, in every scenario."
    )
    splits: dict[Split, list[str]] = Field(
        description="Scenario ids by split; every scenario stands in exactly one."
    )

    @property
    def agent_name(self) -> str:
        """The agent's name: `agent` up to its first comma."""
        return self.agent.partition(",")[0]

    @model_validator(mode="after")
    def _one_source(self) -> EnvironmentConfig:
        if self.tools and self.mcp:
            raise ValueError("names one of `tools` and `mcp`")
        return self


@dataclass(frozen=True)
class Environment:
    """A firm as the rest of the product sees it. Made by `load_environment`, never changed."""

    config: EnvironmentConfig
    policy: Policy
    personas: dict[str, Persona]
    scenarios: dict[str, Scenario]
    handbook: dict[str, Tactic]
    path: Path
    tools: tuple[DeclaredTool, ...] = ()
    """Of a tools file; what an MCP server offers it says itself when it is asked."""
    state: dict[str, Any] = field(default_factory=dict)

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

    @property
    def has_tools(self) -> bool:
        """Whether the student may act here, and not only speak."""
        return bool(self.config.tools or self.config.mcp)

    def state_for(self, scenario: Scenario) -> dict[str, Any]:
        """The state in which a scenario begins, as a copy of its own."""
        return merged(self.state, scenario.state)

    def personas_for(self, scenario: Scenario) -> list[Persona]:
        """The personas that a scenario allows, in order of name."""
        names = scenario.personas or sorted(self.personas)
        return [self.personas[name] for name in names]
