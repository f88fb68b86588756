"""The fidelity check: whether a customer's line stays the customer's (DESIGN, section 2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from .transcript import Turn

REPEATS_FROM = 85.0
"""Similarity (0-100, rapidfuzz token_sort_ratio) from which a line counts as a repetition."""

HOLDS_FROM = 90.0
"""Similarity (0-100, rapidfuzz partial_ratio) from which a line holds a whole text of another's."""
HELD_WORDS = 5
"""Words from which a text is long enough to be held by accident no more."""

_AGENT_VOICE = re.compile(
    r"how (?:can|may) i (?:help|assist)"
    r"|\b(?:i|we)(?:'ve| have|'ll| will| can)?(?: now| just)? "
    r"(?:process(?:ed)?|issued?|cancel+ed|rebook(?:ed)?|refund(?:ed)?|arranged?|updated?|credit(?:ed)?)"
    r" (?:it |this |that )?(?:for you|you\b|your)"
    r"|\byour (?:booking|order|refund|request|account|reservation) (?:has been|is now|was) "
    r"(?:changed|cancel+ed|processed|updated|approved|confirmed)"
    r"|(?:could|can|would|may) you (?:please )?(?:provide|share|confirm|give) (?:me )?(?:with )?your"
    r"|please (?:provide|share|confirm) your"
    r"|thank you for (?:contacting|reaching out|choosing|calling|your patience)"
    r"|is there anything else (?:i|we) can"
    r"|i(?:'d| would) be (?:happy|glad) to (?:help|assist)"
    r"|(?:happy|glad|here) to (?:help|assist) you"
    r"|we apologi[sz]e for"
    r"|i(?:'m| am) (?:so |very )?sorry (?:to hear|for the inconvenience|for any|for your loss)"
    r"|\bi can (?:now )?(?:offer|send|give|refund|credit|book|transfer) (?:it (?:for|to) )?you\b"
    r"|\bi(?:'ll| will)(?: now)? (?:transfer|book|send|credit|move|put) (?:you|it|that|the line|your) "
    r"(?:[\w ]{0,20} )?(?:to|for|on) you\b"
    r"|\beach (?:traveller|customer|passenger) (?:gets|receives)\b"
    r"|\b(?:under|by|per) our (?:policy|rules)"
    r"|i understand that you(?:'re| are) (?:disappointed|upset|frustrated|angry)"
    r"|\bi have (?:now )?(?:put|booked|moved|rebooked|transferred) you\b"
    r"|i (?:can(?:'t|not)|am unable to|'m unable to) (?:help|assist)(?: you)?(?: with)?",
    re.IGNORECASE,
)
_LEAK = re.compile(
    r"customer_says|goal_met|i_want|\bas an ai\b|language model|\bpersona\b|\btranscript\b"
    r"|\bthe customer\b|^(?:customer|agent)\s*:|[{}]|<\||\bplaywright\b|\bleaves when\b"
    r"|\bmy (?:goal|temper|patience|stop rule|character) is\b|\bmy next line\b",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"\b(?=[\w:]*\d)[A-Za-z0-9][A-Za-z0-9:-]*\b")
_DATE = re.compile(
    r"\b\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[a-z0-9,;] )[A-Z][a-z]{2,}\b")
"""A capitalised word inside a sentence: a name, a place, a weekday."""
_COMMON_NAMES = frozenset(
    re.findall(
        r"\w+",
        "mr mrs miss sir madam god christmas easter english internet okay please thanks",
    )
)
_ASKS_DATA = re.compile(
    r"\b(?:code|name|number|postcode|address|receipts?|e-?mail|certificate|photos?)\b[^.?!]*\?\s*$",
    re.IGNORECASE,
)
_GOODBYE = re.compile(
    r"\b(?:good ?bye|bye|that(?:'s| is) all|have a (?:good|nice) (?:day|one)|i give up|forget it)\b",
    re.IGNORECASE,
)


def breaks(
    line: str,
    goal_met: bool,
    turns: Sequence[Turn],
    known: str,
    *,
    samples: Sequence[str] = (),
    final: bool = False,
) -> list[str]:
    """Say how a customer's line breaks character; empty where it does not.

    Args:
        line: what the customer would say.
        goal_met: whether the line claims that the matter is settled.
        turns: the dialogue before it.
        known: everything the customer may speak of (persona, situation, facts), as one text.
        samples: lines that were shown for style only.
        final: whether the line ends the dialogue by the agenda anyway, so no stop is missing.

    Returns:
        Any of `empty`, `role flip`, `leaked instructions`, `invented: X`, `repeated line`,
        `copied the agent`, `copied a sample`, `premature stop`, `missing stop`.
    """
    reasons: list[str] = []
    if not line.strip():
        return ["empty"]
    if _AGENT_VOICE.search(line):
        reasons.append("role flip")
    if _LEAK.search(line):
        reasons.append("leaked instructions")
    heard = " ".join([known, *(turn.text for turn in turns)]).casefold()
    bare = re.sub(r"[\s,.-]", "", heard)
    for code in _CODE.findall(line):
        plain = re.sub(r"[-.]", "", code).casefold()
        if len(plain) > 2 and plain not in bare:
            reasons.append(f"invented: {code}")
    for name in (*_DATE.findall(line), *_NAME.findall(line)):
        if name.casefold() not in heard and name.casefold() not in _COMMON_NAMES:
            reasons.append(f"invented: {name}")
    for turn in turns:
        if turn.speaker == "student" and _holds(line, turn.text):
            reasons.append("copied the agent")
            break
        if fuzz.token_sort_ratio(line.casefold(), turn.text.casefold()) >= REPEATS_FROM:
            own = turn.speaker == "customer"
            # Two lines of a few words ("ok", "yes please") may well be the same.
            if not own or len(line.split()) > 3:
                reasons.append("repeated line" if own else "copied the agent")
                break
    if any(
        fuzz.token_sort_ratio(line.casefold(), sample.casefold()) >= REPEATS_FROM
        or _holds(line, sample)
        for sample in samples
    ):
        reasons.append("copied a sample")
    answered = any(turn.speaker == "student" for turn in turns)
    if goal_met and (not answered or line.rstrip().endswith("?") or _walks_off(line, turns)):
        reasons.append("premature stop")
    if not goal_met and not final and answered and _GOODBYE.search(line) and "?" not in line:
        reasons.append("missing stop")
    return reasons


def _walks_off(line: str, turns: Sequence[Turn]) -> bool:
    """Whether the agent just asked for data, and the line leaves without giving any."""
    return bool(_ASKS_DATA.search(turns[-1].text)) and not _CODE.search(line)


def _holds(line: str, text: str) -> bool:
    """Whether a line holds the text, or a sentence of it, nearly word for word."""
    parts = {text, *re.split(r"(?<=[.!?])\s", text)}
    return any(
        len(part.split()) >= HELD_WORDS
        and fuzz.partial_ratio(part.casefold(), line.casefold()) >= HOLDS_FROM
        for part in parts
        if len(part) <= len(line) + 2
    )
