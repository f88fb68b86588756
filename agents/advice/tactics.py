"""Choosing from the handbook, and telling a strategy from a rule the student has already read."""

from __future__ import annotations

from collections.abc import Iterable

from tutelage.environments import Environment, Tactic
from tutelage.strategy_store.wording import content_words

from .nearness import nearest

GENERIC_ADVICE = (
    "Show that you understand how the customer feels, answer exactly what was asked within the "
    "policy, and say what happens next."
)
"""One fixed piece of advice for any customer and firm: what coaching has to be better than."""
OVERLAP_FROM = 0.7
"""Share of a strategy's content words found in one policy rule from which it is no strategy."""


def fitting_tactics(environment: Environment, description: str, top: int = 6) -> list[Tactic]:
    """The handbook's tactics nearest to a description of the state (BM25), best first.

    Args:
        environment: the firm; one without a handbook gives an empty list.
        description: the customer's last lines and what a reviewer found, as text.
        top: how many at most.
    """
    tactics = list(environment.handbook.values())
    corpus = [f"{tactic.title}. {tactic.when} {tactic.do}" for tactic in tactics]
    return [tactics[place] for place, _ in nearest(corpus, description)[:top]]


def policy_overlap(text: str, rules: Iterable[str]) -> float:
    """The largest share (0 to 1) of a text's content words that stand in one rule of the policy."""
    words = set(content_words(text))
    if not words:
        return 0.0
    return max((len(words & set(content_words(rule))) / len(words) for rule in rules), default=0.0)
