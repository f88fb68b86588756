"""Placing: where in the prompt one student follows strategies best, measured on validation dialogues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tutelage.agents.models.chat_models import fitting_placement
from tutelage.environments import Environment
from tutelage.strategy_store import Placement

from .log.run_log import Log, MemoryLog
from .log.states import played
from .play.desk import Desk, fitting_concurrency
from .play.dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .play.rollouts import play, request_for
from .statistics.convergence import Step, step_between

PLACING_ROUND = -1
"""The round that these dialogues carry, so that they are taken for no round of coaching."""
FEWEST = 6
"""Pairs of dialogues below which no other placement takes the place of the usual one. Simulated 100,000
times, two others against it, satisfaction spread by 1 about what a dialogue would have, cut at 1 and 5:
others that are worse by half a point displace it in 22 of 100 measurements with 2 pairs, 15 with 3, 12
with 4, 8 with 6 and 5 with 8; one that is better by a point is taken in 38, 50,
58, 70 and 79 (satisfaction in whole points). Others
that are as good displace it in 38, 34, 32, 29 and 28, which costs nothing, and never in fewer than 26,
for one standard error is all that is asked."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One placement: mean satisfaction (1-5) over `n` dialogues, and against the usual in pairs."""

    placement: Placement
    csat: float | None
    n: int
    step: Step


@dataclass(frozen=True, slots=True)
class Placing:
    """All that were tried, the usual first, and the one to use, where the measurement is `complete`
    (every dialogue was played) and `tells`; else that is the usual one.
    """

    tried: list[Placed]
    best: Placement
    complete: bool

    @property
    def usual(self) -> Placement:
        """What the student's provider takes anyway."""
        return self.tried[0].placement

    @property
    def tells(self) -> bool:
        """Whether it is complete, and every placement has pairs enough to say that it is better, or that
        it is not.
        """
        return self.complete and all(one.step.n >= FEWEST for one in self.tried)

    @property
    def measured(self) -> str:
        """The figures in a few words, for the library's history."""
        shown = [f"{p.placement} {p.csat:.2f}" for p in self.tried if p.csat is not None]
        return f"satisfaction on {max(p.n for p in self.tried)} dialogues: {', '.join(shown)}"


def plan_placing(environment: Environment, dialogues: int, seed: int) -> list[DialogueRequest]:
    """The validation dialogues, the same for every placement."""
    scenarios = environment.split("validation")
    return [
        request_for(
            environment, scenarios[number % len(scenarios)].id, PLACING_ROUND, "validation",
            seed + number,
        )
        for number in range(dialogues if scenarios else 0)
    ]  # fmt: skip


async def measure_placements(
    desk: Desk,
    placements: Sequence[Placement],
    *,
    dialogues: int,
    seed: int = 0,
    max_exchanges: int = MAX_EXCHANGES,
    concurrency: int | None = None,
) -> Placing:
    """Play the validation dialogues once for each placement and choose.

    What the student's provider takes anyway (`after`, or `note` where a system message may only
    lead) stays unless another is better than it by more than one standard error in pairs; of several
    such the one with the highest mean. It stays as well where a placement has fewer than FEWEST pairs,
    or not all were played.

    Args:
        desk: the agents; its library is what is given.
        placements: what to try beside that one.
        dialogues: a placement.
        seed: of the dialogues.
        max_exchanges, concurrency: as for all dialogues.
    """
    log: Log = desk.log or MemoryLog()
    desk.log = log
    plan = plan_placing(desk.environment, dialogues, seed)
    usual = fitting_placement(desk.student.voice.model)
    late: tuple[Placement, ...] = () if usual == "after" else ("after", "example")
    wanted: list[Placement] = list(dict.fromkeys([usual, *placements]))
    every: list[Placement] = [placement for placement in wanted if placement not in late]
    for placement in every:
        placed = replace(desk, student=replace(desk.student, placement=placement))
        requests: list[DialogueRequest] = [
            {
                **request,
                "arm": placement,
                "dialogue": f"p.{placement}.{request.get('scenario')}.{request.get('persona')}"
                f".{request.get('seed')}",
            }
            for request in plan
        ]
        await play(
            desk, compile_dialogue(placed, max_exchanges), requests,
            concurrency or fitting_concurrency(desk),
        )  # fmt: skip
    scores: dict[str, dict[str, float]] = {placement: {} for placement in every}
    begun = [one for one in (await played(log)).values() if one.started.round == PLACING_ROUND]
    for one in begun:
        if one.valid and one.judged is not None:
            cell = f"{one.started.scenario}.{one.started.persona}.{one.started.seed}"
            scores[one.started.arm][cell] = one.judged.satisfaction
    tried = [
        Placed(
            placement,
            fmean(scores[placement].values()) if scores[placement] else None,
            len(scores[placement]),
            step_between(scores[usual], scores[placement]),
        )
        for placement in every
    ]
    complete = len(begun) == len(every) * len(plan)
    measured = Placing(tried, usual, complete)
    better = [one for one in tried if one.step.up and one.csat is not None]
    if not (better and measured.tells):
        return measured
    return replace(measured, best=max(better, key=lambda one: one.csat or 0.0).placement)
