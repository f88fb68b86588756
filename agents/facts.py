"""A scenario's facts in what is said: which of them a text names, and which were told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .transcript import Turn

_REQUEST = re.compile(
    r"\b(?:ask|tell|give|send|share|provide|confirm|enter|know|need|may i|let me|what|which|could you"
    r"|can you|please)\b[^.?!]*",
    re.IGNORECASE,
)


def requests_in(text: str) -> str:
    """What an agent asks for in a text: from each word of asking to the end of its sentence."""
    return " ".join(match[0] for match in _REQUEST.finditer(text))


def names(text: str, key: str) -> bool:
    """Whether a text names a fact, by the last word of its key."""
    word = re.escape(key.split()[-1].casefold())
    return re.search(rf"\b{word}\b", text.casefold()) is not None


def tells(text: str, value: str) -> bool:
    """Whether a text holds a fact's value, however it is spaced and punctuated."""
    return _plain(value) in _plain(text)


def untold(facts: Mapping[str, str], turns: Sequence[Turn]) -> dict[str, str]:
    """The facts that the customer has not told yet."""
    said = " ".join(turn.text for turn in turns if turn.speaker == "customer")
    return {key: value for key, value in facts.items() if key and value and not tells(said, value)}


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
