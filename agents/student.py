"""The student: answers the customer under the policy, with the strategies it is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, SystemMessage
from tutelage.environments import Environment, Scenario
from tutelage.strategy_store import Placement, Retrieved, coach_messages

from .templates import render
from .transcript import Turn, as_messages
from .voice import Voice

_NAME_TAG = re.compile(r"^\s*(?:agent|assistant|customer service|reply)\s*:\s*", re.IGNORECASE)


def desk_text(environment: Environment, scenario: Scenario | None) -> str:
    """The student's system text: policy, role and desk screen (if any), the same at every turn."""
    config = environment.config
    return render(
        "student",
        title=config.title,
        sells=config.sells,
        today=config.today,
        policy=environment.policy.text.strip(),
        agent=config.agent,
        records=scenario.records if scenario else {},
    )


def untagged(text: str) -> str:
    """A reply without the speaker's name that models put in front."""
    return _NAME_TAG.sub("", text).strip()


@dataclass(frozen=True)
class Student:
    """The model under coaching, at one firm's desk."""

    voice: Voice
    environment: Environment
    placement: Placement = "after"
    temperature: float = 0.5

    def messages(
        self, scenario: Scenario, turns: Sequence[Turn], retrieved: Sequence[Retrieved]
    ) -> list[BaseMessage]:
        """Exactly what the model is sent for the next reply."""
        plain = [SystemMessage(desk_text(self.environment, scenario)), *as_messages(turns)]
        return coach_messages(plain, list(retrieved), self.placement)

    async def reply(
        self,
        scenario: Scenario,
        turns: Sequence[Turn],
        retrieved: Sequence[Retrieved] = (),
        seed: int = 0,
    ) -> str:
        """Answer the customer's last line."""
        text = await self.voice.say(
            self.messages(scenario, turns, retrieved),
            seed=seed * 131 + len(turns),
            temperature=self.temperature,
            max_tokens=120,
        )
        return untagged(text) or "..."
