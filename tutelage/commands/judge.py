"""`tutelage judge`: how far a judge can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure judges."""


@app.command()
def calibrate(
    spec: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help="provider:model; else the embedded one.")
    ] = None,
    firm: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this firm's items (repeatable).")
    ] = None,
    items: Annotated[
        int | None, typer.Option(min=4, help="So many items, spread over flaws; else all.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw pairs told right by flaw.")
    ] = None,
    human: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="People's verdicts: columns id, better (good/bad)."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Measure a judge on chats whose better reply is known, flaw by flaw.

    A whole calibration is remembered, and every evaluation with this judge names its figures.

    Example: `tutelage judge calibrate openai:gpt-5-mini --plot judge.svg`
    """
    from tutelage.runs.judge import judge_calibrate

    o.file_to_write(plot, "--plot")
    judge_calibrate(spec, firm or [], items, plot=plot, human=human, as_json=json)
