"""`tutelage baseline`: learn otherwise on the same budget, to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def baseline(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="playbook or global.")],
    env: o.Env,
    calls: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Model calls to spend, of all roles; what is under way then is played to its end. "
            "Or give --like.",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="As many calls as this coaching run made; or give --calls."
        ),
    ] = None,
    student: o.Student = None,
    teacher: o.Teacher = None,
    customer: o.Customer = None,
    judge: o.Judge = None,
    exchanges: o.Exchanges = 6,
    budget_tokens: o.BudgetTokens = None,
    budget_usd: o.BudgetUsd = None,
    seed: o.Seed = 0,
    run: o.Run = None,
    resume: o.Resume = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it; else in the run's folder."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Learn a baseline to compare the library with.

    playbook grows one list of advice that is always in the prompt, in the manner of ACE; global
    evolves one prompt with GEPA (`pip install 'tutelage[gepa]'`). Neither tests what it adds. A run that
    is gone on with keeps its options; --calls may grow.

    Example: `tutelage baseline playbook airline --like runs/x --out playbook.json`
    """
    from tutelage.runs.baseline import BaselineRequest, baseline_run

    o.run_to_resume(resume, run)
    o.file_to_write(out, "--out")
    request = BaselineRequest(
        method=method, environment=o.firm(env),
        calls=calls, like=str(like) if like else None,
        student=student, teacher=teacher, customer=customer, judge=judge, exchanges=exchanges,
        budget_tokens=budget_tokens, budget_usd=budget_usd, seed=seed,
    )  # fmt: skip
    baseline_run(request, run, out, resume=resume, as_json=json)
