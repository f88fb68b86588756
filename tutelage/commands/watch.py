"""`tutelage watch`: look at a run, live or finished."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def watch(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run's folder; else the newest.")
    ] = None,
) -> None:
    """Watch the dialogues of a run, also one that another process is running.

    Example: `tutelage watch runs/20260512-140000-airline`
    """
    from tutelage.graphs.run_log import RunFault, log_path
    from tutelage.tui import watch as show

    if run is None:
        found = sorted(path for path in Path("runs").glob("*") if log_path(path).is_file())
        if not found:
            raise RunFault("there is no run under ./runs yet; start one: tutelage coach airline", 2)
        run = found[-1]
    show(run)
