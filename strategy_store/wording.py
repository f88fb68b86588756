"""Wording: whether a text is an order that fits every customer, and whether two texts disagree."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache

_NEGATION = re.compile(
    r"\b(?:never|do not|don't|does not|must not|may not|cannot|can not|can't|will not|won't"
    r"|not allowed to|not permitted to|refuse to|avoid|refrain from|stop(?= \w+ing\b))\b",
    re.IGNORECASE,
)
_QUANTIFIERS = frozenset({"all", "any", "each", "every", "more", "other", "some"})
"""What stands before a noun and is neither the verb nor the object of an order."""
_CONDITION = re.compile(
    r"\b(?:unless|before|until|if|when|where|once|already|except|other than|more than|without|only)\b",
    re.IGNORECASE,
)
_NONE_OF_IT = re.compile(
    r"\b(?:no|nor|neither|nothing)\b(?:(?! and\b| but\b)[^.;:,!?])*", re.IGNORECASE
)
"""What is not done: in "promise no day", and in "say that no day can be promised"."""
_CLAUSE_END = re.compile(r"[.;:,!?]|\b(?:and then|but)\b")
_SUBJECT = re.compile(
    r"^(?:the|an?|this|that|these|those|it|its|he|she|they|we|i|you|your|our|my|their|there|here|who"
    r"|what|why|how|which|some|any|all|every|each|customers?|agents?|students?|teachers?|people"
    r"|sorry|hello|hi|thanks|yes|no|being|having)\b",
    re.IGNORECASE,
)
_MODAL = re.compile(
    r"^\S+\s+(?:should|must|will|would|can|could|may|might|shall|is|are|was|were|has)\b"
)
_GERUND = re.compile(r"^(?!bring\b|sing\b|ring\b|string\b)[a-z]+ing\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:if|when|where|before|after|while|once|unless|until|for|in|at|on|as soon as)\b[^,]*,\s*",
    re.IGNORECASE,
)
_UNITS = {"€": "euro", "£": "pound", "$": "dollar", "%": "percent"}
_UNIT = "euro|pound|dollar|percent|minute|hour|day|week|month|year|kilo|[€%]"
_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORTH = {
    **{word: number for number, word in enumerate(_TO_NINETEEN.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
    "hundred": 100,
    "thousand": 1000,
}
_WORD = f"(?:{'|'.join(_WORTH)})"
_IN_WORDS = (
    rf"\b{_WORD}(?:(?:(?<=ty)[\s-]|(?<=dred|sand)\s(?:and\s)?|\s(?=hundred|thousand)){_WORD})*\b"
    rf"(?!-(?!{_UNIT}))"
)
"""A number in words; "twenty-first" and "two-way" are none."""
_EVERYDAY = 12
"""Up to here a number in words counts anything ("two ways", "in three steps")."""
_MEASURE = re.compile(
    rf"([€£$])?\s?(?<![A-Za-z\d])(\d+(?:[.,:]\d+)*|{_IN_WORDS})"
    rf"(?:[\s-]*(?:(?:working|business|calendar|full|whole|more)\s+)?({_UNIT})s?(?![a-z]))?",
    re.IGNORECASE,
)
"""A number, and what it counts where that stands beside it."""
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)(?<!['\"“‘])\b[A-Z][\w'-]*")
_SPOKEN = re.compile(r"\"[^\"]*\"|“[^”]*”|‘.*?’(?!\w)|(?<!\w)'.*?'(?!\w)")
"""What a strategy gives the agent to say word for word."""
_ONE_SELF = re.compile(r"\b(?:I(?:['’](?:m|d|ve|ll))?|[Mm](?:e|y|ine|yself))\b")
SAME_FROM = 0.8
"""Share of content words in common from which two texts say the same."""
_ADVERB = re.compile(r"^\s*(?!(?:ap|com|im|re|sup)ply\b|rely\b)\w+ly\b")
_TWO_VERBS = re.compile(r"^\s*\w+,? (?:or|nor|and) ")
_REACH = 3
"""Content words between a verb and its object, at most."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, with their stops; a point inside a figure ends none."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def content_words(text: str) -> list[str]:
    """The words of a text that carry its meaning, in order, cut to five letters.

    Five letters stand in for a stemmer: "refund", "refunds" and "refunded" are one word here.
    """
    return list(_content(text))


# Whoever looks at every two texts of a library asks for the same words a thousand times.
@lru_cache(maxsize=4096)
def _content(text: str) -> tuple[str, ...]:
    words = re.findall(r"[a-z']+", text.casefold())
    skip = _passed_over()
    return tuple(word[:5] for word in words if word not in skip and len(word) > 2)


@lru_cache(maxsize=1)
def _passed_over() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    return frozenset({*STOPWORDS_EN, "customer", "customers", "agent", "agents"})


def too_special(text: str, known: str) -> list[str]:
    """The reasons why a strategy fits one customer only, or is no order; empty where there are none.

    Args:
        text: the strategy.
        known: what every customer of the firm shares: the policy and the firm's name. Numbers and
            names that stand there may stand in a strategy.
    """
    reasons: list[str] = []
    allowed = {measure for part in sentences(known) for measure in _implied(_measures(part))}
    numbers = {number for number, _ in allowed}
    for number, unit in _measures(text, everyday=False):
        if number not in numbers or (unit and (number, unit) not in allowed):
            what = f"{number} {unit}s" if unit else f"the number {number}"
            reasons.append(f"holds {what}, which is not the policy's")
            break
    told = known.casefold()
    names = [n for n in _NAME.findall(text) if len(n) > 1 and n.casefold() not in told]
    if names:
        reasons.append(f"holds the name {names[0]!r}, which fits one customer only")
    if own := _ONE_SELF.search(_SPOKEN.sub("", text)):
        # A small teacher takes a customer's line over into its order, and the student recites it.
        reasons.append(f"says {own[0]!r} outside quotes: name the customer, or the agent")
    if not is_order(text):
        reasons.append("is no order to the agent: begin with a verb")
    return reasons


def _measures(text: str, *, everyday: bool = True) -> list[tuple[str, str]]:
    """The numbers of a text in digits with their units, "" where they have none, in order; where
    `everyday` is false without "one" and other small ones in words that count nothing measured.
    """
    found: list[tuple[str, str]] = []
    for match in _MEASURE.finditer(text):
        number, unit = match[2], (match[3] or match[1] or "").casefold()
        if not number[0].isdigit():
            worth = _worth(number)
            if not everyday and (worth == 1 or (worth <= _EVERYDAY and not unit)):
                continue
            number = str(worth)
        found.append((number, _UNITS.get(unit, unit)))
    return found


def _worth(words: str) -> int:
    """What a number in words comes to."""
    whole = part = 0
    for word in re.findall(r"[a-z]+", words.casefold()):
        worth = _WORTH.get(word, 0)
        if worth == _WORTH["thousand"]:
            whole, part = whole + max(part, 1) * worth, 0
        elif worth == _WORTH["hundred"]:
            part = max(part, 1) * worth
        else:
            part += worth
    return whole + part


def _implied(measures: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Measures, each number of no unit also with that of the one before and after it: a policy says
    "60 euros, families 90", and "5 to 11 years".
    """
    units = [("", ""), *measures, ("", "")]
    return measures + [
        (number, near)
        for place, (number, unit) in enumerate(measures)
        if not unit
        for _, near in (units[place], units[place + 2])
    ]


def is_order(text: str) -> bool:
    """Whether a text is in the imperative, as far as its beginning tells: no subject, no gerund, no
    modal verb after the first word. A clause such as "If they are angry," may lead.
    """
    rest = _LEAD.sub("", text.strip(), count=1)
    return bool(rest) and not (_SUBJECT.match(rest) or _GERUND.match(rest) or _MODAL.match(rest))


def same_words(first: str, second: str) -> bool:
    """Whether two texts say the same in nearly the same content words. One word of six that differs is
    enough to tell them apart: it may be the one that matters.
    """
    a, b = set(content_words(first)), set(content_words(second))
    return _alike(a, b) if a | b else first.split() == second.split()


def same_order(first: str, second: str) -> bool:
    """Whether two texts order the same in nearly the same words; what forbids it does not."""
    forbids = [_NEGATION.search(text) is not None for text in (first, second)]
    return forbids[0] == forbids[1] and same_words(first, second)


def same_orders(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The places of every two texts that are `same_order`, the earlier first, in order."""
    orders: dict[_Order, list[int]] = {}
    keys = [_order(text) for text in texts]
    for place, key in enumerate(keys):
        orders.setdefault(key, []).append(place)
    places = {
        key: sorted(place for other in others for place in orders[other])
        for key, others in _near(list(orders)).items()
    }
    for first, key in enumerate(keys):
        others = places[key]
        for second in others[bisect_right(others, first) :]:
            yield first, second


_Order = tuple[bool, frozenset[str], tuple[str, ...]]
"""All that `same_order` looks at: whether a text forbids, its content words, and all of its words where
it has none of these."""


def _order(text: str) -> _Order:
    words = frozenset(content_words(text))
    return _NEGATION.search(text) is not None, words, () if words else tuple(text.split())


def _near(orders: Sequence[_Order]) -> dict[_Order, list[_Order]]:
    """For each of several orders those that say the same, itself among them. Only those are compared
    that share one of their rarest words: of two with so many in common they cannot differ in all of
    these (the prefix filter of Chaudhuri, Ganti and Kaushik 2006).
    """
    counts = Counter(word for _, words, _ in orders for word in words)
    rare: dict[_Order, list[str]] = {}
    holding: dict[str, list[_Order]] = {}
    for order in orders:
        words = sorted(order[1], key=lambda word: (counts[word], word))
        rare[order] = words[: len(words) - math.ceil(SAME_FROM * len(words) - 1e-9) + 1]
        for word in rare[order]:
            holding.setdefault(word, []).append(order)
    return {
        order: [
            other
            for other in dict.fromkeys([order, *(o for word in rare[order] for o in holding[word])])
            if other[0] == order[0] and (other == order or _alike(order[1], other[1]))
        ]
        for order in orders
    }


def _alike(a: Set[str], b: Set[str]) -> bool:
    return len(a & b) >= SAME_FROM * len(a | b)


def opposed(first: str, second: str) -> bool:
    """Whether one text orders what the other forbids outright: the same verb with the same object.

    Catches plain cases only ("Offer a voucher" and "Never offer vouchers"). A prohibition with a
    condition ("... before it is checked") is left to those who can read.
    """
    return bool(opposites([first, second]))


def opposed_to(texts: Sequence[str], others: Sequence[str]) -> set[tuple[int, int]]:
    """The places of every text and every other one that are `opposed`; each is read once."""
    done, forbidden = _read(texts)
    done_there, forbidden_there = _read(others)
    return {
        *((i, j) for i, found in forbidden for j, do in enumerate(done_there) if _does(do, found)),
        *((i, j) for j, found in forbidden_there for i, do in enumerate(done) if _does(do, found)),
    }


def opposites(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The places of every two texts that are `opposed`, the earlier first."""
    done, forbidden = _read(texts)
    return sorted(
        {
            (min(place, other), max(place, other))
            for place, phrases in forbidden
            for other in range(len(texts))
            if other != place and _does(done[other], phrases)
        }
    )


_Phrases = list[tuple[set[str], set[str]]]


def _read(texts: Sequence[str]) -> tuple[list[list[str]], list[tuple[int, _Phrases]]]:
    """What each text orders, in its verbs and nouns, and of those that forbid something their place
    with what that is.
    """
    done = [_verbs_and_nouns(_without_prohibitions(text)) for text in texts]
    return done, [
        (place, found) for place, text in enumerate(texts) if (found := _prohibitions(text))
    ]


def _does(done: Sequence[str], forbidden: Sequence[tuple[set[str], set[str]]]) -> bool:
    """Whether what is ordered, in its verbs and nouns, is among what is forbidden."""
    for phrase in forbidden:
        for place, word in enumerate(done):
            near = set(done[place + 1 : place + 1 + _REACH]) - {word}
            if word in phrase[0] and near & phrase[1]:
                return True
    return False


def _prohibitions(text: str) -> _Phrases:
    """What a text forbids without a condition, each as its verbs and the words that begin it, cut."""
    found: _Phrases = []
    for sentence in re.split(r"[.;!?]", text):
        if _CONDITION.search(sentence):
            continue
        for match in _NEGATION.finditer(sentence):
            clause = _CLAUSE_END.split(sentence[match.end() :], maxsplit=1)[0]
            words = _verbs_and_nouns(_ADVERB.sub("", clause))[: 2 + _REACH]
            if len(words) > 1:
                found.append((set(words[: 2 if _TWO_VERBS.match(clause) else 1]), set(words)))
    return found


def _verbs_and_nouns(text: str) -> list[str]:
    return [word for word in content_words(text) if word not in _QUANTIFIERS]


def _without_prohibitions(text: str) -> str:
    kept: list[str] = []
    text = _NONE_OF_IT.sub("", _LEAD.sub("", text.strip(), count=1))
    for clause in _CLAUSE_END.split(text):
        match = _NEGATION.search(clause) or _CONDITION.search(clause)
        kept.append(clause[: match.start()] if match else clause)
    return " . ".join(kept)
