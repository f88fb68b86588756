"""Played dialogues and the states in them, read back from the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from tutelage.agents.transcript import Turn, with_actions
from tutelage.environments import Environment, Question

from .events import DialogueEnded, DialogueJudged, DialogueStarted, TurnSpoken
from .run_log import Log

DOUBTFUL = "doubtful: "
"""Stands before a question of the rubric that the judge answered least well."""
FAILED = "check failed: "
"""Stands before the note of a check by code that did not hold."""
_REASONS = 4


@dataclass
class Played:
    """One dialogue as the log tells it; `judged` is None for an invalid or unfinished one."""

    started: DialogueStarted
    turns: list[Turn] = field(default_factory=list)
    spoken: list[TurnSpoken] = field(default_factory=list)
    judged: DialogueJudged | None = None
    ended: DialogueEnded | None = None

    @property
    def valid(self) -> bool:
        """Whether it came to its end and may be scored and learned from."""
        return self.ended is not None and self.ended.valid and self.judged is not None

    @property
    def taken_over(self) -> bool:
        """Whether a person spoke in it for the student."""
        return self.ended is not None and self.ended.taken_over


@dataclass(frozen=True)
class State:
    """A point at which the student speaks: the dialogue up to the customer's line, and what followed.

    `turn` counts exchanges from 0, replayed ones too; `score` is the judge's 1-5 for `reply`, in
    which what the student did stands before what it said.
    """

    dialogue: str
    turn: int
    scenario: str
    persona: str
    turns: tuple[Turn, ...]
    reply: str
    score: float
    ending: str
    reasons: tuple[str, ...]

    @property
    def customer_says(self) -> str:
        """The line that the student answers."""
        return self.turns[-1].text


async def played(log: Log) -> dict[str, Played]:
    """Every dialogue of a log by id. One that was begun again (a resumed run) counts once, anew."""
    dialogues: dict[str, Played] = {}
    kinds = ("dialogue_started", "turn_spoken", "dialogue_judged", "dialogue_ended")
    for logged in await log.read(kinds=kinds):
        match logged.event:
            case DialogueStarted() as event:
                dialogues[event.dialogue] = Played(event)
            case TurnSpoken() as event if event.dialogue in dialogues:
                turn = Turn(speaker=event.speaker, text=event.text, tools=event.tools)
                dialogues[event.dialogue].turns.append(turn)
                dialogues[event.dialogue].spoken.append(event)
            case DialogueJudged() as event if event.dialogue in dialogues:
                dialogues[event.dialogue].judged = event
            case DialogueEnded() as event if event.dialogue in dialogues:
                dialogues[event.dialogue].ended = event
    return dialogues


def states_of(dialogue: Played, environment: Environment) -> list[State]:
    """The states of one valid dialogue, in order; empty for an invalid one, and for one of a scenario
    that the firm does not have any more.
    """
    scenario = environment.scenarios.get(dialogue.started.scenario)
    if not dialogue.valid or dialogue.judged is None or scenario is None:
        return []
    reasons = _shortcomings(dialogue.judged, environment.rubric_for(scenario))
    ending = _ending(dialogue)
    found: list[State] = []
    scores = dialogue.judged.turn_scores
    for index, turn in enumerate(dialogue.turns):
        if turn.speaker == "customer" or index == 0 or dialogue.spoken[index].replayed:
            continue
        number = len(found)
        found.append(
            State(
                dialogue=dialogue.started.dialogue,
                turn=dialogue.spoken[index].turn,
                scenario=scenario.id,
                persona=dialogue.started.persona,
                turns=tuple(dialogue.turns[:index]),
                reply=with_actions(turn),
                score=scores[number] if number < len(scores) else 3.0,
                ending=ending,
                reasons=reasons,
            )
        )
    return found


def openings(environment: Environment, met: Collection[str]) -> list[State]:
    """The states with which the training scenarios begin that have a written opening and are not among
    those met (ids). Nobody has answered in them: `reply` is empty, and the score says nothing.
    """
    return [
        State(
            dialogue=f"opening.{scenario.id}",
            turn=0,
            scenario=scenario.id,
            persona=environment.personas_for(scenario)[0].name,
            turns=(Turn(speaker="customer", text=scenario.opening),),
            reply="",
            score=3.0,
            ending="",
            reasons=(),
        )
        for scenario in environment.split("train")
        if scenario.opening and scenario.id not in met
    ]


def weakest(states: Iterable[State]) -> list[State]:
    """The lowest-rated state of each scenario."""
    by_scenario: dict[str, State] = {}
    for state in states:
        if state.scenario not in by_scenario or state.score < by_scenario[state.scenario].score:
            by_scenario[state.scenario] = state
    return list(by_scenario.values())


def missed_most(states: Iterable[State], kind: str = "") -> list[str]:
    """What reviewers found wanting in more than one scenario, the most frequent first, a few; of one
    kind: what begins so.
    """
    found = Counter(
        reason
        for _, reason in sorted({(state.scenario, r) for state in states for r in state.reasons})
        if reason.startswith(kind)
    )
    return [reason for reason, count in found.most_common(_REASONS) if count > 1]


def _shortcomings(judged: DialogueJudged, items: Sequence) -> tuple[str, ...]:
    """What the rubric found wanting, in words: failed checks first, then the lowest question."""
    failed = [
        item.note or item.id.replace("_", " ")
        for item in items
        if not isinstance(item, Question) and judged.checks.get(item.id, 1.0) < 0.5
    ]
    asked = [item for item in items if isinstance(item, Question) and item.id in judged.questions]
    low = sorted(asked, key=lambda item: judged.questions[item.id])[:2]
    return tuple(
        [f"{FAILED}{text}" for text in failed]
        + [f"{DOUBTFUL}{item.question}" for item in low if judged.questions[item.id] < 0.7]
    )


def _ending(dialogue: Played) -> str:
    reason = dialogue.ended.reason.replace("_", " ") if dialogue.ended else "unfinished"
    last = next((t.text for t in reversed(dialogue.turns) if t.speaker == "customer"), "")
    return f"{reason}; the customer's last words: {last}"
