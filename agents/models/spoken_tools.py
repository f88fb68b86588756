"""Tool calls as JSON under a grammar, for models that have no tool format of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic_core import from_json
from tutelage.environments.surrogates import mended


def answer_schema(tools: Sequence[BaseTool]) -> dict[str, Any]:
    """The JSON schema of an answer: either `say`, or `tool` with its `arguments`."""
    forms: list[dict[str, Any]] = [_form({"say": {"type": "string", "minLength": 1}})]
    for tool in tools:
        function = convert_to_openai_tool(tool)["function"]
        parameters = function.get("parameters") or {"type": "object"}
        forms.append(_form({"tool": {"const": function["name"]}, "arguments": parameters}))
    return {"anyOf": forms}


def spoken(messages: Sequence[BaseMessage], tools: Sequence[BaseTool]) -> list[BaseMessage]:
    """A prompt with its tools and calls put into words; the tools join the first system message,
    so that what follows keeps its prefix from turn to turn.
    """
    out: list[BaseMessage] = []
    page = _page(tools)
    for message in messages:
        match message:
            case SystemMessage() if page:
                out.append(SystemMessage(f"{message.text}\n\n{page}"))
                page = ""
            case ToolMessage():
                outcome = "failed" if message.status == "error" else "gave"
                out.append(HumanMessage(f"(the tool {message.name} {outcome}: {message.text})"))
            case AIMessage() if message.tool_calls:
                calls = [{"tool": c["name"], "arguments": c["args"]} for c in message.tool_calls]
                out += [AIMessage(json.dumps(call, ensure_ascii=False)) for call in calls]
            case AIMessage():
                out.append(AIMessage(json.dumps({"say": message.text}, ensure_ascii=False)))
            case _:
                out.append(message)
    return out


def heard(message: AIMessage) -> AIMessage:
    """What a model answered in that form, as a message that speaks or calls a tool.

    Words that were cut short are kept; a call that was cut short is an invalid one.
    """
    kept = {"usage_metadata": message.usage_metadata, "response_metadata": {}}
    try:
        said = mended(json.loads(message.text))
        if "say" in said:
            return AIMessage(said["say"], **kept)
        call = ToolCall(name=said["tool"], args=dict(said["arguments"]), id="call")
        return AIMessage("", tool_calls=[call], **kept)
    except (ValueError, TypeError, KeyError):
        if (words := _cut_words(message.text)) is not None:
            return AIMessage(words, **kept)
        broken = InvalidToolCall(
            type="invalid_tool_call", name=None, args=message.text[:200], id="call", error=None
        )
        return AIMessage("", invalid_tool_calls=[broken], **kept)


def _cut_words(text: str) -> str | None:
    """What an answer that was cut short says so far; None where it says nothing."""
    try:
        said = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None
    words = said.get("say") if isinstance(said, dict) else None
    return words if isinstance(words, str) else None


def _form(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def _page(tools: Sequence[BaseTool]) -> str:
    lines = [
        'Answer with one JSON object: {"tool": NAME, "arguments": {...}} to use a tool, or '
        '{"say": TEXT} to write to the customer. What you do not know, look up with a tool first; '
        "what you say is done must have been done with one. Tools:"
    ]
    for tool in tools:
        function = convert_to_openai_tool(tool)["function"]
        properties = function.get("parameters", {}).get("properties", {})
        takes = ", ".join(
            f"{name}: {kind.get('type', 'any')}"
            + (f" ({kind['description']})" if "description" in kind else "")
            for name, kind in properties.items()
        )
        says = " ".join(function.get("description", "").split("\n\n")[0].split())
        lines.append(f"- {function['name']}({takes}): {says}")
    return "\n".join(lines)
