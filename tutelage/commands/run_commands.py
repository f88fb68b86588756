"""The commands that stand at the top: coach, simulate, evaluate, watch, serve, doctor."""

from __future__ import annotations

import typer

from .coach import coach
from .doctor import doctor
from .evaluate import evaluate
from .serve import serve
from .simulate import simulate
from .watch import watch


def register(app: typer.Typer) -> None:
    """Add the commands to the command line, in the order in which people meet them."""
    app.command()(coach)
    app.command()(simulate)
    app.command()(evaluate)
    app.command()(watch)
    app.command()(serve)
    app.command()(doctor)
