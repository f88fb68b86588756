"""What code reads in what is said: a scenario's facts, dates, alphabets, and whether it is English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from ..transcript import Turn

_REQUEST = re.compile(
    r"\b(?:ask|tell|give|send|share|provide|confirm|enter|know|need|may i|let me|what|which|could you"
    r"|can you|please)\b[^.?!]*",
    re.IGNORECASE,
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_DAY}(?: of)? {_MONTH}\b",
        rf"\b{_MONTH} {_DAY}\b",
        r"\b(?P<day>\d{1,2})/(?P<month>\d{1,2})(?:/\d{2,4})?\b",
    )
]
_ENGLISH = re.compile(
    r"\b(?:about|and|any|are|but|can|could|did|does|from|have|how|if|it|its|my|not|one|our|please"
    r"|should|than|that|the|their|them|there|they|this|today|tomorrow|what|when|which|who|why"
    r"|with|would|you|your)\b",
    re.IGNORECASE,
)
"""Words of English and of none of its neighbours, where "was", "for", "of" and "to" are words too."""


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


def alphabets(text: str) -> set[str]:
    """The alphabets that a text's letters are of, by Unicode's names of them ("LATIN", "CJK")."""
    letters = {letter for letter in text if unicodedata.category(letter) in ("Lu", "Ll", "Lo")}
    return {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}


def is_english(text: str) -> bool:
    """Whether a text is in English: it has two different words that others have not, for one is quoted
    easily.
    """
    return len(set(_ENGLISH.findall(text.casefold()))) > 1


def dates(text: str) -> list[tuple[tuple[int, int], str]]:
    """The dates of a text as (day, month), each with its words."""
    found: list[tuple[tuple[int, int], str]] = []
    for pattern in _DATES:
        for match in pattern.finditer(text):
            month = match["month"].casefold()[:3]
            number = int(month) if month.isdigit() else _MONTHS.index(month) + 1
            found.append(((int(match["day"]), number), match[0]))
    return found


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
