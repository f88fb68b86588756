"""Where it is spoken: the firm, its policy, personas, scenarios, rubric and handbook."""

from .environment import Environment, EnvironmentConfig, Split
from .faults import EnvironmentFault, Problem
from .handbook import Tactic
from .loading import bundled_names, is_none, load_environment, nearest
from .persona import Persona
from .policy import Policy, Rule
from .rubric import (
    Question,
    RubricItem,
    StateCheck,
    check_mean,
    check_score,
    check_weight,
    checks_passed,
    checks_score,
    passes,
    state_score,
    weighted_mean,
)
from .scenario import Scenario, SpokenTurn
from .state import as_json
from .tool_source import DeclaredTool, McpServer

__all__ = [
    "DeclaredTool",
    "Environment",
    "EnvironmentConfig",
    "EnvironmentFault",
    "McpServer",
    "Persona",
    "Policy",
    "Problem",
    "Question",
    "RubricItem",
    "Rule",
    "Scenario",
    "Split",
    "SpokenTurn",
    "StateCheck",
    "Tactic",
    "as_json",
    "bundled_names",
    "check_mean",
    "check_score",
    "check_weight",
    "checks_passed",
    "checks_score",
    "is_none",
    "load_environment",
    "nearest",
    "passes",
    "state_score",
    "weighted_mean",
]
