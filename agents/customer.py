"""The customer: writes the next line of its own script, checked before anybody hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, Field
from pydantic_core import from_json
from tutelage.environments import Environment, Persona, Scenario, passes
from tutelage.environments.persona import AgendaAct

from .models.faults import ModelFault
from .reading.facts import names, requests_in, untold
from .reading.fidelity import breaks, strays
from .templates import render
from .transcript import Turn, replies
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
_UNSETTLED = (
    "has not got that: does not thank and does not agree, tells the AGENT in new words what is still "
    "missing, and asks for it"
)
_THANKS = (
    "Thank you, that settles it for me.",
    "Good, then that is settled. Thank you.",
    "Thanks, that is all I needed.",
)
_SETTLED = "takes what the AGENT has settled and leaves, or asks the one thing that is still open"
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
_NO_HELP = Turn(speaker="student", text="(an answer that does not help)")


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
    led: bool = False
    """Whether code and the scenario's author lead later lines too, for models that lose the thread: what
    the author wrote is said until code sees the matter settled. A persona with an agenda keeps to its
    acts, and to the author's matter in them; of an act that its author gave words (`says`) they are
    said with it.
    """

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
        cue = cue_of(persona, scenario, turns, led=self.led)
        if cue.done and self.led and self.environment.config.language == "en":
            return Heard(_thanks(scenario, seed), [])
        if cue.bare and seed % 2 == 0:
            # Every second seed lets the model say it in other words, so that the firm's
            # scenarios are met in more wordings than their author wrote.
            return Heard(_verbatim(scenario, turns, cue), [])
        script = script_of(self.environment, persona, scenario)
        known = f"{known_of(script, scenario)} {cue.written}"
        heard = turns
        if cue.written:
            heard = [turn if turn.speaker == "customer" else _NO_HELP for turn in turns]
        goal = "" if cue.done else scenario.goal
        page = render("customer_turn", turns=heard, act=cue.act, goal=goal)
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
            final = cue.act == _ACTS["close"]
            if final:
                line = line.model_copy(update={"goal_met": True})
            reasons = breaks(
                line.customer_says, line.goal_met, turns, known, samples=persona.lines,
                private=(persona.temperament, persona.stop), final=final, settled=cue.done,
                agent=self.environment.config.agent_name,
            )  # fmt: skip
            if reasons == ["missing stop"]:
                # The words say goodbye; only the flag was forgotten.
                line, reasons = line.model_copy(update={"goal_met": True}), []
            if reasons == ["premature stop"]:
                # Not settled while it still asks: the line stands, the flag does not.
                line, reasons = line.model_copy(update={"goal_met": False}), []
            if (
                cue.written and self.led and not reasons
                and strays(line.customer_says, cue.written, known, more=cue.more)
            ):  # fmt: skip
                reasons.append("strayed from its author's words")
            if not reasons:
                return Heard(line, refused)
            refused.append((line.customer_says, reasons))
        # What the author wrote is in character whatever the model made of it.
        return Heard(_verbatim(scenario, turns, cue) if cue.written else None, refused)


@dataclass(frozen=True, slots=True)
class Cue:
    """What a customer's next line is for.

    Attributes:
        act: in words, for the model.
        written: the author's line for this place; "" where there is none.
        facts: those that the agent has asked for, told beside it.
        bare: whether what authors wrote is all there is to it, with no act left to the model's words.
        done: whether code sees the matter settled; None where it cannot tell or is not asked.
        more: sentences that the line may have more than the author's.
    """

    act: str
    written: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    done: bool | None = None
    more: int = 0


def cue_of(persona: Persona, scenario: Scenario, turns: Sequence[Turn], *, led: bool) -> Cue:
    """What the next line is for: what its author wrote for this place, else the persona's next act.

    Told only what happened, a small model opens about something else half the time, and later takes
    whatever an agent says for its own matter; so one that is led keeps to its author's lines until code
    sees the matter settled, or its agenda gives in.
    """
    planned = agenda_act(persona, turns)
    done = settled(scenario, turns) if led and planned is None else None
    gives_in = planned is not None and planned.act in ("accept", "close")
    act = next_act(persona, turns, done)
    written = (
        written_line(scenario, turns) if not turns or (led and not done and not gives_in) else ""
    )
    if not written:
        return Cue(act, done=done)
    facts = asked_for(persona, scenario, turns)
    own = planned.says if turns and planned else ""
    bare = planned is None or not turns or bool(own)
    written = f"{written} {own}".rstrip()
    says = f'says this in words of their own: "{written}"'
    act = says if bare else f'{act}; it is still about this: "{written}"'
    if facts:
        act = f"tells {' and '.join(f'the {key}, {value},' for key, value in facts.items())} and {act}"
    return Cue(act, written, facts, bare, done, len(facts) + (not bare))


def _verbatim(scenario: Scenario, turns: Sequence[Turn], cue: Cue) -> CustomerLine:
    """The author's line word for word, after the facts that were asked for."""
    told = [f"{key[:1].upper()}{key[1:]}: {value}." for key, value in cue.facts.items()]
    # Not validated: how long a line may be is said to a model, and binds no author.
    return CustomerLine.model_construct(
        feeling="annoyed" if turns else "worried", i_want=scenario.goal[:160],
        customer_says=" ".join([*told, cue.written]), goal_met=False,
    )  # fmt: skip


def _thanks(scenario: Scenario, seed: int) -> CustomerLine:
    """What a customer leaves with: a small model that is free to word it takes up any stray word."""
    return CustomerLine(
        feeling="pleased", i_want=scenario.goal[:160], goal_met=True,
        customer_says=_THANKS[seed % len(_THANKS)],
    )  # fmt: skip


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
    """All that a customer's lines may speak of: its script without the example, the author's lines."""
    written = " ".join([scenario.opening, *scenario.insists])
    return f"{script[script.index(EXAMPLE_ENDS) :]} {written}"


def agenda_act(persona: Persona, turns: Sequence[Turn]) -> AgendaAct | None:
    """The act that a persona's agenda lays down for its next line; None for a free persona."""
    if persona.mode == "free" or not persona.agenda:
        return None
    played = sum(turn.speaker == "customer" for turn in turns)
    return persona.agenda[min(played, len(persona.agenda) - 1)]


def written_line(scenario: Scenario, turns: Sequence[Turn]) -> str:
    """The author's line for this place of the dialogue; "" where there is none."""
    if not turns:
        return scenario.opening
    spoken = sum(turn.speaker == "customer" for turn in turns[len(scenario.history) :])
    place = spoken if scenario.history else spoken - 1
    return scenario.insists[place] if 0 <= place < len(scenario.insists) else ""


def asked_for(persona: Persona, scenario: Scenario, turns: Sequence[Turn]) -> dict[str, str]:
    """The facts that the agent's last reply asks for and the customer has not told yet; of a reluctant
    customer those that an earlier reply asked for, too.
    """
    *earlier, last = map(requests_in, replies(turns) or [""])
    waiting = untold({**persona.facts, **scenario.facts}, turns)
    named = {key: value for key, value in waiting.items() if names(last, key)}
    if persona.discloses == "reluctantly":
        return {key: value for key, value in named.items() if names(" ".join(earlier), key)}
    return named


def settled(scenario: Scenario, turns: Sequence[Turn]) -> bool | None:
    """Whether the agent has said what decides the scenario: all of its own checks by code that weigh
    more than one and want something said; None where it has none of these.
    """
    deciding = [
        item
        for item in scenario.rubric
        if item.weight > 1
        and (item.kind == "contains" or (item.kind == "regex" and not item.absent))
    ]
    if not deciding:
        return None
    said = "\n".join(replies(turns))
    return all(passes(check, said) for check in deciding)


def next_act(persona: Persona, turns: Sequence[Turn], done: bool | None = None) -> str:
    """What the next line is for, in words: the agenda's act, or for a free persona only what the
    state of the chat leaves open.

    A question of the agent is answered before the agenda goes on (Schatzmann and others 2007: the
    agent's act pushes its answer onto the stack). Where code can tell that the matter is not settled,
    a free persona is held to it: a small model takes any kind word for a cure.
    """
    asked = bool(turns) and turns[-1].speaker == "student" and "?" in turns[-1].text
    current = agenda_act(persona, turns)
    if current is None:
        if not turns:
            return _ACTS["state_problem"]
        if done is False:
            return f"{_ACTS['answer']}, and asks for what they want" if asked else _UNSETTLED
        if done and not asked:
            return _SETTLED
        return _ACTS["answer"] if asked else _FREE
    words = _ACTS[current.act] + (f": {current.about}" if current.about else "")
    if asked and current.act not in ("answer", "close"):
        return f"{_ACTS['answer']}, and {words}"
    return words
