"""Evaluators for LangSmith and openevals: inputs, outputs and reference to key, score, comment."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import convert_to_messages

from tutelage.agents.judge import Judge
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.agents.transcript import ToolUse, Turn, replies
from tutelage.blocking import run_blocking
from tutelage.environments import Environment, Question, Scenario, StateCheck, check_score
from tutelage.graphs.play.desk import Model, voice_of


class Score(TypedDict):
    """What an evaluator says, as LangSmith and openevals read it."""

    key: str
    score: float
    comment: str


Evaluator = Callable[..., Awaitable[Score]]
_ANY = Scenario.model_validate(
    {
        "id": "any",
        "title": "any chat",
        "situation": "not described",
        "goal": "not described",
    }
)


def satisfaction(environment: Environment, judge: Model | None = None) -> Evaluator:
    """How satisfied the customer is at the end, 1 to 5, by the judge.

    Args:
        environment: the firm whose policy the judge reads.
        judge: a spec string or a chat model; the embedded local model where not given.

    Returns:
        An async function of `inputs`, `outputs` and `reference_outputs`; see `blocking` for callers
        that are not async. The dialogue is `inputs["messages"]` followed by `outputs["messages"]`
        (or `outputs["reply"]`); `inputs["scenario"]`, where given, is an id of the firm and brings
        its desk screen, expectations and rubric.
    """
    seated = _judge(environment, judge)

    async def satisfaction(inputs: Any, outputs: Any, reference_outputs: Any = None) -> Score:
        scenario, turns = _read(environment, inputs, outputs)
        ratings = await seated.rate_replies(scenario, turns)
        score = await seated.satisfaction(scenario, turns, ratings)
        return Score(key="satisfaction", score=score, comment="1 to 5, the judge's expected value")

    return satisfaction


def rubric(environment: Environment, judge: Model | None = None) -> Evaluator:
    """The weighted mean of the firm's rubric, 0 to 1: checks by code and questions to the judge.

    Args and the function returned are as for `satisfaction`; the comment lists every item.
    """
    seated = _judge(environment, judge)

    async def rubric(inputs: Any, outputs: Any, reference_outputs: Any = None) -> Score:
        scenario, turns = _read(environment, inputs, outputs)
        found = await seated.answer_rubric(scenario, turns)
        return Score(
            key="rubric", score=found.score, comment=_listed(found.checks | found.questions)
        )

    return rubric


def checks(environment: Environment) -> Evaluator:
    """The weighted mean of the rubric's checks by code on the replies, 0 to 1; calls no model.

    The function returned is as for `satisfaction`. Checks of a state are left out.
    """

    async def checks(inputs: Any, outputs: Any, reference_outputs: Any = None) -> Score:
        scenario, turns = _read(environment, inputs, outputs)
        said = replies(turns)
        items = [
            item
            for item in environment.rubric_for(scenario)
            if not isinstance(item, Question | StateCheck)
        ]
        scores = {item.id: check_score(item, said) for item in items}
        total = sum(item.weight for item in items)
        mean = sum(item.weight * scores[item.id] for item in items) / total if total else 1.0
        return Score(key="checks", score=mean, comment=_listed(scores))

    return checks


def policy(environment: Environment, judge: Model | None = None) -> Evaluator:
    """The probability that the agent kept to the firm's policy, 0 to 1, by the judge.

    Args and the function returned are as for `satisfaction`.
    """
    seated = _judge(environment, judge)

    async def policy(inputs: Any, outputs: Any, reference_outputs: Any = None) -> Score:
        scenario, turns = _read(environment, inputs, outputs)
        score = await seated.keeps_policy(scenario, turns)
        stake = ", ".join(scenario.rules)
        return Score(key="policy", score=score, comment=f"rules at stake: {stake}" if stake else "")

    return policy


def preference(environment: Environment, judge: Model | None = None) -> Evaluator:
    """The probability that the last reply is better than the reference's, 0 to 1: blind, in both
    orders.

    Args and the function returned are as for `satisfaction`; `reference_outputs` has the shape of
    `outputs`.

    Raises:
        ValueError: when called without a reference.
    """
    seated = _judge(environment, judge)

    async def preference(inputs: Any, outputs: Any, reference_outputs: Any) -> Score:
        scenario, turns = _read(environment, inputs, outputs)
        _, wanted = _read(environment, inputs, reference_outputs)
        if not wanted or wanted[-1].speaker != "student":
            raise ValueError("preference needs reference_outputs that end with the agent's reply")
        score = await seated.prefer(scenario, turns[:-1], wanted[-1].text, turns[-1].text)
        return Score(key="preference", score=score, comment="0.5: as good as the reference")

    return preference


def blocking(evaluator: Evaluator) -> Callable[..., Score]:
    """The same evaluator for callers that are not async, as `langsmith.evaluate`.

    Works in any thread, also in one whose event loop is running.
    """

    def evaluate(inputs: Any, outputs: Any, reference_outputs: Any = None) -> Score:
        said = evaluator(inputs=inputs, outputs=outputs, reference_outputs=reference_outputs)
        assert inspect.iscoroutine(said)
        return run_blocking(said)

    evaluate.__name__ = getattr(evaluator, "__name__", "evaluate")
    return evaluate


def turns_of(messages: Sequence[Any]) -> list[Turn]:
    """A dialogue out of messages of any form LangChain reads: what people said, and the agent's
    replies with the tools that they rest on. System messages are passed over.
    """
    turns: list[Turn] = []
    uses: dict[str, ToolUse] = {}
    for message in convert_to_messages(messages):
        match message:
            case HumanMessage():
                turns.append(Turn(speaker="customer", text=message.text))
            case AIMessage():
                for call in message.tool_calls:
                    uses[call["id"] or ""] = ToolUse(
                        name=call["name"], arguments=call["args"], own=True
                    )
                if message.text.strip() or not message.tool_calls:
                    used = list(uses.values())
                    turns.append(Turn(speaker="student", text=message.text, tools=used))
                    uses = {}
            case ToolMessage() if message.tool_call_id in uses:
                found = {"result": message.text, "error": message.status == "error"}
                use = uses[message.tool_call_id]
                uses[message.tool_call_id] = use.model_copy(update=found)
            case _:
                pass
    return turns


def _judge(environment: Environment, judge: Model | None) -> Judge:
    return Judge(voice_of("judge", judge or DEFAULT_MODEL, Meter()), environment)


def _read(environment: Environment, inputs: Any, outputs: Any) -> tuple[Scenario, list[Turn]]:
    """The scenario and the whole dialogue, from what was put in and what came out.

    Raises:
        ValueError: where the scenario is not the firm's, or nobody said anything.
    """
    named = inputs.get("scenario") if isinstance(inputs, Mapping) else None
    if named is not None and named not in environment.scenarios:
        raise ValueError(f"inputs: {named!r} is no scenario of {environment.name}")
    scenario = environment.scenarios[named] if named else _ANY
    before, after = turns_of(_messages(inputs, "user")), turns_of(_messages(outputs, "assistant"))
    # A LangGraph app answers with the whole conversation, not with its last message.
    turns = after if before and after[: len(before)] == before else [*before, *after]
    if not any(turn.speaker == "student" for turn in turns):
        raise ValueError("outputs hold no reply; expected `messages` or `reply`")
    return scenario, turns


def _messages(value: Any, role: str) -> list[Any]:
    if isinstance(value, Mapping):
        if "messages" in value:
            return list(value["messages"])
        texts = [value[key] for key in ("reply", "output", "answer", "input") if key in value]
        return [{"role": role, "content": texts[0]}] if texts else []
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, BaseMessage):
        return [value]
    return list(value or [])


def _listed(scores: Mapping[str, float]) -> str:
    return "; ".join(f"{name} {score:.2f}" for name, score in scores.items())
