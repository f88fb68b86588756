"""The commands that stand at the top: coach, simulate, evaluate, watch, review, serve and others."""

from __future__ import annotations

import typer

from .baseline import baseline
from .coach import coach
from .doctor import doctor
from .evaluate import evaluate
from .map import map_
from .review import review
from .runs import runs
from .serve import serve
from .simulate import simulate
from .takeover import takeover
from .watch import watch


def register(app: typer.Typer) -> None:
    """Add the commands to the command line, in the order in which people meet them."""
    app.command()(coach)
    app.command()(simulate)
    app.command()(evaluate)
    app.command()(baseline)
    app.command()(runs)
    app.command()(watch)
    app.command()(takeover)
    app.command()(review)
    app.command()(serve)
    app.command("map")(map_)
    app.command()(doctor)
