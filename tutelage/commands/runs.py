"""`tutelage runs`: the runs under a folder, how far each came, what it gave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where runs lie, at any depth.")
    ] = Path("runs"),
    json: o.Json = False,
) -> None:
    """List the runs under a folder, newest first: what each was, how far it came, what it gave.

    One that a person or a fault broke off goes on with its own command, --run and --resume.

    Example: `tutelage runs --json | jq -r '.[] | select(.state == "broken off") | .run'`
    """
    from tutelage.runs.listing import list_runs

    list_runs(folder, as_json=json)
