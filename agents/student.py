"""The student: answers the customer under the policy, with the strategies it is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, SystemMessage
from tutelage.environments import Environment, Scenario
from tutelage.strategy_store import Placement, Retrieved, coach_messages, on_trial

from .acting import act
from .app_student import AppStudent
from .templates import render
from .toolbox import open_toolbox
from .transcript import Reply, ToolUse, Turn, as_messages
from .voice import Hear, Voice

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


def desk_messages(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn]
) -> list[BaseMessage]:
    """The student's prompt without strategies: the system text, then the dialogue."""
    return [SystemMessage(desk_text(environment, scenario)), *as_messages(turns)]


def untagged(text: str) -> str:
    """A reply without the speaker's name that models put in front."""
    return _NAME_TAG.sub("", text).strip()


@dataclass(frozen=True)
class Student:
    """The model or app under coaching, at one firm's desk."""

    voice: Voice
    environment: Environment
    placement: Placement = "after"
    temperature: float = 0.5

    def messages(
        self, scenario: Scenario, turns: Sequence[Turn], retrieved: Sequence[Retrieved]
    ) -> list[BaseMessage]:
        """Exactly what the model is sent for the next reply."""
        return coach_messages(self._plain(scenario, turns), list(retrieved), self.placement)

    def _plain(self, scenario: Scenario, turns: Sequence[Turn]) -> list[BaseMessage]:
        """The prompt without strategies; an app has a prompt of its own and gets the dialogue."""
        model = self.voice.model
        if isinstance(model, AppStudent) and not model.firm_prompt:
            return as_messages(turns)
        return desk_messages(self.environment, scenario, turns)

    def alone(self, said: str) -> str:
        """What the customer reads of what the model said."""
        return untagged(said)

    async def reply(
        self,
        scenario: Scenario,
        turns: Sequence[Turn],
        retrieved: Sequence[Retrieved] | None = (),
        seed: int = 0,
        hear: Hear | None = None,
    ) -> Reply:
        """Answer the customer's last line, with the firm's tools where it has some.

        Args:
            scenario: the firm's scenario.
            turns: the dialogue so far.
            retrieved: the strategies to answer with; None leaves a student that is coached
                already to its own.
            seed: for models that take one.
            hear: told the reply as it grows, where the model is asked for words alone.
        """
        options = {
            "seed": seed * 131 + len(turns),
            "temperature": self.temperature,
            "max_tokens": 120,
        }
        model, with_tools = self.voice.model, self.environment.has_tools
        if isinstance(model, AppStudent) and not (model.firm_prompt and with_tools):
            message = await self.voice.answer(
                self._plain(scenario, turns),
                retrieved=retrieved,
                records=scenario.records,
                **options,
            )
            used = message.response_metadata.get("tools", ())
            tools = [ToolUse.model_validate(one) for one in used]
            return Reply(self.alone(message.text.strip()) or "...", tools)
        messages = self.messages(scenario, turns, retrieved or ())
        with on_trial(retrieved):
            if with_tools:
                async with open_toolbox(self.environment, scenario, turns) as box:
                    said = await act(self.voice, box, messages, self.environment, options)
            else:
                growing = hear and (lambda text: hear(self.alone(text)))
                said = Reply(await self.voice.say(messages, hear=growing, **options))
        return Reply(self.alone(said.text) or "...", said.tools)
