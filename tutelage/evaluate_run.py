"""An evaluation from request to report: arms played, judge looked at, differences told."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field
from rich.table import Table

import tutelage
from tutelage.agents.chat_models import DEFAULT_MODEL
from tutelage.agents.meter import Meter
from tutelage.console import result, result_json, result_table, talk
from tutelage.detached import arguments_of, run_detached
from tutelage.environments import Environment, load_environment, nearest
from tutelage.environments.calibration_set import calibrated_firms
from tutelage.evaluation_report import write_evaluation
from tutelage.graphs.baselines import Baseline
from tutelage.graphs.calibration import Figures, warnings_of
from tutelage.graphs.desk import Desk, Retrieval, open_desk
from tutelage.graphs.evaluation import (
    Arm,
    EvaluationFault,
    EvaluationOptions,
    compile_evaluation,
    contrast,
    outcomes_of,
    plan_cells,
    taken_over_cells,
)
from tutelage.graphs.events import RunStarted
from tutelage.graphs.experiment import ArmFigures, Outcome, Paired, arm_figures, paired
from tutelage.graphs.speech import Speech
from tutelage.graphs.states import Played
from tutelage.graphs.summary import RunSummary, summarise
from tutelage.graphs.uplift import ABLATED, uplifts
from tutelage.judge_run import calibrated, chosen_items, remember, remembered, trust_line
from tutelage.session import TalkingLog, new_run_folder, run_until_done, under_way
from tutelage.strategy_store import Library, Uplift
from tutelage.strategy_store.retrieval import CHARS_PER_TOKEN

QUICK_ITEMS = 14
"""Calibration items put to a judge that was never calibrated, two a flaw."""


class EvaluateRequest(BaseModel):
    """What an evaluation was asked to do."""

    environment: str
    library: str | None = None
    arms: list[str] = Field(default_factory=lambda: ["none", "generic", "library", "teacher"])
    split: str = "test"
    dialogues: int = 8
    repeats: int = 1
    students: list[str] = Field(default_factory=list)
    teacher: str | None = None
    customer: str | None = None
    judge: str | None = None
    embeddings: str | None = None
    exchanges: int = 6
    concurrency: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    seed: int = 0
    sequential: bool = False
    proposed: bool = False
    ablate: bool = False
    playbook: str | None = None
    global_: str | None = None

    def baselines(self) -> dict[str, Baseline]:
        """What the arms playbook and global were learned to say, by arm.

        Raises:
            EvaluationFault: where such an arm has no file, or a file has no arm.
            BaselineFault: where a file cannot be read.
        """
        files = {"playbook": self.playbook, "global": self.global_}
        for arm, path in files.items():
            if arm in self.arms and path is None:
                raise EvaluationFault(
                    f"the arm `{arm}` needs --{arm} FILE; `tutelage baseline {arm}` makes one", 2
                )
            if path is not None and arm not in self.arms:
                raise EvaluationFault(f"--{arm} is given, but {arm} is not among --arms", 2)
        return {arm: Baseline.read(Path(path)) for arm, path in files.items() if path is not None}

    def options(self) -> EvaluationOptions:
        """The same for the evaluation graph.

        Raises:
            EvaluationFault: for an unknown arm or split; offers the nearest name.
        """
        for kind, names, valid in (
            ("arm", self.arms, list(get_args(Arm))),
            ("split", [self.split], ["train", "validation", "test"]),
        ):
            for name in names:
                if name not in valid:
                    close = nearest(name, valid)
                    hint = f"; did you mean {close!r}?" if close else ""
                    raise EvaluationFault(
                        f"{name!r} is no {kind}; expected one of {', '.join(valid)}{hint}", 2
                    )
        if len(set(self.arms)) < len(self.arms) or not self.arms:
            raise EvaluationFault("name each arm once, and at least one", 2)
        # Repeats go in twos, of which the second withholds what the first gave.
        repeats = self.repeats + self.repeats % 2 if self.ablate else self.repeats
        arms = [*self.arms, ABLATED] if self.ablate and ABLATED not in self.arms else self.arms
        return EvaluationOptions(
            arms=tuple(arms),  # type: ignore[arg-type]
            split=self.split,  # type: ignore[arg-type]
            dialogues=self.dialogues,
            repeats=repeats,
            max_exchanges=self.exchanges,
            concurrency=self.concurrency,
            seed=self.seed,
            sequential=self.sequential,
            given={arm: tuple(learned.texts) for arm, learned in self.baselines().items()},
        )


class StudentResult(BaseModel):
    """One student's arms and their paired differences."""

    student: str
    outcomes: list[Outcome]
    arms: dict[str, ArmFigures]
    csat: dict[str, Paired]
    rubric: dict[str, Paired]
    checks: dict[str, Paired]
    questions: dict[str, Paired]
    stop: str
    taken_over: int = 0
    """Cells left out in every arm because a person spoke for the student in one."""


class ArmCost(BaseModel):
    """What an arm costs beside its replies: calls to learn it (None: not known here), texts given a
    turn, and the tokens that these add to a turn's prompt (by the rough measure of retrieval).
    """

    learning_calls: int | None
    texts_a_turn: float
    tokens_a_turn: float


class Evaluation(BaseModel):
    """All that a report shows and `--json` prints."""

    environment: str
    request: EvaluateRequest
    version: str
    command: str
    models: dict[str, str]
    students: list[StudentResult]
    judge: Figures
    summary: RunSummary
    uplifts: dict[str, dict[str, Uplift]] = Field(default_factory=dict)
    """Student to strategy to what it adds by itself; empty without --ablate."""
    costs: dict[str, ArmCost] = Field(default_factory=dict)

    @property
    def fidelity(self) -> float:
        """Share of the customers' lines that passed the check at their first draw."""
        lines = self.summary.customer_turns + self.summary.rejected_turns
        return self.summary.customer_turns / lines if lines else 1.0

    @property
    def taken_over(self) -> int:
        """Cells left out in every arm because a person spoke for the student in one."""
        return sum(student.taken_over for student in self.students)

    @property
    def invalid(self) -> int:
        """Dialogues that broke and were not scored."""
        return sum(not o.valid for student in self.students for o in student.outcomes)


def evaluate_run(
    request: EvaluateRequest,
    run: Path | None,
    *,
    resume: bool = False,
    report: Path | None = None,
    as_json: bool = False,
) -> None:
    """Play the arms, compare them, write the report, print the table or JSON.

    Raises:
        EvaluationFault, EnvironmentFault, ModelFault, RunFault, LibraryFault, Stopped: one clear
            sentence each; dialogues that ended are in the run's log.
    """
    options = request.options()
    folder = run if resume and run is not None else new_run_folder(request.environment, run)
    kept = f"ended dialogues are kept; go on with the same command and --run {folder} --resume"
    evaluation, dialogues = run_until_done(_evaluate(request, options, folder, resume), kept)
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
        if evaluation.costs:
            result_table(cost_table(student, evaluation.costs))
            result("")
        for difference in student.csat.values():
            result(difference.verdict)
        result("")
        if found := evaluation.uplifts.get(student.student):
            result_table(uplift_table(found))
            result("")
    result(trust_line(evaluation.judge))
    result(
        f"customer: {evaluation.fidelity:.2f} of lines in character at the first draw, "
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
    baselines = request.baselines()
    _refuse_leaks(baselines, environment, options)
    library = await asyncio.to_thread(_library, request)
    meter = Meter(request.budget_tokens, request.budget_usd)
    statuses = ("approved", "proposed") if request.proposed else ("approved",)
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
            retrieval=Retrieval(statuses=statuses),
            meter=meter,
        )
    first = next(iter(desks.values()))
    async with await TalkingLog.open(folder) as log, await Speech.open(folder) as speech:
        graphs = {}
        names = {spec: _slug(spec) if len(specs) > 1 else "" for spec in specs}
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
        )
        talk().print(f"run {folder} - watch it live with: tutelage watch {folder}", soft_wrap=True)
        stops: dict[str, str] = {}
        async with under_way(log, first, started) as ending:
            for spec, graph in graphs.items():
                final = await graph.ainvoke({})
                stops[spec] = final.get("stop", "")
            ending.reason = "; ".join(dict.fromkeys(stops.values()))
        judge = await _judge_figures(first, environment)
        summary, dialogues = await summarise(log)
    students = [
        student_result(
            spec,
            outcomes_of(dialogues, names[spec]),
            options,
            stops[spec],
            len(taken_over_cells(dialogues, names[spec])),
        )
        for spec in specs
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
        request=request,
        version=tutelage.__version__,
        command=_command(request),
        models=dict(started.models),
        students=students,
        judge=judge,
        summary=summary,
        uplifts=measured,
        costs=arm_costs(dialogues.values(), baselines),
    )
    return evaluation, dialogues


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


def arm_costs(dialogues: Iterable[Played], baselines: Mapping[str, Baseline]) -> dict[str, ArmCost]:
    """What each arm gave a turn, and what it cost to learn."""
    given: dict[str, list[list[str]]] = {}
    for one in dialogues:
        for event in one.spoken:
            if event.speaker == "student":
                texts = [strategy.text for strategy in event.strategies]
                given.setdefault(one.started.arm, []).append(texts)
    costs: dict[str, ArmCost] = {}
    for arm, turns in given.items():
        letters = sum(len(text) for texts in turns for text in texts)
        free = 0 if arm in ("none", "generic", "teacher") else None
        costs[arm] = ArmCost(
            learning_calls=baselines[arm].calls if arm in baselines else free,
            texts_a_turn=sum(map(len, turns)) / len(turns),
            tokens_a_turn=letters / CHARS_PER_TOKEN / len(turns),
        )
    return costs


def _library(request: EvaluateRequest) -> Library | None:
    if request.library is None:
        return None
    library = Library.open(request.library)
    if not request.proposed and not library.counts()["approved"]:
        talk().print(
            f"note: nothing in {request.library} is approved, so the arm library equals none; "
            "approve, or add --proposed",
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
    talk().print(
        f"the judge was never calibrated: {QUICK_ITEMS} items of {firm} are put to it "
        "(`tutelage judge calibrate` for all)",
        soft_wrap=True,
    )
    found = await calibrated(spec, chosen_items([firm], QUICK_ITEMS))
    remember(found, sample)
    return found.figures


def student_result(
    spec: str,
    outcomes: Sequence[Outcome],
    options: EvaluationOptions,
    stop: str,
    taken_over: int = 0,
) -> StudentResult:
    """The figures of one student: each arm, and every arm against the first, library against none
    before all others.
    """
    by_arm = {arm: [o for o in outcomes if o.arm == arm] for arm in options.arms}
    pairs: list[tuple[Arm, Arm]] = []
    if len(options.arms) > 1:
        pairs = [contrast(options.arms)]
        others = itertools.combinations(options.arms, 2)
        pairs.extend(pair for pair in others if pair != pairs[0])

    def differences(metric: Any) -> dict[str, Paired]:
        return {
            f"{second}-{first}": paired(by_arm[first], by_arm[second], metric, options.seed)
            for first, second in pairs
        }

    return StudentResult(
        student=spec,
        outcomes=list(outcomes),
        arms={arm: arm_figures(found, options.seed) for arm, found in by_arm.items()},
        csat=differences("csat"),
        rubric=differences("rubric"),
        checks=differences("checks"),
        questions=differences("questions"),
        stop=stop,
        taken_over=taken_over,
    )


def as_document(evaluation: Evaluation) -> dict[str, Any]:
    """What `evaluate --json` prints; with several students, each under `students` as well."""
    shown = [_student_document(student) for student in evaluation.students]
    document = {
        **shown[0],
        "judge": {
            "auc": evaluation.judge.auc,
            "swap_consistency": evaluation.judge.swap_consistency,
            "pairs_right": evaluation.judge.pairs_right,
            "items": evaluation.judge.n,
            "warnings": warnings_of(evaluation.judge),
        },
        "customer": {"fidelity": evaluation.fidelity, "invalid": evaluation.invalid},
        "uplift": {
            student: {id_: uplift.model_dump() for id_, uplift in found.items()}
            for student, found in evaluation.uplifts.items()
        },
        "costs": {arm: cost.model_dump() for arm, cost in evaluation.costs.items()},
        "models": evaluation.models,
        "command": evaluation.command,
        "version": evaluation.version,
        "usd": evaluation.summary.usd,
        "seconds": round(evaluation.summary.seconds, 1),
    }
    if len(shown) > 1:
        document["students"] = {s["student"]: s for s in shown}
    return document


def _student_document(student: StudentResult) -> dict[str, Any]:
    return {
        "student": student.student,
        "stop": student.stop,
        "taken_over": student.taken_over,
        "arms": {
            arm: {
                "n": figures.n,
                "invalid": figures.invalid,
                "csat": {"mean": figures.csat.mean, "ci95": figures.csat.ci95},
                "rubric": {"mean": figures.rubric.mean, "ci95": figures.rubric.ci95},
                "checks": {"mean": figures.checks.mean, "ci95": figures.checks.ci95},
                "questions": {"mean": figures.questions.mean, "ci95": figures.questions.ci95},
                "pass_k": figures.pass_k,
                "tokens": int(figures.tokens or 0),
                "usd": figures.usd or 0.0,
                "seconds": figures.seconds,
            }
            for arm, figures in student.arms.items()
        },
        "paired": {
            name: {
                **asdict(found),
                "rubric": asdict(student.rubric[name]),
                "checks": asdict(student.checks[name]),
                "questions": asdict(student.questions[name]),
            }
            for name, found in student.csat.items()
        },
    }


def arms_table(student: StudentResult) -> Table:
    """A student's arms side by side; tokens, money and seconds are medians of its replies' cost."""
    table = Table(box=None, pad_edge=False, title=f"student {student.student}: {student.stop}",
                  title_justify="left")  # fmt: skip
    table.add_column("arm")
    for name in ("n", "invalid", "satisfaction 1-5", "rubric 0-1", "by code", "by judge", "pass^k",
                 "tokens", "US$", "s/reply"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for arm, figures in student.arms.items():
        table.add_row(
            arm, str(figures.n), str(figures.invalid),
            _estimate(figures.csat.mean, figures.csat.ci95),
            _estimate(figures.rubric.mean, figures.rubric.ci95),
            _estimate(figures.checks.mean, None), _estimate(figures.questions.mean, None),
            " ".join(f"{share:.2f}" for share in figures.pass_k.values()) or "-",
            f"{figures.tokens or 0:,.0f}", f"{figures.usd or 0:.4f}",
            "-" if figures.seconds is None else f"{figures.seconds:.1f}",
        )  # fmt: skip
    return table


def cost_table(student: StudentResult, costs: Mapping[str, ArmCost]) -> Table:
    """Effect against the first arm beside what it costs: calls to learn, texts and tokens a turn."""
    table = Table(box=None, pad_edge=False)
    table.add_column("arm")
    first = next(iter(student.arms), "")
    for name in (f"satisfaction against {first}", "calls to learn", "texts/turn", "tokens/turn"):
        table.add_column(name, justify="right")
    for arm in student.arms:
        cost, found = costs.get(arm), student.csat.get(f"{arm}-{first}")
        if cost is None:
            continue
        learned = "-" if cost.learning_calls is None else f"{cost.learning_calls:,}"
        table.add_row(
            arm, "-" if found is None else _estimate(found.diff, found.ci95), learned,
            f"{cost.texts_a_turn:.1f}", f"{cost.tokens_a_turn:.0f}",
        )  # fmt: skip
    return table


def uplift_table(found: Mapping[str, Uplift]) -> Table:
    """What each strategy adds by itself; the library holds the same beside the strategy."""
    table = Table(box=None, pad_edge=False, title="uplift of single strategies, withheld at random",
                  title_justify="left")  # fmt: skip
    table.add_column("strategy")
    for name in ("satisfaction", "rubric", "given", "withheld", "scenarios", "verdict"):
        table.add_column(name, justify="right")
    for id_, uplift in sorted(found.items(), key=lambda item: -item[1].csat):
        table.add_row(
            id_, _estimate(uplift.csat, uplift.csat_ci95),
            _estimate(uplift.rubric, uplift.rubric_ci95), str(uplift.given),
            str(uplift.withheld), str(uplift.scenarios), uplift.verdict,
        )  # fmt: skip
    return table


def students_table(students: Sequence[StudentResult]) -> Table:
    """Students by arms: whether a library that was learned for one helps another."""
    table = Table(box=None, pad_edge=False, title="satisfaction, students by arms",
                  title_justify="left")  # fmt: skip
    table.add_column("student", overflow="fold", min_width=20)
    for arm in students[0].arms:
        table.add_column(arm, justify="right", no_wrap=True)
    differences = list(students[0].csat)[:1]
    for name in differences:
        table.add_column(name, justify="right", no_wrap=True)
    for student in students:
        cells = [_estimate(f.csat.mean, None) for f in student.arms.values()]
        cells += [_estimate(student.csat[n].diff, student.csat[n].ci95) for n in differences]
        table.add_row(student.student, *cells)
    return table


def _estimate(mean: float | None, ci95: tuple[float, float] | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.2f}" if ci95 is None else f"{mean:.2f} [{ci95[0]:.2f}, {ci95[1]:.2f}]"


def _slug(spec: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", spec)


def _command(request: EvaluateRequest) -> str:
    """The command line that makes this evaluation again."""
    return shlex.join(["tutelage", "evaluate", *arguments_of(request)])
