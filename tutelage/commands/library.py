"""`tutelage library`: read, approve, roll back, exchange."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options as o

if TYPE_CHECKING:
    from tutelage.strategy_store import Entry, Library, Placement
    from tutelage.strategy_store.compression import Size
    from tutelage.strategy_store.library import Added

app = typer.Typer(no_args_is_help=True)
_SENT = ("prompt", "static")
File = Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library's file.")]
By = Annotated[str, typer.Option(help="Who does it, for the audit trail.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of strategies.")]


def _line(text: str) -> None:
    """Write one line of what others wrote."""
    from tutelage.console import result

    result(text.replace("\n", " "))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _came_in(added: Added) -> str:
    """What came in, and what was there already."""
    told = f"added {_entries(added.entries)} and {_strategies(added.strategies)}"
    if added.there:
        told += f"; already there: {_strategies(added.there)}"
    if added.another_status:
        told += f" ({added.another_status} of another status, which was left as it was)"
    return told


def _entries(number: int) -> str:
    return _count(number, "entry", "entries")


def _strategies(number: int) -> str:
    return _count(number, "strategy", "strategies")


def _reach(entry: Entry) -> str:
    """Whom an entry is given to beside, or short of, those that its scenario describes."""
    if entry.general:
        return "(every customer) "
    limits = [f"similarity from {entry.threshold:.2f}"] if entry.threshold is not None else []
    if entry.unless:
        limits.append(f"unlike {_count(len(entry.unless), 'line', 'lines')}")
    return f"(narrowed: {', '.join(limits)}) " if limits else ""


@app.command("list")
def list_entries(
    library: File,
    versions: Annotated[bool, typer.Option("--versions", help="List the changes instead.")] = False,
    json: o.Json = False,
) -> None:
    """List the entries with their strategies, or every change with its author.

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
                _line(f"{change.version:>4}  {change.at}  {change.author:<16} {change.action}")
            return
        entries, counts = opened.entries(), opened.counts()
    if json:
        result_json({"counts": counts, "entries": [entry.model_dump() for entry in entries]})
        return
    told = [_entries(counts.pop("entries")), _strategies(counts.pop("strategies"))]
    result(", ".join([*told, *(f"{count} {name}" for name, count in counts.items())]))
    for entry in entries:
        result("")
        _line(f"{entry.id}  {_reach(entry)}{entry.scenario}")
        for strategy in entry.strategies:
            _line(f"  {strategy.id}  {strategy.status:<9} {strategy.text}")
            if uplift := strategy.uplift:
                interval = uplift.csat_ci95
                told = f" [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else ""
                result(
                    f"{'':<25}uplift: satisfaction {uplift.csat:+.2f}{told}, rubric "
                    f"{uplift.rubric:+.2f}, over {uplift.scenarios} scenarios"
                )


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
    model: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="With --dialogue: the model that the messages are for."),
    ] = None,
    placement: o.Placement = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    embeddings: o.Embeddings = None,
    json: o.Json = False,
) -> None:
    """Show entries whole: scenario, strategies, evidence, where they come from.

    Example: `tutelage library show runs/x/library.db`

    Example: `tutelage library show runs/x/library.db --prompt --dialogue chat.json`
    """
    from tutelage.console import result, result_json
    from tutelage.strategy_store import Deployment, Library
    from tutelage.strategy_store.exchange import export_text
    from tutelage.strategy_store.given import TOP

    if dialogue is not None:
        if not prompt or id_ is not None:
            raise typer.BadParameter("--dialogue goes with --prompt, and with no id")
        from tutelage.agents.models.embedding_models import embedding_model
        from tutelage.audit import sent_for

        with Library.open(library) as opened:
            deployment = Deployment(
                opened,
                TOP if top is None else top,
                threshold,
                placement=placement or _placement_for(model, opened),
                embeddings=embedding_model(embeddings),
            )
            result(sent_for(deployment, dialogue), exact=True)
        return
    if {model, placement, top, threshold, embeddings} != {None}:
        raise typer.BadParameter(
            "--model, --placement, --top, --threshold and --embeddings go with --dialogue"
        )
    with Library.open(library) as opened:
        if id_ is not None:
            opened.entry(id_)
        entries = opened.entries(("approved",)) if prompt else opened.entries()
    chosen = [entry for entry in entries if id_ in (None, entry.id)]
    if json:
        result_json([entry.model_dump() for entry in chosen])
    else:
        result(export_text(chosen, "prompt" if prompt else "markdown").rstrip("\n"))


def _placement_for(model: str | None, library: Library) -> Placement:
    """Where a deployment to this model puts strategies."""
    from tutelage.agents.models.chat_models import chat_model, measured_placement

    return measured_placement(chat_model(model), library, model) if model else "after"


@app.command()
def find(
    library: File,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="What a customer says.")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="A firm: look up what opens each of its scenarios."),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="With --env: the scenarios of one split; else all."),
    ] = None,
    proposed: Annotated[
        bool, typer.Option("--proposed", help="Look in what nobody approved yet as well.")
    ] = False,
    top: o.Top = None,
    threshold: o.Threshold = None,
    embeddings: o.Embeddings = None,
    json: o.Json = False,
) -> None:
    """Find what is given for a text, and how near everything else is; or, with --env, whether each
    scenario of a firm is given what was learned for its topic.

    Example: `tutelage library find runs/x/library.db "my bag did not come"`

    Example: `tutelage library find runs/x/library.db --env airline --split validation`
    """
    from tutelage.runs.find import find_firm, find_text, index_of

    if (text is None) == (env is None):
        raise typer.BadParameter("give a text or --env, not both")
    if text is not None and not text.strip():
        raise typer.BadParameter("the text says nothing")
    if split is not None and env is None:
        raise typer.BadParameter("--split goes with --env")
    if top is not None and env is not None:
        raise typer.BadParameter("--top goes with a text; of a firm's scenarios the first is told")
    index = index_of(library, proposed, embeddings)
    if env is None:
        find_text(index, text or "", top=top, threshold=threshold, as_json=json)
    else:
        find_firm(index, env, split, threshold=threshold, as_json=json)


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

    from tutelage.console import result_json
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        last = opened.version if b is None else b
        first = max(0, last - 1) if a is None else a
        changes = opened.diff(first, last)
    if json:
        result_json([asdict(change) for change in changes])
        return
    for change in changes:
        _line(f"{change.what:<8} {change.entry} {change.strategy}")
        for mark, said in (("-", change.before), ("+", change.after)):
            parts = said.splitlines() if change.what == "detail" else [said]
            for part in filter(None, parts):
                _line(f"  {mark} {part}")


@app.command()
def lint(
    library: File,
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="A firm, to look for contradictions with its policy."),
    ] = None,
    json: o.Json = False,
) -> None:
    """List what a person should look at, each with a proposal: what was measured to do harm or
    nothing (`tutelage evaluate --ablate`), near-duplicates, contradictions, what goes to every customer
    though its scenario tells of some.

    Example: `tutelage library lint runs/x/library.db --env airline`
    """
    from dataclasses import asdict

    from tutelage.console import result, result_json
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.lint import lint as findings_of

    rules: dict[str, str] = {}
    if env is not None:
        from tutelage.environments import load_environment

        rules = {id_: rule.text for id_, rule in load_environment(env).policy.rules.items()}
    with Library.open(library) as opened:
        findings = findings_of(opened.entries(), rules)
    if json:
        result_json([asdict(finding) for finding in findings])
        return
    for finding in findings:
        _line(f"{finding.where}: {finding.what} -> {finding.proposal}")
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

    if bool(ids) == all_:
        raise typer.BadParameter("name strategies by id or give --all, not both")
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
def retire(
    library: File,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Why; it stays with the strategy.")] = "",
    by: By = "",
) -> None:
    """Take strategies out of use that once were approved.

    Example: `tutelage library retire runs/x/library.db s1a2b3c4d5e --reason "adds nothing"`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        result(f"{opened.retire(ids, by or _user(), reason)} retired")


@app.command()
def edit(
    library: File,
    id_: Annotated[str, typer.Argument(metavar="ID", help="A strategy's id.")],
    text: Annotated[str, typer.Argument(help="The new text, at most 25 words.")],
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve it at once; else it is proposed again.")
    ] = False,
    by: By = "",
) -> None:
    """Change a strategy's text.

    Example: `tutelage library edit runs/x/library.db s1a2b3c4d5e "Name the wait, then apologise."`
    """
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        done = opened.edit(id_, text, by or _user(), approve=approve)
    _line(f"{done.id} {done.status}: {done.text}")


@app.command()
def split(
    library: File,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's id.")],
    ids: Ids,
    scenario: Annotated[
        str, typer.Option(help="The new entry's scenario, in one general sentence.")
    ],
    cue: Annotated[
        list[str] | None, typer.Option(help="A cue that goes along; may be given several times.")
    ] = None,
    by: By = "",
) -> None:
    """Make two entries out of one: the strategies named go to a new entry.

    Example: `tutelage library split runs/x/library.db e5f6a7b8c9d s1a2b3c4d5e
    --scenario "a customer in grief who must change a booking"`
    """
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        new = opened.split(entry, ids, scenario, by or _user(), cues=cue or ())
    _line(f"{new.id} holds {_strategies(len(new.strategies))}")


@app.command()
def merge(
    library: File,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry that stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The entry that goes into it.")],
    by: By = "",
) -> None:
    """Merge one entry into another.

    Example: `tutelage library merge runs/x/library.db e5f6a7b8c9d e0a1b2c3d4e`
    """
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        kept = opened.merge(entry, other, by or _user())
    _line(f"{kept.id} holds {_strategies(len(kept.strategies))}")


@app.command()
def undo(
    library: File,
    version: Annotated[
        int | None, typer.Argument(min=1, help="The version to undo; else the last change.")
    ] = None,
    by: By = "",
) -> None:
    """Undo a change, by a new version; what others changed since stays.

    To do it again, undo the undo by its number.

    Example: `tutelage library undo runs/x/library.db`
    """
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        opened.undo(by or _user(), version)
        last = opened.versions()[-1]
    _line(f"now at version {last.version}: {last.action}")


@app.command()
def rollback(
    library: File,
    version: Annotated[int, typer.Argument(min=0)],
    entry: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this entry; else the whole library.")
    ] = None,
    by: By = "",
) -> None:
    """Bring back the content of an old version, as a new version; nothing is erased.

    Example: `tutelage library rollback runs/x/library.db 3`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library

    with Library.open(library) as opened:
        number = opened.rollback(version, by or _user(), entry=entry)
    result(f"now at version {number}")


@app.command()
def compress(
    library: File,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; else only say what would be done.")
    ] = False,
    by: By = "",
    json: o.Json = False,
) -> None:
    """Make the library smaller without losing a measured effect.

    Retires what `tutelage evaluate --ablate` measured to harm or to add nothing, and merges
    strategies that say the same for scenarios described alike. What was measured to help stays, and
    approved strategies go on reaching whom they reached.

    Example: `tutelage library compress runs/x/library.db --apply`
    """
    from dataclasses import asdict

    from tutelage.console import result, result_json
    from tutelage.strategy_store import Library, compression

    with Library.open(library) as opened:
        entries = opened.entries()
        before, steps = compression.size_of(entries), compression.plan(entries)
        if apply:
            compression.apply(opened, entries, steps, by or _user())
        after = compression.size_of(opened.entries())
    if json:
        sizes = {"before": asdict(before), "after": asdict(after)}
        result_json({**sizes, "applied": apply, "steps": [asdict(step) for step in steps]})
        return
    for step in steps:
        _line(f"{step.strategy}: {step.reason}")
    result(f"{_told(before)} a turn where one fits")
    if apply:
        result(f"now {_told(after)}")
    elif steps:
        result(f"{_strategies(len(steps))} would be left out: add --apply")


def _told(size: Size) -> str:
    return (
        f"{_entries(size.entries)}, {_strategies(size.strategies)} ({size.helping} measured to help), "
        f"{size.tokens_a_turn:.0f} tokens"
    )


@app.command()
def place(
    library: File,
    env: o.Env,
    student: o.Student = None,
    placements: Annotated[
        str, typer.Option(metavar="A,B,...", help="after, note, system, example.")
    ] = "after,note,example",
    dialogues: Annotated[int, typer.Option(min=2, help="Validation dialogues a placement.")] = 8,
    customer: o.Customer = None,
    judge: o.Judge = None,
    embeddings: o.Embeddings = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    exchanges: o.Exchanges = 6,
    concurrency: o.Concurrency = None,
    budget_tokens: o.BudgetTokens = None,
    budget_usd: o.BudgetUsd = None,
    seed: o.Seed = 0,
    approved: Annotated[
        bool, typer.Option("--approved", help="Measure with approved strategies only.")
    ] = False,
    run: o.Run = None,
    json: o.Json = False,
) -> None:
    """Measure where in the prompt a student follows strategies best, and keep it in the library.

    Plays the validation dialogues once for each placement: `after` the transcript as a system
    message, as a `note` in the customer's message, at the end of the `system` text, or as an
    `example` in place of orders. `after` stays unless another is better beyond noise. Whoever uses
    the library with this student then sends strategies in that way. Where the budget ends before all
    are played, or fewer than six dialogues of a placement count, nothing is set.

    Example: `tutelage library place runs/x/library.db airline --student openai:gpt-5-mini`
    """
    from tutelage.runs.place import PlaceRequest, place_run

    request = PlaceRequest(
        library=str(library), environment=o.firm(env), student=student, customer=customer,
        judge=judge, placements=[name.strip() for name in placements.split(",") if name.strip()],
        dialogues=dialogues, exchanges=exchanges, concurrency=concurrency,
        budget_tokens=budget_tokens, budget_usd=budget_usd, seed=seed, approved=approved,
        embeddings=embeddings, top=top, threshold=threshold,
    )  # fmt: skip
    place_run(request, run, as_json=json)


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
    from tutelage.console import result, write_file
    from tutelage.environments import is_none
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.exchange import export_text

    if form not in (forms := ("yaml", "markdown", "prompt", "static")):
        raise typer.BadParameter(is_none(form, "format", forms), param_hint="--format")
    with Library.open(library) as opened:
        # What deployment sends holds approved strategies only.
        entries = opened.entries(("approved",)) if form in _SENT else opened.entries()
    text = export_text(entries, form)
    if out is None:
        result(text.rstrip("\n"), exact=True)
    else:
        write_file(out, text)
        result(str(out))


@app.command()
def draft(
    library: Annotated[
        Path, typer.Argument(metavar="LIBRARY", help="The library; made where it is missing.")
    ],
    env: o.Env,
    general: Annotated[
        bool, typer.Option(help="Also one piece of advice for every customer of any firm.")
    ] = True,
    by: By = "",
) -> None:
    """Begin a library with what the policy gives: an entry for every rule, its sentences as orders to
    say them. No model is asked and nothing is tested; all come in as proposed.

    A case mostly rests on several rules, so give more than one entry at a time: `--top 3`.

    Example: `tutelage library draft mine.db airline`
    """
    from tutelage.agents.advice.drafting import drafted_entries
    from tutelage.console import result
    from tutelage.environments import load_environment
    from tutelage.strategy_store import Library, LibraryFault

    entries, silent = drafted_entries(load_environment(o.firm(env)), general)
    if all(entry.general for entry in entries):
        raise LibraryFault(f"{env}: no rule of its policy gives anything to say to a customer", 2)
    with Library.open(library, create=True) as opened:
        result(_came_in(opened.add_all(entries, by or _user())))
    if silent:
        result(f"nothing to say to a customer in {', '.join(silent)}")


@app.command("import")
def import_library(
    library: File,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or Markdown from export.")],
    keep_status: Annotated[
        bool, typer.Option(help="Keep the file's approvals; else all come in as proposed.")
    ] = False,
    by: By = "",
) -> None:
    """Bring in strategies from a file; the library is made where it is missing. What it has already
    stays as it is, and what the file says otherwise is named.

    By hand it takes no more than this: `tutelage_library: 1`, and under `entries:` a list of
    `scenario:`, `cues:` (what such customers write) and `strategies:`, each a text.

    Example: `tutelage library import mine.db library.md`
    """
    from tutelage.console import result
    from tutelage.strategy_store import Library
    from tutelage.strategy_store.exchange import entries_of

    # Read before the library is made, so that a file that is refused leaves no empty one behind.
    entries = entries_of(file, keep_status=keep_status)
    with Library.open(library, create=True) as opened:
        added = opened.add_all(entries, by or _user())
    result(_came_in(added))
    if added.not_taken:
        read = "reads" if len(added.not_taken) == 1 else "read"
        parts = "; ".join(f"{id_}: {', '.join(names)}" for id_, names in added.not_taken.items())
        result(
            f"{_entries(len(added.not_taken))} {read} otherwise in the file ({parts}); the library's "
            f"words stay: change them by `tutelage review {library}`"
        )
