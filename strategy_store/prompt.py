"""What deployment sends: the one function that puts retrieved strategies into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from .entry import Strategy, mask
from .vetting import hostile

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .retrieval import Retrieved

Placement = Literal["after", "note", "system", "example"]
PLACEMENTS: tuple[Placement, ...] = ("after", "note", "system", "example")
HEADING = "How to answer this message:"
EXAMPLE_HEADING = "A customer wrote:"


def strategies_text(retrieved: Sequence[Retrieved], placement: Placement = "after") -> str:
    """The text that carries the strategies, byte for byte; "" where there are none.

    As an `example` a strategy is shown by the exchange that it was kept for, masked, and by its own
    words where it has none, or where that exchange may not enter a prompt.
    """
    texts: list[str] = []
    shown: list[str] = []
    for strategy in (s for found in retrieved for s in found.strategies):
        example = _example(strategy) if placement == "example" else ""
        (shown if example else texts).append(example or " ".join(strategy.text.split()))
    parts = list(dict.fromkeys(shown))
    if texts:
        parts.append("\n".join([HEADING, *(f"- {text}" for text in dict.fromkeys(texts))]))
    return "\n\n".join(parts)


def _example(strategy: Strategy) -> str:
    """The exchange that a strategy was kept for, as an example to follow; "" where there is none."""
    evidence = strategy.provenance.evidence
    if evidence is None or not (evidence.customer and evidence.after):
        return ""
    customer, reply = mask(evidence.customer), mask(evidence.after)
    if hostile(customer) or hostile(reply):
        return ""
    return f"{EXAMPLE_HEADING} {customer}\nA good answer was: {reply}\nAnswer this message in that way."


def coach_messages(
    messages: Sequence[BaseMessage], retrieved: Sequence[Retrieved], placement: Placement = "after"
) -> list[BaseMessage]:
    """Add the retrieved strategies to a prompt.

    Args:
        messages: the prompt without them; it is not changed.
        retrieved: what the library gave for the state; with nothing in it the messages come back.
        placement: `after`, a system message behind the transcript, so that all before it stays
            byte-identical from turn to turn; `note`, at the end of the last human message, for
            providers that refuse a late system message; `system`, at the end of the first system
            message; `example`, as `after`, but shown by an exchange in place of orders, for
            students that recite orders. `Library.placement_for` knows what a student follows best.

    Returns:
        New messages.
    """
    from langchain_core.messages import HumanMessage, SystemMessage

    text = strategies_text(retrieved, placement)
    out = list(messages)
    if not text:
        return out
    kind = {"note": HumanMessage, "system": SystemMessage}.get(placement)
    places = [i for i, message in enumerate(out) if kind and isinstance(message, kind)]
    if not places:
        return [*out, SystemMessage(text)]
    place = places[-1] if placement == "note" else places[0]
    body = (
        f"{out[place].text}\n\n({text})" if placement == "note" else f"{out[place].text}\n\n{text}"
    )
    out[place] = out[place].model_copy(update={"content": body})
    return out
