"""Nearness: which of several texts are about what another one is about, by its words (BM25)."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.strategy_store.wording import content_words


def nearest(texts: Sequence[str], query: str) -> list[tuple[int, float]]:
    """The places of texts with their BM25 scores for a query, the nearest first; a score is 0 where no
    content word is shared, and rare words count most.

    Args:
        texts: among which is looked.
        query: what they are to be about.
    """
    words = content_words(query)
    if not texts or not words:
        return [(place, 0.0) for place in range(len(texts))]
    import bm25s

    index = bm25s.BM25()
    index.index([content_words(text) for text in texts], show_progress=False)
    scores = enumerate(map(float, index.get_scores(words)))
    return sorted(scores, key=lambda found: -found[1])
