"""Nearness: how much each of several texts has of what another one is about, by its words (BM25)."""

from __future__ import annotations

from collections.abc import Sequence

Words = Sequence[str]


def nearness(texts: Sequence[Words], query: Words) -> list[float]:
    """The BM25 score of each text for a query, 0 where they share no word; rare words count most.

    Args:
        texts: the words of each text.
        query: the words that are looked for.
    """
    if not texts or not query:
        return [0.0] * len(texts)
    import bm25s

    index = bm25s.BM25()
    index.index([list(words) for words in texts], show_progress=False)
    return [float(score) for score in index.get_scores(list(query))]
