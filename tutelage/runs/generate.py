"""`tutelage env generate` from request to result: gaps, new scenarios, coverage before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

import tutelage
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, result_table, talk
from tutelage.environments import (
    Environment,
    EnvironmentFault,
    Problem,
    Scenario,
    load_environment,
)
from tutelage.environments.firm_folder import add_scenarios
from tutelage.graphs.generation import (
    Gap,
    GenerationOptions,
    gaps_to_fill,
    generate,
    train_coverage,
    with_scenarios,
)
from tutelage.graphs.log.events import RunStarted, ScenarioGenerated
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.map.coverage import Coverage
from tutelage.graphs.map.scenario_map import MapNode, of_arm, read_map
from tutelage.graphs.play.desk import open_desk
from tutelage.runs.session import TalkingLog, new_run_folder, run_until_done, under_way
from tutelage.strategy_store.plain_text import clean

PASS_FROM = 0.7
"""Rubric score (0-1) from which a play is passed, where no run says how the student usually does."""
MOST_SAID = 12


class GenerateRequest(BaseModel):
    """What a generation was asked to do."""

    environment: str
    source: str | None = None
    number: int = 4
    tries: int = 2
    plays: int = 4
    pass_from: float | None = None
    student: str | None = None
    teacher: str | None = None
    customer: str | None = None
    judge: str | None = None
    exchanges: int = 6
    concurrency: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0


def generate_run(
    request: GenerateRequest, out: Path | None, run: Path | None, *, as_json: bool = False
) -> None:
    """Generate scenarios and write them into a firm's folder.

    Raises:
        EnvironmentFault, ModelFault, RunFault, Stopped: one clear sentence each.
    """
    environment = load_environment(request.environment)
    folder = new_run_folder(f"{environment.name}-generate", run)
    target = out or folder / "firm"
    if target.exists() and target.resolve() != environment.path.resolve():
        problem = Problem(
            target, "is there already; nothing was changed",
            expected="a new folder, or the firm's own to add to it",
        )  # fmt: skip
        raise EnvironmentFault([problem], 2)
    kept = f"what was taken so far, if anything, is in {target}; the log is in {folder}"
    run_until_done(_generate(request, target, folder, as_json), kept, folder)


async def _generate(request: GenerateRequest, target: Path, folder: Path, as_json: bool) -> None:
    environment = await asyncio.to_thread(load_environment, request.environment)
    before = await asyncio.to_thread(train_coverage, environment)
    said, usual = await _of_run(request, environment)
    gaps = await asyncio.to_thread(gaps_to_fill, environment, before, said)
    pass_from = request.pass_from if request.pass_from is not None else usual
    taken: list[Scenario] = []
    outcomes: list[ScenarioGenerated] = []
    if gaps:
        taken, outcomes = await _written(request, environment, gaps, pass_from, target, folder)
    else:
        talk().print(
            "note: every rule has a training scenario and every persona meets every topic, so there "
            "is nothing to write",
            soft_wrap=True,
        )
    after = await asyncio.to_thread(train_coverage, with_scenarios(environment, taken))
    if as_json:
        result_json(
            {
                "run": str(folder) if gaps else None,
                "firm": str(target) if taken else None,
                "scenarios": [one.id for one in taken],
                "outcomes": [event.model_dump(exclude={"kind"}) for event in outcomes],
                "pass_from": pass_from,
                "coverage": {"before": before.sums(), "after": after.sums()},
            }
        )
        return
    if outcomes:
        result_table(_table(outcomes))
    result(coverage_line("before", before) + "\n" + coverage_line("after", after))
    if taken:
        result(str(target))
    elif outcomes:
        talk().print(Text(f"no scenario was good enough; the reasons are above and in {folder}"))
    elif gaps:
        talk().print(Text("the budget was spent before the first scenario was written"))


async def _written(
    request: GenerateRequest,
    environment: Environment,
    gaps: Sequence[Gap],
    pass_from: float,
    target: Path,
    folder: Path,
) -> tuple[list[Scenario], list[ScenarioGenerated]]:
    """Have scenarios written for the gaps; gives those that were taken, and what came of each."""
    desk = await asyncio.to_thread(
        lambda: open_desk(
            environment,
            student=request.student,
            teacher=request.teacher,
            customer=request.customer,
            judge=request.judge,
            meter=Meter(request.budget_tokens, request.budget_usd),
        )
    )
    options = GenerationOptions(
        number=request.number,
        tries=request.tries,
        plays=request.plays,
        pass_from=pass_from,
        max_exchanges=request.exchanges,
        concurrency=request.concurrency,
        seed=request.seed,
    )
    taken: list[Scenario] = []
    async with await TalkingLog.open(folder) as log:
        started = RunStarted(
            command="generate", environment=environment.name, models=desk.models,
            options=request.model_dump(), version=tutelage.__version__,
        )  # fmt: skip
        async with under_way(log, desk, started) as ending:
            async for scenario in generate(desk, gaps, options):
                # At once: whatever ends this, what was paid for is kept.
                source = target if taken else environment.path
                await asyncio.to_thread(add_scenarios, source, target, [scenario])
                taken.append(scenario)
            ending.reason = "the budget is spent" if desk.meter.spent else "done"
        outcomes = [
            logged.event
            for logged in await log.read(kinds=("scenario_generated",))
            if isinstance(logged.event, ScenarioGenerated)
        ]
    return taken, outcomes


async def _of_run(request: GenerateRequest, environment) -> tuple[list[str], float]:
    """What customers say at the map's highest ranks, and the student's usual rubric score."""
    if request.source is None:
        return [], PASS_FROM
    async with await RunLog.open(request.source, create=False) as log:
        drawn = await read_map(log, environment)
        scores = [
            one.judged.rubric
            for one in of_arm((await played(log)).values())
            if one.valid and one.judged is not None
        ]
    nodes: list[MapNode] = drawn.nodes[:MOST_SAID]
    return [node.label.strip('"') for node in nodes], median(scores) if scores else PASS_FROM


def coverage_line(when: str, found: Coverage) -> str:
    """One line of sums."""
    return (
        f"{when:<7} rules in training scenarios {found.rules_met} of {found.rules}, persona x topic "
        f"cells {found.cells_met} of {found.cells}, farthest corner {found.farthest:.2f}"
    )


def _table(outcomes: list[ScenarioGenerated]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "scenario", "for", "distance", "passed", "why not"):
        table.add_column(heading, overflow="fold", justify="left")
    for event in outcomes:
        far = "-" if event.distance is None else f"{event.distance:.2f}"
        table.add_row(
            "taken" if event.taken else "refused", Text(clean(event.scenario or event.title)),
            Text(clean(event.gap)), far, f"{event.passed} of {event.plays}" if event.plays else "-",
            Text(clean(event.reason)),
        )  # fmt: skip
    return table
