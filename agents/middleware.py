"""Middleware for LangChain's `create_agent`: strategies at every call of the agent's model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import SystemMessage
from tutelage.strategy_store import Deployment, Library, Placement, Retrieved, coach_messages
from tutelage.strategy_store.given import TOKEN_BUDGET, TOP

from .models.chat_models import measured_placement
from .models.embedding_models import embedding_model


class StrategyMiddleware(AgentMiddleware):
    """Adds the approved strategies that fit the dialogue to each call of the model.

    `create_agent(model, tools, middleware=[StrategyMiddleware(library)])`. The agent's state is
    left alone: the strategies stand in the request only, and are looked up anew as it goes on.

    Args:
        library: where strategies are looked up.
        placement: where in the prompt they stand; where None, as the library has it measured for
            the request's model (`library place`), else what its provider takes.
        top: entries at most.
        threshold: similarity (0-1) below which an entry does not fit; see `Index.search`.
        token_budget: tokens of strategy text at most.
        embeddings: a LangChain `Embeddings` or its spec string ("local:NAME", "openai:NAME"), for
            retrieval by meaning beside that by words.
    """

    def __init__(
        self,
        library: Library,
        *,
        placement: Placement | None = None,
        top: int = TOP,
        threshold: float | None = None,
        token_budget: int = TOKEN_BUDGET,
        embeddings: Any = None,
    ):
        super().__init__()
        self.placement: Placement | None = placement
        self.deployment = Deployment(
            library, top, threshold, token_budget, embeddings=embedding_model(embeddings)
        )

    def wrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
    ) -> ModelResponse:
        """Coach one call of the model."""
        found = self.deployment.retrieve(request.messages)
        return handler(_coached(request, found, self._placement(request)))

    async def awrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], Awaitable[ModelResponse]]
    ) -> ModelResponse:
        """Coach one call of the model."""
        found = await self.deployment.aretrieve(request.messages)
        # What was measured stands in the library's file, which is not read on the event loop.
        placement = await asyncio.to_thread(self._placement, request)
        return await handler(_coached(request, found, placement))

    def _placement(self, request: ModelRequest) -> Placement:
        return self.placement or measured_placement(request.model, self.deployment.library)


def _coached(request: ModelRequest, found: list[Retrieved], placement: Placement) -> ModelRequest:
    # LangChain keeps the agent's system message apart; it counts as the first one here.
    rules = [request.system_message] if request.system_message else []
    sent = coach_messages([*rules, *request.messages], found, placement)
    first = sent[0] if rules or placement == "system" else None
    if isinstance(first, SystemMessage):
        return request.override(system_message=first, messages=cast(Any, sent[1:]))
    return request.override(messages=cast(Any, sent))
