"""Scripted chat models that call tools, a customer with given lines, and a judge that says yes."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field


class Acts(BaseChatModel):
    """Says its messages one after another; the last one again and again."""

    says: list[AIMessage]
    seen: list[list[Any]] = Field(default_factory=list)
    bound: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "acts"

    def bind_tools(self, tools, **kwargs: Any):
        self.bound.append([tool.name for tool in tools])
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any):
        place = min(len(self.seen), len(self.says) - 1)
        self.seen.append(list(messages))
        return ChatResult(generations=[ChatGeneration(message=self.says[place])])


class Lines(BaseChatModel):
    """A customer that says its lines, and is content with the last."""

    lines: list[str]

    @property
    def _llm_type(self) -> str:
        return "lines"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any):
        place = messages[-1].text.count("AGENT: ") % len(self.lines)
        said = {"feeling": "calm", "i_want": "it done", "customer_says": self.lines[place],
                "goal_met": place == len(self.lines) - 1}  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=AIMessage(json.dumps(said)))])


class Says(BaseChatModel):
    """Answers every question the same; keeps the pages it was shown."""

    text: str = "Yes"
    pages: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "says"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any):
        self.pages.append(messages[-1].text)
        text = "4" if "one digit" in messages[-1].text else self.text
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "") -> AIMessage:
    """A message that calls tools."""
    made = [{"name": n, "args": a, "id": f"c{i}"} for i, (n, a) in enumerate(wanted)]
    return AIMessage(text, tool_calls=made)
