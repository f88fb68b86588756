"""Vetting: whether a text may enter a system prompt as a strategy. All such text is hostile."""

from __future__ import annotations

import re
import unicodedata

MAX_WORDS = 25
MIN_WORDS = 2

_TEMPLATE = re.compile(
    r"<\|.*?\|>|</?s>|\[/?INST\]|<<SYS>>|</?(?:system|user|assistant|tool)\b|^\s*#{1,6}\s|```"
    r"|\b(?:system|assistant|user|developer)\s*:",
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
    r"https?://|\bwww\.|[\w.+-]+@[\w-]+\.\w|(?:\+?\d[\s().-]?){7,}|\b(?=[A-Z0-9-]*\d)[A-Z0-9][A-Z0-9-]{4,}\b"
)


def vet(text: str) -> list[str]:
    """The reasons to refuse a strategy's text; empty where there are none."""
    reasons: list[str] = []
    if not text.strip():
        return ["it is empty"]
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
    hidden = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn")]
    if any(c not in "\n\r" for c in hidden):
        reasons.append("it holds invisible or control characters")
    if _TEMPLATE.search(text):
        reasons.append("it holds markup of a chat template or a heading")
    if _OVERRIDE.search(text):
        reasons.append("it speaks to the model over the firm's head")
    if _CONTACT.search(text):
        reasons.append("it holds a link, an address, a number or a code")
    return reasons
