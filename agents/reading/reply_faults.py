"""What code tells of an agent's reply: too long, cold, parroted, figures from nowhere, and so on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tutelage.environments import Scenario
from tutelage.strategy_store.wording import content_words, sentences

from ..transcript import Turn
from .facts import dates, is_english, names, requests_in, tells, untold

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
_THE_CUSTOMER = re.compile(
    r"\b(?:the|our) customer(?=['\u2019]s\b|\W*$|[.,;:!?)]"
    r"| (?:about|again|also|and|are|as|asked|asks|at|because|but|by|can|cannot|contact|could|did|does"
    r"|feels|for|from|gets|had|has|if|in|is|keeps|may|might|missed|must|needs|not|now|of|on|or|paid|pays"
    r"|receives|said|says|shall|should|so|takes|that|their|they|this|to|today|tomorrow|wants|was|when|who"
    r"|will|wishes|with|would)\b)"
    r"|\[(?:customer|your|agent)'?s?(?: full)? name\]",
    re.IGNORECASE,
)
"""Another noun beside it makes one thing of both ("the customer hotline"), so what shows somebody is
the word that follows."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SPEAKERS = {
    "i": "you", "me": "you", "we": "you", "us": "you", "my": "your", "our": "your", "am": "are",
    "was": "were", "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll",
}  # fmt: skip
"""Words that change with the speaker: "my flight" said back is "your flight"."""
_FIGURE = re.compile(
    r"(?<![A-Za-z])(?:\d{1,2}[:.]\d\d\b|\d+(?:[.,]\d+)*)|\b(?=[A-Za-z-]*\d)[A-Za-z0-9][A-Za-z0-9-]{2,}\b"
)
_TIME = re.compile(r"0?(1?\d|2[0-4])[:.](\d\d)")
_IN_THE_AFTERNOON = re.compile(r" ?p\.?m\b", re.IGNORECASE)
_THOUSANDS = re.compile(r"[.,](?=\d{3}(?!\d))")
_NO_CENTS = re.compile(r"[.,]00?$")
_DAYS = re.compile(r"\b(\d{1,3}) (?:[a-z]+ )?(day|week)s?\b", re.IGNORECASE)
_YEAR = re.compile(r"\b20\d\d\b")
_OWN_ACT = re.compile(
    r"(?<!may )(?<!can )(?<!could )\b(?:i|we|let me|let us)\b"
    r"(?! (?:know|need(?! to (?!know\b|have\b)))\b)[^,.?!:;]*"
    r"|\b(?:give|allow) (?:me|us) (?:a|one)\b[^,.?!:;]*"
    r"|(?<!me )(?<!us )\bwith\b[^,.?!:;]*",
    re.IGNORECASE,
)
"""What a reply says that the agent does, and what comes along with what it asks for."""
_ASKS = re.compile(
    r"(?<!to )(?<!will )(?<!can )\b(?:tell|give|send|share|provide|confirm|enter"
    r"|(?:may|can|could) i have|i need)\b[^.?!]*"
    r"|\b(?:what (?:is|are|was)|what's|which)\b[^.?!]*\?",
    re.IGNORECASE,
)
_WANTS_TO_KNOW = re.compile(
    r"\b(?:tell (?:me|us)|let (?:me|us) know)\b(?! if\b)[^.?!]*"
    r"|\b(?:what|when|whether|how (?:much|many|long|old)|have you|did you|do you have|is it|was it)\b"
    r"[^.?!]*\?",
    re.IGNORECASE,
)
_DOES = re.compile(
    r"\b(?:i|we)(?:['\u2019]ll| will|['\u2019]ve| have)(?: now| just)? (?!be\b|have\b|help)(\w{3,})",
    re.IGNORECASE,
)
"""The agent's own deed, and its verb."""


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
        "parroted": float(_said_back(reply, turns) >= PARROT_FROM and not _grants(reply, turns)),
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


def _grants(reply: str, turns: Sequence[Turn]) -> bool:
    """Whether a reply says that the agent does what the customer spoke of, in words that are its own."""
    said = " ".join(turn.text for turn in turns if turn.speaker == "customer").casefold()
    return any(
        deed[0].casefold() not in said and deed[1].casefold()[:4] in said
        for deed in _DOES.finditer(reply)
    )


def _turned(text: str) -> list[str]:
    """The words of a text, those that change with the speaker alike."""
    words: list[str] = _WORD.findall(text.casefold().replace("\u2019", "'"))
    return [_SPEAKERS.get(word, word) for word in words]


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]


def _impersonal(reply: str) -> bool:
    first = next(iter(sentences(reply)), "")
    return _PERSON.search(first) is None and is_english(reply)


def _thanks_for_nothing(reply: str, turns: Sequence[Turn]) -> bool:
    """Whether a reply begins with thanks although the agent had asked for nothing."""
    asked = any(
        "?" in turn.text or requests_in(turn.text)
        for turn in turns[-2:-1]
        if turn.speaker == "student"
    )
    return _THANKS.match(reply) is not None and not asked


def _from_nowhere(reply: str, case: Sequence[str], known: Iterable[str]) -> list[set[str]]:
    """The figures and codes of a reply that stand in no source and add up from none of the case."""
    all_known = " ".join([*case, *known])
    counted = _counted_days(all_known)
    for day, words in dates(reply):
        if day in counted:
            reply = reply.replace(words, " ")
    own = set().union(*_figures(" ".join(case)))
    # "8 to 10" is how people say 08:00 to 10:00; in the policy a number is hardly an hour.
    sources = set().union(*_figures(all_known)) | {f"{figure}:00" for figure in own}
    amounts = {int(figure) for figure in own if figure.isdigit() and len(figure) < 5}
    made = {a + b for a in amounts for b in amounts} | {k * a for k in range(3, 7) for a in amounts}
    return [
        forms
        for forms in _figures(reply, said=True)
        if not forms & sources
        # Single digits count things far more often than they state one; no sum has more than five.
        and not any(
            form.isdigit() and (len(form) < 2 or (len(form) < 6 and int(form) in made))
            for form in forms
        )
    ]


def _counted_days(text: str) -> set[tuple[int, int]]:
    """The dates, as (day, month), that lie a span of the text's before or after a date of it."""
    year = int(found[0]) if (found := _YEAR.search(text)) else date.today().year
    spans = {int(count) * (7 if unit[0] in "wW" else 1) for count, unit in _DAYS.findall(text)}
    counted: set[tuple[int, int]] = set()
    for (day, month), _ in dates(text):
        try:
            known = date(year, month, day)
        except ValueError:
            continue
        for days in spans | {-span for span in spans}:
            then = known + timedelta(days)
            counted.add((then.day, then.month))
    return counted


def _figures(text: str, *, said: bool = False) -> list[set[str]]:
    """The figures and codes of a text, each in all the ways in which it may be written; of a clock's
    time in what is said ("18:00") only as such.
    """
    found: list[set[str]] = []
    for match in _FIGURE.finditer(text):
        figure = match[0].strip("-").casefold()
        afternoon = _IN_THE_AFTERNOON.match(text, match.end()) is not None
        if time := _TIME.fullmatch(f"{figure}:00" if afternoon and figure.isdigit() else figure):
            hour = int(time[1]) + (12 if afternoon and int(time[1]) < 12 else 0)
            forms = {f"{hour}:{time[2]}"}
            if time[2] == "00" and not (said and ":" in figure):
                forms.add(str(hour))
        else:
            forms = {_NO_CENTS.sub("", _THOUSANDS.sub("", figure)).replace(",", ".")}
        found.append(forms)
    return found


def _asks_again(reply: str, turns: Sequence[Turn], scenario: Scenario) -> float:
    """A whole fault where a reply asks for a fact that the customer has told, a sign of it where it
    wants to know something in the customer's own words, and no fact that is still to be told.
    """
    spoken = " ".join(turn.text for turn in turns if turn.speaker == "customer")
    asked = " ".join(match[0] for match in _ASKS.finditer(_OWN_ACT.sub(" ", reply)))
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
