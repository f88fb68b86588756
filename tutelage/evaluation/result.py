"""An evaluation in figures: what it was asked for, what came of it, and how `--json` prints that."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field

from tutelage.environments import is_none
from tutelage.graphs.baselines.baseline import Baseline, BaselineFault
from tutelage.graphs.evaluation import (
    FROM_LIBRARY,
    Arm,
    EvaluationFault,
    EvaluationOptions,
    contrast,
)
from tutelage.graphs.log.run_log import RunFault
from tutelage.graphs.log.states import Played
from tutelage.graphs.log.summary import RunSummary
from tutelage.graphs.statistics.calibration import Figures, warnings_of
from tutelage.graphs.statistics.experiment import ArmFigures, Outcome, Paired, arm_figures, paired
from tutelage.graphs.statistics.rubric_items import ItemFigures
from tutelage.graphs.statistics.uplift import ABLATED
from tutelage.runs.baseline import calls_of
from tutelage.strategy_store import Library, Uplift
from tutelage.strategy_store.given import CHARS_PER_TOKEN


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
    top: int | None = None
    threshold: float | None = None
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

    @property
    def arms_played(self) -> list[str]:
        """The arms, with the one that --ablate adds."""
        more = [ABLATED] if self.ablate and ABLATED not in self.arms else []
        return [*self.arms, *more]

    def baselines(self) -> dict[str, Baseline]:
        """What the arms playbook and global were learned to say, by arm.

        Raises:
            EvaluationFault: where such an arm has no file, a file has no arm, or is of the other one.
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
        found = {arm: Baseline.read(Path(path)) for arm, path in files.items() if path is not None}
        for arm, learned in found.items():
            if learned.method != arm:
                raise EvaluationFault(
                    f"{files[arm]}: is of the arm `{learned.method}`; give it as --{learned.method}",
                    2,
                )
        return found

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
                    raise EvaluationFault(is_none(name, kind, valid), 2)
        if len(set(self.arms)) < len(self.arms) or not self.arms:
            raise EvaluationFault("name each arm once, and at least one", 2)
        arms = self.arms_played
        # Repeats go in twos, of which the second withholds what the first gave.
        repeats = self.repeats + self.repeats % 2 if ABLATED in arms else self.repeats
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


class ArmCost(BaseModel):
    """What an arm costs beside its replies: calls to learn it (None: not known here), texts given a
    turn, and the tokens that these add to a turn's prompt (by the rough measure of retrieval).
    """

    learning_calls: int | None
    texts_a_turn: float
    tokens_a_turn: float


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
    costs: dict[str, ArmCost] = Field(default_factory=dict)
    items: list[ItemFigures] = Field(default_factory=list)


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

    @property
    def fidelity(self) -> float:
        """Share of the lines drawn for customers that passed the check; the others were drawn again."""
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


def student_result(
    spec: str,
    outcomes: Sequence[Outcome],
    options: EvaluationOptions,
    stop: str,
    taken_over: int = 0,
    costs: Mapping[str, ArmCost] | None = None,
    items: Sequence[ItemFigures] = (),
) -> StudentResult:
    """The figures of one student: each arm, and every arm against the first, library against none
    before all others.
    """
    by_arm = {arm: [o for o in outcomes if o.arm == arm] for arm in options.arms}
    pairs: list[tuple[Arm, Arm]] = []
    if len(options.arms) > 1:
        pairs = [contrast(options.arms)]
        others = itertools.combinations(options.arms, 2)
        pairs.extend(pair for pair in others if set(pair) != set(pairs[0]))

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
        costs=dict(costs or {}),
        items=list(items),
    )


async def learning_calls(library: Library) -> int | None:
    """The model calls of the coaching run in whose folder a library lies, where all of it that a run
    learned is from that run; else None, for nobody knows here what it took.
    """
    folder = library.path.resolve().parent
    entries = await asyncio.to_thread(library.entries)
    runs = {s.provenance.run for entry in entries for s in entry.strategies} - {""}
    if runs != {folder.name}:
        return None
    try:
        return await calls_of(folder)
    except (BaselineFault, RunFault):
        return None


def arm_costs(
    dialogues: Iterable[Played],
    baselines: Mapping[str, Baseline],
    library_calls: int | None = None,
    student: str = "",
) -> dict[str, ArmCost]:
    """What each arm gave a turn, and what it cost to learn.

    Args:
        dialogues: what was played.
        baselines: what the arms playbook and global were learned to say.
        library_calls: model calls to learn the library, where they are known.
        student: whose dialogues count, by the prefix of their names; those of all where "".
    """
    prefix = f"{student}." if student else ""
    learned: dict[str, int | None] = {
        **dict.fromkeys(("none", "generic", "teacher"), 0),
        **dict.fromkeys(FROM_LIBRARY, library_calls),
        **{arm: baseline.calls for arm, baseline in baselines.items()},
    }
    given: dict[str, list[list[str]]] = {}
    for one in dialogues:
        if not one.started.dialogue.startswith(prefix):
            continue
        for event in one.spoken:
            if event.speaker == "student" and not event.replayed and not event.by:
                texts = [strategy.order for strategy in event.strategies]
                given.setdefault(one.started.arm, []).append(texts)
    costs: dict[str, ArmCost] = {}
    for arm, turns in given.items():
        letters = sum(len(text) for texts in turns for text in texts)
        costs[arm] = ArmCost(
            learning_calls=learned.get(arm),
            texts_a_turn=sum(map(len, turns)) / len(turns),
            tokens_a_turn=letters / CHARS_PER_TOKEN / len(turns),
        )
    return costs


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
        "costs": {arm: cost.model_dump() for arm, cost in student.costs.items()},
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
        "items": [asdict(item) for item in student.items],
    }
