"""Where it is spoken: the firm, its policy, personas, scenarios, rubric and handbook."""

from .environment import Environment, EnvironmentConfig, Split
from .faults import EnvironmentFault, Problem
from .handbook import Tactic
from .loading import bundled_names, load_environment, nearest
from .persona import Persona
from .policy import Policy, Rule
from .rubric import Question, RubricItem, check_mean, check_score, passes
from .scenario import Scenario, SpokenTurn

__all__ = [
    "Environment",
    "EnvironmentConfig",
    "EnvironmentFault",
    "Persona",
    "Policy",
    "Problem",
    "Question",
    "RubricItem",
    "Rule",
    "Scenario",
    "Split",
    "SpokenTurn",
    "Tactic",
    "bundled_names",
    "check_mean",
    "check_score",
    "load_environment",
    "nearest",
    "passes",
]
