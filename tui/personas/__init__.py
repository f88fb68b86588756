"""Personas: a firm's customers in the terminal, to read, edit, and talk to as the agent."""

from __future__ import annotations

from pathlib import Path

__all__ = ["personas"]


def personas(
    firm: str | Path,
    name: str | None = None,
    *,
    scenario: str | None = None,
    customer: str | None = None,
    seed: int = 0,
    by: str = "",
) -> None:
    """Show a firm's personas until the person leaves.

    Args:
        firm: a bundled firm's name or a firm's folder.
        name: the persona to begin with; the talk with it begins at once.
        scenario: what brings the customer here; the first that fits where not given.
        customer: the spec of the model that plays it; the local model where not given.
        seed: chooses the model's draws.
        by: who speaks as the agent; the user where not given.

    Raises:
        EnvironmentFault: where there is no such firm, persona or scenario (exit code 2), before
            the screen is taken.
        ScreenFault: where there is no terminal (exit code 2), or the screen broke.
    """
    from tutelage.graphs.play.rehearsal import check_names

    from .app import PersonasApp

    check_names(firm, name, scenario)
    PersonasApp(firm, name, scenario=scenario, customer=customer, seed=seed, by=by).run()
