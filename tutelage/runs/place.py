"""A measurement of placements from request to the library's setting."""

from __future__ import annotations

import asyncio
from math import isfinite
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, Field
from rich.table import Table

import tutelage
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, result_table, talk
from tutelage.environments import is_none, load_environment
from tutelage.graphs.coaching import COACHING_STATUSES
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.placing import FEWEST, Placing, measure_placements, plan_placing
from tutelage.graphs.play.desk import Retrieval, open_desk
from tutelage.runs.session import TalkingLog, new_run_folder, run_until_done, under_way
from tutelage.strategy_store import Library, LibraryFault, Placement


class PlaceRequest(BaseModel):
    """What a measurement of placements was asked to do."""

    library: str
    environment: str
    placements: list[str] = Field(default_factory=lambda: ["after", "note", "example"])
    student: str | None = None
    customer: str | None = None
    judge: str | None = None
    dialogues: int = 8
    exchanges: int = 6
    concurrency: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0
    approved: bool = False
    embeddings: str | None = None
    top: int | None = None
    threshold: float | None = None

    def checked(self) -> list[Placement]:
        """The placements by name.

        Raises:
            LibraryFault: for an unknown one; offers the nearest.
        """
        valid = list(get_args(Placement))
        for name in self.placements:
            if name not in valid:
                raise LibraryFault(is_none(name, "placement", valid), 2)
        return self.placements  # type: ignore[return-value]


def place_run(request: PlaceRequest, run: Path | None, *, as_json: bool = False) -> None:
    """Play the validation dialogues with each placement and keep the best in the library, unless the
    budget left something unmeasured, or too few dialogues count to tell.

    Raises:
        EnvironmentFault, ModelFault, RunFault, LibraryFault, Stopped: one clear sentence each; the
            library's setting is then unchanged.
    """
    placements = request.checked()
    folder = new_run_folder(request.environment, run)
    kept = f"nothing was set; see the dialogues so far with: tutelage watch {folder}"
    student, placing = run_until_done(_place(request, placements, folder), kept, folder)
    if as_json:
        result_json(
            {
                "run": str(folder),
                "student": student,
                "placement": placing.best if placing.tells else None,
                "tried": [
                    {
                        "placement": p.placement,
                        "csat": p.csat,
                        "n": p.n,
                        "gain": p.step.mean,
                        "error": p.step.error if isfinite(p.step.error) else None,
                    }
                    for p in placing.tried
                ],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("placement")
    for name in ("dialogues", "satisfaction 1-5", f"against {placing.usual}", "standard error"):
        table.add_column(name, justify="right")
    for one in placing.tried:
        table.add_row(
            one.placement, str(one.n), "-" if one.csat is None else f"{one.csat:.2f}",
            f"{one.step.mean:+.2f}", f"{one.step.error:.2f}" if isfinite(one.step.error) else "-",
        )  # fmt: skip
    result_table(table)
    if placing.tells:
        result(f"{student} gets strategies as `{placing.best}` from now on ({request.library})")


async def _place(
    request: PlaceRequest, placements: list[Placement], folder: Path
) -> tuple[str, Placing]:
    environment = await asyncio.to_thread(load_environment, request.environment)
    library = await asyncio.to_thread(Library.open, request.library)
    library.check_writable()
    statuses = ("approved",) if request.approved else COACHING_STATUSES
    if not environment.split("validation"):
        raise LibraryFault(f"{environment.name} has no validation split to measure on", 2)
    if not library.entries(statuses):
        raise LibraryFault(f"{request.library}: holds no strategies to place", 2)
    desk = await asyncio.to_thread(
        lambda: open_desk(
            environment, student=request.student, customer=request.customer, judge=request.judge,
            teacher=request.judge or request.student, library=library,
            retrieval=Retrieval(request.top, request.threshold, statuses=statuses),
            placement="after",
            meter=Meter(request.budget_tokens, request.budget_usd), embeddings=request.embeddings,
        )
    )  # fmt: skip
    student = desk.student.voice.spec
    async with await TalkingLog.open(folder) as log:
        models = {role: spec for role, spec in desk.models.items() if role != "teacher"}
        started = RunStarted(
            command="library place", environment=environment.name, models=models,
            options=request.model_dump(), version=tutelage.__version__,
        )  # fmt: skip
        plan = plan_placing(environment, request.dialogues, request.seed)
        async with under_way(log, desk, started, len(placements) * len(plan)) as ending:
            placing = await measure_placements(
                desk, placements, dialogues=request.dialogues, seed=request.seed,
                max_exchanges=request.exchanges, concurrency=request.concurrency,
            )  # fmt: skip
            ending.reason = "the budget is spent" if desk.meter.spent else "done"
    if placing.tells:
        await asyncio.to_thread(
            library.set_placement, student, placing.best, f"run {folder.name}", placing.measured
        )
        return student, placing
    why = "the budget was spent before every placement was played"
    if placing.complete or not desk.meter.spent:
        why = (
            f"fewer than {FEWEST} dialogues of a placement count, which tells nothing (--dialogues)"
        )
    talk().print(f"note: {why}, so nothing was set in {request.library}", soft_wrap=True)
    return student, placing
