"""The picture of a run: its events folded into what a screen shows, one event at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import (
    BudgetUsed,
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    EntryNarrowed,
    Fault,
    LibrarySettled,
    RoundEnded,
    RunEnded,
    RunStarted,
    StateExamined,
    StrategyDecided,
    StrategyProposed,
    StrategyTried,
    TurnSpoken,
)
from .run_log import Logged, RunLog
from .usage import Rate, added

CASES = 100
"""Cases of the workshop and faults kept for the screen; the log keeps all."""
VALENCE = {
    "angry": 0, "annoyed": 1, "sad": 1, "worried": 2, "confused": 2, "calm": 3, "pleased": 4
}  # fmt: skip
"""How good a customer's feeling is, 0 to 4."""
_OUTLINE = (
    "run_started", "dialogue_started", "dialogue_judged", "dialogue_ended", "strategy_decided",
    "round_ended", "library_settled", "budget_used", "run_ended",
)  # fmt: skip
_WORKSHOP = (
    "state_examined", "strategy_proposed", "strategy_tried", "strategy_decided", "entry_narrowed",
)  # fmt: skip
_MOOD_STEP = 20_000


@dataclass(slots=True)
class DialoguePicture:
    """One dialogue in outline. `number` is that of the event that began it, `feelings` are the
    customer's, line by line; what was said stays in the log.
    """

    started: DialogueStarted
    number: int
    at: float
    feelings: list[str] = field(default_factory=list)
    judged: DialogueJudged | None = None
    ended: DialogueEnded | None = None

    @property
    def state(self) -> str:
        """In a word: how it ended, or that it goes on."""
        if self.ended is None:
            return "talking" if self.judged is None else "judged"
        if self.ended.taken_over:
            return "taken over"
        if self.ended.reason == "fault":
            return "fault"
        return self.ended.reason.replace("_", " ") if self.ended.valid else "invalid"

    @property
    def exchanges(self) -> int:
        """Customer lines so far."""
        return len(self.feelings) if self.ended is None else (self.ended.turns + 1) // 2

    @property
    def feeling(self) -> str:
        """The customer's last feeling."""
        return self.feelings[-1] if self.feelings else ""


@dataclass(slots=True)
class Trial:
    """One trial of a proposal: each try, the verdict."""

    tried: list[StrategyTried] = field(default_factory=list)
    decided: StrategyDecided | None = None


@dataclass(slots=True)
class Attempt:
    """One proposal at a state: what was written, and its trials in turn: what was dropped may be tried
    once more, in other scenarios or words.
    """

    proposed: StrategyProposed | None = None
    trials: list[Trial] = field(default_factory=list)

    @property
    def decided(self) -> StrategyDecided | None:
        """The verdict of its last trial, None where that is under way or none has begun."""
        return self.trials[-1].decided if self.trials else None

    def under_way(self) -> Trial:
        """The trial that has no verdict yet; another one where each has."""
        if not self.trials or self.decided is not None:
            self.trials.append(Trial())
        return self.trials[-1]


@dataclass(slots=True)
class Case:
    """One state in the workshop: the look at it, the proposals by name, and where what was learned there
    turned out to do no good. What was learned elsewhere stands under the entry's id.
    """

    dialogue: str
    turn: int
    examined: StateExamined | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    narrowed: list[EntryNarrowed] = field(default_factory=list)


@dataclass(slots=True)
class SeenFault:
    """A fault with its time (Unix s)."""

    at: float
    fault: Fault


@dataclass
class RunPicture:
    """A run as a screen shows it. `changed` names the dialogues touched since it was last cleared,
    `last` is the number of the last event in it, `at` its time (Unix s). `pauses` are the times between
    which nobody worked on it, each from the last event before the run was resumed.
    """

    started: RunStarted | None = None
    ended: RunEnded | None = None
    began_at: float = 0.0
    pauses: list[tuple[float, float]] = field(default_factory=list)
    at: float = 0.0
    last: int = 0
    dialogues: dict[str, DialoguePicture] = field(default_factory=dict)
    cases: dict[tuple[str, int], Case] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    rounds: dict[int, RoundEnded] = field(default_factory=dict)
    settled: LibrarySettled | None = None
    usage: dict[str, BudgetUsed] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)
    faults: list[SeenFault] = field(default_factory=list)
    fault_count: int = 0
    changed: set[str] = field(default_factory=set)
    workshop_changed: bool = False
    _earlier: dict[str, BudgetUsed] = field(default_factory=dict)
    _attempts: dict[str, Attempt] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Proposals kept so far."""
        return sum(verdict == "kept" for verdict in self.verdicts.values())

    @property
    def over(self) -> int:
        """Dialogues that came to their end."""
        return sum(one.ended is not None for one in self.dialogues.values())

    @property
    def tokens(self) -> int:
        """Input and output tokens of all roles."""
        return sum(used.input + used.output for used in self.usage.values())

    @property
    def usd(self) -> float:
        """What all roles cost, in US dollars."""
        return sum(used.usd for used in self.usage.values())

    def worked(self, at: float) -> float:
        """Seconds for which the run had worked at a time (Unix s)."""
        paused = sum(min(at, on) - off for off, on in self.pauses if at > off)
        return at - self.began_at - paused

    def fold(self, logged: Logged) -> None:
        """Take one event in."""
        event = logged.event
        if isinstance(event, RunStarted):
            self._begin(event, logged.at)
        self.last, self.at = max(self.last, logged.number), max(self.at, logged.at)
        name = getattr(event, "dialogue", "")
        one = self.dialogues.get(name)
        match event:
            case RunEnded():
                self.ended = event
            case DialogueStarted():
                # A dialogue that a resumed run begins again counts once, anew.
                self.dialogues[name] = DialoguePicture(event, logged.number, logged.at)
            case TurnSpoken() if one is not None and event.speaker == "customer":
                one.feelings.append(event.feeling)
            case DialogueJudged() if one is not None:
                one.judged = event
            case DialogueEnded() if one is not None:
                one.ended = event
            case StateExamined() | StrategyProposed() | StrategyTried() | StrategyDecided():
                self._fold_workshop(event)
            case EntryNarrowed():
                self.workshop_changed = True
                self._case(event.dialogue or event.entry, event.turn).narrowed.append(event)
            case RoundEnded():
                self.rounds[event.round] = event
            case LibrarySettled():
                self.settled = event
            case BudgetUsed():
                self.usage[event.role] = added(self._earlier.get(event.role), event)
                self.rates.setdefault(event.role, Rate()).see(logged.at, event.output)
            case Fault():
                self.fault_count += 1
                self.faults = [*self.faults[1 - CASES :], SeenFault(logged.at, event)]
        if name in self.dialogues:
            self.changed.add(name)

    def _begin(self, event: RunStarted, at: float) -> None:
        if self.started is None:
            self.began_at = at
        elif at > self.at:
            self.pauses.append((self.at, at))
        self.started, self.ended, self.settled = event, None, None
        # Counts of usage begin anew with every process that works on the run.
        self._earlier, self.rates = dict(self.usage), {}

    def _fold_workshop(
        self, event: StateExamined | StrategyProposed | StrategyTried | StrategyDecided
    ) -> None:
        self.workshop_changed = True
        if isinstance(event, StrategyDecided):
            self.verdicts[event.proposal] = event.verdict
        if isinstance(event, StateExamined):
            self._case(event.dialogue, event.turn).examined = event
            return
        attempt = self._attempts.setdefault(event.proposal, Attempt())
        if isinstance(event, StrategyTried):
            attempt.under_way().tried.append(event)
            return
        if isinstance(event, StrategyProposed):
            attempt.proposed = event
        else:
            attempt.under_way().decided = event
        self._case(event.dialogue, event.turn).attempts[event.proposal] = attempt

    def _case(self, dialogue: str, turn: int) -> Case:
        key = (dialogue, turn)
        case = self.cases.pop(key, None) or Case(dialogue, turn)
        self.cases[key] = case
        while len(self.cases) > CASES:
            oldest = self.cases.pop(next(iter(self.cases)))
            for name in oldest.attempts:
                self._attempts.pop(name, None)
        return case


async def outlined(log: RunLog) -> RunPicture:
    """The picture of a log so far, without the customers' feelings (`add_feelings` brings those):
    a long log is shown before all of it is read.
    """
    picture = RunPicture()
    upto = await log.last_number()
    for logged in await log.read(kinds=_OUTLINE, upto=upto):
        if isinstance(logged.event, RunStarted):
            # A pause is from the last event of all, not of those that are read here.
            picture.at = await log.last_at(logged.number - 1)
        picture.fold(logged)
    picture.cases.clear()
    picture._attempts.clear()
    for logged in await log.read(kinds=_WORKSHOP, upto=upto, last=8 * CASES):
        picture.fold(logged)
    for logged in await log.read(kinds=("fault",), upto=upto, last=CASES):
        picture.fold(logged)
    picture.fault_count = await log.count("fault", upto)
    picture.last, picture.at = upto, await log.last_at(upto)
    return picture


async def add_feelings(log: RunLog, picture: RunPicture) -> None:
    """Bring the feelings of the dialogues that `outlined` found. Call it once, before newer events
    are folded in; it yields to others between the parts of a long log.
    """
    for start in range(0, picture.last, _MOOD_STEP):
        upto = min(start + _MOOD_STEP, picture.last)
        for number, name, feeling in await log.feelings(start, upto):
            one = picture.dialogues.get(name)
            if one is not None and number > one.number:
                one.feelings.append(feeling or "")
                picture.changed.add(name)
