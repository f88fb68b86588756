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
        result(f"\ntools\n  {_runs_code(environment)}")
        for tool in environment.tools:
            result(f"  {tool.name:<22} {' '.join(tool.does.split())}")
    result("\nrubric")
    for item in environment.config.rubric:
        result(f"  {item.id:<22} {item.kind:<9} {getattr(item, 'question', '') or item.note}")


@app.command()
def validate(env: o.Env, json: o.Json = False) -> None:
    """Check a firm's files; every problem is named with file, line and field. Nothing is run.

    A firm whose environment.yaml names `tools` or `mcp` runs code when its dialogues are played;
    this says which, so that you can read it first.

    Example: `tutelage env validate ./my_firm`
    """
    from rich.text import Text

    from tutelage.console import result, result_json, talk
    from tutelage.environments import EnvironmentFault, load_environment

    try:
        environment = load_environment(env)
    except EnvironmentFault as error:
        if not json or error.exit_code == 2:
            raise
        result_json({"valid": False, "problems": [str(problem) for problem in error.problems]})
        raise typer.Exit(1) from None
    if json:
        result_json(
            {"valid": True, "problems": [], "runs_code": _runs_code(environment)}
            | _row(environment)
        )
        return
    result(f"{environment.name} is valid")
    if warning := _runs_code(environment):
        talk().print(Text(warning), soft_wrap=True)


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
    name: Annotated[str, typer.Argument(help="The firm's short name.")], out: Out = None
) -> None:
    """Make a new firm: a small valid folder whose comments teach every field.

    Example: `tutelage env new bakery`, then edit, then `tutelage env validate ./bakery`
    """
    from tutelage.console import result
    from tutelage.environments.scaffold import new_environment

    result(str(new_environment(name, out)))


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
    from tutelage.console import result, talk
    from tutelage.environments.tau2 import import_tau2

    made, notes = import_tau2(folder, out, tools=tools)
    for note in notes:
        talk().print(f"note: {note}", soft_wrap=True)
    result(str(made))


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
    if mcp and mcp.command:
        return f"runs a program when dialogues are played: {' '.join([mcp.command, *mcp.args])}"
    return f"sends tool calls to {mcp.url} when dialogues are played" if mcp else ""
