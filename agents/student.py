"""The student: answers the customer under the policy, with the strategies it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage
from tutelage.environments import Environment, Scenario
from tutelage.strategy_store import Placement, Retrieved, coach_messages

from .templates import render
from .toolbox import Toolbox, open_toolbox
from .transcript import ToolUse, Turn, as_messages, tool_messages
from .voice import Voice

TOOL_TOKENS = 400
"""Tokens of one step of a student with tools."""
_NAME_TAG = re.compile(r"^\s*(?:agent|assistant|customer service|reply)\s*:\s*", re.IGNORECASE)


def desk_text(environment: Environment, scenario: Scenario) -> str:
    """The student's system text: policy, role and desk screen, the same at every turn."""
    config = environment.config
    return render(
        "student",
        title=config.title,
        sells=config.sells,
        today=config.today,
        policy=environment.policy.text.strip(),
        agent=config.agent,
        records=scenario.records,
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
    ) -> Turn:
        """Answer the customer's last line, after the tool calls that the student makes for it.

        Raises:
            ModelFault: where the model fails; ToolFault where the firm's tools cannot be had.
        """
        messages = self.messages(scenario, turns, retrieved)
        options = {
            "seed": seed * 131 + len(turns),
            "temperature": self.temperature,
            "max_tokens": 120,
        }
        if not self.environment.has_tools:
            text = await self.voice.say(messages, **options)
            return Turn(speaker="student", text=untagged(text) or "...")
        async with open_toolbox(self.environment, scenario, turns) as box:
            return await act(self.voice, box, messages, self.environment, options)


async def act(
    voice: Voice,
    box: Toolbox,
    messages: list[BaseMessage],
    environment: Environment,
    options: Mapping[str, Any],
) -> Turn:
    """Let a model call tools until it speaks; past the firm's bound every call is refused.

    What a tool says, its errors too, goes back to the model as text. The turn holds every call.
    """
    uses: list[ToolUse] = []
    bound = environment.config.tool_calls
    text = ""
    # A call's arguments need room that a chat message does not.
    options = {**options, "max_tokens": TOOL_TOKENS}
    # One step more than calls: to speak after the last one, or after the first that is refused.
    for _ in range(bound + 2):
        said = await voice.act(messages, list(box.tools.values()), **options)
        text = untagged(said.text.strip())
        if not (said.tool_calls or said.invalid_tool_calls):
            break
        messages = [*messages, said]
        for call in said.tool_calls:
            if len(uses) < bound:
                use = await box.use(call["name"], call["args"])
            else:
                error = "no more tool calls in this turn: answer the customer"
                use = ToolUse(name=call["name"], arguments=call["args"], error=error)
            uses.append(use)
            messages.append(tool_messages(use, call["id"] or "")[1])
        for broken in said.invalid_tool_calls:
            error = f"the arguments are no JSON: {broken['error'] or broken['args']}"
            uses.append(ToolUse(name=broken["name"] or "", error=error))
            messages.append(tool_messages(uses[-1], broken["id"] or "")[1])
    return Turn(speaker="student", text=text or "...", tools=uses)
