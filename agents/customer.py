"""The customer: writes the next line of its own script, checked before anybody hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, Field
from pydantic_core import from_json
from tutelage.environments import Environment, Persona, Scenario

from .faults import ModelFault
from .fidelity import breaks
from .templates import render
from .transcript import Turn
from .voice import Hear, Voice

TRIES = 3
"""Draws of one line before the dialogue counts as broken."""

EXAMPLE_ENDS = "NOW WRITE THIS CUSTOMER"
"""Where a script's example ends: its days and amounts are somebody else's."""

_DISCLOSURE = {
    "at_once": "at once, without being asked",
    "when_asked": "only when the AGENT asks for them",
    "reluctantly": "only when the AGENT asks twice, and unwillingly",
}
_FREE = "reacts to what the AGENT just said, and goes on from there or leaves"
_ACTS = {
    "state_problem": "tells what happened and says what they want",
    "answer": "answers what the AGENT asked, with the facts above",
    "push_back": "does not accept that and pushes back",
    "ask": "asks a question",
    "add_request": "brings up one more request",
    "vent": "says how this feels",
    "accept": "accepts what the AGENT offers",
    "close": "ends the chat",
}


class CustomerLine(BaseModel):
    """A line of the script, with the fields that lead up to it."""

    i_want: str = Field(max_length=160)
    feeling: Literal["annoyed", "angry", "worried", "sad", "confused", "calm", "pleased"]
    customer_says: str = Field(min_length=1, max_length=420)
    goal_met: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one customer turn: the line (None where every draw failed) and the draws refused."""

    line: CustomerLine | None
    refused: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Customer:
    """Plays a persona in a scenario of one firm."""

    voice: Voice
    environment: Environment

    async def speak(
        self,
        persona: Persona,
        scenario: Scenario,
        turns: Sequence[Turn],
        seed: int,
        hear: Hear | None = None,
    ) -> Heard:
        """Write the customer's next line; a line that fails the fidelity check is drawn again.

        Args:
            persona: who speaks.
            scenario: what happened.
            turns: the dialogue so far, empty for the opening.
            seed: with the same seed the same model draws the same lines.
            hear: told the line as it grows, also one that is then refused.
        """
        if not turns and scenario.opening and seed % 2 == 0:
            # Every second seed lets the model say it in other words, so that the firm's
            # scenarios are met in more wordings than their author wrote.
            opening = CustomerLine(
                feeling="worried", i_want=scenario.goal[:160], customer_says=scenario.opening,
                goal_met=False,
            )  # fmt: skip
            return Heard(opening, [])
        script = script_of(self.environment, persona, scenario)
        known = known_of(script, scenario)
        act = next_act(persona, turns)
        if not turns and scenario.opening:
            # Told only what happened, a small model opens about something else half the time.
            act = f'says this in words of their own: "{scenario.opening}"'
        page = render("customer_turn", turns=turns, act=act, goal=scenario.goal)
        messages = [SystemMessage(script), HumanMessage(page)]
        refused: list[tuple[str, list[str]]] = []
        for attempt in range(TRIES):
            options = {
                "seed": seed * 101 + len(turns) * 7 + attempt,
                "temperature": min(0.7 + 0.15 * attempt, 1.0),
                "max_tokens": 220,
            }
            try:
                line = await self.voice.ask(
                    messages, CustomerLine, hear=hear and _hear_line(hear), **options
                )
            except ModelFault as error:
                if attempt + 1 == TRIES or error.exit_code == 2:
                    raise
                refused.append(("", [str(error)]))
                await asyncio.sleep(0)
                continue
            final = act == _ACTS["close"]
            if final:
                line = line.model_copy(update={"goal_met": True})
            reasons = breaks(
                line.customer_says, line.goal_met, turns, known, samples=persona.lines,
                private=(persona.temperament, persona.stop), final=final,
            )  # fmt: skip
            if reasons == ["missing stop"]:
                # The words say goodbye; only the flag was forgotten.
                line, reasons = line.model_copy(update={"goal_met": True}), []
            if reasons == ["premature stop"]:
                # Not settled while it still asks: the line stands, the flag does not.
                line, reasons = line.model_copy(update={"goal_met": False}), []
            if not reasons:
                return Heard(line, refused)
            refused.append((line.customer_says, reasons))
        return Heard(None, refused)


def _hear_line(hear: Hear) -> Hear:
    """Tells the customer's words out of the JSON that they are written in."""

    def told(raw: str) -> None:
        try:
            fields = from_json(raw[max(raw.find("{"), 0) :], allow_partial="trailing-strings")
        except ValueError:
            return
        if isinstance(fields, dict) and (said := fields.get("customer_says")):
            hear(str(said))

    return told


def script_of(environment: Environment, persona: Persona, scenario: Scenario) -> str:
    """The customer's whole prompt."""
    return render(
        "customer",
        title=environment.config.title,
        sells=environment.config.sells,
        persona=persona,
        scenario=scenario,
        facts={**persona.facts, **scenario.facts},
        disclosure=_DISCLOSURE[persona.discloses],
    )


def known_of(script: str, scenario: Scenario) -> str:
    """All that a customer's lines may speak of: its script without the example, and the opening."""
    return f"{script[script.index(EXAMPLE_ENDS) :]} {scenario.opening}"


def next_act(persona: Persona, turns: Sequence[Turn]) -> str:
    """What the next line is for, in words: the agenda's act, or for a free persona only what the
    state of the chat leaves open.

    A question of the agent is answered before the agenda goes on (Schatzmann and others 2007: the
    agent's act pushes its answer onto the stack).
    """
    asked = bool(turns) and turns[-1].speaker == "student" and "?" in turns[-1].text
    if persona.mode == "free" or not persona.agenda:
        if not turns:
            return _ACTS["state_problem"]
        return _ACTS["answer"] if asked else _FREE
    played = sum(turn.speaker == "customer" for turn in turns)
    acts = persona.agenda
    current = acts[min(played, len(acts) - 1)]
    words = _ACTS[current.act] + (f": {current.about}" if current.about else "")
    if asked and current.act not in ("answer", "close"):
        return f"{_ACTS['answer']}, and {words}"
    return words
