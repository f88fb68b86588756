"""An evaluation from request to report: arms played, judge looked at, differences told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tutelage
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, result_table, talk
from tutelage.environments import Environment, load_environment
from tutelage.environments.calibration_set import calibrated_firms
from tutelage.evaluation.page import write_evaluation
from tutelage.evaluation.result import (
    EvaluateRequest,
    Evaluation,
    arm_costs,
    as_document,
    learning_calls,
    student_result,
)
from tutelage.evaluation.tables import (
    arms_table,
    cost_table,
    items_table,
    students_table,
    uplift_table,
)
from tutelage.graphs.baselines.baseline import Baseline
from tutelage.graphs.evaluation import (
    FROM_LIBRARY,
    EvaluationFault,
    EvaluationOptions,
    compile_evaluation,
    contrast,
    dialogue_name,
    outcomes_of,
    plan_cells,
    refuse_unfit_library,
    taken_over_cells,
)
from tutelage.graphs.log.events import RunStarted
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.graphs.log.states import Played
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.play.desk import Desk, Retrieval, open_desk
from tutelage.graphs.statistics.calibration import Figures
from tutelage.graphs.statistics.rubric_items import items_by_arm
from tutelage.graphs.statistics.uplift import ABLATED, uplifts
from tutelage.runs.detached import arguments_of, run_detached
from tutelage.runs.judge import calibrated, chosen_items, remember, remembered, trust_line
from tutelage.runs.session import TalkingLog, new_run_folder, request_of, run_until_done, under_way
from tutelage.strategy_store import Entry, Library, LibraryFault, Status, Uplift

QUICK_ITEMS = 14
"""Calibration items put to a judge that was never calibrated, two a flaw."""
_ALIKE = (
    "environment", "split", "repeats", "exchanges", "seed", "customer", "judge", "ablate",
)  # fmt: skip
"""What all sittings of a run must have been asked for alike."""
_ALIKE_WITH = {
    FROM_LIBRARY: ("library", "proposed", "embeddings", "top", "threshold"),
    frozenset({"teacher"}): ("teacher",),
    frozenset({"playbook"}): ("playbook",),
    frozenset({"global"}): ("global_",),
}
"""What else, where these arms are played in both."""


def evaluate_run(
    request: EvaluateRequest,
    run: Path | None,
    *,
    resume: bool = False,
    report: Path | None = None,
    by_item: bool = False,
    as_json: bool = False,
) -> None:
    """Play the arms, compare them, write the report, print the tables (that of the rubric's items where
    asked for) or JSON.

    Raises:
        EvaluationFault, EnvironmentFault, ModelFault, RunFault, LibraryFault, Stopped: one clear
            sentence each; dialogues that ended are in the run's log.
    """
    options = request.options()
    folder = run if resume and run is not None else new_run_folder(request.environment, run)
    kept = f"ended dialogues are kept; go on with the same command and --run {folder} --resume"
    evaluation, dialogues = run_until_done(
        _evaluate(request, options, folder, resume), kept, folder
    )
    document = as_document(evaluation)
    (folder / "evaluation.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    page = report or folder / "evaluation.html"
    write_evaluation(page, evaluation, dialogues)
    if as_json:
        result_json(document)
        return
    if len(evaluation.students) > 1:
        result_table(students_table(evaluation.students))
        result("")
    for student in evaluation.students:
        result_table(arms_table(student))
        result("")
        if student.costs:
            result_table(cost_table(student, student.costs))
            result("")
        for difference in student.csat.values():
            result(difference.verdict)
        result("")
        if by_item:
            result_table(items_table(student))
            result("")
        if found := evaluation.uplifts.get(student.student):
            result_table(uplift_table(found))
            result("")
    result(trust_line(evaluation.judge))
    result(
        f"customer: {evaluation.fidelity:.2f} of the lines drawn were in character, "
        f"{evaluation.invalid} dialogues invalid"
    )
    if evaluation.taken_over:
        result(
            f"{evaluation.taken_over} cells (scenario, customer, seed) are left out in every arm: "
            "a person spoke for the student"
        )
    result(f"report: {page}")


def watch_evaluation(
    request: EvaluateRequest, run: Path | None, *, resume: bool, report: Path | None
) -> None:
    """Evaluate in a process of its own and watch it."""
    request.options()
    folder = run if resume and run is not None else new_run_folder(request.environment, run)
    # Faults of the request are said here, before the screen is taken.
    load_environment(request.environment)
    more = ["--resume"] if resume else []
    more += ["--report", str(report)] if report else []
    run_detached("evaluate", [*arguments_of(request), *more], folder)


async def _evaluate(
    request: EvaluateRequest, options: EvaluationOptions, folder: Path, resume: bool
) -> tuple[Evaluation, dict[str, Played]]:
    environment = await asyncio.to_thread(load_environment, request.environment)
    if resume:
        await _refuse_another(folder, request)
    baselines = request.baselines()
    _refuse_leaks(baselines, environment, options)
    statuses: tuple[Status, ...] = ("approved", "proposed") if request.proposed else ("approved",)
    library = await asyncio.to_thread(_library, request)
    played_from = library if FROM_LIBRARY & set(options.arms) else None
    if resume and played_from is not None:
        await _refuse_changed(folder, played_from, statuses)
    meter = Meter(request.budget_tokens, request.budget_usd)
    # Before a folder is made for the run.
    await asyncio.to_thread(refuse_unfit_library, library, statuses, environment, options)
    retrieval = Retrieval(request.top, request.threshold, statuses=statuses)
    specs = request.students or [DEFAULT_MODEL]
    desks: dict[str, Desk] = {}
    for spec in specs:
        desks[spec] = await asyncio.to_thread(
            open_desk,
            environment,
            student=spec,
            customer=request.customer,
            judge=request.judge,
            embeddings=request.embeddings,
            teacher=request.teacher or (None if "teacher" in options.arms else spec),
            library=library,
            retrieval=retrieval,
            meter=meter,
        )
    first = next(iter(desks.values()))
    async with await TalkingLog.open(folder) as log, await Speech.open(folder) as speech:
        graphs = {}
        names = _names(specs)
        for spec, desk in desks.items():
            desk.log, desk.speech = log, speech
            graphs[spec] = compile_evaluation(desk, options, student=names[spec])
        started = RunStarted(
            command="evaluate",
            environment=environment.name,
            models={**first.models, "student": ", ".join(specs)},
            options=request.model_dump(),
            version=tutelage.__version__,
            resumed=resume,
            library_version=played_from and await asyncio.to_thread(lambda: played_from.version),
        )
        talk().print(f"run {folder} - watch it live with: tutelage watch {folder}", soft_wrap=True)
        stops: dict[str, str] = {}
        planned = {
            dialogue_name(cell, arm, name)
            for cell in plan_cells(environment, options)
            for arm in options.arms
            for name in names.values()
        }
        async with under_way(log, first, started, len(planned)) as ending:
            for spec, graph in graphs.items():
                final = await graph.ainvoke({})
                stops[spec] = final.get("stop", "")
            judge = await _judge_figures(first, environment)
            ending.reason = "; ".join(dict.fromkeys(stops.values()))
        summary, dialogues = await summarise(log)
    dialogues = {id_: one for id_, one in dialogues.items() if id_ in planned}
    library_calls = await learning_calls(library) if library is not None else None
    outcomes = {spec: outcomes_of(dialogues, names[spec]) for spec in specs}
    about = contrast(options.arms)
    students = [
        student_result(
            spec,
            own,
            options,
            stops[spec],
            len(taken_over_cells(dialogues, names[spec])),
            arm_costs(dialogues.values(), baselines, library_calls, names[spec]),
            items_by_arm(environment, own, options.arms, about, options.seed),
        )
        for spec, own in outcomes.items()
    ]
    measured: dict[str, dict[str, Uplift]] = {}
    if ABLATED in options.arms and library is not None:
        for spec in specs:
            prefix = f"{names[spec]}." if names[spec] else ""
            own = [one for name, one in dialogues.items() if name.startswith(prefix)]
            measured[spec] = uplifts(own, student=spec, run=folder.name, seed=options.seed)
        # One student's figures stand in the library, the first's; the others' are in the document.
        await asyncio.to_thread(library.measured, measured[specs[0]], f"run {folder.name}")
    evaluation = Evaluation(
        environment=environment.name,
        # As it was played: --ablate takes repeats in twos.
        request=request.model_copy(update={"repeats": options.repeats}),
        version=tutelage.__version__,
        command=_command(request),
        models=dict(started.models),
        students=students,
        judge=judge,
        summary=summary,
        uplifts=measured,
    )
    return evaluation, dialogues


async def _refuse_another(folder: Path, request: EvaluateRequest) -> None:
    """A run may be gone on with for other arms, more cases, and other students where it has several,
    but what was played must be what would be played now.

    Raises:
        RunFault: where the log is of another command, or of another evaluation.
    """
    async with await RunLog.open(folder, create=False) as log:
        begun = [one.event for one in await log.read(kinds=("run_started",))]
    for started in begun:
        if not isinstance(started, RunStarted):
            continue
        if started.command != "evaluate":
            raise RunFault(f"{folder}: is a run of `tutelage {started.command}`; name another", 2)
        if not started.options:
            continue
        before = request_of(folder, started, EvaluateRequest)
        _refuse_another_student(
            folder, *(one.students or [DEFAULT_MODEL] for one in (before, request))
        )
        fixed = list(_ALIKE)
        for arms, names in _ALIKE_WITH.items():
            if arms & set(before.arms_played) and arms & set(request.arms_played):
                fixed += names
        for name in fixed:
            was, now = getattr(before, name), getattr(request, name)
            if was != now:
                option = name.strip("_").replace("environment", "firm")
                raise RunFault(
                    f"{folder}: was played with {option} {was!r}, not {now!r}: both in one table would "
                    "compare what is not alike; give the same, or another --run",
                    2,
                )


async def _refuse_changed(folder: Path, library: Library, statuses: Sequence[Status]) -> None:
    """A run may not go on with a library that gives other strategies by now than it gave before.

    Raises:
        RunFault: where it does.
    """
    async with await RunLog.open(folder, create=False) as log:
        begun = [one.event for one in await log.read(kinds=("run_started",))]
    for version in dict.fromkeys(
        one.library_version for one in begun if isinstance(one, RunStarted) and one.library_version
    ):
        try:
            same = await asyncio.to_thread(_gives, library, statuses, version)
        except LibraryFault:
            # It never had that version: another one stands there by now.
            same = False
        if not same:
            raise RunFault(
                f"{folder}: was played with version {version} of {library.path}, which gives other "
                f"strategies by now (version {library.version}): both in one table would compare what "
                "is not alike; roll the library back, or give another --run",
                2,
            )


def _gives(library: Library, statuses: Sequence[Status], version: int) -> bool:
    """Whether a library gives what it gave at a version, but for what is only told of it."""
    of_it = {"uplift": True, "reason": True, "created_at": True, "provenance": {"evidence": True}}
    told = {"strategies": {"__all__": of_it}}

    def given(entries: Sequence[Entry]) -> list[Any]:
        found = [
            one.model_copy(
                update={"strategies": [s for s in one.strategies if s.status in statuses]}
            )
            for one in entries
        ]
        dumped = [one.model_dump(exclude=told) for one in found if one.strategies]
        return sorted(dumped, key=lambda one: one["id"])

    return given(library.at(version)) == given(library.entries())


def _refuse_another_student(folder: Path, before: Sequence[str], now: Sequence[str]) -> None:
    """Dialogues are named after their student where there are several, so a single one's would be taken
    for any other's.
    """
    if 1 in (len(before), len(now)) and list(before) != list(now):
        many = "s" if len(before) > 1 else ""
        raise RunFault(
            f"{folder}: was played with student{many} {' and '.join(before)}, not {' and '.join(now)}; "
            "give the same, or another --run",
            2,
        )


def _refuse_leaks(
    baselines: Mapping[str, Baseline], environment: Environment, options: EvaluationOptions
) -> None:
    """A baseline may not have learned from the scenarios that it is compared on."""
    tested = {cell.get("scenario", "") for cell in plan_cells(environment, options)}
    for arm, learned in baselines.items():
        if learned.environment == environment.name and (both := tested & set(learned.scenarios)):
            raise EvaluationFault(
                f"the arm `{arm}` was learned in {len(both)} scenarios of this evaluation "
                f"({', '.join(sorted(both)[:3])}), which would measure memory; evaluate on another split"
            )


def _library(request: EvaluateRequest) -> Library | None:
    if request.library is None:
        return None
    library = Library.open(request.library)
    if ABLATED in request.arms_played:
        library.check_writable()
    equal = [arm for arm in request.arms_played if arm in FROM_LIBRARY]
    if equal and not request.proposed and not library.counts()["approved"]:
        many = "s" if len(equal) > 1 else ""
        talk().print(
            f"note: nothing in {request.library} is approved, so the arm{many} {' and '.join(equal)} "
            f"equal{'' if many else 's'} none; approve, or add --proposed",
            soft_wrap=True,
        )
    return library


async def _judge_figures(desk: Desk, environment: Environment) -> Figures:
    """The judge's remembered figures, or quick ones where it was never calibrated."""
    spec = desk.judge.voice.spec
    firms = calibrated_firms()
    firm = environment.name if environment.name in firms else firms[0]
    sample = f"{QUICK_ITEMS} of {firm}"
    if known := remembered(spec, sample):
        return known
    if desk.meter.spent:
        return Figures(n=0)
    talk().print(
        f"the judge was never calibrated: {QUICK_ITEMS} items of {firm} are put to it "
        "(`tutelage judge calibrate` for all)",
        soft_wrap=True,
    )
    found = await calibrated(spec, chosen_items([firm], QUICK_ITEMS), meter=desk.meter)
    remember(found, sample)
    return found.figures


def _names(specs: Sequence[str]) -> dict[str, str]:
    """What each student's dialogues are called by where there are several: no two alike."""
    if len(specs) < 2:
        return dict.fromkeys(specs, "")
    plain = {spec: re.sub(r"[^A-Za-z0-9-]+", "_", spec) for spec in specs}
    times = Counter(plain.values())
    return {
        spec: name
        if times[name] == 1
        else f"{name}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"
        for spec, name in plain.items()
    }


def _command(request: EvaluateRequest) -> str:
    """The command line that makes this evaluation again."""
    return shlex.join(["tutelage", "evaluate", *arguments_of(request)])
