"""Vetting: whether a text may enter a system prompt as a strategy. All such text is hostile."""

from __future__ import annotations

import re
import unicodedata

MAX_WORDS = 25
MIN_WORDS = 2
MAX_LETTERS = 400

# A text may be long and made to stall, so that no pattern may read on without end from every letter.
_TEMPLATE = re.compile(
    r"[<\u02c2\u1438\u25c1\u27e8\u3008](?:[^\W\d]|[|/<!?])"
    r"|\[/?\s?(?:INST|SYS|SYSTEM|ASSISTANT|(?:AVAILABLE_)?TOOLS?(?:_\w{1,20})?)\b[^\]]{0,20}\]"
    r"|!\[|\]\(|^[^\S\n]*#{1,6}\s|```|\b(?:system|assistant|user|developer)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}"
    r"\b(?:previous|prior|above|earlier|all|any|instructions?|polic(?:y|ies)|rules?|prompt)\b"
    r"|\bsystem prompt\b|\byou are now\b|\bnew instructions?\b|\bdeveloper mode\b"
    r"|\b(?:reveal|print|repeat|show)\b.{0,30}\b(?:prompt|instructions)\b"
    r"|\bdo not follow\b.{0,30}\b(?:policy|rules?)\b",
    re.IGNORECASE,
)
_CONTACT = re.compile(
    r"://|//\w|(?i:\bwww\.|\w\.[a-z]{2,24}/\S)|[\w.+-]@[\w-]+\.\w|(?:\+?\d[\s().-]?){7}"
    r"|\b(?=[A-Z-]{0,40}\d)[A-Z0-9][A-Z0-9-]{4,}?\b"
)
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""What is shown as nothing, and is of a category that is shown."""


def vet(text: str) -> list[str]:
    """The reasons to refuse a strategy's text; empty where there are none."""
    reasons: list[str] = []
    if not text.strip():
        return ["it is empty"]
    if len(text) > MAX_LETTERS:
        return [f"it has {len(text):,} letters, more than {MAX_LETTERS}"]
    if len(text.split()) < MIN_WORDS:
        reasons.append(f"it has fewer than {MIN_WORDS} words")
    if (words := len(text.split())) > MAX_WORDS:
        reasons.append(f"it has {words} words, more than {MAX_WORDS}")
    return reasons + hostile(text)


def hostile(text: str) -> list[str]:
    """The reasons why a text of any length may not enter a prompt; empty where there are none."""
    reasons: list[str] = []
    if "\n" in text or "\r" in text or "\u2028" in text or "\u2029" in text:
        reasons.append("it has more than one line")
    if any(map(_is_hidden, text, f" {text}")):
        reasons.append("it holds invisible or control characters")
    # A model reads a letter of another width as the letter. One by one, for whoever stacks accents by
    # the thousand could stall what sorts them.
    plain = text if text.isascii() else "".join(unicodedata.normalize("NFKC", c) for c in text)
    if _TEMPLATE.search(plain):
        reasons.append("it holds markup of a chat template, a heading or a picture")
    if _OVERRIDE.search(plain):
        reasons.append("it speaks to the model over the firm's head")
    if _CONTACT.search(plain):
        reasons.append("it holds a link, an address, a number or a code")
    return reasons


def _is_hidden(letter: str, before: str) -> bool:
    """Whether nothing is seen of a letter; of a symbol's, that it is to be drawn in colour, is."""
    if letter == "\ufe0f" and unicodedata.category(before) in ("So", "Sm"):
        return False
    if unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cs", "Cn"):
        return letter not in "\n\r"
    return _IGNORABLE.match(letter) is not None
