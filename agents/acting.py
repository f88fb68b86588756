"""Acting: a model calls a firm's tools until it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from tutelage.environments import Environment

from .toolbox import Toolbox
from .transcript import Reply, ToolUse
from .voice import Voice

STEP_TOKENS = 400
"""Output tokens of one step: a call's arguments need room that a chat message does not."""


async def act(
    voice: Voice,
    box: Toolbox,
    messages: list[BaseMessage],
    environment: Environment,
    options: Mapping[str, Any],
) -> Reply:
    """Let a model call tools until it speaks; past the firm's bound every call is refused.

    What a tool says, its errors too, goes back to the model as text.

    Args:
        voice: the model.
        box: the tools, as they stand at this point of the dialogue.
        messages: the prompt.
        environment: the firm, which sets the bound.
        options: go to the model at every step.

    Returns:
        What was said, and every call that was made for it.

    Raises:
        ModelFault: where the model fails or takes no tools.
    """
    uses: list[ToolUse] = []
    bound = environment.config.tool_calls
    options = {**options, "max_tokens": STEP_TOKENS}
    text = ""

    def keep(use: ToolUse, id_: str | None) -> None:
        nonlocal messages
        uses.append(use)
        status = "error" if use.error else "success"
        answer = ToolMessage(use.result, tool_call_id=id_ or "", name=use.name, status=status)
        messages = [*messages, answer]

    # One step more than calls: to speak after the last, or after the first that was refused.
    for _ in range(bound + 2):
        said = await voice.act(messages, list(box.tools.values()), **options)
        text = said.text.strip()
        if not (said.tool_calls or said.invalid_tool_calls):
            break
        messages = [*messages, said]
        for call in said.tool_calls:
            if len(uses) < bound:
                keep(await box.use(call["name"], call["args"]), call["id"])
            else:
                why = "refused: no more tool calls in this turn; answer the customer"
                use = ToolUse(name=call["name"], arguments=call["args"], result=why, error=True)
                keep(use, call["id"])
        for broken in said.invalid_tool_calls:
            why = f"the arguments are no JSON: {broken['error'] or broken['args']}"
            keep(ToolUse(name=broken["name"] or "", result=why, error=True), broken["id"])
    return Reply(text, uses)
