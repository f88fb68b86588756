"""The options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

SPEC = "SPEC"
SPEC_HELP = "provider:model, for example `local:qwen2.5-coder-1.5b` or `openai:gpt-5-mini`."

Env = Annotated[str, typer.Argument(metavar="ENV", help="A bundled firm's name, or a folder.")]
Student = Annotated[
    str | None,
    typer.Option(
        metavar=SPEC,
        help=f"The model under coaching: {SPEC_HELP} Or an app: `app:my_app:agent`, "
        "`app:file.py:agent`, `app:NAME@http://host/v1`. Else the embedded model.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar=SPEC,
        help="The model that coaches; where scenarios are made it writes them, and as the arm "
        "teacher it answers itself. Else the embedded model.",
    ),
]
Customer = Annotated[
    str | None,
    typer.Option(metavar=SPEC, help="The model that plays customers; else the embedded one."),
]
Judge = Annotated[
    str | None, typer.Option(metavar=SPEC, help="The model that judges; else the embedded one.")
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        help="Dialogues under way at the same time; else one a slot of the local model, or 8.",
    ),
]
BudgetTokens = Annotated[
    int | None, typer.Option(min=1, help="Stop when this many tokens (in and out) are used.")
]
BudgetUsd = Annotated[
    float | None, typer.Option(min=0, help="Stop when this much money is spent (list prices).")
]
Seed = Annotated[int, typer.Option(help="Chooses scenarios, personas and the models' draws.")]
Run = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The run's folder; else one is made under ./runs."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with --run DIR, as it was begun; nothing finished is redone."
    ),
]
LibraryFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The library that the student uses.")
]
Placement = Annotated[
    Literal["after", "note", "system", "example"] | None,
    typer.Option(
        help="Where strategies stand: in a system message after the transcript, as a note in the "
        "last user message, in the first system message, or as an example after the transcript; "
        "else as the library has it measured for the model, or what the model takes (after the "
        "transcript, where no model is named)."
    ),
]
Top = Annotated[int | None, typer.Option(min=1, help="Entries to give at most; else 1.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Similarity from which an entry fits; else 0.5, or 0.58 with --embeddings.",
    ),
]
Embeddings = Annotated[
    str | None,
    typer.Option(
        metavar=SPEC,
        help="Retrieve by meaning as well as by words: `local:NAME`, the weights of a local model, "
        "or `openai:text-embedding-3-small` and the like.",
    ),
]
Exchanges = Annotated[int, typer.Option(min=1, max=20, help="Exchanges at most in a dialogue.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Watch = Annotated[bool, typer.Option(help="Watch it in the terminal; leaving does not stop it.")]


def firm(env: str) -> str:
    """A bundled firm's name as it is; a folder by its whole path, so that a run's log names it for
    whoever reads it from elsewhere.
    """
    return str(Path(env).resolve()) if Path(env).is_dir() else env


def file_to_write(file: Path | None, option: str) -> None:
    """Refuse a file that cannot be written where it is asked for, before the work for it is done.

    Raises:
        typer.BadParameter: where its folder is missing, or it is a folder itself.
    """
    if file is None:
        return
    if file.is_dir():
        raise typer.BadParameter(f"{file}: is a folder; name a file in it", param_hint=option)
    if not file.parent.is_dir():
        raise typer.BadParameter(
            f"{file}: there is no folder {file.parent} to write it in", param_hint=option
        )


def screen_or_json(watch: bool, json: bool) -> None:
    """Refuse --watch with --json: the one takes the screen, the other prints.

    Raises:
        typer.BadParameter: where both are given.
    """
    if watch and json:
        raise typer.BadParameter("--watch takes the screen and --json prints: give one of them")


def run_to_resume(resume: bool, run: Path | None) -> None:
    """Refuse --resume without the run to go on with.

    Raises:
        typer.BadParameter: where no run is named.
    """
    if resume and run is None:
        raise typer.BadParameter("--resume needs --run DIR, the run to go on with")
