"""The events: everything that happens in a run, typed, in the order it happened."""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from tutelage.agents.transcript import ToolUse

Speaker = Literal["customer", "student"]
Purpose = Literal["train", "validation", "test"]
EndReason = Literal["goal_met", "patience_spent", "turn_limit", "broken_customer", "fault"]
Verdict = Literal["kept", "dropped"]


USUAL_CHECKS = 8.0
"""Checks by code of a rubric, where an older log does not say how many."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunStarted(_Event):
    """A run began, or (with `resumed`) went on."""

    kind: Literal["run_started"] = "run_started"
    command: str
    environment: str
    models: dict[str, str]
    options: dict[str, object] = Field(default_factory=dict)
    version: str = ""
    resumed: bool = False
    library_version: int | None = Field(
        default=None, description="Where the library stood that strategies were given from."
    )


class DialogueStarted(_Event):
    """A customer came to the desk."""

    kind: Literal["dialogue_started"] = "dialogue_started"
    dialogue: str
    round: int
    purpose: Purpose = "train"
    arm: str = "library"
    scenario: str
    title: str = ""
    persona: str
    seed: int = 0


class StrategyGiven(BaseModel):
    """One strategy as the student was given it."""

    model_config = ConfigDict(frozen=True)
    id: str
    entry: str
    scenario: str
    text: str
    similarity: float
    learned_in: str = Field(default="", description="The dialogue it was learned from.")
    sent: str = Field(default="", description="As it was sent, where that is more than its text.")

    @property
    def order(self) -> str:
        """What the student read."""
        return self.sent or self.text


class TurnSpoken(_Event):
    """Somebody spoke. `turn` counts exchanges from 0; both speakers of an exchange share it."""

    kind: Literal["turn_spoken"] = "turn_spoken"
    dialogue: str
    turn: int
    speaker: Speaker
    text: str
    feeling: str = ""
    goal_met: bool = False
    replayed: bool = Field(
        default=False, description="Spoken before: from the scenario's history, not in this run."
    )
    strategies: list[StrategyGiven] = Field(default_factory=list)
    tools: list[ToolUse] = Field(
        default_factory=list, description="What a student called before it spoke, in order."
    )
    withheld: list[StrategyGiven] = Field(
        default_factory=list, description="What fitted and was withheld at random (--ablate)."
    )
    tokens: int = Field(
        default=0, description="Input and output of the reply, for a student's turn."
    )
    usd: float = 0.0
    seconds: float = Field(default=0.0, description="How long the reply took.")
    by: str = Field(default="", description="The person who spoke in the student's place, if any.")


class Speaking(_Event):
    """What is being said, as far as it has got. It streams and is never in the log: what was said
    in the end, the log tells as `TurnSpoken` (or `TurnRejected`).
    """

    kind: Literal["speaking"] = "speaking"
    dialogue: str
    turn: int
    speaker: Speaker
    text: str


class TurnRejected(_Event):
    """A customer's line failed the fidelity check and was drawn again."""

    kind: Literal["turn_rejected"] = "turn_rejected"
    dialogue: str
    turn: int
    text: str
    reasons: list[str]


class DialogueJudged(_Event):
    """The judge read a dialogue to its end."""

    kind: Literal["dialogue_judged"] = "dialogue_judged"
    dialogue: str
    satisfaction: float = Field(ge=1, le=5)
    rubric: float = Field(ge=0, le=1, description="Weighted mean of all items.")
    checks: dict[str, float] = Field(default_factory=dict, description="Items checked by code.")
    questions: dict[str, float] = Field(
        default_factory=dict, description="Items the judge answered."
    )
    by_code: float | None = Field(None, ge=0, le=1, description="Weighted mean of the checks.")
    by_judge: float | None = Field(None, ge=0, le=1, description="Weighted mean of the questions.")
    turn_scores: list[float] = Field(default_factory=list, description="1-5 for each reply.")

    @model_validator(mode="before")
    @classmethod
    def _means_of_older_logs(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for mean, items in (("by_code", "checks"), ("by_judge", "questions")):
                if data.get(items) and mean not in data:
                    data = {**data, mean: fmean(data[items].values())}
        return data


class DialogueEnded(_Event):
    """A dialogue is over; only a valid one is scored and learned from."""

    kind: Literal["dialogue_ended"] = "dialogue_ended"
    dialogue: str
    reason: EndReason
    turns: int
    valid: bool = True
    seconds: float = 0.0
    taken_over: bool = Field(
        default=False, description="A person spoke in it for the student, so it is not valid."
    )


class StateExamined(_Event):
    """A weak turn was looked at: the student's reply beside the teacher's, compared blind."""

    kind: Literal["state_examined"] = "state_examined"
    dialogue: str
    turn: int
    round: int
    scenario: str = Field(description="The state as one general sentence.")
    customer_says: str
    student_reply: str
    teacher_reply: str
    preference: float = Field(ge=0, le=1, description="Probability that the teacher's is better.")
    weak: bool


class StrategyProposed(_Event):
    """Strategies were proposed for a state; `attempt` counts refinements from 0."""

    kind: Literal["strategy_proposed"] = "strategy_proposed"
    proposal: str
    dialogue: str
    turn: int
    attempt: int
    scenario: str
    texts: list[str]
    source: str
    tactics: list[str] = Field(default_factory=list)
    refused: list[str] = Field(default_factory=list, description="Texts refused, with the reason.")


class _Compared(_Event):
    """Two replies to one state, compared by the judge and by code."""

    dialogue: str
    turn: int
    preference: float = Field(ge=0, le=1, description="Probability that the second is better.")
    checks_before: float | None = None
    checks_after: float | None = None
    checks: float = Field(
        default=USUAL_CHECKS, description="How many checks by code the shares are of."
    )


class StrategyTried(_Compared):
    """The student answered a state again, with the strategies, and the judge compared blind."""

    kind: Literal["strategy_tried"] = "strategy_tried"
    proposal: str
    phase: Literal["choose", "accept", "elsewhere"]
    seed: int
    customer_says: str = Field(default="", description="What both replies answer.")
    before: str
    after: str
    tools_before: list[ToolUse] = Field(default_factory=list)
    tools_after: list[ToolUse] = Field(default_factory=list)


class NullCompared(_Compared):
    """The judge compared two replies of the same student to the same state: what chance does."""

    kind: Literal["null_compared"] = "null_compared"
    seed: int | None = Field(None, description="Of the first reply; None in logs of before.")


class EntryNarrowed(_Event):
    """An entry was given in a scenario it was not learned in, did no good there, and is kept from it."""

    kind: Literal["entry_narrowed"] = "entry_narrowed"
    entry: str
    scenario: str = Field(description="Where it is not given any more.")
    how: str
    gain: float
    dialogue: str = Field("", description="Where it was learned, as `turn`; empty where elsewhere.")
    turn: int = 0
    learned_for: str = Field("", description="The entry's scenario, in words.")


class StrategyDecided(_Event):
    """A proposal was kept or dropped, and why."""

    kind: Literal["strategy_decided"] = "strategy_decided"
    proposal: str
    verdict: Verdict
    reason: str
    dialogue: str
    turn: int
    scenario: str
    texts: list[str]
    strategies: list[str] = Field(default_factory=list, description="Ids in the library, if kept.")
    source: str = "teacher"
    customer_says: str = Field("", description="What `before` and `after` answer.")
    before: str = ""
    after: str = ""
    preference: float | None = None
    ci95: tuple[float, float] | None = None
    pairs: int = 0
    elsewhere: int = Field(default=0, description="Other states it was tried on after acceptance.")
    narrowed: str = Field(default="", description="How the entry was narrowed, if it was.")


class StateClosed(_Event):
    """Nothing more will be tried at this state in this round (so a resumed run passes it over)."""

    kind: Literal["state_closed"] = "state_closed"
    dialogue: str
    turn: int
    round: int


class RoundEnded(_Event):
    """One alternation of scenario step and strategy step is over."""

    kind: Literal["round_ended"] = "round_ended"
    round: int
    dialogues: int
    invalid: int
    csat: float | None
    csat_ci95: tuple[float, float] | None = None
    rubric: float | None
    checks: float | None = None
    questions: float | None = None
    validation_csat: float | None = Field(
        default=None, description="On dialogues never learned from."
    )
    validation_rubric: float | None = None
    improved: bool | None = Field(
        default=None,
        description="Validation against the best round before; None: not played, or too little to tell.",
    )
    library_version: int | None = None
    proposed: int
    kept: int
    dropped: int
    seconds: float = 0.0


class ScenarioGenerated(_Event):
    """The teacher wrote a scenario for a gap; it was taken, or refused with the reason."""

    kind: Literal["scenario_generated"] = "scenario_generated"
    scenario: str
    title: str
    gap: str = Field(description="What it was written for.")
    taken: bool
    reason: str = ""
    distance: float | None = Field(default=None, description="To the nearest scenario, 0-1.")
    nearest: str = ""
    passed: int = Field(default=0, description="Plays that the student passed.")
    plays: int = 0


class LibrarySettled(_Event):
    """Which library the run leaves: the best on the validation dialogues, which may not be the last."""

    kind: Literal["library_settled"] = "library_settled"
    round: int = Field(description="Whose library was best; 0 is before anything was taught.")
    version: int = Field(description="The library's version after that round.")
    rolled_back: bool
    reason: str


class BudgetUsed(_Event):
    """What one role has used so far in this process; the last one of each role counts."""

    kind: Literal["budget_used"] = "budget_used"
    role: str
    model: str
    calls: int
    input: int
    output: int
    cached: int
    usd: float
    repaired: int = 0


class Fault(_Event):
    """Something went wrong that the run survived, or that ended it."""

    kind: Literal["fault"] = "fault"
    where: str
    message: str
    dialogue: str = ""


class RunEnded(_Event):
    """A run is over."""

    kind: Literal["run_ended"] = "run_ended"
    reason: str
    seconds: float = 0.0


Event = Annotated[
    RunStarted
    | DialogueStarted
    | TurnSpoken
    | TurnRejected
    | DialogueJudged
    | DialogueEnded
    | StateExamined
    | StrategyProposed
    | StrategyTried
    | NullCompared
    | EntryNarrowed
    | StrategyDecided
    | StateClosed
    | RoundEnded
    | ScenarioGenerated
    | LibrarySettled
    | BudgetUsed
    | Fault
    | RunEnded,
    Field(discriminator="kind"),
]
EVENT = TypeAdapter[Event](Event)
