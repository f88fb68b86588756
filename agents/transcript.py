"""A dialogue so far, as every agent reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field

_ACTION = "(tool "


class ToolUse(BaseModel):
    """One tool that the student called on the way to its reply, and what came back."""

    model_config = ConfigDict(frozen=True)
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict, description="A JSON object.")
    result: str = ""
    error: bool = Field(default=False, description="Whether the tool failed.")
    own: bool = Field(
        default=False, description="A tool of the student's own, which answers in its own words."
    )

    @property
    def line(self) -> str:
        """The call and its result in one line, cut to what a reader of the transcript needs."""
        called = f"{self.name}({_cut(json.dumps(self.arguments, ensure_ascii=False))})"
        return f"{called} {'failed' if self.error else 'gave'}: {_cut(self.result)}"


class Turn(BaseModel):
    """One line: who spoke and what; `tools` are the calls a student made before it."""

    model_config = ConfigDict(frozen=True)
    speaker: Literal["customer", "student"]
    text: str
    tools: list[ToolUse] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a student says to one line, with the tools it called on the way."""

    text: str
    tools: list[ToolUse] = field(default_factory=list)


def as_messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    """The dialogue from the student's side: the customer is the human.

    A reply's tool calls stand before it, each with its result; their ids follow from their place.
    """
    messages: list[BaseMessage] = []
    for place, turn in enumerate(turns):
        if turn.speaker == "customer":
            messages.append(HumanMessage(turn.text))
            continue
        for number, used in enumerate(turn.tools):
            id_ = f"call_{place}_{number}"
            call = {"name": used.name, "args": used.arguments, "id": id_, "type": "tool_call"}
            status = "error" if used.error else "success"
            messages += [
                AIMessage("", tool_calls=[call]),
                ToolMessage(used.result, tool_call_id=id_, name=used.name, status=status),
            ]
        messages.append(AIMessage(turn.text))
    return messages


def with_actions(said: Turn | Reply) -> str:
    """What a student says, after a line for each thing it did."""
    return "\n".join([*(f"{_ACTION}{used.line})" for used in said.tools), said.text])


def without_actions(shown: str) -> str:
    """What is said in a reply that `with_actions` has put what was done before."""
    return "\n".join(line for line in shown.splitlines() if not line.startswith(_ACTION))


def actions(shown: str) -> list[str]:
    """The lines of what was done in such a reply."""
    return [line for line in shown.splitlines() if line.startswith(_ACTION)]


def replies(turns: Sequence[Turn]) -> list[str]:
    """What the student said, in order."""
    return [turn.text for turn in turns if turn.speaker == "student"]


def _cut(text: str, most: int = 400) -> str:
    """A text as one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
