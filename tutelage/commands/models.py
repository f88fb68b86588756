"""`tutelage models`: the local models that can be had, and getting them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

_QUIET_SECONDS = 5.0
"""Time between two lines of progress where nobody watches a terminal."""


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the local models, and which of them are on this machine.

    Example: tutelage models list
    """
    from tutelage.agents.models.catalogue import CATALOGUE
    from tutelage.agents.models.weights import is_pulled, models_dir
    from tutelage.console import result_json, result_table

    rows = []
    for model in CATALOGUE.values():
        pulled = is_pulled(model)
        rows.append(
            {
                "name": model.name,
                "title": model.title,
                "licence": model.licence,
                "bytes": model.bytes,
                "context": model.context,
                "pulled": pulled,
                "path": str(models_dir() / model.file_name) if pulled else None,
                "use": model.use,
            }
        )
    if json:
        result_json(rows)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "licence", "size", "here", "what for"):
        table.add_column(
            title, no_wrap=title != "what for", justify="right" if title == "size" else "left"
        )
    for row in rows:
        here = "yes" if row["pulled"] else "no"
        table.add_row(
            row["name"], row["licence"], f"{row['bytes'] / 1e6:,.0f} MB", here, row["use"]
        )
    result_table(table)


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A name from `tutelage models list`.")],
) -> None:
    """Fetch a local model's weights, check them, and print where they are.

    A pull that was broken off goes on where it stopped.

    Example: tutelage models pull qwen2.5-coder-1.5b
    """
    from tutelage.agents.models.weights import find_model, pull
    from tutelage.console import result, talk

    console = talk()
    model = find_model(name)
    if not console.is_terminal:
        said = time.monotonic() - _QUIET_SECONDS

        def say(done: int, total: int, what: str) -> None:
            nonlocal said
            if what != "ready" and time.monotonic() - said >= _QUIET_SECONDS:
                said = time.monotonic()
                line = f"{model.name}: {what} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
                console.print(line, soft_wrap=True)

        result(str(pull(model.name, say)))
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(model.name, total=model.bytes)

        def show(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=f"{model.name}: {what}")

        path = pull(model.name, show)
    result(str(path))


@app.command("path")
def model_path(
    name: Annotated[str, typer.Argument(help="A name from `tutelage models list`.")],
) -> None:
    """Print where a model's weights are on this machine.

    Example: tutelage models path smollm2-135m
    """
    from tutelage.agents.models.weights import weights_path
    from tutelage.console import result

    result(str(weights_path(name.removeprefix("local:"))))
