"""Rollouts: which dialogues a round plays, and the playing of them, so many at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from langgraph.graph.state import CompiledStateGraph
from tutelage.agents.models.faults import InvalidAnswer, ModelFault
from tutelage.environments import Environment, EnvironmentFault, Problem, Scenario

from ..log.events import DialogueEnded, Fault
from ..log.states import played
from .desk import Desk
from .dialogue import DialogueRequest

T = TypeVar("T")
R = TypeVar("R")


def training_scenarios(environment: Environment) -> list[Scenario]:
    """The scenarios that may be learned from.

    Raises:
        EnvironmentFault: where the firm has none; those of other splits are for measuring.
    """
    if scenarios := environment.split("train"):
        return scenarios
    problem = Problem(
        environment.path / "environment.yaml",
        "names no scenario, and none of another split is learned from",
        field="splits.train",
        expected="ids of scenarios to learn from; `tutelage env generate` writes some",
    )
    raise EnvironmentFault([problem], 2)


def plan_round(
    environment: Environment, number: int, dialogues: int, seed: int
) -> list[DialogueRequest]:
    """The dialogues of round `number` (from 1): the training scenarios in a shuffled order, going on
    where the round before left off, each with a persona that fits it.

    Raises:
        EnvironmentFault: where the firm has no training scenario.
    """
    scenarios = training_scenarios(environment)
    rng = random.Random(f"{seed}-plan")  # noqa: S311 - a plan, not a secret
    order = rng.sample(scenarios, len(scenarios))
    requests: list[DialogueRequest] = []
    for position in range(dialogues):
        place = (number - 1) * dialogues + position
        lap, at = divmod(place, len(order))
        # Seeds shift by one a lap, so that whoever tells even from odd ones meets both.
        requests.append(
            request_for(
                environment, order[at].id, number, "train", seed + place + lap, seed + at + lap
            )
        )
    return requests


def plan_validation(
    environment: Environment, number: int, dialogues: int, seed: int
) -> list[DialogueRequest]:
    """The same validation dialogues every time, so that rounds are compared in pairs; empty where
    the firm has no validation split.
    """
    scenarios = environment.split("validation")[:dialogues]
    return [
        request_for(environment, scenario.id, number, "validation", seed + position)
        for position, scenario in enumerate(scenarios)
    ]


def request_for(
    environment: Environment,
    scenario: str,
    number: int,
    purpose: str,
    seed: int,
    place: int | None = None,
) -> DialogueRequest:
    """A dialogue of round `number`; of the personas that the scenario allows it takes the one at a
    place, counted round and round: the seed, where none is given.
    """
    personas = environment.personas_for(environment.scenarios[scenario])
    persona = personas[(seed if place is None else place) % len(personas)].name
    prefix = "v" if purpose == "validation" else "r"
    return DialogueRequest(
        scenario=scenario, persona=persona, seed=seed, round=number, purpose=purpose,
        dialogue=f"{prefix}{number}.{scenario}.{persona}.{seed}",
    )  # fmt: skip


async def play(
    desk: Desk, dialogue: CompiledStateGraph, plan: Iterable[DialogueRequest], concurrency: int
) -> None:
    """Play the dialogues of a plan that the log has not finished, `concurrency` at a time.

    Each is one invocation of the dialogue graph and is recorded as it goes; one that fails is
    recorded as a fault, is not scored, and is played anew when the run is resumed. The budget is
    looked at before each.

    Raises:
        ModelFault: where every dialogue that was left of the plan failed because of a model. Those that
            were given invalid answers alone end no run in which others were played, and one that is
            all there is to play ends it once.
    """
    assert desk.log is not None
    plan = list(plan)
    ended = {id_: one.ended for id_, one in (await played(desk.log)).items() if one.ended}
    finished = {id_ for id_, end in ended.items() if end.reason != "fault"}
    todo = [request for request in plan if request.get("dialogue") not in finished]
    # One alone that failed before will fail again on its seed, and must not keep a run from going on.
    alone = len(todo) == 1 and todo[0].get("dialogue") in ended

    async def one(request: DialogueRequest) -> ModelFault | None:
        if desk.meter.spent:
            return None
        try:
            await dialogue.ainvoke(request)
        except ModelFault as error:
            name = request.get("dialogue", "")
            await desk.record(Fault(where="dialogue", message=str(error), dialogue=name))
            await desk.record(DialogueEnded(dialogue=name, reason="fault", turns=0, valid=False))
            return error
        await desk.record_usage()
        return None

    faults = await gather(todo, one, concurrency, desk)
    broken = [error for error in faults if error is not None]
    _raise_where_nothing_works(broken, len(todo), len(finished) + alone)


async def gather(
    items: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    concurrency: int,
    desk: Desk,
    *,
    before: int = 0,
) -> list[R]:
    """Work on all items, at most `concurrency` at a time; a first failure cancels the others.

    A ModelFault in one item is recorded and the item left out of the result.

    Args:
        items: what to work on.
        work: on one of them.
        concurrency: items at a time, 1 or more.
        desk: where faults are recorded.
        before: how many items of the same kind were done before, by a run that goes on.

    Raises:
        ModelFault: where every item failed because of a model; where all were given invalid answers,
            only if none was done before, for such an answer may come again on the same seed.
    """
    faults: list[ModelFault] = []
    gate = asyncio.Semaphore(concurrency)
    results: dict[int, R] = {}

    async def guarded(position: int, item: T) -> None:
        async with gate:
            try:
                results[position] = await work(item)
            except ModelFault as error:
                await desk.record(Fault(where="coaching", message=str(error)))
                faults.append(error)

    try:
        async with asyncio.TaskGroup() as tasks:
            for position, item in enumerate(items):
                tasks.create_task(guarded(position, item))
    except* Exception as group:
        # One clear fault reads better than a group of them.
        raise group.exceptions[0] from None
    _raise_where_nothing_works(faults, len(items), before)
    return [results[position] for position in sorted(results)]


def _raise_where_nothing_works(faults: Sequence[ModelFault], tried: int, before: int) -> None:
    if not tried or len(faults) < tried:
        return
    unreached = (fault for fault in faults if not isinstance(fault, InvalidAnswer))
    if fault := next(unreached, None if before else faults[0]):
        raise fault
