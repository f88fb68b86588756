"""The app under test: a chat endpoint's logic, here a plain async function over a chat model."""

from __future__ import annotations

import os

from langchain_core.messages import BaseMessage, SystemMessage

import tutelage

SYSTEM = (
    "You answer for an airline. Take up how the customer feels, ask for the booking code where you "
    "need it, promise nothing you cannot see, and say what happens next. Two or three sentences."
)
MODEL = os.environ.get("APP_MODEL", "local:qwen2.5-coder-1.5b")


async def answer(messages: list[BaseMessage]) -> str:
    """The reply to a conversation."""
    said = await tutelage.chat_model(MODEL).ainvoke([SystemMessage(SYSTEM), *messages])
    return said.text
