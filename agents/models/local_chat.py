"""A LangChain chat model whose weights live in this process, by llama.cpp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import OutputParserLike
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field

from . import local_server
from .faults import ModelFault
from .weights import weights_path

_TUNABLE = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "seed",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
)
_PASSED_ON = frozenset(_TUNABLE) | {
    "response_format",
    "logit_bias",
    "cache_prompt",
    "id_slot",
    "grammar",
    "ignore_eos",
}


class ChatLocal(BaseChatModel):
    """A local model as a LangChain chat model: streaming, structured output, log-probabilities.

    All objects with the same weights share one server, loaded at the first call. Generation runs
    on a thread of its own; cancelling the task, closing the stream or Ctrl-C stops it.

    Every field below `model` may also be given to one call or bound:
    `ChatLocal(model="smollm2-135m").bind(seed=1, stop=["."])`.

    It cannot call tools: the catalogue's models do not follow their own tool format.

    The same call may be answered in other words the second time, at temperature 0 and with a seed
    too: its prompt then comes from the cache, which differs from one read anew in the last digits.
    `bind(cache_prompt=False)` gives the same words always, and reads the whole prompt each time.

    Raises:
        ModelFault: at the first call, where the weights are not there or a request is refused.
    """

    model: str = Field(description="a catalogue name, or the path of a .gguf file")
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=1024, gt=0)
    stop: list[str] | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**32 - 1)
    repeat_penalty: float | None = Field(default=None, gt=0)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    timeout: float | None = Field(default=None, gt=0, description="seconds a call may take")
    streaming: bool = Field(default=False, description="stream to callbacks in invoke, too")

    model_config = ConfigDict(extra="forbid")

    @property
    def _llm_type(self) -> str:
        return "tutelage-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "stop": self.stop, **{k: getattr(self, k) for k in _TUNABLE}}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="local",
            ls_model_name=kwargs.get("model", self.model),
            ls_model_type="chat",
        )
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if stops := stop or self.stop:
            params["ls_stop"] = stops
        return params

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> _Call:
        """What one call asks of the server."""
        options = {name: value for name, value in options.items() if value is not None}
        model = options.pop("model", self.model)
        timeout = options.pop("timeout", self.timeout)
        if "max_completion_tokens" in options:
            options["max_tokens"] = options.pop("max_completion_tokens")
        if options.pop("tools", None):
            raise ModelFault(
                f"local:{model} cannot call tools; use a model of a provider that can, or "
                f"with_structured_output.",
                exit_code=2,
            )
        for harmless in ("stream", "stream_usage", "tool_choice", "parallel_tool_calls"):
            options.pop(harmless, None)
        if unknown := sorted(options.keys() - _PASSED_ON):
            raise ModelFault(
                f"local:{model} takes no {', '.join(unknown)}; it takes stop, "
                f"{', '.join(sorted(_PASSED_ON))}.",
                exit_code=2,
            )
        request: dict[str, Any] = {
            name: value for name in _TUNABLE if (value := getattr(self, name)) is not None
        }
        request |= options
        if request.get("top_logprobs"):
            request["logprobs"] = True
        if stops := stop or self.stop:
            request["stop"] = stops
        request["messages"] = [_as_server_message(message) for message in _as_openai(messages)]
        # Always streamed, with progress while the prompt is read: each chunk is a chance to stop.
        request |= {
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        return _Call(model, weights_path(model), request, timeout)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._request(messages, stop, kwargs)
        chunks = local_server.stream(call.path, call.request, call.timeout)
        return _result(call.model, list(chunks))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._request(messages, stop, kwargs)
        chunks = await local_server.acollect(call.path, call.request, call.timeout)
        return _result(call.model, chunks)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._request(messages, stop, kwargs)
        answer = _Answer(call.model)
        for chunk in local_server.stream(call.path, call.request, call.timeout):
            if part := answer.take(chunk):
                if run_manager:
                    run_manager.on_llm_new_token(part.text, chunk=part)
                yield part
        yield answer.end()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._request(messages, stop, kwargs)
        answer = _Answer(call.model)
        chunks = local_server.astream(call.path, call.request, call.timeout)
        try:
            async for chunk in chunks:
                if part := answer.take(chunk):
                    if run_manager:
                        await run_manager.on_llm_new_token(part.text, chunk=part)
                    yield part
        finally:
            await chunks.aclose()
        yield answer.end()

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: str = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Constrain the answer by a grammar made from a schema, and parse it.

        The grammar makes every token fit the schema, so a whole answer is always valid; only an
        answer cut short by `max_tokens` is not.

        Args:
            schema: a pydantic class, a TypedDict or a JSON schema; None with "json_mode" for any
                JSON object.
            method: "json_schema", "function_calling" or "json_mode"; with a schema all three do
                the same, by the grammar and never by a tool call.
            include_raw: give {"raw": message, "parsed": value or None, "parsing_error": ...}.
            strict: accepted for likeness with other models; the grammar is always strict.
            **kwargs: more options for every call, as for `bind`.

        Returns:
            A runnable that gives an object of the pydantic class, or else a dict.

        Raises:
            ModelFault: where the method is unknown or no schema is given.
        """
        if schema is not None and method in ("json_schema", "function_calling", "json_mode"):
            wire = {"name": "answer", "schema": _json_schema(schema), "strict": True}
            response_format: dict[str, Any] = {"type": "json_schema", "json_schema": wire}
        elif method == "json_mode":
            response_format = {"type": "json_object"}
        else:
            raise ModelFault(
                f"with_structured_output({schema=}, {method=}) is not possible on a local model; "
                f"give a schema, or method='json_mode' for any JSON object.",
                exit_code=2,
            )
        shown = {"kwargs": {"method": method}, "schema": schema}
        bound = self.bind(
            response_format=response_format,
            **({"ls_structured_output_format": shown} if schema is not None else {}),
            **kwargs,
        )
        parser: OutputParserLike = (
            _WholePydantic(pydantic_object=schema)
            if isinstance(schema, type) and is_basemodel_subclass(schema)
            else _WholeJson()
        )
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=bound) | parsed.with_fallbacks(
            [unparsed], exception_key="parsing_error"
        )


def _refuse_cut(result: list[Generation], partial: bool) -> None:
    """Refuse an answer that `max_tokens` cut short; the parsers would mend it in silence.

    Raises:
        OutputParserException: where the answer is meant to be whole and is not.
    """
    message = getattr(result[0], "message", None)
    if partial or message is None:
        return
    if message.response_metadata.get("finish_reason") == "length":
        raise OutputParserException(
            "The answer was cut short before its JSON was complete; raise max_tokens."
        )


class _WholeJson(JsonOutputParser):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


class _WholePydantic(PydanticOutputParser):
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _refuse_cut(result, partial)
        return super().parse_result(result, partial=partial)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: the model's name, its weights, the server's request, seconds it may take."""

    model: str
    path: Path
    request: dict[str, Any]
    timeout: float | None


class _Answer:
    """Turns the server's chunks into LangChain's, keeping for the last what is said only once."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.finish_reason: str | None = None
        self.usage: UsageMetadata | None = None
        self.timings: dict[str, Any] = {}

    def take(self, chunk: local_server.Chunk) -> ChatGenerationChunk | None:
        """The text of one chunk, or None where it brings none."""
        text, logprobs = self.read(chunk)
        if not text and not logprobs:
            return None
        info = {"logprobs": {"content": logprobs}} if logprobs else None
        return ChatGenerationChunk(message=AIMessageChunk(content=text), generation_info=info)

    def read(self, chunk: local_server.Chunk) -> tuple[str, list[dict[str, Any]]]:
        """The text and the log-probabilities of one chunk, noting what belongs at the end."""
        if usage := chunk.get("usage"):
            self.usage = _usage(usage)
        self.timings = chunk.get("timings") or self.timings
        text, logprobs = "", []
        for choice in chunk.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            text += choice.get("delta", {}).get("content") or ""
            logprobs += (choice.get("logprobs") or {}).get("content") or []
        return text, logprobs

    def metadata(self) -> dict[str, Any]:
        """What is said once, at the end.

        Raises:
            ModelFault: where the server ended without an answer.
        """
        if self.finish_reason is None:
            raise ModelFault(f"The local model {self.model} stopped in the middle of its answer.")
        return {
            "model_name": self.model,
            "model_provider": "local",
            "finish_reason": self.finish_reason,
            "timings": self.timings,
        }

    def end(self) -> ChatGenerationChunk:
        """The last chunk."""
        return ChatGenerationChunk(
            message=AIMessageChunk(content="", usage_metadata=self.usage, chunk_position="last"),
            generation_info=self.metadata(),
        )


def _result(model: str, chunks: Sequence[local_server.Chunk]) -> ChatResult:
    """A whole answer out of its chunks."""
    answer = _Answer(model)
    texts: list[str] = []
    logprobs: list[dict[str, Any]] = []
    for chunk in chunks:
        text, more = answer.read(chunk)
        texts.append(text)
        logprobs += more
    metadata = answer.metadata()
    if logprobs:
        metadata["logprobs"] = {"content": logprobs}
    message = AIMessage(
        content="".join(texts), usage_metadata=answer.usage, response_metadata=metadata
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _usage(usage: dict[str, Any]) -> UsageMetadata:
    """LangChain's count of tokens, with those that did not have to be read again."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return UsageMetadata(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        total_tokens=usage["total_tokens"],
        input_token_details={"cache_read": cached},
    )


def _json_schema(schema: dict[str, Any] | type) -> dict[str, Any]:
    """A JSON schema with every limit the grammar can hold (lengths, ranges, choices)."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return (
            schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema.schema()
        )
    if isinstance(schema, dict) and not {"function", "parameters"} & schema.keys():
        return schema
    return convert_to_json_schema(schema)


def _as_openai(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return convert_to_openai_messages(messages, text_format="string")


def _as_server_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the chat templates want it: plain text only, known roles only.

    Raises:
        ModelFault: where a message holds a picture, a sound or a file.
    """
    content = message.get("content") or ""
    if not isinstance(content, str):
        kinds = sorted({str(block.get("type")) for block in content} - {"text", "tool_use"})
        if kinds:
            raise ModelFault(
                f"A local model reads text only; a message holds {', '.join(kinds)}.",
                status_code=400,
            )
        content = "\n".join(block["text"] for block in content if block.get("type") == "text")
    role = "system" if message["role"] == "developer" else message["role"]
    kept = {name: message[name] for name in ("tool_calls", "tool_call_id") if name in message}
    return {"role": role, "content": content, **kept}
