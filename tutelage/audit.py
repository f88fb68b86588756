"""The audit: exactly the messages that deployment sends for a dialogue, before anybody sends them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tutelage.environments.surrogates import mended
from tutelage.strategy_store import Deployment, LibraryFault
from tutelage.strategy_store.prompt import Message

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def sent_for(deployment: Deployment, dialogue: Path) -> str:
    """What a model is sent for the next reply of a dialogue, as a JSON array of messages.

    Args:
        deployment: the library and its settings.
        dialogue: a JSON file with messages of the OpenAI protocol, or a request that holds them
            under `messages`; `-` reads stdin.

    Raises:
        LibraryFault: where the file holds no such messages; names file, line and message.
    """
    return json.dumps(deployment.coach_wire(read_dialogue(dialogue)), indent=2, ensure_ascii=False)


def read_dialogue(path: Path) -> list[Message]:
    """The messages of a dialogue's file.

    Raises:
        LibraryFault: where there are none in it; names file, line and message (exit code 2).
    """
    name = "stdin" if str(path) == "-" else str(path)
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        found = mended(json.loads(text))
    except json.JSONDecodeError as error:
        raise LibraryFault(f"{name}:{error.lineno}: is no valid JSON: {error.msg}", 2) from error
    except (OSError, ValueError, RecursionError) as error:
        raise LibraryFault(f"{name}: cannot be read: {error}", 2) from error
    messages = found.get("messages") if isinstance(found, dict) else found
    if not isinstance(messages, list) or not messages:
        raise LibraryFault(
            f'{name}: holds no messages; expected [{{"role": "user", "content": "..."}}, ...]', 2
        )
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise LibraryFault(
                f"{name}: message {number}: role: expected one of {', '.join(_ROLES)}", 2
            )
        if not isinstance(message.get("content"), str | list | None):
            raise LibraryFault(f"{name}: message {number}: content: expected a text or parts", 2)
    return messages
