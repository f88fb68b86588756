"""Rubric orders: what the firm's rubric asks of every reply, as orders to the agent."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OF_THE_AGENT = re.compile(r"\W*does the agent (.+?)\W*", re.IGNORECASE)
_OF_THE_CUSTOMER = re.compile(r"\W*does the customer (.+?)\W*", re.IGNORECASE)
_DOES = re.compile(r"([a-z]+[^s\W])s (?!of\b)(.+?)[\s.]*", re.IGNORECASE)
"""What a check's note says that a good reply does: "takes the customer's side"."""
_ITSELF = (
    (re.compile(r"\bit ([a-z]+[^s\W])s\b"), lambda found: f"you {_imperative(found[1])}"),
    (re.compile(r"\bitself\b"), lambda _: "yourself"),
    (re.compile(r"\bits\b"), lambda _: "your"),
)


def rubric_orders(questions: Iterable[str]) -> list[str]:
    """Orders to do what a rubric's questions ask for: "Does the agent answer everything?" becomes
    "Answer everything."; a question that does not ask what agent or customer do is left out.

    Args:
        questions: as the rubric has them.
    """
    orders: list[str] = []
    for question in questions:
        if found := _OF_THE_AGENT.fullmatch(question):
            orders.append(f"{found[1][0].upper()}{found[1][1:]}.")
        elif found := _OF_THE_CUSTOMER.fullmatch(question):
            orders.append(f"Let the customer {found[1]}.")
    return orders


def check_orders(notes: Iterable[str]) -> list[str]:
    """Orders to do what the notes of a rubric's checks by code say of a good reply: "takes the
    customer's side in words" becomes "Take the customer's side in words."; a note that names a thing
    ("no stock phrases") is left out. English only.

    Args:
        notes: as the rubric has them.
    """
    orders: list[str] = []
    for note in notes:
        if found := _DOES.fullmatch(note.strip()):
            verb, rest = _imperative(found[1]), found[2]
            for it, you in _ITSELF:
                rest = it.sub(you, rest)
            orders.append(f"{verb[0].upper()}{verb[1:]} {rest}.")
    return orders


def _imperative(stem: str) -> str:
    """A verb's plain form, from what stands before the s of the third person."""
    if stem.endswith("ie") and len(stem) > 3:
        return f"{stem[:-2]}y"
    return stem[:-1] if re.search(r"(?:ss|sh|ch|x|zz|o)e$", stem) else stem
