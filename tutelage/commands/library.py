"""`tutelage library`: read, approve, roll back, exchange."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from . import options as o

app = typer.Typer(no_args_is_help=True)
_SENT = ("prompt", "static")
File = Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library's file.")]
By = Annotated[str, typer.Option(help="Who does it, for the audit trail.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of strategies.")]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@app.command("list")
def list_entries(
    library: File,
    versions: Annotated[bool, typer.Option("--versions", help="List the changes instead.")] = False,
    json: o.Json = False,
) -> None:
    """List the scenarios with their strategies, or every change with its author.

    Example: `tutelage library list runs/x/library.db`
    """
    from dataclasses import asdict

    from tutelage.console import result, result_json
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        if versions:
            changes = opened.versions()
            if json:
                result_json([asdict(change) for change in changes])
                return
            for change in changes:
                result(f"{change.version:>4}  {change.at}  {change.author:<16} {change.action}")
            return
        entries, counts = opened.entries(), opened.counts()
    if json:
        result_json({"counts": counts, "entries": [entry.model_dump() for entry in entries]})
        return
    result(", ".join(f"{count} {name}" for name, count in counts.items()))
    for entry in entries:
        result(f"\n{entry.id}  {entry.scenario}")
        for strategy in entry.strategies:
            result(f"  {strategy.id}  {strategy.status:<9} {strategy.text}")


@app.command()
def show(
    library: File,
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An entry's id; else all.")
    ] = None,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="The exact text that deployment adds (approved only).")
    ] = False,
    dialogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="With --prompt: a dialogue as OpenAI messages (- for stdin); prints the messages "
            "that deployment sends for it.",
        ),
    ] = None,
    placement: o.Placement = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    json: o.Json = False,
) -> None:
    """Show entries whole: scenario, strategies, evidence, where they come from.

    Example: `tutelage library show runs/x/library.db`

    Example: `tutelage library show runs/x/library.db --prompt --dialogue chat.json`
    """
    from tutelage.console import result, result_json
    from tutelage.strategy_store import Deployment, Library
    from tutelage.strategy_store.exchange import export_text
    from tutelage.strategy_store.retrieval import THRESHOLD, TOP

    if dialogue is not None:
        if not prompt or id_ is not None:
            raise typer.BadParameter("--dialogue goes with --prompt, and with no id")
        from tutelage.audit import sent_for

        with Library.open(library) as opened:
            deployment = Deployment(
                opened,
                TOP if top is None else top,
                THRESHOLD if threshold is None else threshold,
                placement=placement or "after",
            )
            result(sent_for(deployment, dialogue))
        return
    if (placement, top, threshold) != (None, None, None):
        raise typer.BadParameter("--placement, --top and --threshold go with --dialogue")
    with Library.open(library) as opened:
        if id_ is not None:
            opened.entry(id_)
        entries = opened.entries(("approved",)) if prompt else opened.entries()
    chosen = [entry for entry in entries if id_ in (None, entry.id)]
    if json:
        result_json([entry.model_dump() for entry in chosen])
    else:
        result(export_text(chosen, "prompt" if prompt else "markdown").rstrip("\n"))


@app.command()
def diff(
    library: File,
    a: Annotated[int | None, typer.Argument(help="A version; else the last but one.")] = None,
    b: Annotated[int | None, typer.Argument(help="A version; else the last.")] = None,
    json: o.Json = False,
) -> None:
    """Show what changed between two versions.

    Example: `tutelage library diff runs/x/library.db 3 5`
    """
    from dataclasses import asdict

    from tutelage.console import result, result_json
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        last = opened.version if b is None else b
        first = max(0, last - 1) if a is None else a
        changes = opened.diff(first, last)
    if json:
        result_json([asdict(change) for change in changes])
        return
    for change in changes:
        result(f"{change.what:<8} {change.entry} {change.strategy}")
        if change.before:
            result(f"  - {change.before}")
        if change.after:
            result(f"  + {change.after}")


@app.command()
def lint(library: File, json: o.Json = False) -> None:
    """List what a person should look at, each with a proposal.

    Example: `tutelage library lint runs/x/library.db`
    """
    from dataclasses import asdict

    from tutelage.console import result, result_json
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.lint import lint as findings_of

    with Library.open(library) as opened:
        findings = findings_of(opened.entries())
    if json:
        result_json([asdict(finding) for finding in findings])
        return
    for finding in findings:
        result(f"{finding.where}: {finding.what} -> {finding.proposal}")
    if not findings:
        result("nothing to look at")


@app.command()
def approve(
    library: File,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Approve every proposed strategy.")] = False,
    by: By = "",
) -> None:
    """Approve strategies; only approved ones reach production.

    Example: `tutelage library approve runs/x/library.db s1a2b3c4d5e`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library

    if not ids and not all_:
        raise typer.BadParameter("name strategies by id, or give --all")
    with Library.open(library) as opened:
        count = opened.approve(None if all_ else ids, by or _user())
    result(f"{count} approved")


@app.command()
def reject(
    library: File,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Why; it stays with the strategy.")] = "",
    by: By = "",
) -> None:
    """Reject strategies.

    Example: `tutelage library reject runs/x/library.db s1a2b3c4d5e --reason "promises too much"`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        result(f"{opened.reject(ids, by or _user(), reason)} rejected")


@app.command()
def rollback(library: File, version: Annotated[int, typer.Argument(min=0)], by: By = "") -> None:
    """Bring back the content of an old version, as a new version; nothing is erased.

    Example: `tutelage library rollback runs/x/library.db 3`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        result(f"now at version {opened.rollback(version, by or _user())}")


@app.command("export")
def export_library(
    library: File,
    form: Annotated[
        str, typer.Option("--format", help="yaml, markdown, prompt or static.")
    ] = "yaml",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Else stdout.")] = None,
) -> None:
    """Write the library as text that a person can read and edit.

    `prompt` is what deployment adds for each entry; `static` is one prompt for all entries, for
    apps that cannot retrieve. Both hold approved strategies only.

    Example: `tutelage library export runs/x/library.db --format markdown --out library.md`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.exchange import export_text

    if form not in ("yaml", "markdown", "prompt", "static"):
        raise typer.BadParameter(
            f"{form!r} is no format; expected yaml, markdown, prompt or static"
        )
    with Library.open(library) as opened:
        # What deployment sends holds approved strategies only.
        entries = opened.entries(("approved",)) if form in _SENT else opened.entries()
    text = export_text(entries, form)
    if out is None:
        result(text.rstrip("\n"))
    else:
        out.write_text(text, encoding="utf-8")
        result(str(out))


@app.command("import")
def import_library(
    library: File,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or Markdown from export.")],
    keep_status: Annotated[
        bool, typer.Option(help="Keep the file's approvals; else all come in as proposed.")
    ] = False,
    by: By = "",
) -> None:
    """Bring in strategies from a file; the library is made where it is missing.

    Example: `tutelage library import mine.db library.md`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.exchange import import_into

    with Library.open(library, create=True) as opened:
        entries, strategies = import_into(opened, file, by or _user(), keep_status=keep_status)
    result(f"{entries} scenarios with {strategies} strategies")
