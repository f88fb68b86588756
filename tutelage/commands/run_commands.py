"""The commands that stand at the top: coach, simulate, evaluate, baseline, watch, doctor."""

from __future__ import annotations

import typer

from .baseline import baseline
from .coach import coach
from .doctor import doctor
from .evaluate import evaluate
from .simulate import simulate
from .watch import watch


def register(app: typer.Typer) -> None:
    """Add the commands to the command line, in the order in which people meet them."""
    app.command()(coach)
    app.command()(simulate)
    app.command()(evaluate)
    app.command()(baseline)
    app.command()(watch)
    app.command()(doctor)
