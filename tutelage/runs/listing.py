"""`tutelage runs` from folder to table: the runs that lie there, how far each came, what it gave."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from tutelage.console import result_json, result_table, talk
from tutelage.graphs.log.picture import outlined
from tutelage.graphs.log.run_log import FILE_NAME, RunFault, RunLog, log_path
from tutelage.graphs.log.speech import silent
from tutelage.strategy_store.plain_text import clean

_NAME_WIDTH = 23
"""Of a run that was given no name of its own."""
State = Literal["under way", "broken off", "over", "not begun", "unreadable"]


class RunLine(BaseModel):
    """One run, in a line. Times are in Unix seconds.

    Attributes:
        run: its folder.
        state: `broken off` where it gave no sign of life for a minute and has no end.
        why: how it ended, or why it cannot be read.
        command, firm, models: how it was begun.
        began: when it began, at its first sitting.
        at: when it last wrote into its log.
        dialogues, ended: how many began, and how many of them came to their end.
        kept, decided: strategies of the coaching.
        tokens, usd: input and output of all roles, and their price.
        faults: how often something went wrong.
    """

    run: str
    state: State
    why: str = ""
    command: str = ""
    firm: str = ""
    models: dict[str, str] = {}
    began: float | None = None
    at: float | None = None
    dialogues: int = 0
    ended: int = 0
    kept: int = 0
    decided: int = 0
    tokens: int = 0
    usd: float = 0.0
    faults: int = 0


def newest_run(folder: Path = Path("runs")) -> Path:
    """The run under a folder whose log was written into last.

    Raises:
        RunFault: where there is none.
    """
    found = [path for path in folder.glob("*") if log_path(path).is_file()]
    if not found:
        raise _none_under(folder)
    return max(found, key=lambda path: _written_at(log_path(path)))


def list_runs(folder: Path, *, as_json: bool = False) -> None:
    """Print the runs under a folder, the one that wrote into its log last first.

    Raises:
        RunFault: where there is none.
    """
    logs = sorted(folder.rglob(FILE_NAME), key=_written_at, reverse=True) if folder.is_dir() else []
    if not logs:
        raise _none_under(folder)
    lines = asyncio.run(_read([log.parent for log in logs]))
    if as_json:
        result_json([line.model_dump() for line in lines])
        return
    result_table(_table(lines, folder))
    if broken := [line for line in lines if line.state == "broken off"]:
        told = "what is broken off goes on with its own command, --run and --resume"
        first = f": tutelage {broken[0].command} {broken[0].firm} --run {broken[0].run} --resume"
        talk().print(Text(clean(told + first)), soft_wrap=True)


async def run_line(run: Path) -> RunLine:
    """What a run's log tells of it, in a line; a log that cannot be read is a line, too."""
    try:
        async with await RunLog.open(run, create=False) as log:
            picture = await outlined(log)
    except RunFault as fault:
        return RunLine(run=str(run), state="unreadable", why=str(fault))
    started = picture.started
    if started is None:
        return RunLine(run=str(run), state="not begun")
    state: State = "over"
    if picture.ended is None:
        state = "broken off" if await silent(run, picture.at) else "under way"
    return RunLine(
        run=str(run),
        state=state,
        why=picture.ended.reason if picture.ended else "",
        command=started.command,
        firm=started.environment,
        models=started.models,
        began=picture.began_at,
        at=picture.at,
        dialogues=len(picture.dialogues),
        ended=picture.over,
        kept=picture.kept,
        decided=len(picture.verdicts),
        tokens=picture.tokens,
        usd=picture.usd,
        faults=picture.fault_count,
    )


async def _read(runs: list[Path]) -> list[RunLine]:
    return [await run_line(run) for run in runs]


def _table(lines: list[RunLine], folder: Path) -> Table:
    paid, faulty = any(line.usd for line in lines), any(line.faults for line in lines)
    names = [clean(str(Path(line.run).relative_to(folder))) for line in lines]
    title = Text(f"in {clean(str(folder))}")
    table = Table(box=None, padding=(0, 1, 0, 0), title=title, title_justify="left")
    # In 80 columns it all fits, and no digit of a figure may be missing.
    table.add_column("run", overflow="fold", no_wrap=max(map(len, names)) <= _NAME_WIDTH)
    table.add_column("command", overflow="fold")
    table.add_column("began", no_wrap=True)
    table.add_column("state", overflow="fold")
    for heading in ("played", "kept", "tokens", *["usd"] * paid, *["faults"] * faulty):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, line in zip(names, lines, strict=True):
        began = f"{datetime.fromtimestamp(line.began):%d %b %H:%M}" if line.began else ""
        of = f"{line.ended} of {line.dialogues}" if line.ended < line.dialogues else f"{line.ended}"
        state = line.why if line.state == "over" else f"{line.state}: {line.why}".rstrip(": ")
        table.add_row(
            Text(name), Text(clean(f"{line.command} {line.firm}".strip())), began,
            Text(clean(state)), of, f"{line.kept} of {line.decided}" if line.decided else "-",
            f"{line.tokens / 1000:,.0f}k", *[f"{line.usd:.2f}"] * paid, *[str(line.faults)] * faulty,
        )  # fmt: skip
    return table


def _none_under(folder: Path) -> RunFault:
    return RunFault(f"there is no run under {folder} yet; start one: tutelage coach airline", 2)


def _written_at(log: Path) -> float:
    """When a run wrote into its log (Unix s)."""
    # SQLite writes beside the file first; a reader may leave that one empty.
    beside = log.with_name(f"{log.name}-wal")
    files = [log, beside] if beside.is_file() and beside.stat().st_size else [log]
    return max(file.stat().st_mtime for file in files)
