"""Notes on a valid firm: what in it never does what its author may expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

from .environment import Environment, Split
from .faults import Problem
from .loading import line_at, read_text

LEAST: Mapping[Split, tuple[int, str]] = {
    "train": (4, "the general step does not begin"),
    "validation": (3, "validation decides nothing"),
    "test": (6, "`tutelage evaluate` calls no difference real"),
}
"""Scenarios that a split needs, and what happens with fewer. The numbers are those of the graphs, which
take seconds to import; a test holds them together."""
_MOST_NAMED = 12


def notes_on(environment: Environment) -> list[Problem]:
    """What is valid in a firm and yet without effect: a persona that no scenario allows, acts that are
    not played, rules at stake nowhere (where scenarios name rules at all), splits that are too small.

    Returns:
        A note for each, with its file and line; empty where there is nothing to note.
    """
    return [*_of_personas(environment), *_of_rules(environment), *_of_splits(environment)]


def _of_personas(environment: Environment) -> Iterator[Problem]:
    allowed = {
        persona.name
        for scenario in environment.scenarios.values()
        for persona in environment.personas_for(scenario)
    }
    for name, persona in sorted(environment.personas.items()):
        path = environment.path / "personas" / f"{name}.yaml"
        if name not in allowed:
            message = "no scenario allows this persona; name it in a scenario's `personas`"
            yield Problem(path, message, field=name)
        if bool(persona.agenda) is (persona.mode == "agenda"):
            continue
        tree = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
        if persona.agenda:
            message = "is never played in `mode: free`; write `mode: agenda`"
            yield Problem(path, message, line_at(tree, ("agenda",)), "agenda")
        else:
            message = "has no acts to play; list them in `agenda`, or write `mode: free`"
            yield Problem(path, message, line_at(tree, ("mode",)), "mode")


def _of_rules(environment: Environment) -> Iterator[Problem]:
    named = {rule for scenario in environment.scenarios.values() for rule in scenario.rules}
    unnamed = [rule for rule in environment.policy.rules.values() if rule.id not in named]
    if named and unnamed:
        shown = ", ".join(rule.id for rule in unnamed[:_MOST_NAMED])
        shown += ", ..." if len(unnamed) > _MOST_NAMED else ""
        what = "it" if len(unnamed) == 1 else "any of them"
        yield Problem(
            environment.path / "policy.md",
            f"no scenario names {what} in `rules`; `tutelage env generate` can write one",
            unnamed[0].line,
            shown,
        )


def _of_splits(environment: Environment) -> Iterator[Problem]:
    head = environment.path / "environment.yaml"
    tree = yaml.compose(read_text(head), Loader=yaml.SafeLoader)
    for split, (least, otherwise) in LEAST.items():
        held = len(environment.split(split))
        if held < least:
            scenarios = "1 scenario" if held == 1 else f"{held} scenarios"
            yield Problem(
                head,
                f"has {scenarios}; below {least} {otherwise}",
                line_at(tree, ("splits", split)),
                f"splits.{split}",
            )
