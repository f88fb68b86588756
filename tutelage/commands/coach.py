"""`tutelage coach`: run the alternation and leave a library that a person can read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def coach(
    env: o.Env,
    student: o.Student = None,
    teacher: o.Teacher = None,
    customer: o.Customer = None,
    judge: o.Judge = None,
    embeddings: o.Embeddings = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, show_default="3, or as the run was begun with", help="Rounds at most."
        ),
    ] = None,
    dialogues: Annotated[int, typer.Option(min=1, help="Training dialogues a round.")] = 8,
    validation: Annotated[
        int, typer.Option(min=0, help="Validation dialogues, before and after; 0 for none.")
    ] = 4,
    states: Annotated[int, typer.Option(min=1, help="Weak states taught a round, at most.")] = 4,
    pairs: Annotated[
        int,
        typer.Option(
            min=6, max=100, help="Comparisons at most to accept a strategy; a clear case takes 6."
        ),
    ] = 24,
    refinements: Annotated[
        int, typer.Option(min=0, max=10, help="Times a dropped strategy is written anew.")
    ] = 1,
    general: Annotated[
        bool,
        typer.Option(help="Also look for strategies that help every customer, whatever is asked."),
    ] = True,
    topics: Annotated[
        int,
        typer.Option(
            min=0,
            help="Topics a round, at most, that strategies for all of their scenarios are looked for; "
            "0 for none.",
        ),
    ] = 2,
    draft: Annotated[
        bool,
        typer.Option(
            "--draft",
            help="Begin with what the policy gives by itself, rule by rule, and generic advice (as "
            "library draft makes it); give --top 3 with it.",
        ),
    ] = False,
    exchanges: o.Exchanges = 6,
    concurrency: o.Concurrency = None,
    library: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The library to go on with: the student uses it, and what is learned is written "
            "into it; else RUN/library.db.",
        ),
    ] = None,
    budget_tokens: o.BudgetTokens = None,
    budget_usd: o.BudgetUsd = None,
    seed: o.Seed = 0,
    run: o.Run = None,
    resume: o.Resume = False,
    watch: o.Watch = False,
    json: o.Json = False,
) -> None:
    """Coach a student: simulate, judge, write strategies, keep what helps.

    All four roles are played by the embedded model unless named. What is learned lies in a
    library, as *proposed*; approve it with `tutelage library approve`.

    With `--top N` what is tried is tried beside the N - 1 entries that would be given with it.

    Example: `tutelage coach airline --rounds 2 --dialogues 6 --watch`
    """
    from tutelage.runs.coach import CoachRequest, coach_run, resumed_request, watch_coaching

    o.screen_or_json(watch, json)
    o.run_to_resume(resume, run)
    request = CoachRequest(
        environment=o.firm(env),
        student=student,
        teacher=teacher,
        customer=customer,
        judge=judge,
        embeddings=embeddings,
        top=top,
        threshold=threshold,
        rounds=rounds,
        dialogues=dialogues,
        validation=validation,
        states=states,
        pairs=pairs,
        refinements=refinements,
        general=general,
        topics=topics,
        draft=draft,
        exchanges=exchanges,
        concurrency=concurrency,
        library=str(library.resolve()) if library else None,
        budget_tokens=budget_tokens,
        budget_usd=budget_usd,
        seed=seed,
    )
    if resume and run is not None:
        request = resumed_request(run, request)
    if watch:
        watch_coaching(request, run, resume)
    else:
        coach_run(request, run, resume=resume, as_json=json)
