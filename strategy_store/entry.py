"""What is learned: an entry is one scenario described in general, with the strategies for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["proposed", "approved", "rejected", "retired"]
ALL_STATUSES: tuple[Status, ...] = ("proposed", "approved", "rejected", "retired")
Source = Literal[
    "teacher", "handbook", "policy", "scenario", "rubric", "generic", "person", "import"
]
"""Who wrote a strategy; `policy` is a rule of the firm's, put as an order to say what it gives,
`scenario` what a good agent says by a training scenario's author, as an order to say it, `rubric`
what the firm's rubric asks of every reply, as an order to do it, and `generic` advice for any firm."""

ANY_CUSTOMER = "any customer"
"""The scenario of what is given in every state."""
OF_MATTER = "a customer whose matter is "
"""How the scenario of a topic's or a rule's entry begins; what follows tells it from others."""


def _address(found: re.Match[str]) -> str:
    return "(address)" if found[1] else found[0]


def _code(found: re.Match[str]) -> str:
    mixed = re.search(r"\d", found[0]) and re.search("[A-Za-z]", found[0])
    return "(code)" if mixed else found[0]


# A customer may write anything, so that no pattern may begin anew inside what it has read: each takes a
# run of letters whole, whether it is masked or not.
_MASKS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE), "(link)"),
    (re.compile(r"[\w.+-]+(@[\w-]+\.[\w.-]+)?"), _address),
    (re.compile(r"\b[\w-]{3,}\b"), _code),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "(number)"),
)


class _Value(BaseModel):
    # JSON has no word for what is no number: it would come back as null, and be no entry any more.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Evidence(_Value):
    """What acceptance rested on. Probabilities and shares are 0 to 1."""

    customer: str = Field("", description="The customer's line that both replies answer.")
    before: str = Field("", description="A reply without the strategy.")
    after: str = Field("", description="The reply to the same line with it.")
    preference: float = Field(
        0.5, ge=0, le=1, description="Mean probability that `after` is better."
    )
    ci95: tuple[float, float] = (0.0, 1.0)
    pairs: int = Field(0, ge=0)
    states: int = Field(0, ge=0)
    checks_before: float | None = None
    checks_after: float | None = None
    null_threshold: float = 0.5
    p: float | None = None
    gain: float | None = Field(None, description="Mean gain that the test was about, -1 to 1.")
    gain_threshold: float | None = Field(None, description="What that had to pass.")
    elsewhere: int = Field(0, ge=0, description="Other states it was tried on before it was kept.")
    elsewhere_gain: float | None = Field(None, description="Mean gain there.")


class Uplift(_Value):
    """What one strategy adds, measured by withholding it at random. Intervals are 95 %."""

    csat: float = Field(description="Gain in satisfaction (-4 to 4).")
    csat_ci95: tuple[float, float] | None = None
    rubric: float = Field(description="Gain in the rubric (-1 to 1).")
    rubric_ci95: tuple[float, float] | None = None
    given: int = Field(ge=0, description="Dialogues in which it was given.")
    withheld: int = Field(ge=0, description="Dialogues in which it fitted and was withheld.")
    scenarios: int = Field(ge=0, description="Scenarios with both, which the intervals rest on.")
    student: str = ""
    run: str = ""
    text: str = Field(
        default="",
        exclude=True,
        description="The words that were measured, where whoever measured tells; not kept.",
    )

    @property
    def helps(self) -> bool | None:
        """True or False where the interval of satisfaction or rubric says so, else None."""
        ends = [ci for ci in (self.csat_ci95, self.rubric_ci95) if ci is not None]
        if any(high < 0 for _, high in ends):
            return False
        return True if any(low > 0 for low, _ in ends) else None

    @property
    def verdict(self) -> str:
        """What `helps` says, in words."""
        return {True: "helps", False: "harms", None: "not certain"}[self.helps]


class Provenance(_Value):
    """Where a strategy comes from. `scenario` is the id of the firm's scenario it was learned in."""

    source: Source
    tactics: list[str] = Field(default_factory=list)
    environment: str = ""
    run: str = ""
    round: int = 0
    scenario: str = ""
    scenarios: list[str] = Field(
        default_factory=list, description="Of what was learned from several: their ids."
    )
    persona: str = ""
    dialogue: str = ""
    turn: int = 0
    student: str = ""
    teacher: str = ""
    judge: str = ""
    evidence: Evidence | None = None

    @property
    def learned_in(self) -> set[str]:
        """Ids of the firm's scenarios it was learned in; empty where it names none."""
        return {self.scenario, *self.scenarios} - {""}


class Strategy(_Value):
    """One piece of advice, at most 25 words, in the imperative."""

    id: str
    text: str
    status: Status = "proposed"
    reason: str = Field(
        default="",
        description="Why it was rejected or retired, or what to know before it is approved.",
    )
    created_at: str = ""
    also: list[str] = Field(
        default_factory=list, description="Other wordings that were merged into this one."
    )
    uplift: Uplift | None = Field(default=None, description="Its own effect, as last measured.")
    provenance: Provenance

    @property
    def out_of_use(self) -> bool:
        """Whether a person, or what it was measured to do, has taken it out of use."""
        return self.status in ("rejected", "retired")

    @classmethod
    def new(cls, text: str, provenance: Provenance) -> Strategy:
        """A proposed strategy; its id follows from its text, so that the same text is the same."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(id=content_id("s", text), text=text, provenance=provenance, created_at=now)


class Entry(_Value):
    """One learned scenario with its strategies."""

    id: str
    scenario: str = Field(description="The state in one general sentence.")
    wants: str = ""
    feels: str = ""
    rules: list[str] = Field(default_factory=list, description="Policy rules at stake.")
    cues: list[str] = Field(default_factory=list, description="Customer lines of such states.")
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Similarity from which it fits, where it was narrowed.",
    )
    unless: list[str] = Field(
        default_factory=list,
        description="Customer lines of states where it did harm or no good: it does not fit what is at "
        "least as near to these as to its own.",
    )
    general: bool = Field(
        default=False, description="Fits every state: given beside what is nearest to it."
    )
    strategies: list[Strategy] = Field(default_factory=list)

    @classmethod
    def new(
        cls,
        scenario: str,
        *,
        wants: str = "",
        feels: str = "",
        rules: list[str] | None = None,
        cues: list[str] | None = None,
        general: bool = False,
        strategies: list[Strategy] | None = None,
    ) -> Entry:
        """An entry whose id follows from its scenario's text; strategies get ids within it."""
        id_ = content_id("e", scenario)
        own = [
            strategy.model_copy(update={"id": content_id("s", f"{id_}|{strategy.text}")})
            for strategy in strategies or []
        ]
        return cls(
            id=id_, scenario=scenario, wants=wants, feels=feels, rules=rules or [],
            cues=cues or [], general=general, strategies=own,
        )  # fmt: skip

    @property
    def described(self) -> str:
        """The scenario and what its customers want, by which a reader tells entries apart."""
        return f"{self.scenario} {self.wants}".strip()


def content_id(prefix: str, text: str) -> str:
    """A short id that depends on nothing but the text (without regard to case and spacing)."""
    plain = " ".join(text.casefold().split())
    return f"{prefix}{hashlib.sha256(plain.encode()).hexdigest()[:10]}"


def mask(text: str) -> str:
    """Replace links, addresses, codes and numbers by a word for what they were."""
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return " ".join(text.split())
