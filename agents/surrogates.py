"""Halves of characters, which no encoding takes: replaced in all that models and tools say."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

_SAID = ("content", "tool_calls", "invalid_tool_calls", "response_metadata")


def mended(value: Any) -> Any:
    """A text, or JSON with texts in it, as UTF-8 can hold it.

    Args:
        value: a text, a list or a dict; anything else comes back as it is.

    Returns:
        The same with each half of a character (a surrogate) joined with the other half behind it, or
        replaced by U+FFFD where there is none.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {mended(key): mended(one) for key, one in value.items()}
    if isinstance(value, list):
        return [mended(one) for one in value]
    return value


def mended_message(message: AIMessage) -> AIMessage:
    """An answer of a model with its texts, tool calls and metadata mended."""
    return message.model_copy(update={name: mended(getattr(message, name)) for name in _SAID})
