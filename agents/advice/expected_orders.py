"""Expected orders: what a good agent says in a scenario, as orders to agents in cases like it."""

from __future__ import annotations

import re

from tutelage.environments import Policy, Scenario
from tutelage.strategy_store.wording import sentences

from .rule_orders import SHORTEST, TELLING

_GIVES = ("add", "pay", "credit", "give")
"""What an agent does by saying so, as far as a chat can: who promises a meal has given it."""
_DOES = (
    "act", "answer", "ask", "book", "call", "condole", "do", "does", "hand", "invent", "invite", "keep",
    "let", "make", "need", "pass", "passe", "recite", "repay", "reveal", "send", "spare", "stay", "stop",
    "take", "wishe",
)  # fmt: skip
"""What an agent does besides: another clause begins with it."""
_TOLD = "|".join((TELLING, "mention", *_GIVES))
_ANY = "|".join((_TOLD, *_DOES))
_VERB = re.compile(rf"({_TOLD})s\b", re.IGNORECASE)
_NEXT = re.compile(
    rf"; |,? and (?=(?:{_ANY})s\b)|, (?:then )?(?=(?:{_ANY})s?\b(?! (?:of|and|or)\b))"
)
_STATES = re.compile(
    r"(?!(?:in time|both|so|also|then|this|that|these|those|it|they|he|she|kind|kindly)\b)"
    r"[a-z-]*[^s\W]\b[^,:]*?"
    r" (?:is|are|was|were|has|have|may|can|cannot|costs?|gets?|comes?|brings?|begins?|ends?|goes|go"
    r"|needs?|counts?|stays?|runs?|holds?|applies|apply|settled?s?)\b",
    re.IGNORECASE,
)
"""A clause that says how things are: its first word is no verb of the agent's, which ends in s."""
_NOTHING = re.compile(r"no [a-z](?!.*\b(?:asked|named|promised)\b)", re.IGNORECASE)
_POINTS_BACK = re.compile(r"\w+ (?:so|it|this|both|why|whom)\b(?!.*:)", re.IGNORECASE)
"""Orders that mean nothing without the words before them."""
_SUM = r"\d[\d.,]*\d? (?:euros|pounds|dollars)"
_CASES_SUM = re.compile(rf" of {_SUM}\b|\b{_SUM} of (?=[a-z])|, {_SUM}(?=[,.;]|$)")
"""A sum beside words that say as much without it: "the full refund of 118 euros"."""


def expected_orders(scenario: Scenario, policy: Policy) -> list[str]:
    """What a good agent says in a scenario, by its author, as orders to say it; one order a clause.

    "Explains that weather brings no delay money, and offers meals up to 15 euros" gives "Explain that
    weather brings no delay money." and "Offer meals up to 15 euros.". A sum of this case alone is left
    out where the words hold without it. What a good agent does without saying it, and what means nothing
    by itself, gives none. English only.

    Args:
        scenario: one of the training split: others are for measuring.
        policy: the firm's; its sums are every customer's.
    """

    def general(found: re.Match[str]) -> str:
        return found[0] if all(sum_ in policy.text for sum_ in re.findall(_SUM, found[0])) else ""

    orders: list[str] = []
    for sentence in sentences(scenario.expected):
        for clause in _NEXT.split(_CASES_SUM.sub(general, sentence.rstrip(".!?"))):
            order = _order_of(" ".join(clause.split()))
            if len(order.split()) >= SHORTEST and not _POINTS_BACK.match(order):
                orders.append(f"{order}.")
    return list(dict.fromkeys(orders))


def _order_of(clause: str) -> str:
    """A clause as an order to say it; "" where it is none."""
    if verb := _VERB.match(clause):
        told = verb[1].casefold()
        return f"{'Promise' if told in _GIVES else told.capitalize()}{clause[verb.end() :]}"
    if _NOTHING.match(clause):
        return f"Promise {clause[0].lower()}{clause[1:]}"
    if _STATES.match(clause):
        return f"Say that {clause[0].lower()}{clause[1:]}"
    return ""
