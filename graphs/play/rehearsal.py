"""Rehearsal: a person speaks as the agent with one of a firm's personas, and hears how it reacts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tutelage.agents.customer import Customer
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.agents.student import desk_text
from tutelage.agents.transcript import Turn
from tutelage.environments import (
    Environment,
    EnvironmentFault,
    Persona,
    Problem,
    Scenario,
    load_environment,
    nearest,
)
from tutelage.environments.loading import find_environment, refuse_bundled
from tutelage.environments.persona_file import (
    PersonaFile,
    check_persona,
    personas_stamp,
    read_persona,
    read_personas,
    save_persona,
)
from tutelage.environments.scaffold import new_persona

from ..log.events import DialogueEnded, EndReason, Event, TurnRejected, TurnSpoken
from .desk import Model, voice_of

T = TypeVar("T")

__all__ = [
    "EnvironmentFault",
    "ModelFault",
    "PersonaFile",
    "Problem",
    "Rehearsal",
    "Scenario",
    "check_names",
    "check_persona",
    "find_environment",
    "load_environment",
    "new_persona",
    "open_rehearsal",
    "personas_stamp",
    "read_persona",
    "read_personas",
    "refuse_bundled",
    "save_persona",
    "scenarios_for",
]


@dataclass
class Rehearsal:
    """One dialogue between a person, as the agent, and a persona. Made by `open_rehearsal`."""

    environment: Environment
    persona: Persona
    scenario: Scenario
    customer: Customer
    by: str
    seed: int = 0
    turns: list[Turn] = field(default_factory=list)
    over: bool = False

    @property
    def desk(self) -> str:
        """What the student would have before it: role, policy, and the desk's screen."""
        return desk_text(self.environment, self.scenario)

    @property
    def model(self) -> str:
        """The model that plays the customer."""
        return self.customer.voice.spec

    @property
    def customer_is_next(self) -> bool:
        """Whether the person has nothing to answer yet."""
        return not self.turns or self.turns[-1].speaker == "student"

    @property
    def patience_left(self) -> int:
        """Replies that the persona still listens to; what was said before does not count."""
        own = self.turns[len(self.scenario.history) :]
        return max(0, self.persona.patience - sum(turn.speaker == "student" for turn in own))

    async def hear(
        self, reply: str = "", speaking: Callable[[str], None] | None = None
    ) -> AsyncIterator[Event]:
        """Say something as the agent and hear the customer's answer.

        Args:
            reply: what the person says; nothing for the beginning: the scenario's history, and the
                customer's line where the history does not end with one.
            speaking: told the customer's line, as far as it is written, while it is drawn.

        Yields:
            The person's turn, draws of the customer that were refused, the customer's line, and
            the end where it is the end.

        Raises:
            ModelFault: where the customer's model fails; the reply is taken back then.
            ValueError: where the dialogue is over.
        """
        if self.over:
            raise ValueError("the dialogue is over")
        name = f"rehearsal.{self.scenario.id}.{self.persona.name}.{self.seed}"
        if not self.turns and self.scenario.history:
            self.turns += [Turn(**line.model_dump()) for line in self.scenario.history]
            for index, line in enumerate(self.scenario.history):
                yield TurnSpoken(
                    dialogue=name, turn=index // 2, speaker=line.speaker, text=line.text,
                    replayed=True,
                )  # fmt: skip
            if not self.customer_is_next:
                return
        if reply:
            turn = len(self.turns) // 2
            self.turns.append(Turn(speaker="student", text=reply))
            yield TurnSpoken(dialogue=name, turn=turn, speaker="student", text=reply, by=self.by)
        turn = len(self.turns) // 2
        try:
            heard = await self.customer.speak(
                self.persona, self.scenario, self.turns, self.seed, speaking
            )
        except BaseException:
            # Whoever tries again says it anew; the dialogue stands as before.
            if reply:
                self.turns.pop()
            raise
        for text, reasons in heard.refused:
            yield TurnRejected(dialogue=name, turn=turn, text=text, reasons=reasons)
        reason: EndReason | None = None
        if heard.line is None:
            reason = "broken_customer"
        else:
            line = heard.line
            self.turns.append(Turn(speaker="customer", text=line.customer_says))
            yield TurnSpoken(
                dialogue=name, turn=turn, speaker="customer", text=line.customer_says,
                feeling=line.feeling, goal_met=line.goal_met,
            )  # fmt: skip
            if line.goal_met:
                reason = "goal_met"
            elif turn + 1 - len(self.scenario.history) // 2 > self.persona.patience:
                reason = "patience_spent"
        if reason is not None:
            self.over = True
            yield DialogueEnded(
                dialogue=name, reason=reason, turns=len(self.turns), valid=False, taken_over=True
            )


async def open_rehearsal(
    firm: str | Path,
    persona: str,
    *,
    by: str,
    scenario: str | None = None,
    customer: Model | None = None,
    seed: int = 0,
) -> Rehearsal:
    """Seat a persona.

    Args:
        firm: a bundled firm's name or a firm's folder, read anew.
        persona: the persona's name.
        by: who speaks as the agent.
        scenario: what brings the customer here; the first that fits where not given.
        customer: the model that plays it; the local model where not given.
        seed: with the same seed the same model draws the same lines.

    Raises:
        EnvironmentFault: where the firm is broken, or has no such persona or scenario (exit code 2).
        ModelFault: where the model cannot be had.
    """

    def seat() -> Rehearsal:
        environment = load_environment(firm)
        found = _named(environment, "persona", persona, environment.personas)
        fitting = scenarios_for(environment, persona)
        if scenario is not None:
            chosen = _named(environment, "scenario", scenario, environment.scenarios)
        else:
            chosen = (fitting or list(environment.scenarios.values()))[0]
        voice = voice_of("customer", customer or DEFAULT_MODEL, Meter())
        return Rehearsal(environment, found, chosen, Customer(voice, environment), by, seed)

    return await asyncio.to_thread(seat)


def check_names(firm: str | Path, persona: str | None, scenario: str | None) -> None:
    """Whether a firm is there, and has a persona's file and a scenario of these names.

    Raises:
        EnvironmentFault: where it is not (exit code 2); offers the nearest. A broken file of a
            persona is no fault here: it can be set right on the screen.
    """
    names = {file.name: file for file in read_personas(firm)}
    if persona is not None and persona not in names:
        raise _unknown(find_environment(firm), "persona", persona, names)
    if scenario is not None:
        environment = load_environment(firm)
        _named(environment, "scenario", scenario, environment.scenarios)


def scenarios_for(environment: Environment, persona: str) -> list[Scenario]:
    """The scenarios that a persona fits: those written for it first, then those open to anybody."""
    own = [s for s in environment.scenarios.values() if persona in s.personas]
    return own + [s for s in environment.scenarios.values() if not s.personas]


def _named(environment: Environment, kind: str, name: str, valid: dict[str, T]) -> T:
    if name not in valid:
        raise _unknown(environment.path, kind, name, valid)
    return valid[name]


def _unknown(path: Path, kind: str, name: str, valid: Iterable[str]) -> EnvironmentFault:
    names = list(valid)
    shown = ", ".join(names[:14]) + (", ..." if len(names) > 14 else "")
    problem = Problem(
        path, f"{name!r} is no {kind} of this firm", expected=f"one of {shown}",
        nearest=nearest(name, names),
    )  # fmt: skip
    return EnvironmentFault([problem], exit_code=2)
