"""A dialogue so far, as every agent reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ConfigDict


class Turn(BaseModel):
    """One line: who spoke and what."""

    model_config = ConfigDict(frozen=True)
    speaker: Literal["customer", "student"]
    text: str


def as_messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    """The dialogue from the student's side: the customer is the human."""
    return [
        HumanMessage(turn.text) if turn.speaker == "customer" else AIMessage(turn.text)
        for turn in turns
    ]


def replies(turns: Sequence[Turn]) -> list[str]:
    """What the student said, in order."""
    return [turn.text for turn in turns if turn.speaker == "student"]
