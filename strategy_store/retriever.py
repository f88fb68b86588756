"""The library as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.messages import MessageLikeRepresentation, convert_to_messages
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, field_validator

from .deployment import Deployment
from .given import TOKEN_BUDGET, TOP, Retrieved
from .history import LibraryFault
from .library import Library
from .retrieval import query_of

Dialogue = str | Sequence[MessageLikeRepresentation]


class LibraryRetriever(BaseRetriever):
    """Gives approved strategies as Documents: the text is a strategy a line, as sent, the metadata say
    which entry, which strategies, how similar, and by which example each is shown ("" for none).
    `strategies_text` makes of them the text that the other doors send.

    Takes a text, or a dialogue as messages in any form that LangChain knows.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    library: Library
    k: int = TOP
    threshold: float | None = None
    token_budget: int = TOKEN_BUDGET
    embeddings: Any = None

    @field_validator("embeddings")
    @classmethod
    def _are_embeddings(cls, given: Any) -> Any:
        # Specs are resolved a floor above, and what is none would fail only once it is searched with.
        if given is not None and not hasattr(given, "embed_query"):
            raise LibraryFault(
                f"a retriever takes an embeddings object, not a {type(given).__name__}; give "
                "tutelage.LocalEmbeddings(NAME), or what LangChain's init_embeddings makes of "
                "PROVIDER:NAME",
                2,
            )
        return given

    def invoke(self, input: Dialogue, *args: Any, **kwargs: Any) -> list[Document]:  # type: ignore[override]
        """Retrieve for a text, or for a dialogue's messages."""
        return super().invoke(_query(input), *args, **kwargs)

    async def ainvoke(self, input: Dialogue, *args: Any, **kwargs: Any) -> list[Document]:  # type: ignore[override]
        """Retrieve for a text, or for a dialogue's messages."""
        return await super().ainvoke(_query(input), *args, **kwargs)

    def _deployment(self) -> Deployment:
        return Deployment(
            self.library, self.k, self.threshold, self.token_budget, embeddings=self.embeddings
        )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return _documents(self._deployment().retrieve(query))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return _documents(await self._deployment().aretrieve(query))


def _query(input: Dialogue) -> str:
    return query_of(input if isinstance(input, str) else convert_to_messages(input))


def _documents(found: Sequence[Retrieved]) -> list[Document]:
    return [
        Document(
            id=one.entry.id,
            page_content="\n".join(one.orders()),
            metadata={
                "entry": one.entry.id,
                "scenario": one.entry.scenario,
                "similarity": one.similarity,
                "strategies": [strategy.id for strategy in one.strategies],
                "examples": one.shown(),
            },
        )
        for one in found
    ]
