"""Halves of characters, which no encoding takes: replaced in all that models and tools say."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from tutelage.environments.surrogates import mended

_SAID = ("content", "tool_calls", "invalid_tool_calls", "response_metadata")


def mended_message(message: AIMessage) -> AIMessage:
    """An answer of a model with its texts, tool calls and metadata mended."""
    return message.model_copy(update={name: mended(getattr(message, name)) for name in _SAID})
