"""The fidelity check: whether a customer's line stays the customer's (DESIGN, section 2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from .transcript import Turn

REPEATS_FROM = 88.0
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
    r"|i(?:'m| am) sorry (?:to hear|for the inconvenience|for any)"
    r"|i (?:can(?:'t|not)|am unable to|'m unable to) (?:help|assist)(?: you)?(?: with)?",
    re.IGNORECASE,
)
_LEAK = re.compile(
    r"customer_says|goal_met|i_want|\bas an ai\b|language model|\bpersona\b|\btranscript\b"
    r"|\bthe customer\b|^(?:customer|agent)\s*:|[{}]|<\|",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"\b(?=\w*\d)[A-Za-z0-9][A-Za-z0-9-]*\b")
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
    if goal_met and (not answered or line.rstrip().endswith("?")):
        reasons.append("premature stop")
    if not goal_met and not final and answered and _GOODBYE.search(line) and "?" not in line:
        reasons.append("missing stop")
    return reasons


def _holds(line: str, text: str) -> bool:
    """Whether a line holds the text's first sentence, or the whole text, nearly word for word."""
    parts = {text, re.split(r"(?<=[.!?])\s", text)[0]}
    return any(
        len(part.split()) >= HELD_WORDS
        and fuzz.partial_ratio(part.casefold(), line.casefold()) >= HOLDS_FROM
        for part in parts
        if len(part) <= len(line) + 2
    )
