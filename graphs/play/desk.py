"""The desk: the agents of one run at one firm, the library they use, and where events go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langgraph.config import get_stream_writer
from tutelage.agents.app_student import Student as AnyStudent
from tutelage.agents.app_student import as_student
from tutelage.agents.customer import Customer
from tutelage.agents.judge import Judge
from tutelage.agents.models.chat_models import (
    DEFAULT_MODEL,
    chat_model,
    measured_placement,
    model_name,
    runs_here,
)
from tutelage.agents.models.embedding_models import embedding_model
from tutelage.agents.models.machine_size import slots_for_machine
from tutelage.agents.models.meter import Meter, Role
from tutelage.agents.student import Student
from tutelage.agents.teacher import Teacher
from tutelage.agents.toolbox import check_tools
from tutelage.agents.transcript import Turn, as_messages
from tutelage.agents.voice import Hear, Voice
from tutelage.environments import Environment
from tutelage.strategy_store import Entry, Index, Library, Placement, Retrieved, Status, query_of
from tutelage.strategy_store.given import TOKEN_BUDGET, TOP

from ..log.events import (
    BudgetUsed,
    DialogueEnded,
    Event,
    Speaker,
    Speaking,
    TurnRejected,
    TurnSpoken,
)
from ..log.run_log import Log
from ..log.speech import Speech

T = TypeVar("T")
R = TypeVar("R")
Model = str | BaseChatModel
REMOTE_CONCURRENCY = 8
"""Dialogues at a time where every model answers from elsewhere."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How the student looks strategies up: how many entries (TOP where None), from which similarity
    (0-1), within how many tokens, of which status, whether those learned from the scenario at hand
    count, and which sources (handbook, teacher, person) do not.
    """

    top: int | None = None
    threshold: float | None = None
    token_budget: int = TOKEN_BUDGET
    statuses: tuple[Status, ...] = ("approved",)
    leave_out_own: bool = False
    leave_out_sources: tuple[str, ...] = ()


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
    fixed: tuple[Retrieved, ...] | None = None
    """Given at every turn in place of what would be retrieved; for arms that compare."""
    speech: Speech | None = None
    stream_speech: bool = False
    """Whether those who stream the graph in mode `custom` hear what is being said as well."""
    keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something enters the library, so that what it is compared with stays."""
    at_once: int = REMOTE_CONCURRENCY
    """Items worked on side by side at a time, over all that goes on at the desk."""
    _gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
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
        _stream(event)
        if self.speech is not None and isinstance(event, (TurnSpoken, TurnRejected, DialogueEnded)):
            self.speech.end(event.dialogue)

    def hearing(self, dialogue: str, turn: int, speaker: Speaker) -> Hear | None:
        """Who is told a turn as it is spoken; None where nobody listens, so that no model need be
        streamed.
        """
        speech = self.speech if self.speech is not None and self.speech.wanted else None
        if speech is None and not self.stream_speech:
            return None

        def hear(said: str) -> None:
            if speech is not None:
                speech.hear(dialogue, turn, speaker, said)
            if self.stream_speech:
                _stream(Speaking(dialogue=dialogue, turn=turn, speaker=speaker, text=said))

        return hear

    async def record_usage(self) -> None:
        """Write what each role has used, where it has used more than was last written."""
        for role, usage in list(self.meter.roles.items()):
            if self._told.get(role) != usage.calls:
                self._told[role] = usage.calls
                await self.record(BudgetUsed(role=role, **vars(usage)))

    async def side_by_side(self, items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
        """Work on items at once, as many as the run allows, where every model answers from elsewhere,
        else in turn: a model in this process reads each prompt anew where they compete for its slots.

        Args:
            items: what to work on.
            work: makes its calls one after the other; were it to work side by side itself, it would
                wait for its own place.
        """
        if any(map(runs_here, self.models.values())):
            return [await work(item) for item in items]
        gate = self._gate_of(asyncio.get_running_loop())

        async def admitted(item: T) -> R:
            async with gate:
                return await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(admitted(item)) for item in items]
        except* Exception as faults:
            # One clear fault reads better than a group of them, and callers know what to do with it.
            raise faults.exceptions[0] from None
        return [task.result() for task in tasks]

    def _gate_of(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        # A semaphore belongs to the loop that first waits for it, and a graph may be run in several.
        if self._gate is None or self._gate[0] is not loop:
            self._gate = (loop, asyncio.Semaphore(self.at_once))
        return self._gate[1]

    async def retrieve(
        self, turns: Sequence[Turn], scenario_id: str, trying: Entry | None = None
    ) -> list[Retrieved] | None:
        """The strategies for the state that the dialogue is in, with an entry that is tried among them
        (see `Index.search`); None without a library and a trial, which leaves a student that is coached
        already to its own.
        """
        if self.fixed is not None:
            return list(self.fixed)
        if self.library is not None:
            index = await self.library.aindex(self.retrieval.statuses, self.embeddings)
        elif trying is not None:
            index = Index([])
        else:
            return None
        return await index.asearch(
            query_of(as_messages(turns)),
            top=TOP if self.retrieval.top is None else self.retrieval.top,
            threshold=self.retrieval.threshold,
            token_budget=self.retrieval.token_budget,
            exclude_scenarios=(scenario_id,) if self.retrieval.leave_out_own else (),
            exclude_sources=self.retrieval.leave_out_sources,
            trying=trying,
        )


def _stream(event: Event | Speaking) -> None:
    try:
        writer = get_stream_writer()
    except RuntimeError:
        return
    writer(event.model_dump())


def open_desk(
    environment: Environment,
    *,
    student: AnyStudent | None = None,
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
        student: a spec string ("provider:model" or "app:..."), a chat model, or any app: a
            Runnable, a compiled graph, a function.
        customer, judge, teacher: a spec string or a chat model; the embedded local model where
            none is given.
        library: where strategies are looked up; None for the plain student.
        retrieval: how they are looked up.
        placement: where in the student's prompt they stand; where None, as the library has it
            measured for this student, else what its provider takes.
        meter: counts usage and holds the budget.
        log: where events are written; None keeps them to those who stream the graph.
        embeddings: a LangChain `Embeddings` or its spec string ("local:NAME", "openai:NAME"), for
            retrieval by meaning beside that by words.

    Raises:
        ModelFault: where a model cannot be had; ToolFault where the firm's tools cannot.
    """
    check_tools(environment)
    meter = meter or Meter()
    pupil = as_student(student) if student is not None else None
    given: dict[Role, Model | None] = {
        "student": pupil, "customer": customer, "judge": judge, "teacher": teacher
    }  # fmt: skip
    voices = {role: voice_of(role, model or DEFAULT_MODEL, meter) for role, model in given.items()}
    if placement is None:
        spec = student if isinstance(student, str) else ""
        placement = placement_of(voices["student"], library, spec)
    return Desk(
        environment=environment,
        customer=Customer(voices["customer"], environment, led=runs_here(voices["customer"].spec)),
        student=Student(voices["student"], environment, placement),
        judge=Judge(voices["judge"], environment),
        teacher=Teacher(voices["teacher"], environment),
        meter=meter,
        library=library,
        retrieval=retrieval or Retrieval(),
        log=log,
        embeddings=embedding_model(embeddings),
    )


def placement_of(student: Voice, library: Library | None, spec: str = "") -> Placement:
    """Where strategies stand in a student's prompt: as the library has it measured, by the student's
    name or by the `spec` that it was asked for by, else what the student's provider takes.
    """
    return measured_placement(student.model, library, spec)


def fitting_concurrency(desk: Desk) -> int:
    """How many dialogues at a time the desk's models serve best.

    One a slot where a model runs in this process: with more, dialogues push each other's prompts
    out of the slots and each turn reads its whole dialogue anew.
    """
    if any(map(runs_here, desk.models.values())):
        return slots_for_machine()
    return REMOTE_CONCURRENCY


def voice_of(role: Role, model: Model, meter: Meter) -> Voice:
    """The voice of a role on a model, given as a spec string or as an object."""
    resolved = chat_model(model)
    # What is measured of a student is kept by a name that does not depend on who asks for it.
    if isinstance(model, str) and role != "student" and "@" not in model:
        return Voice(role, resolved, model, meter)
    return Voice(role, resolved, model_name(resolved), meter)
