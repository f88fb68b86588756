"""Rounds: what a coaching run's log says of them, and which round's library stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tutelage.strategy_store import ChangedMeanwhile

from ..log.events import (
    DialogueJudged,
    LibrarySettled,
    NullCompared,
    RoundEnded,
    RunStarted,
    StateClosed,
    StrategyDecided,
    StrategyTried,
)
from ..log.run_log import Log
from ..log.states import Played, played
from ..play.desk import Desk
from ..statistics.acceptance import SATISFACTION, Pair, gain, mean_interval, spread
from ..statistics.convergence import FEWEST, best_round, of_no_use, step_between
from .trials import Null


def round_sums(
    dialogues: Sequence[Played], number: int, decided: Sequence[StrategyDecided]
) -> RoundEnded:
    """What a round came to: satisfaction with its interval, both over scenarios, rubric, proposals kept
    and dropped.
    """
    judged: list[DialogueJudged] = []
    of_scenario: dict[str, list[float]] = {}
    for one in dialogues:
        if one.valid and one.judged is not None:
            judged.append(one.judged)
            of_scenario.setdefault(one.started.scenario, []).append(one.judged.satisfaction)
    # Dialogues of one scenario are not independent of each other.
    scores = [sum(found) / len(found) for found in of_scenario.values()]

    def mean(values: Sequence[float]) -> float | None:
        return sum(values) / len(values) if values else None

    checks = [event.by_code for event in judged if event.by_code is not None]
    questions = [event.by_judge for event in judged if event.by_judge is not None]
    kept = sum(event.verdict == "kept" for event in decided)
    return RoundEnded(
        round=number,
        dialogues=len(dialogues),
        invalid=sum(not one.valid and not one.taken_over for one in dialogues),
        csat=mean(scores),
        csat_ci95=mean_interval(scores, SATISFACTION) if len(scores) > 1 else None,
        rubric=mean([event.rubric for event in judged]),
        checks=mean(checks),
        questions=mean(questions),
        proposed=len(decided),
        kept=kept,
        dropped=len(decided) - kept,
    )


async def dialogues_of(log: Log, number: int) -> list[Played]:
    """The training dialogues of a round."""
    return [
        one
        for one in (await played(log)).values()
        if one.started.round == number and one.started.purpose == "train"
    ]


async def trained(log: Log) -> list[Played]:
    """The training dialogues of all rounds."""
    return [one for one in (await played(log)).values() if one.started.purpose == "train"]


async def validation_begun(log: Log, number: int) -> bool:
    """Whether a validation dialogue of a round stands in the log."""
    found = (await played(log)).values()
    return any(one.started.round == number and one.started.purpose == "validation" for one in found)


async def validation_means(log: Log, number: int) -> dict[str, float]:
    """Mean satisfaction (`csat`, 1-5) and rubric (0-1) of a round's validation dialogues; nothing where
    it has none that count.
    """
    judged = [
        one.judged
        for one in (await played(log)).values()
        if one.started.round == number
        and one.started.purpose == "validation"
        and one.valid
        and one.judged is not None
    ]
    if not judged:
        return {}
    return {
        "csat": sum(event.satisfaction for event in judged) / len(judged),
        "rubric": sum(event.rubric for event in judged) / len(judged),
    }


async def validation_scores(log: Log) -> dict[int, dict[str, float]]:
    """Round to cell to satisfaction of the validation dialogues; round 0 is before the first."""
    scores: dict[int, dict[str, float]] = {}
    for one in (await played(log)).values():
        counts = one.started.purpose == "validation" and one.started.round >= 0
        if counts and one.valid and one.judged is not None:
            cell = f"{one.started.scenario}.{one.started.persona}.{one.started.seed}"
            scores.setdefault(one.started.round, {})[cell] = one.judged.satisfaction
    return scores


async def closed_states(log: Log) -> set[tuple[str, int, int]]:
    """The states that are done with: dialogue, turn, round."""
    events = [logged.event for logged in await log.read(kinds=("state_closed",))]
    return {(e.dialogue, e.turn, e.round) for e in events if isinstance(e, StateClosed)}


def scored(event: StrategyTried | NullCompared) -> Pair:
    """What a comparison came to, without the words."""
    return Pair("", "", "", event.preference, event.checks_before, event.checks_after, event.checks)


async def null_pairs(log: Log) -> list[Pair]:
    """What a run that goes on knows of chance: the comparisons of the student with itself so far."""
    found: dict[object, NullCompared] = {}
    for place, logged in enumerate(await log.read(kinds=("null_compared",))):
        event = logged.event
        if isinstance(event, NullCompared):
            # A state that was cut off is taught anew on the same seeds.
            at = (event.dialogue, event.turn, event.seed)
            found[place if event.seed is None else at] = event
    return [scored(event) for event in found.values()]


async def decided_in(log: Log, number: int) -> list[StrategyDecided]:
    """The decisions of a round; of a proposal decided twice (a resumed run) the last counts."""
    latest: dict[str, StrategyDecided] = {}
    of_round = f"r{number}."
    for logged in await log.read(kinds=("strategy_decided",)):
        event = logged.event
        if isinstance(event, StrategyDecided) and event.dialogue.startswith(of_round):
            latest[event.proposal] = event
    return list(latest.values())


async def no_use(desk: Desk, log: Log, null: Null) -> str:
    """Why coaching this student is of no use, or "". Never said of a library that holds something:
    the replies it is compared with are coached ones.
    """
    if desk.library is not None and await asyncio.to_thread(desk.library.entries):
        return ""
    unit = spread(null.pairs)
    found: dict[object, StrategyTried] = {}
    for logged in await log.read(kinds=("strategy_tried",)):
        event = logged.event
        if isinstance(event, StrategyTried) and event.phase != "elsewhere":
            place = event.proposal, event.phase, event.dialogue, event.turn, event.seed
            # A state that was cut off is taught anew on the same seeds.
            found[(*place, event.before, event.after)] = event
    gains = [gain(scored(event), unit) for event in found.values()]
    same = sum(event.before.strip() == event.after.strip() for event in found.values())
    return of_no_use(gains, same)


async def library_version(desk: Desk) -> int | None:
    """The version that the library stands at, None without one."""
    if desk.library is None:
        return None
    library = desk.library
    return await asyncio.to_thread(lambda: library.version)


async def settle_library(desk: Desk, log: Log, run: str) -> None:
    """Roll the library back to its best round where the last is worse beyond noise.

    Nothing is undone where too few validation dialogues tell, or where somebody else has changed the
    library meanwhile: that is a person's to decide, and the event says so. Nothing is settled where the
    budget ended after this run has changed the library once more, which no validation dialogue has
    seen: a run that goes on measures it.
    """
    scores = await validation_scores(log)
    kinds = ("run_started", "round_ended", "library_settled")
    events = [logged.event for logged in await log.read(kinds=kinds)]
    rounds = [event for event in events if isinstance(event, RoundEnded)]
    ends = [event for event in events if not isinstance(event, RunStarted)]
    if desk.library is None or not rounds or isinstance(ends[-1], LibrarySettled):
        return
    versions = {event.round: event.library_version for event in rounds}
    measured = {n: cells for n, cells in scores.items() if n == 0 or versions.get(n) is not None}
    if 0 not in measured or len(measured) < 2:
        return
    best, last = best_round(measured), max(measured)
    library = desk.library
    history = await asyncio.to_thread(library.versions)
    by = f"run {run}".strip()
    own = [v.version for v in history if v.author == by]
    if own and max(own) > (rounds[-1].library_version or 0):
        return
    start = next((e.library_version for e in events if isinstance(e, RunStarted)), None)
    if start is None:
        # A graph without a command says nothing of its beginning; another run may have the same name.
        start = min(own) - 1 if own else 0
    version = versions.get(best) or start
    reason = (
        f"none did better on the validation dialogues than that after round {last}, but for noise"
    )
    if not any(step_between(measured[n], measured[last]).tells for n in measured if n != last):
        reason = f"fewer than {FEWEST} validation dialogues tell nothing of an earlier one"
    rolled_back = False
    if best != last:
        change = step_between(measured[best], measured[last])
        since = "before the first round" if best == 0 else f"after round {best}"
        reason = f"the library {since} did better: {-change.mean:.2f} points of satisfaction"
        seen = history[-1].version if history else 0
        foreign = [v for v in history if v.version > version and v.author != by]
        if not foreign:
            try:
                await asyncio.to_thread(library.rollback, version, by, seen=seen)
                rolled_back = True
            except ChangedMeanwhile:
                history = await asyncio.to_thread(library.versions)
                foreign = [v for v in history if v.version > seen]
        if foreign:
            reason += f"; not rolled back, since {foreign[0].author} changed the library meanwhile"
    await desk.record(
        LibrarySettled(round=best, version=version, rolled_back=rolled_back, reason=reason)
    )
