"""`tutelage review`: a library on the screen, to approve, edit, reject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def review(
    library: Annotated[
        Path, typer.Argument(metavar="LIBRARY", help="A library's file, or a run's folder.")
    ],
    env: Annotated[
        str | None,
        typer.Option(
            metavar="ENV", help="The firm, for the policy rules; else the one the run names."
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Your name in the audit trail; else the user's.")] = "",
) -> None:
    """Read a library, and approve, edit, reject, split, merge, compare, roll back, undo.

    What you do is written at once, as a new version in your name. A coaching run may write to the
    library meanwhile: its changes appear as they come, and yours never overwrite them unseen. For
    scripts there is `tutelage library`.

    Example: `tutelage review runs/x/library.db`
    """
    from tutelage.tui.review import review as show

    show(library / "library.db" if library.is_dir() else library, firm=env, by=by)
