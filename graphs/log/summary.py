"""The sums of a run: what a table, a report and `--json` say of it, drawn from the log alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from .events import (
    BudgetUsed,
    DialogueStarted,
    Fault,
    LibrarySettled,
    RoundEnded,
    RunEnded,
    RunStarted,
    StrategyDecided,
    TurnRejected,
    TurnSpoken,
)
from .run_log import Log
from .states import Played, played
from .usage import added


class RunSummary(BaseModel):
    """A run in figures. Satisfaction is 1 to 5, rubric scores are 0 to 1, time is in seconds."""

    environment: str = ""
    command: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    rounds: list[RoundEnded] = Field(default_factory=list)
    decided: list[StrategyDecided] = Field(default_factory=list)
    usage: dict[str, BudgetUsed] = Field(default_factory=dict)
    customer_turns: int = 0
    rejected_turns: int = 0
    baseline_csat: float | None = None
    baseline_rubric: float | None = None
    settled: LibrarySettled | None = None
    faults: list[str] = Field(default_factory=list)
    stop: str = ""
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output tokens of all roles."""
        return sum(used.input + used.output for used in self.usage.values())

    @property
    def usd(self) -> float:
        """What all roles cost, in US dollars."""
        return sum(used.usd for used in self.usage.values())

    @property
    def kept(self) -> list[StrategyDecided]:
        """The proposals that were kept."""
        return [event for event in self.decided if event.verdict == "kept"]

    @property
    def dropped(self) -> list[StrategyDecided]:
        """The proposals that were dropped."""
        return [event for event in self.decided if event.verdict == "dropped"]

    @property
    def sources(self) -> dict[str, tuple[int, int]]:
        """By source (teacher, handbook or policy): proposals kept, and proposals decided on."""
        found: dict[str, tuple[int, int]] = {}
        for event in self.decided:
            kept, decided = found.get(event.source, (0, 0))
            found[event.source] = (kept + (event.verdict == "kept"), decided + 1)
        return dict(sorted(found.items()))


async def summarise(log: Log) -> tuple[RunSummary, dict[str, Played]]:
    """Read a log once and draw its sums; the dialogues come with it, by id.

    Usage is summed over the processes that worked on the run: within one process a role's count
    only grows, so a count that falls marks a resumed run.
    """
    summary = RunSummary()
    decided: dict[str, StrategyDecided] = {}
    earlier: dict[str, BudgetUsed] = {}
    active = 0.0
    last_at: float | None = None
    rounds: dict[int, RoundEnded] = {}
    for logged in await log.read():
        event = logged.event
        if isinstance(event, RunStarted):
            last_at = logged.at
            if not event.resumed:
                summary.environment, summary.command = event.environment, event.command
                summary.options = dict(event.options)
            summary.models, summary.stop = event.models, ""
            for role, used in summary.usage.items():
                earlier[role] = used
        elif last_at is not None:
            active += logged.at - last_at
            last_at = logged.at
        match event:
            case RoundEnded():
                rounds[event.round] = event
            case StrategyDecided():
                decided[event.proposal] = event
            case BudgetUsed():
                summary.usage[event.role] = added(earlier.get(event.role), event)
            case TurnSpoken() if event.speaker == "customer" and not event.replayed:
                summary.customer_turns += 1
            case TurnRejected():
                summary.rejected_turns += 1
            case LibrarySettled():
                summary.settled = event
            case Fault():
                summary.faults.append(event.message)
            case RunEnded():
                summary.stop = event.reason
            case _:
                pass
    summary.rounds = [rounds[number] for number in sorted(rounds)]
    summary.decided = list(decided.values())
    summary.seconds = active
    dialogues = await played(log)
    base = [
        one.judged
        for one in dialogues.values()
        if is_baseline(one.started) and one.valid and one.judged is not None
    ]
    if base:
        summary.baseline_csat = sum(event.satisfaction for event in base) / len(base)
        summary.baseline_rubric = sum(event.rubric for event in base) / len(base)
    return summary, dialogues


def is_baseline(started: DialogueStarted) -> bool:
    """Whether a dialogue is one of the validation split, played before anything was taught."""
    return started.purpose == "validation" and started.round == 0


def coach_json(summary: RunSummary, run: str, scenarios: int, strategies: int) -> dict[str, Any]:
    """What `coach --json` prints."""
    return {
        "run": run,
        "environment": summary.environment,
        "models": summary.models,
        "stop": summary.stop,
        "rounds": [
            event.model_dump(exclude={"kind", "seconds"}) | {"seconds": round(event.seconds, 1)}
            for event in summary.rounds
        ],
        "baseline": {"csat": summary.baseline_csat, "rubric": summary.baseline_rubric},
        "library": {"scenarios": scenarios, "strategies": strategies},
        "sources": {
            source: {"kept": kept, "decided": decided}
            for source, (kept, decided) in summary.sources.items()
        },
        "settled": summary.settled.model_dump(exclude={"kind"}) if summary.settled else None,
        "customer": {"turns": summary.customer_turns, "rejected": summary.rejected_turns},
        "tokens": {
            role: {"input": used.input, "output": used.output, "cached": used.cached}
            for role, used in summary.usage.items()
        },
        "usd": summary.usd,
        "seconds": round(summary.seconds, 1),
        "faults": summary.faults,
    }
