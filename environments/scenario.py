"""A scenario: what happened to the customer, and what a good agent makes of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .rubric import RubricItem
from .state import Json
from .strict import Strict


class SpokenTurn(Strict):
    """One line that was spoken before the dialogue goes on here."""

    speaker: Literal["customer", "student"] = Field(
        description="Who spoke; the customer begins, and the two take turns."
    )
    text: str = Field(min_length=1, max_length=4000, description="What was said.")


class Scenario(Strict):
    """One situation at the firm's desk. Only the customer sees `situation`, `goal` and `facts`;
    only the agent sees `records`; only the judge and the teacher see `expected`.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$", description="Unique in the firm.")
    title: str = Field(min_length=3, description="A few words for tables.")
    topic: str = Field("", description="Which part of the business, for grouping.")
    situation: str = Field(min_length=10, description="What happened, as the customer knows it.")
    goal: str = Field(min_length=5, description="What the customer wants from this conversation.")
    facts: dict[str, str] = Field(
        default_factory=dict, description="What the customer can tell: codes, dates, amounts."
    )
    unknown: str = Field("", description="What the customer does not know or remember.")
    behaviour: str = Field("", description="How the customer acts in this very scenario.")
    opening: str = Field(
        "",
        description="The first line. Half the dialogues say it word for word, half in other words; "
        "empty: the model writes it.",
    )
    insists: list[str] = Field(
        default_factory=list,
        max_length=4,
        description="What the customer says next while the agent has not settled the matter, in "
        "order; for customers played by an embedded model, which lose the thread.",
    )
    personas: list[str] = Field(
        default_factory=list, description="Personas that fit; empty: every persona of the firm."
    )
    records: dict[str, str] = Field(
        default_factory=dict, description="What the agent's screen shows about the case."
    )
    state: dict[str, Json] = Field(
        default_factory=dict,
        description="What differs from the firm's initial state (JSON merge patch, RFC 7396).",
    )
    rules: list[str] = Field(default_factory=list, description="Ids of the policy rules at stake.")
    expected: str = Field(
        "",
        description="What a good agent does here; of training scenarios what it says is tried as "
        "strategies, too.",
    )
    rubric: list[RubricItem] = Field(
        default_factory=list, description="Items that hold in this scenario only."
    )
    history: list[SpokenTurn] = Field(
        default_factory=list,
        max_length=80,
        description="Lines spoken before: the dialogue goes on after the last of them, and only "
        "what comes after is judged.",
    )
    source: Literal["written", "generated", "chat"] = Field(
        "written", description="Who made it: a person, the teacher, or a real chat."
    )
    origin: str = Field("", description="Where exactly it comes from, if no person wrote it.")

    @model_validator(mode="after")
    def _takes_turns(self) -> Scenario:
        for position, turn in enumerate(self.history):
            expected = "student" if position % 2 else "customer"
            if turn.speaker != expected:
                raise ValueError(
                    f"history line {position + 1} is the {turn.speaker}'s: the customer begins, and "
                    "the two take turns"
                )
        return self
