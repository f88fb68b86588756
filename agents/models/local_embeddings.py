"""Vectors from a local model, for retrieval by meaning: what it would call a text in one word."""

from __future__ import annotations

from functools import lru_cache

from langchain_core.embeddings import Embeddings

from .faults import ModelFault
from .local_server import vector_server
from .weights import weights_path

ONE_WORD = 'A customer writes to a help desk: "{text}" In one word, the matter is: "'
"""The vector is that of the last token, which stands for the word to come (Jiang and others 2023,
"Scaling sentence embeddings with large language models", arXiv 2307.16645)."""
CONTEXT = 2048
LONGEST = 640
"""Characters that are read, from the end: three tokens each, as some writings take, fit the context."""
_KEPT = 4096


class LocalEmbeddings(Embeddings):
    """LangChain embeddings from the weights that the student has anyway; nothing more is fetched.

    A chat model gives poor vectors for general search and good ones for telling matters apart: see
    docs/learning.md for how often the right strategies are found with it and without. All objects
    with the same weights share one server, beside the one that speaks. Vectors of texts that were
    seen before are kept.

    Args:
        model: a catalogue name, or the path of a .gguf file.

    Raises:
        ModelFault: at the first call, where the weights are not there or cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._vector = lru_cache(_KEPT)(self._read)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text; its length is the width of the model."""
        return list(self._vector(text[-LONGEST:]))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of several texts, one after another."""
        return [self.embed_query(text) for text in texts]

    def _read(self, text: str) -> tuple[float, ...]:
        server = vector_server(weights_path(self.model), CONTEXT)
        answer = server.handle_embeddings({"input": ONE_WORD.format(text=text)})
        if not answer.get("data"):
            raise ModelFault(f"local:{self.model} gave no vector: {answer.get('error', answer)}")
        return tuple(answer["data"][0]["embedding"])
