"""Texts as points: unit vectors, distances (0 same, 1 nothing in common), clusters, far corners."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tutelage.strategy_store import terms_of

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

Text = str | Mapping[str, float]
"""A text, or several with a weight each (a title beside what was said)."""
MOST_TERMS = 4000
"""Terms that count, the commonest first: what bounds the memory of a long run."""
MOST_LINKED = 1500
"""Points that are linked pair by pair; any further one joins the cluster that is nearest."""


def points(texts: Sequence[Text], embeddings: Embeddings | None = None) -> np.ndarray:
    """Texts as unit vectors: TF-IDF over their terms, or what the embeddings give.

    Args:
        texts: what to compare; all that is to be compared must come in one call.
        embeddings: a LangChain `Embeddings`; TF-IDF needs no model.

    Returns:
        One row a text, of length 1, or all zeros for a text without terms.
    """
    parts = [{text: 1.0} if isinstance(text, str) else dict(text) for text in texts]
    if not parts:
        return np.zeros((0, 1), dtype=np.float32)
    if embeddings is not None:
        documents = [" ".join(part) for part in parts]
        rows = np.asarray(embeddings.embed_documents(documents), dtype=np.float32)
    else:
        counted: list[dict[str, float]] = []
        for part in parts:
            weights: dict[str, float] = {}
            for text, weight in part.items():
                for term in terms_of(text):
                    weights[term] = max(weights.get(term, 0.0), weight)
            counted.append(weights)
        held = Counter(term for weights in counted for term in weights)
        kept = sorted(term for term, _ in held.most_common(MOST_TERMS))
        columns = {term: column for column, term in enumerate(kept)}
        rows = np.zeros((len(parts), max(len(columns), 1)), dtype=np.float32)
        for row, weights in enumerate(counted):
            for term, weight in weights.items():
                if term not in columns:
                    continue
                rarity = math.log((1 + len(parts)) / (1 + held[term])) + 1
                rows[row, columns[term]] = weight * rarity
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine distances, clipped to 0-1: one row a row of `rows`, one column a row of `others`."""
    return np.clip(1 - rows @ others.T, 0, 1)


def clusters(rows: np.ndarray, within: float) -> list[int]:
    """Group points by average linkage.

    Args:
        rows: unit vectors; the first `MOST_LINKED` are linked, so give the weightiest first.
        within: mean distance (0-1) between two groups up to which they are one.

    Returns:
        The number of each point's cluster, from 0 in order of first member.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    linked = rows[:MOST_LINKED]
    if len(linked) < 2:
        return [0] * len(linked)
    apart = distances(linked, linked)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), method="average")
    numbers = list(fcluster(tree, within, criterion="distance"))
    if len(rows) > len(linked):
        labels = sorted(set(numbers))
        centres = np.stack([linked[[n == label for n in numbers]].mean(0) for label in labels])
        nearest = distances(rows[len(linked) :], centres).argmin(1)
        numbers += [labels[position] for position in nearest]
    order = {label: number for number, label in enumerate(dict.fromkeys(numbers))}
    return [order[label] for label in numbers]


def far_corners(
    candidates: np.ndarray, covered: np.ndarray, most: int
) -> list[tuple[int, float, int | None]]:
    """The candidates that lie farthest from all that is covered, one after another.

    Each pick is the candidate whose least distance to the covered points and to the earlier picks
    is greatest (farthest-first traversal, Gonzalez 1985).

    Returns:
        Position, that distance, and the position of the nearest covered point (None where nothing
        is covered), in order of picking; candidates at distance 0 are never picked.
    """
    if not len(candidates):
        return []
    if len(covered):
        apart = distances(candidates, covered)
        least, nearest = apart.min(1), [int(position) for position in apart.argmin(1)]
    else:
        least, nearest = np.ones(len(candidates)), [None] * len(candidates)
    found: list[tuple[int, float, int | None]] = []
    while len(found) < min(most, len(candidates)):
        pick = int(least.argmax())
        if least[pick] <= 1e-9:
            break
        found.append((pick, float(least[pick]), nearest[pick]))
        least = np.minimum(least, distances(candidates, candidates[[pick]])[:, 0])
        least[pick] = 0
    return found


def close_pairs(rows: np.ndarray, within: float) -> list[tuple[int, int, float]]:
    """Pairs of points at most `within` (0-1) apart, nearest first, each with its distance."""
    if len(rows) < 2:
        return []
    apart = distances(rows, rows)
    pairs = np.argwhere(np.triu(apart <= within, k=1))
    found = [(int(a), int(b), float(apart[a, b])) for a, b in pairs]
    return sorted(found, key=lambda pair: pair[2])
