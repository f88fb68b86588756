"""`tutelage evaluate`: arms side by side on the same dialogues, as an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def evaluate(
    env: o.Env,
    library: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The library of the arms library and invented."),
    ] = None,
    arms: Annotated[
        str,
        typer.Option(
            metavar="A,B,...", help="none, generic, library, invented, playbook, global, teacher."
        ),
    ] = "none,generic,library,teacher",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    dialogues: Annotated[
        int, typer.Option(min=1, help="Cases (scenario and customer) an arm.")
    ] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Times each case is played, for pass^k.")] = 1,
    student: Annotated[
        list[str] | None,
        typer.Option(metavar=o.SPEC, help="The student (repeatable: one table for all)."),
    ] = None,
    teacher: o.Teacher = None,
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
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Stop once the difference is certain.")
    ] = False,
    proposed: Annotated[
        bool, typer.Option("--proposed", help="Use strategies nobody approved yet as well.")
    ] = False,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Also play an arm in which strategies are withheld at random; keeps each one's own "
            "uplift in the library. Repeats go in twos then, in every arm.",
        ),
    ] = False,
    playbook: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For the arm playbook: see `baseline`.")
    ] = None,
    global_: Annotated[
        Path | None,
        typer.Option("--global", metavar="FILE", help="For the arm global: see `baseline`."),
    ] = None,
    run: o.Run = None,
    resume: o.Resume = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="The report; else in the run's folder.")
    ] = None,
    by_item: Annotated[
        bool,
        typer.Option(
            "--by-item", help="Also print the rubric item by item; the report has it anyway."
        ),
    ] = False,
    watch: o.Watch = False,
    json: o.Json = False,
) -> None:
    """Compare arms on the same scenarios, customers and seeds, and say what is real.

    none is the plain student, generic gets one fixed piece of advice, library the approved
    strategies, invented those of them that no handbook gave, teacher the teacher itself, which knows
    what a good agent does: the ceiling. A difference is called real only where its 95 % interval
    excludes zero; strategies learned in a scenario of the split are an error.

    Example: `tutelage evaluate airline --library runs/x/library.db --dialogues 8 --repeats 2`
    """
    from tutelage.evaluation.result import EvaluateRequest
    from tutelage.evaluation.run import evaluate_run, watch_evaluation

    o.screen_or_json(watch, json)
    o.run_to_resume(resume, run)
    o.file_to_write(report, "--report")
    request = EvaluateRequest(
        environment=o.firm(env),
        library=str(library) if library else None,
        arms=[name.strip() for name in arms.split(",") if name.strip()],
        split=split,
        dialogues=dialogues,
        repeats=repeats,
        students=student or [],
        teacher=teacher,
        customer=customer,
        judge=judge,
        embeddings=embeddings,
        top=top,
        threshold=threshold,
        exchanges=exchanges,
        concurrency=concurrency,
        budget_tokens=budget_tokens,
        budget_usd=budget_usd,
        seed=seed,
        sequential=sequential,
        proposed=proposed,
        ablate=ablate,
        playbook=str(playbook) if playbook else None,
        global_=str(global_) if global_ else None,
    )
    if watch:
        watch_evaluation(request, run, resume=resume, report=report)
    else:
        evaluate_run(request, run, resume=resume, report=report, by_item=by_item, as_json=json)
