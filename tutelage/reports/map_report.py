"""`tutelage map` from a run's folder to a table, a drawing, GraphML or JSON."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tutelage.console import result, result_json, result_table, talk, write_file
from tutelage.environments import Environment, EnvironmentFault, load_environment, nearest
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.map.coverage import Coverage
from tutelage.graphs.map.scenario_map import ScenarioMap, arms_of, read_map
from tutelage.reports.map_drawing import map_svg, signed
from tutelage.strategy_store.plain_text import clean

MOST_GAPS = 8


async def map_of_run(
    run: Path, firm: str | None, arm: str | None = None
) -> tuple[ScenarioMap, Environment, str]:
    """The map of a run, the firm that it played, and what of it is shown where that is not all.

    Args:
        run: the run's folder.
        firm: a firm's name or folder, where the one that the log names has moved.
        arm: the arm that is mapped; the first that was played where not given.

    Raises:
        RunFault, EnvironmentFault: where the run or its firm cannot be read; says what to do.
    """
    async with await RunLog.open(run, create=False) as log:
        started = [logged.event for logged in await log.read(kinds=("run_started",))]
        first = next((event for event in started if isinstance(event, RunStarted)), None)
        named = firm or (
            str(first.options.get("environment") or first.environment) if first else ""
        )
        if not named:
            raise RunFault(f"{run}: its log does not name the firm; add --env ENV", 2)
        try:
            environment = await asyncio.to_thread(load_environment, named)
        except EnvironmentFault as error:
            if firm is None and error.exit_code == 2:
                raise RunFault(
                    f"{run}: played the firm {named!r}, which is not there any more; name it with "
                    "--env ENV",
                    2,
                ) from error
            raise
        shown = _shown(run, arms_of((await played(log)).values()), arm)
        return await read_map(log, environment, arm), environment, shown


def _shown(run: Path, arms: list[str], arm: str | None) -> str:
    """Which arm is mapped, in words, where there are several.

    Raises:
        RunFault: where the run has no such arm; names those that it has.
    """
    if arm is not None and arm not in arms:
        close = nearest(arm, arms)
        hint = f"; did you mean {close!r}?" if close else ""
        raise RunFault(f"{run}: has no arm {arm!r} (it has {', '.join(arms) or 'none'}){hint}", 2)
    if len(arms) < 2:
        return ""
    others = ", ".join(one for one in arms if one != (arm or arms[0]))
    return f"the arm {arm or arms[0]} alone; --arm shows another: {others}"


def show_map(
    run: Path,
    *,
    firm: str | None,
    arm: str | None = None,
    svg: Path | None,
    graphml: Path | None,
    top: int,
    as_json: bool,
) -> None:
    """Read a run's map and show it; write the files asked for.

    Raises:
        RunFault, EnvironmentFault, FileFault: one clear sentence each.
    """
    drawn, environment, shown = asyncio.run(map_of_run(run, firm, arm))
    if shown:
        talk().print(Text(clean(shown)), soft_wrap=True)
    for path, kind in ((svg, "svg"), (graphml, "graphml")):
        if path is None:
            continue
        if kind == "svg":
            text = map_svg(drawn, clean(f"Scenario map: {environment.config.title}, {run.name}"))
        else:
            text = drawn.graphml()
        write_file(path, text)
        talk().print(Text(f"wrote {path}"), soft_wrap=True)
    if as_json:
        result_json({"run": str(run), "environment": environment.name, **drawn.document()})
        return
    if not drawn.nodes:
        result("no valid dialogue was judged yet, so there is nothing to rank")
    else:
        result_table(rank_table(drawn, top))
        result(_explained(drawn))
    result(coverage_text(drawn.coverage))
    for kind, said in (("entry", "learned entries"), ("scenario", "scenarios of the firm")):
        pairs = [overlap for overlap in drawn.overlaps if overlap.kind == kind]
        if pairs:
            result(f"\n{said} that say the same (merge them):")
            for overlap in pairs[:MOST_GAPS]:
                result(f"  {overlap.similarity:.2f}  {overlap.first}  =  {overlap.second}")


def rank_table(drawn: ScenarioMap, top: int) -> Table:
    """What to teach first, as a table."""
    table = Table(title="What to teach first", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("scenario", min_width=42, overflow="fold")
    for heading in ("began here", "upstream", "score", "visits"):
        table.add_column(heading, justify="right")
    table.add_column("leads to", min_width=13)
    for node in drawn.nodes[:top]:
        after = [edge for edge in drawn.edges if edge.start == node.id]
        leads = "\n".join(f"{e.end} {e.count}x {signed(e.change)}" for e in after[:2])
        table.add_row(
            node.id, Text(node.label), f"{node.share:.0%}", f"{node.upstream:.2f}",
            f"{node.score:.2f}", str(node.visits), leads,
        )  # fmt: skip
    if len(drawn.nodes) > top:
        table.caption = f"{len(drawn.nodes) - top} more; show them with --top {len(drawn.nodes)}"
    return table


def coverage_text(found: Coverage) -> str:
    """Coverage and gaps in a few lines, safe to show in a terminal."""
    lines = [
        f"\nrules met {found.rules_met} of {found.rules}, persona x topic cells met "
        f"{found.cells_met} of {found.cells}"
    ]
    if found.rule_gaps:
        lines.append("rules never exercised:")
        for gap in found.rule_gaps[:MOST_GAPS]:
            how = f"play {gap.scenarios[0]}" if gap.scenarios else "no training scenario has it"
            lines.append(f"  {gap.id}  {_cut(gap.text, 70)}  ({how})")
        lines += _more(found.rule_gaps)
    playable = [gap for gap in found.cell_gaps if gap.scenarios]
    if playable:
        lines.append("persona x topic never met, though scenarios for it are there:")
        lines += [
            f"  {gap.persona} x {gap.topic}  (play {gap.scenarios[0]})"
            for gap in playable[:MOST_GAPS]
        ]
        lines += _more(playable)
    if found.corners:
        lines.append("far corners (distance from all that was met, 0 to 1):")
        lines += [
            f"  {corner.distance:.2f}  {corner.kind} {corner.id}: {_cut(corner.text, 66)}"
            for corner in found.corners
        ]
    return "\n".join(map(clean, lines))


def _explained(drawn: ScenarioMap) -> str:
    first = drawn.nodes[0]
    return (
        f"\n{first.id} comes first: {first.share:.0%} of what went wrong began there. `upstream` above "
        "1 marks a cause, below 1 a symptom of what came before."
    )


def _more(gaps: list) -> list[str]:
    return [f"  ... and {len(gaps) - MOST_GAPS} more"] if len(gaps) > MOST_GAPS else []


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
