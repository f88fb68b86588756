"""The command line's door: registers the commands, and turns faults into one clear sentence."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

import tutelage
from tutelage.commands import environment, export, judge, library, models, persona, run_commands
from tutelage.console import complain, talk

app = typer.Typer(
    name="tutelage",
    help="A strong model coaches a small one to serve customers, through text alone.\n\n"
    "Start with `tutelage env list`, then `tutelage coach airline --watch`.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
run_commands.register(app)
app.add_typer(environment.app, name="env", help="The firms: list, show, validate, make, import.")
app.add_typer(persona.app, name="persona", help="The customers: make, validate, talk to one.")
app.add_typer(library.app, name="library", help="The library: read, approve, roll back, exchange.")
app.add_typer(export.app, name="export", help="A run as data: to fine-tune on, to evaluate with.")
app.add_typer(judge.app, name="judge", help="The judge: how far it can be trusted.")
app.add_typer(models.app, name="models", help="The local models: list, pull, path.")


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tutelage {tutelage.__version__}")
        raise typer.Exit


@app.callback()
def door(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say the version and exit."
        ),
    ] = False,
) -> None:
    """What stands before every command."""


def run() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 wrong use.

    A fault that is meant for people carries an `exit_code`; it is printed as one sentence. Any
    other exception is a defect of ours and keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that a terminal or a file of today's Windows cannot hold costs no result.
            stream.reconfigure(errors="replace")
    try:
        app()
    except KeyboardInterrupt:
        talk().print("stopped; what was finished is kept")
        sys.exit(1)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; writing its own goodbye would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if (code := getattr(error, "exit_code", None)) is not None:
            complain(error)
            sys.exit(code)
        if isinstance(error, OSError) and error.strerror:
            complain(OSError(f"{error.filename or 'disk'}: {error.strerror}"))
            sys.exit(1)
        raise
