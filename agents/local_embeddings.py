"""Vectors from a local model, for retrieval by meaning: what it would call a text in one word."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from langchain_core.embeddings import Embeddings

from .faults import ModelFault
from .local_server import load
from .machine_size import MachineSize, usable_cores
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
    docs/learning.md for how often the right strategies are found with it and without. It holds a
    second copy of the weights in memory. Vectors of texts that were seen before are kept.

    Args:
        model: a catalogue name, or the path of a .gguf file.

    Raises:
        ModelFault: at the first call, where the weights are not there or cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._server: Any = None
        self._vector = lru_cache(_KEPT)(self._read)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text; its length is the width of the model."""
        return list(self._vector(text))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of several texts, one after another."""
        return [self.embed_query(text) for text in texts]

    def _read(self, text: str) -> tuple[float, ...]:
        with self._lock:
            if self._server is None:
                size = MachineSize(usable_cores(), 1, CONTEXT, 0)
                self._server = load(weights_path(self.model), size, embeds=True)
            asked = {"input": ONE_WORD.format(text=text[-LONGEST:])}
            answer = self._server.handle_embeddings(asked)
        if not answer.get("data"):
            raise ModelFault(f"local:{self.model} gave no vector: {answer.get('error', answer)}")
        return tuple(answer["data"][0]["embedding"])
