"""Deployment: approved strategies for the state of a dialogue, put into what a model is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from .given import TOKEN_BUDGET, TOP, Retrieved
from .library import Library
from .prompt import Message, Placement, coach_messages, coach_wire
from .retrieval import query_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_tracer = trace.get_tracer("tutelage")
_on_trial: ContextVar[tuple[Retrieved, ...] | None] = ContextVar(
    "strategies_on_trial", default=None
)


@contextmanager
def on_trial(retrieved: Sequence[Retrieved] | None) -> Iterator[None]:
    """Within the block every deployment gives these strategies and looks none up.

    A simulation uses it to try strategies, or none, on an app that is coached already. It is a
    context variable, so nothing outside this process can set it. None changes nothing.
    """
    if retrieved is None:
        yield
        return
    token = _on_trial.set(tuple(retrieved))
    try:
        yield
    finally:
        _on_trial.reset(token)


@dataclass(frozen=True)
class Deployment:
    """A library at work in an app. Every door into an app goes through one.

    Only approved strategies are ever looked up; there is no setting for another status.

    Attributes:
        library: where strategies are looked up; what is approved later counts at once.
        top: entries at most.
        threshold: similarity (0-1) below which an entry does not fit; see `Index.search`.
        token_budget: tokens of strategy text at most.
        placement: where in the prompt they stand.
        embeddings: a LangChain `Embeddings` for retrieval by meaning beside that by words.
    """

    library: Library
    top: int = TOP
    threshold: float | None = None
    token_budget: int = TOKEN_BUDGET
    placement: Placement = "after"
    embeddings: Any = None

    def retrieve(self, messages: Sequence[BaseMessage] | str) -> list[Retrieved]:
        """The approved strategies for a dialogue."""
        if (trial := _on_trial.get()) is not None:
            return list(trial)
        # An exception's message may hold what the customer wrote.
        with _tracer.start_as_current_span(
            "retrieval tutelage", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                index = self.library.index(embeddings=self.embeddings)
                found = index.search(
                    query_of(messages), self.top, self.threshold, self.token_budget
                )
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            if span.is_recording():
                span.set_attributes(
                    {
                        "gen_ai.operation.name": "retrieval",
                        "gen_ai.data_source.id": self.library.path.name,
                        "tutelage.entries": [one.entry.id for one in found],
                        "tutelage.strategies": [s.id for one in found for s in one.strategies],
                    }
                )
            return found

    async def aretrieve(self, messages: Sequence[BaseMessage] | str) -> list[Retrieved]:
        """The same, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.retrieve, messages)

    def coach(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """The messages with what is approved for them."""
        return coach_messages(messages, self.retrieve(messages), self.placement)

    async def acoach(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """The same, without blocking the event loop."""
        return coach_messages(messages, await self.aretrieve(messages), self.placement)

    def coach_wire(self, messages: Sequence[Message]) -> list[Message]:
        """The same for messages of the OpenAI protocol, whose other fields stay as they are."""
        return coach_wire(messages, self.retrieve(_people(messages)), self.placement)

    async def aretrieve_wire(self, messages: Sequence[Message]) -> list[Retrieved]:
        """The approved strategies for messages of the OpenAI protocol."""
        return await self.aretrieve(_people(messages))


def _people(messages: Sequence[Message]) -> list[BaseMessage]:
    """The human messages, which are all that a query is made of."""
    from langchain_core.messages import HumanMessage

    people = [message.get("content") for message in messages if message.get("role") == "user"]
    return [
        # A part of another kind holds no text, and LangChain would refuse the message for it.
        HumanMessage([part for part in said if isinstance(part, str | dict)])
        if isinstance(said, list)
        else HumanMessage(said)
        for said in people
        if isinstance(said, str | list)
    ]
