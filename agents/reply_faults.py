"""What code tells of an agent's reply: too long, cold, parroted, figures from nowhere, and so on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tutelage.environments import Scenario
from tutelage.strategy_store.wording import content_words, sentences

from .facts import names, tells, untold
from .transcript import Turn

LONG_FROM = 80
"""Words from which a chat reply is too long; twice as many count as one whole fault more."""
MOST_FIGURES = 2
"""Figures from nowhere that count; one more of them makes a reply no worse."""

RUN = 4
"""Words in a row that are the customer's own where they stand in a line of the customer's as well."""
PARROT_FROM = 0.65
"""Share of a reply's words in such runs from which it says back what it was told and no more. Of 195
replies of the bundled model none reached it; of 42 for which it had been told to begin with "I am sorry
that", nine did."""

SIGN = 0.5
"""What a sign counts that may mislead: of a cold reply, or of a question that was answered."""

_THANKS = re.compile(r"\W*(?:thank you|thanks|many thanks)\b", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:i|me|my|we|us|our|you|yours?)\b", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:the|is|are|was|to|of|and|for)\b", re.IGNORECASE)
_THE_CUSTOMER = re.compile(
    r"\b(?:the|our|your) customer(?:'s|s'?)?\b(?!'?s? (?:care|service|services|support|team|desk)\b)"
    r"|\[(?:customer|your|agent)'?s?(?: full)? name\]",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SPEAKERS = {
    "i": "you", "me": "you", "we": "you", "us": "you", "my": "your", "our": "your", "am": "are",
    "was": "were", "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll",
}  # fmt: skip
"""Words that change with the speaker: "my flight" said back is "your flight"."""
_FIGURE = re.compile(r"\d{1,2}[:.]\d\d\b|\d+(?:[.,]\d+)*|\b(?=[A-Za-z-]*\d)[A-Za-z0-9-]{3,}\b")
_TIME = re.compile(r"0?(\d{1,2})[:.](\d\d)")
_ASKS = re.compile(
    r"\b(?:tell|give|send|share|provide|confirm|may i have|i need|what is|what's|which|could you"
    r"|can you|please)\b[^.?!]*",
    re.IGNORECASE,
)
_WANTS_TO_KNOW = re.compile(
    r"\b(?:tell|let) (?:me|us)\b[^.?!]*"
    r"|\b(?:what|when|whether|how (?:much|many|long|old)|have you|did you|do you have|is it|was it)\b"
    r"[^.?!]*\?",
    re.IGNORECASE,
)


def reply_faults(
    reply: str, turns: Sequence[Turn], scenario: Scenario, known: Iterable[str]
) -> dict[str, float]:
    """The faults of a reply by name, each from 0 (none) upwards; a whole fault is 1.

    Args:
        reply: what the agent would say.
        turns: the dialogue before it, the customer's line last.
        scenario: its facts, the agent's screen and what a good agent does.
        known: the other texts that the agent may quote (the policy, the day).

    Returns:
        `too_long`, `parroted`, `from_nowhere`, `asks_again`, and, of English replies, `third_person`
        (speaks of the customer as of somebody else, or leaves a name to be filled in), `impersonal`
        (neither the customer nor the firm is in the first sentence) and `stock_thanks` (thanks for
        writing in place of taking up what was told). What is a sign only was chosen on the development
        half of the calibration set: see docs/judge.md.
    """
    records = [f"{key} {value}" for key, value in scenario.records.items()]
    case = [*records, scenario.expected, *(turn.text for turn in turns)]
    return {
        "too_long": max(0.0, len(reply.split()) / LONG_FROM - 1),
        "third_person": float(_THE_CUSTOMER.search(reply) is not None),
        "parroted": float(_said_back(reply, turns) >= PARROT_FROM),
        "from_nowhere": float(min(len(_from_nowhere(reply, case, known)), MOST_FIGURES)),
        "asks_again": _asks_again(reply, turns, scenario),
        "impersonal": SIGN * _impersonal(reply),
        "stock_thanks": SIGN * _thanks_for_nothing(reply, turns),
    }


def _said_back(reply: str, turns: Sequence[Turn]) -> float:
    """The share of a reply's words that stand in a row in what the customer said."""
    runs = {
        run for turn in turns if turn.speaker == "customer" for run in _runs(_turned(turn.text))
    }
    words = _turned(reply)
    told = {
        place + step for place, run in enumerate(_runs(words)) if run in runs for step in range(RUN)
    }
    return len(told) / len(words) if words else 0.0


def _turned(text: str) -> list[str]:
    """The words of a text, those that change with the speaker alike."""
    words: list[str] = _WORD.findall(text.casefold().replace("\u2019", "'"))
    return [_SPEAKERS.get(word, word) for word in words]


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]


def _impersonal(reply: str) -> bool:
    first = next(iter(sentences(reply)), "")
    return _PERSON.search(first) is None and _ENGLISH.search(reply) is not None


def _thanks_for_nothing(reply: str, turns: Sequence[Turn]) -> bool:
    """Whether a reply begins with thanks although the agent had asked for nothing."""
    asked = any("?" in turn.text for turn in turns[-2:-1] if turn.speaker == "student")
    return _THANKS.match(reply) is not None and not asked


def _from_nowhere(reply: str, case: Iterable[str], known: Iterable[str]) -> list[str]:
    """The figures and codes of a reply that stand in no source and add up from none of the case."""
    own = _figures(" ".join(case))
    sources = {*own, *_figures(" ".join(known))}
    amounts = {int(figure) for figure in own if figure.isdigit() and len(figure) < 5}
    made = {a + b for a in amounts for b in amounts} | {k * a for k in range(3, 7) for a in amounts}
    return [
        figure
        for figure in _figures(reply)
        if figure not in sources
        # Single digits count things far more often than they state one.
        and not (figure.isdigit() and (len(figure) < 2 or int(figure) in made))
    ]


def _figures(text: str) -> list[str]:
    found: list[str] = []
    for figure in _FIGURE.findall(text):
        if time := _TIME.fullmatch(figure):
            hour, minute = time[1], time[2]
            # "8 to 10" is how people say 08:00 to 10:00.
            found += [f"{hour}:{minute}", hour] if minute == "00" else [f"{hour}:{minute}"]
        else:
            found.append(figure.strip("-").casefold())
    return found


def _asks_again(reply: str, turns: Sequence[Turn], scenario: Scenario) -> float:
    """A whole fault where a reply asks for a fact that the customer has told, a sign of it where it
    wants to know something in the customer's own words, and no fact that is still to be told.
    """
    spoken = " ".join(turn.text for turn in turns if turn.speaker == "customer")
    asked = " ".join(match[0] for match in _ASKS.finditer(reply))
    waiting = untold(scenario.facts, turns)
    if any(
        names(asked, key) and not tells(reply, value)
        for key, value in scenario.facts.items()
        if key and value and key not in waiting
    ):
        return 1.0
    wanted = [match[0] for match in _WANTS_TO_KNOW.finditer(reply)]
    again = [words for words in wanted if not any(names(words, key) for key in waiting)]
    return SIGN * bool(set(content_words(" ".join(again))) & set(content_words(spoken)))
