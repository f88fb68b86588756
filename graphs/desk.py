"""The desk: the agents of one run at one firm, the library they use, and where events go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langgraph.config import get_stream_writer
from tutelage.agents.chat_models import DEFAULT_MODEL, chat_model, model_name
from tutelage.agents.customer import Customer
from tutelage.agents.judge import Judge
from tutelage.agents.machine_size import slots_for_machine
from tutelage.agents.meter import Meter, Role
from tutelage.agents.student import Student
from tutelage.agents.teacher import Teacher
from tutelage.agents.transcript import Turn, as_messages
from tutelage.agents.voice import Voice
from tutelage.environments import Environment
from tutelage.strategy_store import Library, Placement, Retrieved, Status, query_of

from .events import BudgetUsed, Event
from .run_log import Log

T = TypeVar("T")
R = TypeVar("R")
Model = str | BaseChatModel
REMOTE_CONCURRENCY = 8
"""Dialogues at a time where every model answers from elsewhere."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How the student looks strategies up: how many entries, from which similarity (0-1), within
    how many tokens, of which status, and whether those learned from the scenario at hand count.
    """

    top: int = 1
    threshold: float = 0.3
    token_budget: int = 160
    statuses: tuple[Status, ...] = ("approved",)
    leave_out_own: bool = False


@dataclass
class Desk:
    """Everybody at one firm's desk. Made by `open_desk`."""

    environment: Environment
    customer: Customer
    student: Student
    judge: Judge
    teacher: Teacher
    meter: Meter
    library: Library | None
    retrieval: Retrieval
    log: Log | None = None
    embeddings: Any = None
    fixed: tuple[Retrieved, ...] = ()
    """Given at every turn in place of what would be retrieved; for arms that compare."""
    keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something enters the library, so that what it is compared with stays."""
    _told: dict[Role, int] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, str]:
        """The name of each role's model."""
        return {
            voice.role: voice.spec
            for voice in (
                self.student.voice, self.customer.voice, self.judge.voice, self.teacher.voice
            )
        }  # fmt: skip

    async def record(self, event: Event) -> None:
        """Write an event to the run log, then hand it to whoever streams the graph (`custom`)."""
        if self.log is not None:
            await self.log.append(event)
        try:
            writer = get_stream_writer()
        except RuntimeError:
            return
        writer(event.model_dump())

    async def record_usage(self) -> None:
        """Write what each role has used, where it has used more than was last written."""
        for role, usage in list(self.meter.roles.items()):
            if self._told.get(role) != usage.calls:
                self._told[role] = usage.calls
                await self.record(BudgetUsed(role=role, **vars(usage)))

    async def side_by_side(self, items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
        """Work on all items at once where every model answers from elsewhere, else in turn: a model in
        this process reads each prompt anew where they compete for its slots.
        """
        if any(spec.startswith("local:") for spec in self.models.values()):
            return [await work(item) for item in items]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_awaited(work, item)) for item in items]
        except* Exception as faults:
            # One clear fault reads better than a group of them, and callers know what to do with it.
            raise faults.exceptions[0] from None
        return [task.result() for task in tasks]

    async def retrieve(self, turns: Sequence[Turn], scenario_id: str) -> list[Retrieved]:
        """The strategies for the state that the dialogue is in; empty without a library."""
        if self.fixed:
            return list(self.fixed)
        if self.library is None:
            return []
        index = await self.library.aindex(self.retrieval.statuses, self.embeddings)
        return await index.asearch(
            query_of(as_messages(turns)),
            top=self.retrieval.top,
            threshold=self.retrieval.threshold,
            token_budget=self.retrieval.token_budget,
            exclude_scenarios=(scenario_id,) if self.retrieval.leave_out_own else (),
        )


async def _awaited(work: Callable[[T], Awaitable[R]], item: T) -> R:
    return await work(item)


def open_desk(
    environment: Environment,
    *,
    student: Model | None = None,
    customer: Model | None = None,
    judge: Model | None = None,
    teacher: Model | None = None,
    library: Library | None = None,
    retrieval: Retrieval | None = None,
    placement: Placement | None = None,
    meter: Meter | None = None,
    log: Log | None = None,
    embeddings: Any = None,
) -> Desk:
    """Seat the agents.

    Args:
        environment: the firm.
        student, customer, judge, teacher: a spec string ("provider:model") or a chat model; the
            embedded local model where none is given.
        library: where strategies are looked up; None for the plain student.
        retrieval: how they are looked up.
        placement: where in the student's prompt they stand; what the library knows to suit this
            student where None.
        meter: counts usage and holds the budget.
        log: where events are written; None keeps them to those who stream the graph.
        embeddings: a LangChain `Embeddings` for dense retrieval beside BM25.

    Raises:
        ModelFault: where a model cannot be had.
    """
    meter = meter or Meter()
    given: dict[Role, Model | None] = {
        "student": student, "customer": customer, "judge": judge, "teacher": teacher
    }  # fmt: skip
    voices = {role: voice_of(role, model or DEFAULT_MODEL, meter) for role, model in given.items()}
    if placement is None:
        placement = library.placement_for(voices["student"].spec) if library else "after"
    return Desk(
        environment=environment,
        customer=Customer(voices["customer"], environment),
        student=Student(voices["student"], environment, placement),
        judge=Judge(voices["judge"], environment),
        teacher=Teacher(voices["teacher"], environment),
        meter=meter,
        library=library,
        retrieval=retrieval or Retrieval(),
        log=log,
        embeddings=embeddings,
    )


def fitting_concurrency(desk: Desk) -> int:
    """How many dialogues at a time the desk's models serve best.

    One a slot where a model runs in this process: with more, dialogues push each other's prompts
    out of the slots and each turn reads its whole dialogue anew.
    """
    if any(spec.startswith("local:") for spec in desk.models.values()):
        return slots_for_machine()
    return REMOTE_CONCURRENCY


def voice_of(role: Role, model: Model, meter: Meter) -> Voice:
    """The voice of a role on a model, given as a spec string or as an object."""
    resolved = chat_model(model)
    spec = model if isinstance(model, str) else model_name(resolved)
    return Voice(role, resolved, model_name(resolved) if "@" in spec else spec, meter)
