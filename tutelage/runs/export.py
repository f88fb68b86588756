"""An export from request to file: the run's log read, its firm found, examples written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rich.text import Text

from tutelage.agents.toolbox import tool_schemas
from tutelage.console import result, talk, write_file
from tutelage.environments import Environment, EnvironmentFault, load_environment
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.run_examples import (
    Choice,
    as_jsonl,
    dialogue_records,
    finetuning_records,
    reply_records,
)
from tutelage.graphs.log.run_log import RunFault, RunLog


def export_dataset(
    run: Path, env: str | None, out: Path | None, of: str, min_turn: float, min_preference: float
) -> None:
    """Write a run as LangSmith examples.

    Raises:
        RunFault, EnvironmentFault: where the run or its firm cannot be read.
    """

    async def work() -> tuple[list[dict[str, Any]], str]:
        async with await RunLog.open(run, create=False) as log:
            environment = await _firm_of(log, run, env)
            if of == "dialogues":
                return await dialogue_records(log, environment), ""
            choice = Choice(turn=min_turn, preference=min_preference)
            records = await reply_records(log, environment, choice)
            known = sum("outputs" in record for record in records)
            return records, f", {known} with a reference reply"

    records, more = asyncio.run(work())
    _write(records, out, f"{len(records)} examples of {of}{more}")


def export_finetuning(
    run: Path,
    env: str | None,
    out: Path | None,
    min_csat: float,
    min_turn: float,
    min_preference: float,
) -> None:
    """Write a run's good replies as training examples.

    Raises:
        RunFault, EnvironmentFault: where the run or its firm cannot be read.
    """

    async def work() -> tuple[list[dict[str, Any]], dict[str, int]]:
        async with await RunLog.open(run, create=False) as log:
            environment = await _firm_of(log, run, env)
            choice = Choice(min_csat, min_turn, min_preference)
            tools = await tool_schemas(environment)
            return await finetuning_records(log, environment, choice, tools)

    records, counts = asyncio.run(work())
    where = ", ".join(f"{count} from {kind}" for kind, count in counts.items())
    _write(records, out, f"{len(records)} examples" + (f": {where}" if where else ""))
    if not records:
        talk().print(
            "note: nothing was good enough; lower --min-csat and --min-turn, or coach longer"
        )


async def _firm_of(log: RunLog, run: Path, env: str | None) -> Environment:
    """The firm of a run: the one given, else where the run found it."""
    began = next((e.event for e in await log.read(kinds=("run_started",))), None)
    if not isinstance(began, RunStarted):
        raise RunFault(f"{run}: the log holds no run", 2)
    # The name alone may be another firm's: it is taken only where the log has no more.
    name = str(env or began.options.get("environment") or began.environment)
    try:
        return await asyncio.to_thread(load_environment, name)
    except EnvironmentFault as error:
        raise RunFault(
            f"{run}: its firm cannot be loaded; name it with --env. {error}", 2
        ) from error


def _write(records: list[dict[str, Any]], out: Path | None, said: str) -> None:
    if out is None:
        result(as_jsonl(records).rstrip("\n"), exact=True) if records else None
    else:
        write_file(out, as_jsonl(records))
        result(str(out))
    talk().print(Text(said), soft_wrap=True)
