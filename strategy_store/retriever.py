"""The library as a LangChain retriever."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from .library import Library
from .retrieval import query_of


class LibraryRetriever(BaseRetriever):
    """Gives approved strategies as Documents: the text is a strategy a line, the metadata say
    which entry, which strategies and how similar.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    library: Library
    k: int = 2
    threshold: float = 0.3
    token_budget: int = 200
    embeddings: Any = None

    def invoke(self, input: str | list[BaseMessage], *args: Any, **kwargs: Any) -> list[Document]:  # type: ignore[override]
        """Retrieve for a text, or for a dialogue's messages."""
        return super().invoke(query_of(input), *args, **kwargs)

    async def ainvoke(  # type: ignore[override]
        self,
        input: str | list[BaseMessage],
        *args: Any,
        **kwargs: Any,
    ) -> list[Document]:
        """Retrieve for a text, or for a dialogue's messages."""
        return await super().ainvoke(query_of(input), *args, **kwargs)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        index = self.library.index(embeddings=self.embeddings)
        found = index.search(query, self.k, self.threshold, self.token_budget)
        return [
            Document(
                page_content="\n".join(strategy.text for strategy in one.strategies),
                metadata={
                    "entry": one.entry.id,
                    "scenario": one.entry.scenario,
                    "similarity": one.similarity,
                    "strategies": [strategy.id for strategy in one.strategies],
                },
            )
            for one in found
        ]
