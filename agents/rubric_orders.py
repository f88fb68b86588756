"""Rubric orders: what the firm's rubric asks of every reply, as orders to the agent."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OF_THE_AGENT = re.compile(r"\W*does the agent (.+?)\W*", re.IGNORECASE)
_OF_THE_CUSTOMER = re.compile(r"\W*does the customer (.+?)\W*", re.IGNORECASE)


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
