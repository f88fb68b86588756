"""Retrieval: which strategies fit the state a dialogue is in, by words, and by meaning where given."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .entry import Entry, mask
from .given import CHARS_PER_TOKEN, Retrieved, Room, with_room
from .history import LibraryFault
from .prompt import without_note

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.messages import BaseMessage

BY_WORDS, BY_MEANING = 0.5, 0.58
"""Similarity from which an entry fits unless told otherwise, without and with embeddings. Vectors find
something near for any customer: before what strategies say was searched, too, small libraries gave half
as much where nothing fits at 0.55 as at 0.5 (196, 371 of 740; benchmarks/retrieval), and a sixth less
where something does (193, 231 of 300). With it more is near, and 0.58 gives 234 and 212."""
_ORDINARY = (
    "Hello, I have a question.",
    "Can you help me?",
    "I am not happy about this.",
    "Thank you for your answer.",
    "I do not understand.",
    "What happens now?",
    "I want this solved today.",
    "Please tell me what I have to do.",
    "That is not what I was told.",
    "a customer who writes to the help desk",
    "a customer who is upset and wants an answer",
    "a customer who asks what can be done",
)
"""What any customer says. Their mean is taken from every vector, so that the cosine compares what is
special about two texts: vectors of one model have most of their direction in common."""
MAX_QUERY = 4_000
"""Characters of what the customer said last that are searched with: the end of it."""


@dataclass(frozen=True, slots=True)
class Near:
    """How near an entry is to a query, whether it fits or not. `similarity`, `lexical` and `dense` are
    those of `Retrieved`; `needed` is the similarity from which it fits, and `unlike` that of the
    nearest of the lines that it is kept away from, 0 without any.
    """

    entry: Entry
    similarity: float
    lexical: float
    dense: float | None
    needed: float
    unlike: float

    @property
    def kept_out(self) -> str:
        """Why the entry does not fit; "" where it does."""
        if self.similarity < self.needed:
            return f"below {self.needed:.2f}"
        if self.entry.unless and self.unlike >= self.similarity:
            return f"{self.unlike:.2f} like a line that it is kept away from"
        return ""


class Index:
    """A search index over entries; made once, then read by any number of threads."""

    def __init__(self, entries: Sequence[Entry], embeddings: Embeddings | None = None):
        self.general = [entry for entry in entries if entry.general]
        self.entries = [entry for entry in entries if not entry.general]
        self.embeddings = embeddings
        texts = [_texts(entry) for entry in self.entries]
        texts += [entry.unless for entry in self.entries]
        # Of each entry its own texts, then of each its counter-examples.
        self._terms = [[terms_of(text) for text in own] for own in texts]
        self._ordinary: Any = None
        self._vectors: Any = None
        if embeddings is not None and self.entries:
            import numpy as np

            counts = [len(own) for own in texts]
            rows = embeddings.embed_documents([*_ORDINARY, *(t for own in texts for t in own)])
            self._ordinary = np.mean(rows[: len(_ORDINARY)], axis=0)
            special = _unit(np.asarray(rows[len(_ORDINARY) :]) - self._ordinary)
            self._vectors = np.split(special, np.cumsum(counts)[:-1])

    def search(
        self,
        query: str,
        top: int = 2,
        threshold: float | None = None,
        token_budget: int = 200,
        exclude_scenarios: Sequence[str] = (),
        exclude_sources: Sequence[str] = (),
        trying: Entry | None = None,
    ) -> list[Retrieved]:
        """The entries nearest to a query, best first; then the general ones, which fit any.

        Args:
            query: the state as text; `query_of` makes it from a dialogue.
            top: entries at most, general ones not counted; none at all for 0.
            threshold: similarity (0-1) below which an entry does not fit; where None, BY_WORDS without
                embeddings and BY_MEANING with them.
            token_budget: tokens of strategy text at most, over all entries; a strategy that does
                not fit any more is left out whole. What the texts leave is for examples, those of
                what is nearest first.
            exclude_scenarios: ids of the firm's scenarios; strategies learned from them are left
                out, so that an evaluation does not meet its own lessons.
            exclude_sources: see `entry.Source`; what came from there is left out.
            trying: an entry that is given as well, whether these hold it or not, and whatever it is
                found by: as the nearest, in one of the places, or last of the general ones.

        Raises:
            LibraryFault: where the threshold is no finite number.
        """
        if top < 1:
            return []
        room = Room(token_budget * CHARS_PER_TOKEN, exclude_scenarios, exclude_sources)
        found: list[Retrieved] = []
        if trying is not None and not trying.general:
            found.append(Retrieved(trying, room.take(trying), 1.0, 1.0, None))
        # The vector of a query is not asked for where no place is left.
        near = self.near(query, threshold) if len(found) < top else []
        for one in near:
            if len(found) >= top:
                break
            if one.kept_out or (trying is not None and one.entry.id == trying.id):
                continue
            if given := room.take(one.entry):
                found.append(Retrieved(one.entry, given, one.similarity, one.lexical, one.dense))
        last = [trying] if trying is not None and trying.general else []
        general = [(entry, room.take(entry)) for entry in [*self.general, *last]]
        return [
            *with_room([one for one in found if one.strategies], room.left),
            *(Retrieved(entry, given, 1.0, 1.0, None) for entry, given in general if given),
        ]

    def near(self, query: str, threshold: float | None = None) -> list[Near]:
        """How near each entry is to a query, the nearest first; general ones are near to any, and are
        left out. Of a query that says nothing there is none.

        Args:
            query, threshold: as for `search`.

        Raises:
            LibraryFault: where the threshold is no finite number.
        """
        if threshold is None:
            threshold = BY_WORDS if self.embeddings is None else BY_MEANING
        if not math.isfinite(threshold):
            raise LibraryFault(f"a threshold of {threshold} is none; give a number from 0 to 1", 2)
        if not query.strip():
            # Nothing fits what says nothing, and providers of embeddings refuse it.
            return []
        terms = terms_of(query)
        lexical = [
            max((_likeness(terms, text) for text in own), default=0.0) for own in self._terms
        ]
        dense = self._cosines(query)
        likeness = [
            math.sqrt(word if dense is None else (word + dense[position]) / 2)
            for position, word in enumerate(lexical)
        ]
        return sorted(
            (
                Near(
                    entry, likeness[position], lexical[position], dense[position] if dense else None,
                    max(threshold, entry.threshold or 0.0), likeness[position + len(self.entries)],
                )
                for position, entry in enumerate(self.entries)
            ),
            key=lambda one: -one.similarity,
        )  # fmt: skip

    async def asearch(
        self,
        query: str,
        top: int = 2,
        threshold: float | None = None,
        token_budget: int = 200,
        exclude_scenarios: Sequence[str] = (),
        exclude_sources: Sequence[str] = (),
        trying: Entry | None = None,
    ) -> list[Retrieved]:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(
            self.search, query, top, threshold, token_budget, exclude_scenarios, exclude_sources,
            trying,
        )  # fmt: skip

    def _cosines(self, query: str) -> list[float] | None:
        if self._vectors is None or self.embeddings is None:
            return None
        import numpy as np

        (vector,) = _unit([np.asarray(self.embeddings.embed_query(query)) - self._ordinary])
        return [max(0.0, float((own @ vector).max(initial=0.0))) for own in self._vectors]


def query_of(messages: Sequence[BaseMessage] | str) -> str:
    """The text to search with: the customer's last line, and the one before it for context; of a very
    long text the last MAX_QUERY characters. What another door noted behind a line is none of it.

    Args:
        messages: the dialogue, the customer being the human; or the text itself.
    """
    if isinstance(messages, str):
        return mask(without_note(messages)[-MAX_QUERY:])
    lines = [message.text for message in messages if message.type == "human"]
    return mask(" ".join(map(without_note, lines[-2:]))[-MAX_QUERY:])


def _texts(entry: Entry) -> list[str]:
    """What an entry is found by. What its strategies say tells its case in the policy's words, where
    its scenario may be told in few.
    """
    whole = " ".join([entry.scenario, entry.wants, entry.feels, *entry.cues])
    said = (strategy.text for strategy in entry.strategies)
    # Of an entry that is its scenario alone the whole is that once more, which costs a vector.
    return list(dict.fromkeys([entry.scenario, *entry.cues, whole, *said]))


def terms_of(text: str) -> set[str]:
    """The words that tell texts apart, shortened to six letters; without stop words."""
    from bm25s.stopwords import STOPWORDS_EN

    words = re.findall(r"[^\W\d_]+", text.casefold())
    skip = {*STOPWORDS_EN, "customer", "number", "code", "address", "link"}
    # Six letters stand in for a stemmer, which would be one more dependency for a small gain.
    return {word[:6] for word in words if len(word) > 2 and word not in skip}


def _likeness(a: set[str], b: set[str]) -> float:
    """The cosine of two sets of words, 0 to 1."""
    return len(a & b) / math.sqrt(len(a) * len(b)) if a and b else 0.0


def _unit(vectors: Sequence[Sequence[float]]):
    import numpy as np

    rows = np.asarray(vectors, dtype=float)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)
