"""A dialogue so far, as every agent reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from pydantic import BaseModel, ConfigDict, Field


class ToolUse(BaseModel):
    """One call of a tool: what it was given, and what came back; `error` where it failed."""

    model_config = ConfigDict(frozen=True)
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    result: str = ""
    error: str = ""


class Turn(BaseModel):
    """One line: who spoke and what; `tools` were called before it was said."""

    model_config = ConfigDict(frozen=True)
    speaker: Literal["customer", "student"]
    text: str
    tools: list[ToolUse] = Field(default_factory=list)


def as_messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    """The dialogue from the student's side: the customer is the human, tool calls stand one by
    one before the reply that rests on them.
    """
    messages: list[BaseMessage] = []
    for number, turn in enumerate(turns):
        if turn.speaker == "customer":
            messages.append(HumanMessage(turn.text))
            continue
        for position, use in enumerate(turn.tools):
            messages += tool_messages(use, f"call_{number}_{position}")
        messages.append(AIMessage(turn.text))
    return messages


def done(use: ToolUse) -> str:
    """One call in a line, as people and the judge read it."""
    given = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=str)}"
        for name, value in use.arguments.items()
    )
    outcome = f"error: {use.error}" if use.error else use.result
    return " ".join(f"{use.name}({given}) -> {outcome}".split())


def with_actions(turn: Turn) -> str:
    """What a turn says, after what was done for it."""
    return "\n".join([*(f"[did {done(use)}]" for use in turn.tools), turn.text])


def tool_messages(use: ToolUse, id_: str) -> list[BaseMessage]:
    """One call and what came back, as a model reads them."""
    call = ToolCall(name=use.name, args=use.arguments, id=id_)
    answer = ToolMessage(
        f"error: {use.error}" if use.error else use.result,
        tool_call_id=id_, name=use.name, status="error" if use.error else "success",
    )  # fmt: skip
    return [AIMessage("", tool_calls=[call]), answer]


def replies(turns: Sequence[Turn]) -> list[str]:
    """What the student said, in order."""
    return [turn.text for turn in turns if turn.speaker == "student"]
