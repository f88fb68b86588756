"""Known names: a persona, scenario or split that a firm has, or the fault that offers the nearest."""

from __future__ import annotations

from typing import Literal

from tutelage.environments import Environment, EnvironmentFault, Problem, nearest

_SHOWN = 14
"""Names that a fault lists at most."""


def check_known(
    environment: Environment, kind: Literal["persona", "scenario", "split"], name: str
) -> None:
    """See that a firm has what is asked for.

    Raises:
        EnvironmentFault: where it has not; says what it has, and offers the nearest.
    """
    valid = {
        "persona": list(environment.personas),
        "scenario": list(environment.scenarios),
        "split": list(environment.config.splits),
    }[kind]
    if name in valid:
        return
    shown = ", ".join(valid[:_SHOWN]) + (", ..." if len(valid) > _SHOWN else "")
    problem = Problem(
        environment.path,
        f"{name!r} is no {kind} of {environment.name}",
        expected=f"one of {shown}",
        nearest=nearest(name, valid),
    )
    raise EnvironmentFault([problem], exit_code=2)
