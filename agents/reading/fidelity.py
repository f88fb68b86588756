"""The fidelity check: whether a customer's line stays the customer's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz import fuzz
from tutelage.strategy_store.wording import content_words, sentences

from ..transcript import Turn
from .facts import dates, is_english

REPEATS_FROM = 85.0
"""Similarity (0-100, rapidfuzz token_sort_ratio) from which a line counts as a repetition."""

HOLDS_FROM = 90.0
"""Similarity (0-100, rapidfuzz partial_ratio) from which a line holds a whole text of another's."""
HELD_WORDS = 5
"""Words from which a text is long enough to be held by accident no more."""

_DONE = (
    r"(?:changed|cancel+ed|processed|updated|approved|confirmed|accepted|refunded|repaid|credited"
    r"|waived|issued|rebooked)"
)
_OWN = (
    r"(?:booking|order|account|reference|details|information|surname|(?:last|full) name"
    r"|full address|post|(?:customer|contract|ticket) (?:number|id|account))"
)
"""What an agent asks a customer for; a name or a number a customer may ask an agent for too."""
_AGENT_VOICE = re.compile(
    r"how (?:can|may) i (?:help|assist)"
    r"|\b(?:i|we)(?:'ve| have|'ll| will| can)?(?: now| just)? "
    r"(?:process(?:ed)?|issued?|cancel+ed|rebook(?:ed)?|refund(?:ed)?|arranged?|updated?|credit(?:ed)?)"
    r" (?:it |this |that )?(?:for you|you\b|your)"
    rf"|\byour (?:[\w-]+ ){{1,3}}(?:has been|have been|is now|was) {_DONE}"
    rf"|\bthe (?:amount|fare|fee|exit fee|money|refund) (?:is|has been|will be) {_DONE}(?! \?)"
    r"|\bwe will (?:stop|process|refund|credit|rebook|arrange|issue) "
    r"|\bno (?:compensation|refund|money) can be (?:paid|given)\b|\boutside our control\b"
    r"|\b(?:technician|courier|driver|colleague)s? will (?:visit|call|contact|reach) you\b"
    r"|(?:(?:could|can|would|may) you(?: please)?|please) (?:provide|share|confirm|give|tell|send) "
    rf"(?:(?:me|us) )?(?:with )?your {_OWN}"
    r"|\bplease send us your (?:certificate|photo|picture|proof|receipt)"
    r"|thank you for (?:contacting|reaching out|choosing|calling|your patience)"
    rf"|(?:give|tell|send) me your {_OWN}"
    r"|is there anything else (?:i|we) can|do you have any (?:other|more|further) questions"
    r"|\bglad (?:that )?(?:i|we) could help"
    r"|i(?:'d| would) be (?:happy|glad) to (?:help|assist)"
    r"|(?:happy|glad|here) to (?:help|assist) you"
    r"|we apologi[sz]e for"
    r"|i(?:'m| am) (?:so |very )?sorry (?:to hear (?:about|of|that you)|for the inconvenience|for any"
    r"|for (?:your|the) loss)"
    r"|\bi can (?:now )?(?:offer|send|give|refund|credit|book|transfer) (?:it (?:for|to) )?you\b"
    r"|\bi(?:'ll| will)(?: now)? (?:transfer|book|send|credit|move|put) (?:you|it|that|the line|your) "
    r"(?:[\w ]{0,20} )?(?:to|for|on) you\b"
    r"|\bi(?:'ll| will) transfer \b"
    r"|\bi(?:'ll| will) call you (?:back|shortly|soon)\b"
    r"|\beach (?:traveller|customer|passenger) (?:gets|receives)\b"
    r"|\b(?:under|by|per) our (?:policy|rules)"
    r"|i understand that you(?:'re| are) (?:disappointed|upset|frustrated|angry)"
    r"|\bi have (?:now )?(?:put|booked|moved|rebooked|transferred) you\b"
    r"|i (?:can(?:'t|not)|am unable to|'m unable to) (?:help|assist)(?! it\b)(?: you)?(?: with)?",
    re.IGNORECASE,
)
_LEAK = re.compile(
    r"customer_says|goal_met|i_want|\bas an ai\b|language model|\b(?:my|the|this) persona\b"
    r"|\bthe customer\b(?! (?:care|desk|hotline|line|services?|support|team)\b)"
    r"|^(?:customer|agent)\s*:|[{}]|<\||\bplaywright\b|\bleaves when\b"
    r"|\bmy (?:goal|temper|patience|stop rule|character) is\b|\bmy next line\b",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"\b(?=[\w:]*\d)[A-Za-z0-9][A-Za-z0-9:-]*\b")
_WEEKDAY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b", re.IGNORECASE)
_TIMES = re.compile(r"\b\d+ ?x ?\d+\b")
_KIN = re.compile(
    r"\b(?:mother|father|husband|wife|widow|widower|son|daughter|brother|sister|aunt|uncle|cousin"
    r"|grand(?:mother|father|son|daughter))\b",
    re.IGNORECASE,
)
_NUMBERS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
]
_COUNTED = re.compile(rf"\b(\d{{1,2}}|{'|'.join(_NUMBERS)}) ([a-z]{{3,}})\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"\u201c][^\"\u201d]*[\"\u201d]")
_NAME = re.compile(r"(?<=[a-z0-9,;] )[A-Z][a-z]{2,}\b")
"""A capitalised word inside a sentence: a name, a place, a weekday."""
_COMMON_NAMES = frozenset(
    re.findall(
        r"\w+",
        "mr mrs miss sir madam god christmas easter english internet okay please thanks",
    )
)
_ASKS = re.compile(
    r"\?\s*$|\bi need\b|\bplease (?:send|give|tell)\b[^.?!]*[.?!]?\s*$", re.IGNORECASE
)
_ANYTHING_ELSE = re.compile(
    r"\b(?:anything|something) (?:else|more|that is not clear)\b", re.IGNORECASE
)
_REPLIES = re.compile(
    r"\b(?:yes|yeah|yep|no|nope|please|sure|both|either|neither|the (?:first|second|later|other))\b",
    re.IGNORECASE,
)
_GOODBYE = re.compile(
    r"\b(?:good ?bye|bye|that(?:'s| is) (?:all|everything)|have a (?:good|nice|pleasant) (?:day|one)"
    r"|i give up|forget it|good (?:day|evening|night) to you|we are (?:finished|done) here"
    r"|the matter is closed|ta-ta|cheerio|god bless you)\b",
    re.IGNORECASE,
)
SHINGLE = 4
"""Words in a row, shared with a text that is meant for nobody's ears, that give a script away."""

_CONTENT = re.compile(
    r"\b(?:thanks|thank you|glad|relieved|appreciate|wonderful|perfect|can(?:'t|not) wait"
    r"|that(?:'s| is) (?:great|fine|good|helpful)|(?:i'll|i will) be fine|looking forward)\b",
    re.IGNORECASE,
)
_STILL = re.compile(
    r"\b(?:but|still|however|yet|though|although|instead|no use|not what|(?:do|does|did)(?: not|n't))\b",
    re.IGNORECASE,
)


def breaks(
    line: str,
    goal_met: bool,
    turns: Sequence[Turn],
    known: str,
    *,
    samples: Sequence[str] = (),
    private: Sequence[str] = (),
    final: bool = False,
    settled: bool | None = None,
    agent: str = "",
) -> list[str]:
    """Say how a customer's line breaks character; empty where it does not.

    Args:
        line: what the customer would say.
        goal_met: whether the line claims that the matter is settled.
        turns: the dialogue before it.
        known: everything the customer may speak of (persona, situation, facts), as one text.
        samples: lines that were shown for style only.
        private: texts of the script that nobody says of himself (temper, stop rule).
        final: whether the line ends the dialogue by the agenda anyway, so no stop is missing.
        settled: whether the agent has settled the matter, where code can tell.
        agent: the agent's name; a line that bears it in front is the agent's.

    Returns:
        Any of `empty`, `role flip`, `leaked instructions`, `invented: X`, `contradicted: X`,
        `repeated line`, `copied the agent`, `copied a sample`, `premature stop`, `missing stop`,
        `content without cause`. A name counts as invented in English only, where a capital tells it.
    """
    if not line.strip():
        return ["empty"]
    reasons: list[str] = []
    tagged = agent and re.match(rf"\W*{re.escape(agent)}\W*:", line, re.IGNORECASE)
    if tagged or _AGENT_VOICE.search(_QUOTED.sub("", line)):
        reasons.append("role flip")
    if _LEAK.search(line) or any(_shares(line, text) for text in private):
        reasons.append("leaked instructions")
    spoken = " ".join(turn.text for turn in turns)
    reasons += _unsupported(line, f"{known} {spoken}", english=is_english(f"{line} {spoken}"))
    if _says_twice(line):
        reasons.append("repeated line")
    elif reason := _repeats(line, turns, samples):
        reasons.append(reason)
    answered = any(turn.speaker == "student" for turn in turns)
    content = _CONTENT.search(line) is not None and _STILL.search(line) is None
    if settled is False and answered and content and not final:
        reasons.append("content without cause")
    if goal_met and (not answered or line.rstrip().endswith("?") or _walks_off(line, turns)):
        reasons.append("premature stop")
    if not goal_met and not final and answered and _GOODBYE.search(line) and "?" not in line:
        reasons.append("missing stop")
    return reasons


def strays(line: str, written: str, known: str, *, more: int = 0) -> bool:
    """Whether a line that should say an author's line in other words says something else: more
    sentences, or one most of whose content words stand neither there nor in the script.

    Args:
        line: what the customer would say.
        written: what its author wrote.
        known: the script.
        more: sentences that the line may have more than the author's.
    """
    own = set(content_words(f"{written} {known}"))
    said = sentences(line)
    if len(said) > len(sentences(written)) + more:
        return True
    for words in map(content_words, said):
        if len(words) > 1 and 2 * sum(word in own for word in words) < len(words):
            return True
    return False


def _says_twice(line: str) -> bool:
    said = [sentence.rstrip(".!? ").casefold() for sentence in sentences(line)]
    return len(said) != len(set(said))


def _unsupported(line: str, heard: str, *, english: bool) -> list[str]:
    """Codes, dates, names, kin and counts of a line that stand nowhere in what was heard."""
    reasons: list[str] = []
    known_dates = {date for date, _ in dates(heard)}
    rest = line
    for date, words in dates(line):
        rest = rest.replace(words, " ")
        if date not in known_dates:
            reasons.append(f"invented: {words}")
    folded = heard.casefold()
    bare = re.sub(r"[\s,.-]", "", folded)
    for code in _CODE.findall(_TIMES.sub("", rest)):
        plain = re.sub(r"[-.]", "", code).casefold()
        if len(plain) > 2 and plain not in bare:
            reasons.append(f"invented: {code}")
    # Elsewhere a capital makes no name: in German every noun has one.
    names = _NAME.findall(rest) if english else []
    for name in dict.fromkeys([*names, *_WEEKDAY.findall(rest)]):
        if name.casefold() not in folded and name.casefold() not in _COMMON_NAMES:
            reasons.append(f"invented: {name}")
    kin = {word.casefold() for word in _KIN.findall(heard)}
    reasons += [
        f"contradicted: {word}" for word in _KIN.findall(line) if kin and word.casefold() not in kin
    ]
    counts = _counts(heard)
    reasons += [
        f"contradicted: {number} {thing}"
        for thing, numbers in _counts(line).items()
        for number in numbers
        if thing in counts and number not in counts[thing]
    ]
    return reasons


def _counts(text: str) -> dict[str, set[str]]:
    """How many of each thing a text speaks of: the things' first five letters to the numbers."""
    found: dict[str, set[str]] = {}
    for number, thing in _COUNTED.findall(text.casefold()):
        spelled = _NUMBERS[int(number)] if number.isdigit() and int(number) <= 12 else number
        found.setdefault(thing[:5], set()).add(spelled)
    return found


def _repeats(line: str, turns: Sequence[Turn], samples: Sequence[str]) -> str:
    for turn in turns:
        own = turn.speaker == "customer"
        alike = fuzz.token_sort_ratio(line.casefold(), turn.text.casefold()) >= REPEATS_FROM
        # Two lines of a few words ("ok", "yes please") may well be the same.
        if own and alike and len(line.split()) > 3:
            return "repeated line"
        if not own and (alike or _holds(line, turn.text)):
            return "copied the agent"
    if any(
        fuzz.token_sort_ratio(line.casefold(), sample.casefold()) >= REPEATS_FROM
        or _holds(line, sample)
        for sample in samples
    ):
        return "copied a sample"
    return ""


def _walks_off(line: str, turns: Sequence[Turn]) -> bool:
    """Whether the agent just asked for something, and the line leaves without an answer."""
    last = turns[-1].text
    if not _ASKS.search(last) or _ANYTHING_ELSE.search(last):
        return False
    return not _CODE.search(line) and not _REPLIES.search(line)


def _shares(line: str, text: str) -> bool:
    """Whether a line says words in a row of a text that is not meant to be said."""
    said, hidden = (re.findall(r"\w+", t.casefold()) for t in (line, text))
    rows = {tuple(hidden[i : i + SHINGLE]) for i in range(len(hidden) - SHINGLE + 1)}
    return any(tuple(said[i : i + SHINGLE]) in rows for i in range(len(said) - SHINGLE + 1))


def _holds(line: str, text: str) -> bool:
    """Whether a line holds the text, or a sentence of it, nearly word for word.

    A statement that is handed back as a question is a check of what was heard, and no copy.
    """
    asks_back = line.rstrip().endswith("?")
    parts = {text, *sentences(text)}
    return any(
        len(part.split()) >= HELD_WORDS
        and fuzz.partial_ratio(part.casefold(), line.casefold()) >= HOLDS_FROM
        for part in parts
        if len(part) <= len(line) + 2 and not (asks_back and not part.rstrip().endswith("?"))
    )
