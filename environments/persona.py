"""A persona: who the simulated customer is, whatever brings them to the firm today."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .strict import Strict

Disclosure = Literal["at_once", "when_asked", "reluctantly"]
Act = Literal[
    "state_problem", "answer", "push_back", "ask", "add_request", "vent", "accept", "close"
]


class AgendaAct(Strict):
    """One act of an agenda (Schatzmann and others 2007); the model words it, or rewords `says`."""

    act: Act = Field(description="What this line of the customer does.")
    about: str = Field("", description="What the act is about, in a few words.")
    says: str = Field(
        "", description="How this person says it, in one sentence; a weak model then keeps to it."
    )


class Persona(Strict):
    """A customer as a person. The scenario says what happened; the persona says how they take it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="The file's name without .yaml.")
    description: str = Field(min_length=20, description="Who this is, in one to three sentences.")
    goal: str = Field(
        min_length=10,
        description="What this person is after in any conversation; read where scenarios are "
        "generated for them. In a dialogue the scenario's goal counts.",
    )
    facts: dict[str, str] = Field(
        default_factory=dict, description="What the person knows of themselves: name, number, ..."
    )
    temperament: str = Field(min_length=3, description="How they take things, and how they write.")
    patience: int = Field(ge=1, le=20, description="Customer turns before they give up.")
    discloses: Disclosure = Field(
        "when_asked", description="When the facts come out: at_once, when_asked or reluctantly."
    )
    language: str = Field(
        "en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$", description="What they write in: en, pt-BR."
    )
    stop: str = Field(min_length=10, description="When they consider the conversation over.")
    mode: Literal["free", "agenda"] = Field(
        "free", description="agenda: the acts below are played in order; free: the model decides."
    )
    agenda: list[AgendaAct] = Field(
        default_factory=list,
        description="Acts for `mode: agenda`, one a customer turn; the last is repeated.",
    )
    lines: list[str] = Field(
        default_factory=list, max_length=4, description="Lines this person could write, for style."
    )
