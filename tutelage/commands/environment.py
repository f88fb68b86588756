"""`tutelage env`: the firms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o

app = typer.Typer(no_args_is_help=True)
import_app = typer.Typer(no_args_is_help=True)
app.add_typer(import_app, name="import", help="Make a firm out of what is there already.")

Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The folder to make; else ./NAME.")
]


@app.command("list")
def list_environments(json: o.Json = False) -> None:
    """List the bundled firms.

    Example: `tutelage env list`
    """
    from tutelage.console import result, result_json
    from tutelage.environments import bundled_names, load_environment

    rows = [_row(load_environment(name)) for name in bundled_names()]
    if json:
        result_json(rows)
        return
    for row in rows:
        result(
            f"{row['name']:<12} {row['title']:<16} {row['sells']}\n{'':<12} {row['scenarios']} "
            f"scenarios, {row['personas']} personas, {row['rules']} rules, {row['tactics']} tactics"
        )


@app.command()
def show(env: o.Env, json: o.Json = False) -> None:
    """Show a firm: counts, splits, personas, scenarios, rubric.

    Example: `tutelage env show airline`
    """
    from tutelage.console import result, result_json
    from tutelage.environments import load_environment
    from tutelage.strategy_store.plain_text import one_line

    environment = load_environment(env)
    splits = {name: list(ids) for name, ids in environment.config.splits.items()}
    if json:
        result_json(
            _row(environment)
            | {
                "splits": splits,
                "persona_names": sorted(environment.personas),
                "rubric": [item.model_dump() for item in environment.config.rubric],
            }
        )
        return
    row = _row(environment)
    result(f"{row['title']} ({row['name']}): {row['sells']}\n{environment.path}")
    result(f"{row['rules']} rules, {row['tactics']} tactics")
    result("\npersonas")
    for persona in environment.personas.values():
        result(f"  {persona.name:<18} {persona.description}")
    for split, ids in splits.items():
        result(f"\n{split}: {len(ids)} scenarios")
        for id_ in ids:
            result(f"  {id_:<28} {environment.scenarios[id_].title}")
    if environment.has_tools:
        result(f"\ntools\n  {one_line(_runs_code(environment))}")
        for tool in environment.tools:
            result(f"  {tool.name:<22} {' '.join(tool.does.split())}")
    result("\nrubric")
    for item in environment.config.rubric:
        result(f"  {item.id:<22} {item.kind:<9} {getattr(item, 'question', '') or item.note}")


@app.command()
def validate(env: o.Env, json: o.Json = False) -> None:
    """Check a firm's files; every problem is named with file, line and field. Nothing is run.

    What is valid and yet without effect (a persona that no scenario allows, a split with too few
    scenarios) is noted on stderr, and changes no exit code.

    A firm whose environment.yaml names `tools` or `mcp` runs code when its dialogues are played;
    this says which, so that you can read it first.

    Example: `tutelage env validate ./my_firm`
    """
    from tutelage.console import result, result_json
    from tutelage.environments import EnvironmentFault, load_environment
    from tutelage.environments.notes import notes_on

    try:
        environment = load_environment(env)
    except EnvironmentFault as error:
        if not json or error.exit_code == 2:
            raise
        problems = [str(problem) for problem in error.problems]
        result_json({"valid": False, "problems": problems, "notes": []})
        raise typer.Exit(1) from None
    notes = [str(note) for note in notes_on(environment)]
    if json:
        result_json(
            {"valid": True, "problems": [], "notes": notes, "runs_code": _runs_code(environment)}
            | _row(environment)
        )
        return
    result(f"{environment.name} is valid")
    for note in notes:
        _say(f"note: {note}")
    if warning := _runs_code(environment):
        _say(warning)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="environment, persona or scenario.")],
) -> None:
    """Print the JSON Schema of one kind of file, for editors and checks.

    Example: `tutelage env schema persona > persona.schema.json`, then put
    `# yaml-language-server: $schema=persona.schema.json` at the top of a file.
    """
    from tutelage.console import result
    from tutelage.environments.json_schema import KINDS, schema_text

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="KIND")
    result(schema_text(kind).rstrip())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The firm's short name.")],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="ENV", help="Copy this firm, a bundled one's name or a folder, to change it."
        ),
    ] = None,
    out: Out = None,
) -> None:
    """Make a new firm: a small valid folder whose comments teach the main fields; `env schema` has all.

    Examples: `tutelage env new bakery`, then edit, then `tutelage env validate bakery`;
    `tutelage env new mine --like airline` to begin with a copy of a firm that is there
    """
    from tutelage.console import result
    from tutelage.environments.scaffold import new_environment

    folder = new_environment(name, out, like)
    made = f"a copy of {like}" if like else "a small firm"
    _say(f"{made}: write over what is different at yours, then `tutelage env validate {folder}`")
    result(str(folder))


@app.command()
def generate(
    env: o.Env,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="A run that shows where the student is weak."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="A new firm, or ENV's own folder to add to it; else `firm` in this run's folder.",
        ),
    ] = None,
    number: Annotated[int, typer.Option(min=1, max=50, help="Scenarios to make, at most.")] = 4,
    tries: Annotated[int, typer.Option(min=1, max=10, help="Times a gap is written for.")] = 2,
    plays: Annotated[int, typer.Option(min=2, max=20, help="Times each is played.")] = 4,
    pass_from: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Rubric score of a passed play; else the run's median, or 0.7."
        ),
    ] = None,
    student: o.Student = None,
    teacher: o.Teacher = None,
    customer: o.Customer = None,
    judge: o.Judge = None,
    exchanges: o.Exchanges = 6,
    concurrency: o.Concurrency = None,
    budget_tokens: o.BudgetTokens = None,
    budget_usd: o.BudgetUsd = None,
    seed: o.Seed = 0,
    run: o.Run = None,
    json: o.Json = False,
) -> None:
    """Generate training scenarios where a firm has gaps.

    The teacher writes for rules that no training scenario is about, then for persona x topic cells
    that none allows. A scenario is taken if it is possible under the policy (checked by code, and by a
    second look that is not told what it was written for), new (far from all others, also those of
    other splits), and neither always nor never passed by the student. It goes to split train only and
    says `source: generated`.

    Example: `tutelage env generate airline --from runs/20260512-140000-airline --out ./airline_plus`
    """
    from tutelage.environments.loading import refuse_bundled
    from tutelage.runs.generate import GenerateRequest, generate_run

    if out is not None:
        refuse_bundled(out)
    request = GenerateRequest(
        environment=o.firm(env),
        source=str(source) if source else None,
        number=number,
        tries=tries,
        plays=plays,
        pass_from=pass_from,
        student=student,
        teacher=teacher,
        customer=customer,
        judge=judge,
        exchanges=exchanges,
        concurrency=concurrency,
        budget_tokens=budget_tokens,
        budget_usd=budget_usd,
        seed=seed,
    )
    generate_run(request, out, run, as_json=json)


@import_app.command()
def tau2(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A tau2-bench domain folder.")],
    out: Out = None,
    tools: Annotated[
        bool,
        typer.Option(
            "--tools", help="Let the agent act: a tool for each action that the tasks expect."
        ),
    ] = False,
) -> None:
    """Import a tau2-bench domain (policy.md, tasks.json, split_tasks.json) as a firm.

    The domain's database is not in that data, so nothing can be looked up. With --tools what the
    agent does is noted in a state, and checked against what each task expects.

    Example: `tutelage env import tau2 ./tau2/airline --out ./tau2_airline`
    """
    from tutelage.console import result
    from tutelage.environments.importing.tau2 import import_tau2

    made, notes = import_tau2(folder, out, tools=tools)
    for note in notes:
        _say(f"note: {note}")
    result(str(made))


@import_app.command()
def chats(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL or CSV with real chats.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make.")],
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="Take policy, rubric, handbook and agent from this firm."),
    ] = None,
    title: Annotated[str, typer.Option(help="The firm's name as customers know it.")] = "",
    states: Annotated[
        int, typer.Option(min=0, max=10, help="Later states of each chat to go on from.")
    ] = 1,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="Chats at most.")] = 200,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Never mask this word: a product (repeatable)."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="jsonl or csv; else by the file's ending.")
    ] = "auto",
    conversation: Annotated[
        str, typer.Option("--conversation-column", help="CSV: what says which chat a row is of.")
    ] = "conversation_id",
    speaker: Annotated[
        str, typer.Option("--speaker-column", help="CSV: who speaks in a row.")
    ] = "speaker",
    text: Annotated[str, typer.Option("--text-column", help="CSV: what is said.")] = "text",
    customer: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="CSV: how the customers' rows are marked; others: agent."
        ),
    ] = "",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave broken lines out, and say which.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Make a firm out of its own chats: scenarios, states to go on from, personas.

    Names, numbers, codes, links and addresses are masked in memory, before anything is written; look
    the result over all the same. Needs `pip install 'tutelage[chats]'`. JSONL has a chat a line in
    OpenAI's format, `{"messages": [{"role": "user", "content": "..."}, ...]}`; CSV a spoken line a row.

    A scenario `..._turn_3` carries the real chat up to the customer's third line as its history: the
    student answers there, and only what follows is judged.

    Examples: `tutelage env import chats chats.jsonl --out ./my_firm --env airline`,
    `tutelage env import chats export.csv --out ./my_firm --conversation-column ticket --customer client`
    """
    from tutelage.console import result, result_json
    from tutelage.environments import load_environment
    from tutelage.environments.importing.chat_files import Columns
    from tutelage.environments.importing.chats import import_chats

    if format_ not in ("auto", "jsonl", "csv"):
        raise typer.BadParameter(f"{format_!r} is neither jsonl nor csv", param_hint="--format")
    made = import_chats(
        file,
        out,
        title=title,
        firm=load_environment(env) if env else None,
        columns=Columns(conversation, speaker, text, customer),
        form=format_,
        states=states,
        limit=limit,
        keep=keep or (),
        skip_broken=skip_broken,
    )
    for problem in made.left_out[:10]:
        _say(f"left out: {problem}")
    if len(made.left_out) > 10:
        _say(f"left out: {len(made.left_out) - 10} more lines")
    if made.found > limit:
        _say(f"{limit} of the file's {made.found} chats are read (--limit)")
    if json:
        result_json(
            {
                "folder": str(made.folder),
                "found": made.found,
                "chats": made.chats,
                "scenarios": made.scenarios,
                "states": made.states,
                "personas": made.personas,
                "masked": made.masked,
                "left_out": [str(problem) for problem in made.left_out],
            }
        )
        return
    masked = ", ".join(f"{kind} {count}" for kind, count in sorted(made.masked.items()))
    _say(
        f"{made.chats} chats: {made.scenarios} scenarios, {made.states} later states, "
        f"{made.personas} personas; masked {masked or 'nothing'}"
    )
    if env is None:
        _say(f"note: write the firm's rules into {made.folder / 'policy.md'}")
    result(str(made.folder))


def _say(text: str) -> None:
    """Say one line, without what a terminal might obey: folders and files may be anyone's."""
    from rich.text import Text

    from tutelage.console import talk
    from tutelage.strategy_store.plain_text import one_line

    talk().print(Text(one_line(text)), soft_wrap=True)


def _row(environment) -> dict[str, object]:
    return {
        "name": environment.name,
        "title": environment.config.title,
        "sells": environment.config.sells,
        "path": str(environment.path),
        "scenarios": len(environment.scenarios),
        "personas": len(environment.personas),
        "rules": len(environment.policy.rules),
        "tactics": len(environment.handbook),
    }


def _runs_code(environment) -> str:
    """What of a firm is run when its dialogues are played; "" where nothing is."""
    mcp = environment.config.mcp
    if environment.tools:
        names = ", ".join(tool.name for tool in environment.tools)
        file = environment.path / environment.config.tools
        return f"runs code when dialogues are played: {file} ({names})"
    if mcp is None:
        return ""
    from tutelage.agents.toolbox import shown_server

    if mcp.command:
        return f"runs a program when dialogues are played: {shown_server(mcp)}"
    return f"sends tool calls to {shown_server(mcp)} when dialogues are played"
