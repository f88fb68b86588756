"""Retrieval: which strategies fit the state a dialogue is in (BM25, and dense where given)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .entry import Entry, Strategy, mask

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.messages import BaseMessage

RANK_CONSTANT = 60
"""The k of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
TOP, THRESHOLD, TOKEN_BUDGET = 1, 0.3, 160
"""What every door looks up unless told otherwise: entries, similarity from, tokens at most."""
CHARS_PER_TOKEN = 4
"""A rough measure for the token budget, on the safe side for English."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An entry that fits, with the strategies to give. Similarities are 0 to 1.

    `lexical` is the share of the query's weighted terms that the entry holds, or the share of its
    best cue's that the query holds, whichever is more; `dense` is the cosine, None without
    embeddings; `similarity` is the larger.
    """

    entry: Entry
    strategies: list[Strategy]
    similarity: float
    lexical: float
    dense: float | None


class Index:
    """A search index over entries; made once, then read by any number of threads."""

    def __init__(self, entries: Sequence[Entry], embeddings: Embeddings | None = None):
        self.entries = list(entries)
        self.embeddings = embeddings
        self._terms = [terms_of(_document(entry)) for entry in self.entries]
        self._cues = [[terms_of(c) for c in (e.scenario, *e.cues)] for e in self.entries]
        self._unless = [[terms_of(line) for line in entry.unless] for entry in self.entries]
        self._bm25 = None
        self._vectors = None
        if not self.entries:
            return
        import bm25s

        self._bm25 = bm25s.BM25()
        self._bm25.index([sorted(terms) or ["-"] for terms in self._terms], show_progress=False)
        if embeddings is not None:
            self._vectors = _unit(embeddings.embed_documents([_document(e) for e in self.entries]))

    def search(
        self,
        query: str,
        top: int = 2,
        threshold: float = 0.3,
        token_budget: int = 200,
        exclude_scenarios: Sequence[str] = (),
        exclude_sources: Sequence[str] = (),
    ) -> list[Retrieved]:
        """The entries nearest to a query, best first.

        Args:
            query: the state as text; `query_of` makes it from a dialogue.
            top: entries at most.
            threshold: similarity (0-1) below which an entry does not fit.
            token_budget: tokens of strategy text at most, over all entries; a strategy that does
                not fit any more is left out whole.
            exclude_scenarios: ids of the firm's scenarios; strategies learned from them are left
                out, so that an evaluation does not meet its own lessons.
            exclude_sources: `handbook`, `teacher` or `person`; what came from there is left out.
        """
        if not self.entries or self._bm25 is None:
            return []
        terms = terms_of(query)
        scores = self._bm25.get_scores(sorted(terms) or ["-"])
        lexical = [self._overlap(terms, position) for position in range(len(self.entries))]
        dense = self._cosines(query)
        order = _fused(list(scores), dense)
        found: list[Retrieved] = []
        left = token_budget * CHARS_PER_TOKEN
        for position in order:
            similarity = max(lexical[position], dense[position] if dense else 0.0)
            if similarity < max(threshold, self.entries[position].threshold or 0.0):
                continue
            if self._barred(terms, position):
                continue
            given: list[Strategy] = []
            for strategy in self.entries[position].strategies:
                origin = strategy.provenance
                if origin.source in exclude_sources:
                    continue
                if origin.scenario and origin.scenario in exclude_scenarios:
                    continue
                if len(strategy.text) <= left:
                    given.append(strategy)
                    left -= len(strategy.text)
            if given:
                found.append(
                    Retrieved(
                        entry=self.entries[position],
                        strategies=given,
                        similarity=similarity,
                        lexical=lexical[position],
                        dense=dense[position] if dense else None,
                    )
                )
            if len(found) == top:
                break
        return found

    async def asearch(
        self,
        query: str,
        top: int = 2,
        threshold: float = 0.3,
        token_budget: int = 200,
        exclude_scenarios: Sequence[str] = (),
        exclude_sources: Sequence[str] = (),
    ) -> list[Retrieved]:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(
            self.search, query, top, threshold, token_budget, exclude_scenarios, exclude_sources
        )

    def _overlap(self, terms: set[str], position: int) -> float:
        """Share of terms in common. BM25's own scores say nothing absolute, least of all where
        the library holds one entry and every term is in all documents.
        """
        if not terms:
            return 0.0
        whole = len(terms & self._terms[position]) / len(terms)
        cues = [len(terms & cue) / len(cue) for cue in self._cues[position] if len(cue) >= 3]
        return min(1.0, max(whole, *cues)) if cues else whole

    def _barred(self, terms: set[str], position: int) -> bool:
        """Whether the query is at least as near to a state where the entry did harm as to its own."""
        if not self._unless[position]:
            return False
        own = max(_likeness(terms, cue) for cue in self._cues[position])
        return max(_likeness(terms, line) for line in self._unless[position]) >= own

    def _cosines(self, query: str) -> list[float] | None:
        if self._vectors is None or self.embeddings is None:
            return None
        (vector,) = _unit([self.embeddings.embed_query(query)])
        return [max(0.0, float(row @ vector)) for row in self._vectors]


def query_of(messages: Sequence[BaseMessage] | str) -> str:
    """The text to search with: the customer's last line, and the one before it for context.

    Args:
        messages: the dialogue, the customer being the human; or the text itself.
    """
    if isinstance(messages, str):
        return mask(messages)
    lines = [message.text for message in messages if message.type == "human"]
    return mask(" ".join(lines[-2:]))


def _document(entry: Entry) -> str:
    return " ".join([entry.scenario, entry.wants, entry.feels, *entry.cues])


def terms_of(text: str) -> set[str]:
    """The words that tell texts apart, shortened to six letters; without stop words."""
    from bm25s.stopwords import STOPWORDS_EN

    words = re.findall(r"[^\W\d_]+", text.casefold())
    skip = {*STOPWORDS_EN, "customer", "number", "code", "address", "link"}
    # Six letters stand in for a stemmer, which would be one more dependency for a small gain.
    return {word[:6] for word in words if len(word) > 2 and word not in skip}


def _likeness(a: set[str], b: set[str]) -> float:
    """Dice's coefficient, 0 to 1."""
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def _fused(scores: Sequence[float], dense: Sequence[float] | None) -> list[int]:
    """Positions by reciprocal rank fusion of the two orders; by BM25 alone without the second."""
    lexical_order = sorted(range(len(scores)), key=lambda i: -scores[i])
    if dense is None:
        return lexical_order
    dense_order = sorted(range(len(dense)), key=lambda i: -dense[i])
    fused = [0.0] * len(scores)
    for order in (lexical_order, dense_order):
        for rank, position in enumerate(order, start=1):
            fused[position] += 1 / (RANK_CONSTANT + rank)
    return sorted(range(len(fused)), key=lambda i: -fused[i])


def _unit(vectors: Sequence[Sequence[float]]):
    import numpy as np

    rows = np.asarray(vectors, dtype=float)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)
