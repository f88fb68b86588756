"""`tutelage persona`: the customers of a firm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
Firm = Annotated[Path, typer.Option("--env", metavar="DIR", help="The firm's folder.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The persona's short name.")], env: Firm = Path()
) -> None:
    """Add a persona to a firm's folder, with comments that teach every field.

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
    from tutelage.environments.loading import parse_yaml, read_text
    from tutelage.environments.persona import Persona

    persona = parse_yaml(file, read_text(file), Persona)
    result(f"{persona.name} is valid")
