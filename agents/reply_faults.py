"""What code can tell of an agent's reply: too long, figures from nowhere, asking for what was told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tutelage.environments import Scenario

from .transcript import Turn

LONG_FROM = 80
"""Words from which a chat reply is too long; twice as many count as one whole fault more."""
MOST_FIGURES = 2
"""Figures from nowhere that count; one more of them makes a reply no worse."""

_FIGURE = re.compile(r"\d{1,2}[:.]\d\d\b|\d+(?:[.,]\d+)*|\b(?=[A-Za-z-]*\d)[A-Za-z0-9-]{3,}\b")
_TIME = re.compile(r"0?(\d{1,2})[:.](\d\d)")
_ASKS = re.compile(
    r"\b(?:tell|give|send|share|provide|confirm|may i have|i need|what is|what's|which|could you"
    r"|can you|please)\b[^.?!]*",
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
        `too_long`, `from_nowhere` and `asks_again`.
    """
    records = [f"{key} {value}" for key, value in scenario.records.items()]
    case = [*records, scenario.expected, *(turn.text for turn in turns)]
    return {
        "too_long": max(0.0, len(reply.split()) / LONG_FROM - 1),
        "from_nowhere": float(min(len(_from_nowhere(reply, case, known)), MOST_FIGURES)),
        "asks_again": float(_asks_again(reply, turns, scenario)),
    }


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


def _asks_again(reply: str, turns: Sequence[Turn], scenario: Scenario) -> bool:
    """Whether a reply asks for a fact that the customer has told."""
    said = _plain(" ".join(turn.text for turn in turns if turn.speaker == "customer"))
    asked = " ".join(match[0].casefold() for match in _ASKS.finditer(reply))
    return any(
        _plain(value) in said
        and re.search(rf"\b{re.escape(key.split()[-1].casefold())}\b", asked) is not None
        and _plain(value) not in _plain(reply)
        for key, value in scenario.facts.items()
        if value and key
    )


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
