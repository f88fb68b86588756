"""`tutelage takeover`: speak for the student in a dialogue under way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def takeover(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that goes on.")],
    dialogue: Annotated[
        str | None,
        typer.Argument(metavar="[DIALOGUE]", help="Its id; else the one that began last."),
    ] = None,
    by: Annotated[str, typer.Option(help="Your name in the run's log; else the user's.")] = "",
) -> None:
    """Speak in the student's place in a dialogue of a run, and hand back.

    The run may go on in another process. It waits for your words at each of the student's turns,
    five minutes at most, and goes on without you when you leave. Such a dialogue is neither scored
    nor learned from.

    Example: `tutelage takeover runs/20260512-140000-airline`
    """
    from tutelage.tui.takeover_app import take_over

    take_over(run, dialogue, by)
