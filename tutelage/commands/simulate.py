"""`tutelage simulate`: dialogues only, to see how customers and student get on."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o


def simulate(
    env: o.Env,
    persona: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this customer; else all that fit.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this scenario; else those of the split.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    dialogues: Annotated[int, typer.Option(min=1, help="How many dialogues.")] = 4,
    student: o.Student = None,
    customer: o.Customer = None,
    judge: o.Judge = None,
    embeddings: o.Embeddings = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    library: o.LibraryFile = None,
    exchanges: o.Exchanges = 6,
    concurrency: o.Concurrency = None,
    budget_tokens: o.BudgetTokens = None,
    budget_usd: o.BudgetUsd = None,
    seed: o.Seed = 0,
    run: o.Run = None,
    watch: o.Watch = False,
    json: o.Json = False,
) -> None:
    """Play dialogues of simulated customers with the student, and judge them.

    With --library the student uses its *approved* strategies.

    Example: `tutelage simulate airline --persona grieving --dialogues 2`
    """
    from tutelage.runs.simulate import SimulateRequest, simulate_run, watch_simulation

    o.screen_or_json(watch, json)
    request = SimulateRequest(
        environment=o.firm(env),
        persona=persona,
        scenario=scenario,
        split=split,
        dialogues=dialogues,
        student=student,
        customer=customer,
        judge=judge,
        embeddings=embeddings,
        top=top,
        threshold=threshold,
        library=str(library) if library else None,
        exchanges=exchanges,
        concurrency=concurrency,
        budget_tokens=budget_tokens,
        budget_usd=budget_usd,
        seed=seed,
    )
    if watch:
        watch_simulation(request, run)
    else:
        simulate_run(request, run, as_json=json)
