"""The rubric: what a good dialogue shows, as questions for the judge and as checks by code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import regex
from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from .faults import fault
from .state import Json, at_path, same
from .strict import Strict

PATTERN_SECONDS = 1.0
"""How long one pattern may search one text; a pattern that backtracks without end is named."""
MAX_PATTERN = 2000
MAX_PIECES = 4000
"""Pieces of a pattern once its repeats are written out, which is what compiling it does."""
_PIECE = regex.compile(
    r"\\.|\(\?#[^)]*\)|\[\^?\]?(?:\\.|[^]\\])*\]|(?P<open>\()|(?P<close>\))"
    r"|(?P<more>\+)|\{(?P<least>\d+)(?P<upto>,\d*)?\}|.",
    regex.DOTALL,
)
_UNCLEAR = regex.compile(r"\(\?[\w-]*[xV]|\[:")
"""What gives brackets another meaning: comments and spaces in a pattern, sets in sets, classes."""

Scope = Literal["reply", "dialogue"]


def _as_written(text: str) -> str:
    # The line break that ends a block of YAML is nobody's.
    return text.rstrip("\n")


def _phrase(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty, and so in every reply")
    return text


Verbatim = Annotated[str, StringConstraints(strip_whitespace=False), AfterValidator(_as_written)]
"""Text in which a space means a space: " pin " is not in "shipping"."""
Phrase = Annotated[Verbatim, AfterValidator(_phrase)]


class _Item(Strict):
    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name, unique in the firm.")
    weight: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Share in the rubric score. By a scenario's own `contains` and `regex` that weigh "
        "more than 1 a customer played by an embedded model sees its matter settled.",
    )
    note: str = Field("", description="Why the item is there, for people.")


class _Check(_Item):
    scope: Scope = Field(
        "reply",
        description="`reply`: the share of the agent's replies that pass; "
        "`dialogue`: the agent's replies joined, pass or fail.",
    )


class Question(_Item):
    """A yes/no question about the whole dialogue, answered by the judge; yes is good."""

    kind: Literal["question"]
    question: str = Field(min_length=10, description="Answered yes or no; yes is good.")


class Contains(_Check):
    """Passes where at least one of the phrases occurs, whatever the case."""

    kind: Literal["contains"]
    any_of: list[Phrase] = Field(min_length=1, description="Phrases, one of which must occur.")


class Excludes(_Check):
    """Passes where none of the phrases occurs, whatever the case."""

    kind: Literal["excludes"]
    none_of: list[Phrase] = Field(min_length=1, description="Phrases that must not occur.")


class Regex(_Check):
    """Passes where the regular expression is found (or, with `absent`, is not found)."""

    kind: Literal["regex"]
    pattern: Verbatim = Field(description="A regular expression; upper and lower case are one.")
    absent: bool = Field(False, description="true: passes where the pattern is not found.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        if len(value) > MAX_PATTERN:
            raise ValueError(f"is longer than {MAX_PATTERN:,} characters")
        if _pieces(value) > MAX_PIECES:
            raise ValueError(
                "repeats what is repeated (`{n}` or `+` inside of it) too often: written out it has "
                f"more than {MAX_PIECES:,} pieces"
            )
        try:
            regex.compile(value, regex.IGNORECASE)
        except RecursionError as error:
            raise ValueError("is nested too deeply") from error
        except (regex.error, OverflowError, MemoryError) as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class Words(_Check):
    """Passes where the number of words lies between `at_least` and `at_most`."""

    kind: Literal["words"]
    at_least: int = Field(0, ge=0, description="Fewest words that pass.")
    at_most: int = Field(120, ge=1, description="Most words that pass.")

    @model_validator(mode="after")
    def _can_pass(self) -> Words:
        if self.at_least > self.at_most:
            raise ValueError(
                f"at_least {self.at_least} is more than at_most {self.at_most}, so no reply passes"
            )
        return self


class StateCheck(_Item):
    """Passes where the firm's state, at the dialogue's end, holds the expected value at a path."""

    kind: Literal["state"]
    path: str = Field(
        pattern=r"^[^.]+(\.[^.]+)*$",
        description="Dotted, numbers count in lists: orders.A1.items.0.",
    )
    equals: Json = Field(description="Any JSON value; null where nothing may stand there.")


Check = Contains | Excludes | Regex | Words
RubricItem = Annotated[
    Question | Contains | Excludes | Regex | Words | StateCheck, Field(discriminator="kind")
]


def passes(check: Check, text: str) -> bool:
    """Tell whether one text (a reply, or all replies joined) passes a check by code.

    Raises:
        EnvironmentFault: where a pattern searches longer than PATTERN_SECONDS.
    """
    folded = text.casefold()
    match check:
        case Contains():
            return any(phrase.casefold() in folded for phrase in check.any_of)
        case Excludes():
            return not any(phrase.casefold() in folded for phrase in check.none_of)
        case Regex():
            return (_search(check, text) is None) is check.absent
        case Words():
            return check.at_least <= len(text.split()) <= check.at_most


def _pieces(pattern: str) -> int:
    """How many pieces a pattern has once its repeats are written out, or more where that is unclear."""
    before, last, every = [0], 0, 1
    for found in _PIECE.finditer(pattern):
        if found["more"] or found["least"]:
            least = int(found["least"] or 1)
            # What must come and may come more often is written out once more.
            times = least + bool(found["more"] or found["upto"]) if least else 1
            last, every = last * times, every * times
        elif found["close"] and len(before) > 1:
            last += before.pop()
        else:
            before[-1] += last
            last = 1
            if found["open"]:
                before.append(0)
                last = 0
    return every * len(pattern) if _UNCLEAR.search(pattern) else sum(before) + last


def _search(check: Regex, text: str) -> object | None:
    try:
        return regex.search(check.pattern, text, regex.IGNORECASE, timeout=PATTERN_SECONDS)
    except TimeoutError as error:
        raise fault(
            Path("rubric"),
            f"the pattern {check.pattern!r} searches longer than {PATTERN_SECONDS:g} s",
            field=check.id,
            expected="a pattern without repetition inside repetition",
        ) from error


def check_score(check: Check, replies: list[str]) -> float:
    """Score one check over the agent's replies of a dialogue, 0 to 1 (0 where there are none)."""
    if not replies:
        return 0.0
    if check.scope == "dialogue":
        return float(passes(check, "\n".join(replies)))
    return sum(passes(check, reply) for reply in replies) / len(replies)


def _checks(items: Sequence[RubricItem]) -> list[Check]:
    return [item for item in items if not isinstance(item, Question | StateCheck)]


def weighted_mean(items: Sequence[RubricItem], scores: Mapping[str, float]) -> float | None:
    """The weighted mean (0-1) of the items that have a score, by id; None where none has."""
    scored = [item for item in items if item.id in scores]
    if not scored:
        return None
    won = sum(item.weight * scores[item.id] for item in scored)
    return won / sum(item.weight for item in scored)


def checks_score(items: Sequence[RubricItem], replies: list[str]) -> float | None:
    """Weighted mean (0-1) of the checks by code over the agent's replies of a dialogue, those of the
    firm's state left out; None where there are none.
    """
    return weighted_mean(items, {c.id: check_score(c, replies) for c in _checks(items)})


def check_mean(
    items: Sequence[RubricItem], reply: str, earlier: Sequence[str] = ()
) -> float | None:
    """Weighted share of the checks by code that one reply passes; None where there are none.

    A check of a whole dialogue is put to the reply together with what the agent said before: what
    was said already need not be said again, and what should not have been said stays said.

    Args:
        items: the rubric.
        reply: the agent's next reply.
        earlier: the agent's replies before it.
    """
    passed = checks_passed(items, reply, earlier)
    return weighted_mean(items, {id_: float(found) for id_, found in passed.items()})


def checks_passed(
    items: Sequence[RubricItem], reply: str, earlier: Sequence[str] = ()
) -> dict[str, bool]:
    """Which checks by code one reply passes, by id; arguments as `check_mean` has them."""
    said = "\n".join([*earlier, reply])
    return {c.id: passes(c, said if c.scope == "dialogue" else reply) for c in _checks(items)}


def check_weight(items: Sequence[RubricItem]) -> float:
    """How many checks by code a rubric has, each counted by its weight: what a share is a share of."""
    return float(sum(check.weight for check in _checks(items)))


def state_score(check: StateCheck, state: Mapping[str, Any]) -> float:
    """1 where the state holds the expected value at the check's path, else 0."""
    return float(same(at_path(state, check.path), check.equals))
