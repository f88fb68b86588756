"""What deployment sends: the one function that puts retrieved strategies into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .entry import Entry
    from .retrieval import Retrieved

Placement = Literal["after", "note", "system"]
HEADING = "How to answer this message:"
STATIC_HEADING = "How to answer, by situation. Follow only what fits the customer's last message."
STATIC_WHEN = "In the situation of"


def strategies_text(retrieved: Sequence[Retrieved]) -> str:
    """The text that carries the strategies, byte for byte; "" where there are none."""
    texts = [" ".join(s.text.split()) for found in retrieved for s in found.strategies]
    if not texts:
        return ""
    return "\n".join([HEADING, *(f"- {text}" for text in dict.fromkeys(texts))])


def static_text(entries: Sequence[Entry]) -> str:
    """One prompt for all entries, for apps that cannot retrieve; "" where there are none.

    Every strategy is read at every turn, which costs tokens and distracts small models: retrieve
    where you can.
    """
    blocks: list[str] = []
    for entry in entries:
        if texts := dict.fromkeys(" ".join(s.text.split()) for s in entry.strategies):
            scenario = " ".join(entry.scenario.split()).rstrip(".:")
            blocks.append("\n".join([f"{STATIC_WHEN} {scenario}:", *(f"- {t}" for t in texts)]))
    return "\n\n".join([STATIC_HEADING, *blocks]) if blocks else ""


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
            message.

    Returns:
        New messages.
    """
    from langchain_core.messages import HumanMessage, SystemMessage

    text = strategies_text(retrieved)
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
