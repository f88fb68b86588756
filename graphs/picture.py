"""The picture of a run: its events folded into what a screen shows, one event at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import (
    BudgetUsed,
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    Event,
    Fault,
    RoundEnded,
    RunEnded,
    RunStarted,
    StateExamined,
    StrategyDecided,
    StrategyProposed,
    StrategyTried,
    TurnRejected,
    TurnSpoken,
)

WORKSHOP_LINES = 400
"""Workshop events kept for the screen; the log keeps all."""


@dataclass
class DialoguePicture:
    """One dialogue as a screen shows it. `lines` are spoken and rejected turns in order."""

    started: DialogueStarted
    lines: list[TurnSpoken | TurnRejected] = field(default_factory=list)
    judged: DialogueJudged | None = None
    ended: DialogueEnded | None = None

    @property
    def state(self) -> str:
        """In a word: how it ended, or that it goes on."""
        if self.ended is None:
            return "talking" if self.judged is None else "judged"
        if self.ended.taken_over:
            return "taken over"
        if not self.ended.valid:
            return "invalid"
        return self.ended.reason.replace("_", " ")

    @property
    def exchanges(self) -> int:
        """Customer lines so far."""
        return sum(isinstance(e, TurnSpoken) and e.speaker == "customer" for e in self.lines)

    @property
    def feeling(self) -> str:
        """The customer's last feeling."""
        felt = [e.feeling for e in self.lines if isinstance(e, TurnSpoken) and e.feeling]
        return felt[-1] if felt else ""


@dataclass
class RunPicture:
    """A run as a screen shows it. `changed` names the dialogues touched since it was last cleared."""

    started: RunStarted | None = None
    ended: RunEnded | None = None
    dialogues: dict[str, DialoguePicture] = field(default_factory=dict)
    workshop: list[StateExamined | StrategyProposed | StrategyTried | StrategyDecided] = field(
        default_factory=list
    )
    rounds: list[RoundEnded] = field(default_factory=list)
    usage: dict[str, BudgetUsed] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def fold(self, event: Event) -> None:
        """Take one event in."""
        name = getattr(event, "dialogue", "")
        one = self.dialogues.get(name)
        match event:
            case RunStarted():
                self.started, self.ended = event, None
            case RunEnded():
                self.ended = event
            case DialogueStarted():
                self.dialogues[name] = DialoguePicture(event)
            case TurnSpoken() | TurnRejected() if one is not None:
                one.lines.append(event)
            case DialogueJudged() if one is not None:
                one.judged = event
            case DialogueEnded() if one is not None:
                one.ended = event
            case StateExamined() | StrategyProposed() | StrategyTried() | StrategyDecided():
                self.workshop.append(event)
                del self.workshop[:-WORKSHOP_LINES]
            case RoundEnded():
                self.rounds = [r for r in self.rounds if r.round != event.round] + [event]
            case BudgetUsed():
                self.usage[event.role] = event
            case Fault():
                self.faults.append(event.message)
            case _:
                return
        if name in self.dialogues:
            self.changed.add(name)
