"""`tutelage persona`: the customers of a firm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o

app = typer.Typer(no_args_is_help=True)
Firm = Annotated[
    Path,
    typer.Option(
        "--env",
        metavar="DIR",
        help="The firm's folder. A bundled firm is not changed: see `tutelage env new --like`.",
    ),
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The persona's short name.")], env: Firm = Path()
) -> None:
    """Add a persona to a firm's folder, with comments that teach the main fields.

    Example: `tutelage persona new night_shift --env ./bakery`
    """
    from tutelage.console import result
    from tutelage.environments.scaffold import new_persona

    result(str(new_persona(env, name)))


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A persona's .yaml file.")],
) -> None:
    """Check one persona's file.

    Example: `tutelage persona validate ./bakery/personas/night_shift.yaml`
    """
    from tutelage.console import result
    from tutelage.environments import EnvironmentFault
    from tutelage.environments.loading import read_text
    from tutelage.environments.persona_file import check_persona

    _, problems = check_persona(file, read_text(file))
    if problems:
        raise EnvironmentFault(list(problems))
    result(f"{file.stem} is valid")


@app.command()
def talk(
    env: o.Env,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A persona; else choose on the screen.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(metavar="ID", help="What brings the customer here; else the first that fits."),
    ] = None,
    customer: o.Customer = None,
    seed: Annotated[int, typer.Option(help="Chooses the model's draws.")] = 0,
    by: Annotated[str, typer.Option(help="Your name as the agent; else the user's.")] = "",
) -> None:
    """Read a firm's personas, edit one, and talk with it yourself as the agent.

    The persona is played by the customer's model, as in a run. What you edit is checked before it
    is saved. To speak in a dialogue of a run instead of the student, see `tutelage takeover`.

    Example: `tutelage persona talk airline grieving`
    """
    from tutelage.tui.personas import personas

    personas(env, name, scenario=scenario, customer=customer, seed=seed, by=by)
