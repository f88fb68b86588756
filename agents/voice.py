"""A voice: the chat model behind one role, metered, with its three ways of speaking."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    message_chunk_to_message,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError
from tutelage.environments.surrogates import mended

from .models.chat_models import as_taken, fault_of, runs_here, supports_logprobs, token_logprobs
from .models.faults import InvalidAnswer, ModelFault
from .models.meter import Meter, Role
from .models.spoken_tools import answer_schema, heard, spoken
from .models.surrogates import mended_message
from .models.tracing import model_span

T = TypeVar("T", bound=BaseModel)
Hear = Callable[[str], None]
"""Told what a model has said so far, again and again while it speaks."""


@dataclass
class Voice:
    """One role's model. `spec` is its name for logs; `votes` counts draws where there are no
    log-probabilities; `silent` is whether the server was found to give none.
    """

    role: Role
    model: BaseChatModel
    spec: str
    meter: Meter
    votes: int = 3
    silent: bool = field(default=False, init=False)

    @property
    def tells_probabilities(self) -> bool:
        """Whether the model gives the probabilities of its tokens, so that one call weighs answers."""
        return supports_logprobs(self.model) and not self.silent

    async def say(
        self, messages: list[BaseMessage], *, hear: Hear | None = None, **options: Any
    ) -> str:
        """Answer freely. `options` go to the model (seed, temperature, max_tokens, stop); `hear` is
        told the answer as it grows.

        Raises:
            ModelFault: where the endpoint fails or refuses, in one sentence.
        """
        return (await self.answer(messages, hear=hear, **options)).text.strip()

    async def answer(
        self, messages: list[BaseMessage], *, hear: Hear | None = None, **options: Any
    ) -> AIMessage:
        """The same as the whole message.

        Raises:
            ModelFault: where the endpoint fails or refuses, in one sentence.
        """
        return await self._call(self.model, messages, hear, **options)

    async def act(
        self, messages: list[BaseMessage], tools: Sequence[BaseTool], **options: Any
    ) -> AIMessage:
        """Answer freely or call tools. Models of this process, which have no tool format that they
        follow, are held to one by a grammar.

        Raises:
            ModelFault: where the endpoint fails, or the model takes no tools.
        """
        if runs_here(self.spec):
            form = {"name": "answer", "schema": answer_schema(tools)}
            bound = self.model.bind(response_format={"type": "json_schema", "json_schema": form})
            return heard(await self._call(bound, spoken(messages, tools), None, **options))
        try:
            bound = self.model.bind_tools(tools)
        except NotImplementedError as error:
            raise ModelFault(
                f"{self.spec} cannot call tools, and this firm has some; name a model that can",
                exit_code=2,
            ) from error
        return await self._call(bound, messages, None, **options)

    async def ask(
        self,
        messages: list[BaseMessage],
        schema: type[T],
        *,
        hear: Hear | None = None,
        **options: Any,
    ) -> T:
        """Answer as a pydantic model: constrained where the provider can, validated always,
        repaired once (and counted in the meter). `hear` is told the JSON as it grows.

        Raises:
            InvalidAnswer: where the answer stays invalid after the repair.
            ModelFault: where the model cannot be reached or run.
        """
        bound = _constrained(self.model, schema)
        said = await self._call(bound, messages, hear, **options)
        try:
            return _parsed(said, schema)
        except ValidationError as error:
            self.meter.of(self.role).repaired += 1
            complaint = HumanMessage(
                f"That was not valid: {_short(error)}\nAnswer again with one JSON object that fits "
                f"this schema, and nothing else:\n{schema.model_json_schema()}"
            )
            again = await self._call(
                bound, [*messages, AIMessage(said.text), complaint], hear, **options
            )
            try:
                return _parsed(again, schema)
            except ValidationError as second:
                raise InvalidAnswer(
                    f"{self.spec} as {self.role} gave no valid {schema.__name__} in two tries: "
                    f"{_short(second)}"
                ) from second

    async def weigh(
        self, messages: list[BaseMessage], answers: Sequence[str], *, for_odds: bool = False
    ) -> list[float]:
        """The probability of each one-token answer, summing to 1.

        Read from the log-probabilities of the answer token where the model gives them, else the
        share of `votes` answers.

        Args:
            messages: the prompt.
            answers: the answers that it asks for.
            for_odds: whether each answer has half a vote more than it was given, so that a few equal
                votes do not make its odds infinite.
        """
        if self.tells_probabilities:
            options = {"logprobs": True, "top_logprobs": 20, "max_tokens": 1, "temperature": 0.0}
            message = await self._call(self.model, messages, None, **options)
            masses = _answer_masses(message, answers)
            total = sum(masses)
            if total > 0:
                return [mass / total for mass in masses]
            if runs_here(self.spec):
                # It always gives its probabilities: these answers are none of its likely words.
                return [1 / len(answers)] * len(answers)
            if not _top_logprobs(message):
                self.silent = True
        counts = [0] * len(answers)
        for _ in range(self.votes):
            said = await self._call(self.model, messages, None)
            if (voted := _vote(said.text, answers)) is not None:
                counts[voted] += 1
        extra = 0.5 if for_odds or not any(counts) else 0.0
        total = sum(counts) + extra * len(answers)
        return [(count + extra) / total for count in counts]

    async def _call(
        self, model: Any, messages: list[BaseMessage], hear: Hear | None, **options: Any
    ) -> AIMessage:
        with model_span(self.role, self.spec, options) as span:
            model, options = as_taken(model, options)
            try:
                if hear is None:
                    message = await model.ainvoke(messages, **options)
                else:
                    message = await _streamed(model, self.model, messages, hear, **options)
                message = mended_message(message)
            except ModelFault:
                raise
            except Exception as error:
                raise fault_of(error, self.spec) from error
            span.answered(message)
        self.meter.add(self.role, self.spec, message, messages)
        return message


async def _streamed(
    model: Any, unbound: BaseChatModel, messages: list[BaseMessage], hear: Hear, **options: Any
) -> AIMessage:
    """The same answer that `ainvoke` would give, usage and all, told to `hear` as it grows."""
    if "BaseChatOpenAI" in {kind.__name__ for kind in type(unbound).__mro__}:
        # Otherwise servers behind a base URL of one's own report no usage when they stream.
        options["stream_usage"] = True
    chunks: list[AIMessageChunk] = []
    said = ""
    async for chunk in model.astream(messages, **options):
        if not isinstance(chunk, AIMessageChunk):
            # A model that cannot stream gives its whole answer in one.
            hear(mended(chunk.text))
            return chunk
        chunks.append(chunk)
        piece = chunk.text or "".join(c["args"] or "" for c in chunk.tool_call_chunks)
        if piece:
            said += piece
            hear(mended(said))
    whole = message_chunk_to_message(add_ai_message_chunks(*chunks))
    assert isinstance(whole, AIMessage)
    return whole


def _constrained(model: BaseChatModel, schema: type[BaseModel]) -> Any:
    """The model held to a JSON schema, by whichever means its provider has."""
    names = {kind.__name__ for kind in type(model).__mro__}
    if names & {"BaseChatOpenAI", "ChatLocal"}:
        wire = {"name": schema.__name__, "schema": schema.model_json_schema()}
        return model.bind(response_format={"type": "json_schema", "json_schema": wire})
    if "ChatOllama" in names:
        return model.bind(format=schema.model_json_schema())
    try:
        return model.bind_tools([schema], tool_choice=schema.__name__)
    except NotImplementedError:
        return model


def _parsed(message: AIMessage, schema: type[T]) -> T:
    if message.tool_calls:
        return schema.model_validate(message.tool_calls[0]["args"])
    text = message.text
    start, end = text.find("{"), text.rfind("}")
    return schema.model_validate_json(text[start : end + 1] if start >= 0 else text)


def _short(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'JSON'}: {e['msg']}" for e in error.errors()[:3]
    )


def _vote(text: str, answers: Sequence[str]) -> int | None:
    """The place of the answer that a text gives, by the surest of the ways below in which it says one;
    None where it gives none.

    Single letters are read in capitals only ("a" is an article), other words too where they can be
    ("no breach" is no No); what names all answers or the end of a scale names none.
    """
    one = rf"(?<![\d.,])\b({'|'.join(map(re.escape, answers))})\b(?![.,]\d)"
    first, last = re.escape(answers[0]), re.escape(answers[-1])
    whole = re.fullmatch(rf"[\W_]*{one}[\W_]*", text, re.IGNORECASE)
    found = [whole[1]] if whole else []
    rest = re.sub(
        rf"\b{first}(?: \([^)]*\))?(?: ?[-/] ?| to | or | and ){last}\b|(?:/ ?|\bout of ){last}\b",
        " ",
        text,
    )
    near = rf"(?:[^\w.;\n]+(?!{first}\b|not\b|{last}\b)\w+){{0,3}}?[^\w.;\n]+"
    for shape in (
        rf"\b(?i:answer|rating|score|rate|give|choose|prefer|pick)\b{near}{one}",
        rf"\n\W*{one}\W*$",
        rf"^\W*(?:Reply )?{one}\s*(?:[^\w\s:]|$)",
        rf"{one}{near}(?i:better|best|closer)\b",
        one,
        rf"(?i:{one})" if len(answers[0]) > 1 else one,
    ):
        found = found or re.findall(shape, rest)
    folded = [answer.casefold() for answer in answers]
    return folded.index(found[-1].casefold()) if found else None


def _top_logprobs(message: AIMessage) -> list[dict[str, Any]]:
    """The likeliest words for the first token of an answer; none where the server tells none."""
    tokens = token_logprobs(message)
    return (tokens[0].get("top_logprobs") or []) if tokens else []


def _answer_masses(message: AIMessage, answers: Sequence[str]) -> list[float]:
    masses = [0.0] * len(answers)
    folded = [a.casefold() for a in answers]
    for candidate in _top_logprobs(message):
        token, logprob = candidate.get("token"), candidate.get("logprob")
        # Some servers name a candidate and tell no number of it.
        if not isinstance(token, str) or not isinstance(logprob, int | float):
            continue
        token = token.strip().casefold()
        if token in folded and not math.isnan(logprob):
            masses[folded.index(token)] += math.exp(min(logprob, 0.0))
    return masses
