"""`tutelage watch`: look at a run, live or finished; in a browser; or as a picture."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class View(StrEnum):
    """The views of the watch."""

    dialogues = "dialogues"
    workshop = "workshop"
    rounds = "rounds"
    usage = "usage"


def watch(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run's folder; else the newest.")
    ] = None,
    theme: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="tutelage, tutelage-light, colour-blind, monochrome, or one of Textual's; "
            "else $TUTELAGE_THEME.",
        ),
    ] = None,
    by: Annotated[
        str, typer.Option(help="Your name where you take over a dialogue (t); else the user's.")
    ] = "",
    serve: Annotated[
        bool, typer.Option("--serve", help="Open it in a browser instead of this terminal.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --serve: the address to listen on. There is no password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --serve: the port.")] = 8077,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Save one screen as a picture instead.")
    ] = None,
    view: Annotated[View, typer.Option(help="With --export: what to show.")] = View.dialogues,
    dialogue: Annotated[
        str | None, typer.Option(metavar="ID", help="With --export: the dialogue to show.")
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="COLSxROWS", help="With --export: the size of the screen.")
    ] = "160x48",
) -> None:
    """Watch the dialogues of a run, also one that another process is running.

    Press ? for the keys of each view. Leaving does not stop the run.

    Example: `tutelage watch runs/20260512-140000-airline --export run.svg --view rounds`
    """
    from tutelage.environments import is_none
    from tutelage.runs.listing import newest_run
    from tutelage.tui.themes import is_theme, theme_names

    if theme is not None and not is_theme(theme):
        raise typer.BadParameter(is_none(theme, "theme", theme_names()), param_hint="--theme")
    if run is None:
        run = newest_run()
    if export is not None:
        from tutelage.console import refuse_database, result
        from tutelage.tui import export as save

        refuse_database(export)
        save(run, export, view=view, dialogue=dialogue, size=_size(size), theme=theme)
        result(str(export))
    elif serve:
        from tutelage.tui.serve import serve as open_door

        open_door(run, host=host, port=port, theme=theme)
    else:
        from tutelage.tui import watch as show

        show(run, theme, by)


def _size(told: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", told)
    if found is None:
        raise typer.BadParameter(f"{told!r} is no size; write 80x24", param_hint="--size")
    size = int(found[1]), int(found[2])
    if not (40 <= size[0] <= 400 and 10 <= size[1] <= 200):
        raise typer.BadParameter("a screen has 40x10 to 400x200 characters", param_hint="--size")
    return size
