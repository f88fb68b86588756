"""Any chat model behind the proxy: OpenAI's requests put to it, its answers in OpenAI's shape."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolCallChunk,
    convert_to_messages,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk

from tutelage.agents.models.chat_models import as_taken, fault_of, token_logprobs
from tutelage.agents.models.faults import status_of
from tutelage.agents.models.surrogates import mended_message
from tutelage.environments.surrogates import mended
from tutelage.serving.errors import ProxyError, fault_error

_FIELDS = (
    "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logprobs",
    "top_logprobs",
)  # fmt: skip
_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "model_length": "length",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
}  # fmt: skip
"""Why an answer ends, as each provider says it in lower case, in OpenAI's words."""
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)
"""What LangChain raises where a request's messages or tools are not what they should be."""


@dataclass(frozen=True)
class ModelUpstream:
    """A chat model of any provider. Fields of the request that it does not know are left out."""

    model: BaseChatModel
    spec: str

    async def complete(self, body: dict[str, Any]) -> Any:
        """Answer a request of the OpenAI protocol.

        Returns:
            The answer as a JSON object, or, where the request asks for a stream, its events.

        Raises:
            ProxyError: where the request cannot be read, asks for what the model cannot, or fails.
        """
        if body.get("n") not in (None, 1):
            raise ProxyError(400, f"{self.spec} gives one choice at a time.", param="n")
        try:
            messages = [_read(message) for message in body["messages"]]
        except (*_UNREADABLE, NotImplementedError) as error:
            raise ProxyError(400, "'messages' cannot be read.", param="messages") from error
        told = body.get("stream_options") or {}
        if not isinstance(told, dict):
            raise ProxyError(400, "'stream_options' must be an object.", param="stream_options")
        runnable, options = self._asked(body)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body["model"],
        }
        if not body.get("stream"):
            try:
                message = mended_message(await runnable.ainvoke(messages, **options))
            except Exception as error:
                raise self._failed(error) from error
            return {**head, "object": "chat.completion", **_whole(message)}
        usage = bool(told.get("include_usage"))
        if usage and "stream_usage" in type(self.model).model_fields:
            options["stream_usage"] = True
        chunks = _chunks(runnable.astream(messages, **options))
        try:
            # What fails at once gets a status of its own; later it can only be told in the stream.
            first = await anext(chunks)
        except StopAsyncIteration:
            first = AIMessageChunk(content="")
        except Exception as error:
            raise self._failed(error) from error
        return self._events(head, first, chunks, usage)

    def _asked(self, body: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The model with the request's tools, and the options of the call."""
        known = type(self.model).model_fields
        options = {
            name: body[name] for name in _FIELDS if body.get(name) is not None and name in known
        }
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        if most is not None:
            options["max_tokens"] = most
        if body.get("stop"):
            options["stop"] = [body["stop"]] if isinstance(body["stop"], str) else body["stop"]
        form = body.get("response_format")
        if form and form != {"type": "text"}:
            if "local" not in self.model._llm_type:
                raise ProxyError(
                    400, f"{self.spec} takes no response_format here.", param="response_format"
                )
            options["response_format"] = form
        return as_taken(self._with_tools(body), options)

    def _with_tools(self, body: dict[str, Any]) -> Any:
        """The model with those of the request's tools that it may call."""
        tools, choice = body.get("tools"), _choice(body.get("tool_choice"))
        if not tools or choice == "none":
            return self.model
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            raise ProxyError(400, "'tools' must be an array of objects.", param="tools")
        try:
            return self.model.bind_tools(list(map(_with_parameters, tools)), tool_choice=choice)
        except NotImplementedError as error:
            raise ProxyError(400, f"{self.spec} cannot call tools.", param="tools") from error
        except _UNREADABLE as error:
            raise ProxyError(400, "'tools' cannot be read.", param="tools") from error

    async def _events(
        self,
        head: dict[str, Any],
        first: AIMessageChunk,
        rest: AsyncIterator[AIMessageChunk],
        with_usage: bool,
    ) -> AsyncIterator[str]:
        def event(choices: list[dict[str, Any]], **more: Any) -> str:
            chunk = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
            return f"data: {mended(json.dumps(chunk, ensure_ascii=False))}\n\n"

        def part(
            delta: dict[str, Any], reason: str | None = None, told: dict[str, Any] | None = None
        ) -> str:
            return event([{"index": 0, "delta": delta, "logprobs": told, "finish_reason": reason}])

        def parts(chunk: AIMessageChunk) -> Iterator[str]:
            delta, told = _delta(chunk, numbers), _logprobs(chunk)
            for call in delta.get("tool_calls", ()):
                letters[call["index"]] += len(call["function"]["arguments"])
            if delta or told:
                yield part(delta, told=told)

        whole = first
        numbers: dict[Any, int] = {}
        letters: Counter[int] = Counter()
        yield part({"role": "assistant", "content": ""})
        try:
            for one in parts(first):
                yield one
            async for chunk in rest:
                whole = whole + chunk
                for one in parts(chunk):
                    yield one
        except Exception as error:
            yield f"data: {json.dumps(self._failed(error).body)}\n\n"
            return
        # Some providers say nothing for a call without arguments, and a client reads JSON.
        if bare := [number for number in numbers.values() if not letters[number]]:
            calls = [{"index": number, "function": {"arguments": "{}"}} for number in bare]
            yield part({"tool_calls": calls})
        yield part({}, _reason(whole))
        if with_usage:
            yield event([], usage=_usage(whole))
        yield "data: [DONE]\n\n"

    def _failed(self, error: Exception) -> ProxyError:
        fault = fault_of(error, self.spec)
        if fault.exit_code == 2:
            return ProxyError(400, str(fault))
        return fault_error(fault, status_of(error) or fault.status_code)


def _read(message: dict[str, Any]) -> BaseMessage:
    """A message of the request, with what OpenAI takes and LangChain does not: content left out beside
    calls, and calls whose arguments are left out or are no JSON object, as a model may have written
    them.
    """
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return convert_to_messages([message])[0]
    broken = [call for call in calls if _is_broken(call)]
    filled = [_filled(call) for call in calls if call not in broken]
    read = convert_to_messages([{"content": None, **message, "tool_calls": filled}])[0]
    told = [
        invalid_tool_call(
            name=call["function"]["name"], args=call["function"]["arguments"], id=call["id"]
        )
        for call in broken
    ]
    return read.model_copy(update={"invalid_tool_calls": told}) if told else read


def _is_broken(call: Any) -> bool:
    """Whether the arguments of a call are a text, and no JSON object."""
    try:
        arguments = call["function"]["arguments"]
    except (TypeError, KeyError):
        return False
    if not isinstance(arguments, str) or not arguments:
        return False
    try:
        return not isinstance(json.loads(arguments, strict=False), dict)
    except (ValueError, RecursionError):
        return True


def _filled(call: Any) -> Any:
    """A call with the arguments that it may leave out at OpenAI."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or function.get("arguments") not in ("", None):
        return call
    return {**call, "function": {**function, "arguments": "{}"}}


def _with_parameters(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool with the parameters that it may leave out at OpenAI."""
    function = tool.get("function")
    if not isinstance(function, dict) or "parameters" in function:
        return tool
    return {**tool, "function": {**function, "parameters": {"type": "object", "properties": {}}}}


def _choice(asked: Any) -> str | None:
    """OpenAI's `tool_choice` in LangChain's words, which every provider's model takes.

    Raises:
        ProxyError: where it is none that they can take.
    """
    if asked is None or asked in ("none", "auto"):
        return asked
    if asked == "required":
        return "any"
    function = asked.get("function") if isinstance(asked, dict) else None
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return function["name"]
    raise ProxyError(
        400, "'tool_choice' must be none, auto, required or one function.", param="tool_choice"
    )


async def _chunks(answer: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessageChunk]:
    """An answer's chunks; one for the whole of it where a model cannot stream."""
    async for message in answer:
        if isinstance(message, AIMessageChunk):
            yield message
            continue
        message = mended_message(message)
        yield AIMessageChunk(
            content=message.content,
            tool_call_chunks=[
                tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"])
                for call in message.tool_calls
            ],
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
        )


def _whole(message: AIMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": message.text, "refusal": None}
    # What a model wrote that is no JSON is the client's to read, as at OpenAI.
    calls = [(call, json.dumps(call["args"])) for call in message.tool_calls]
    calls += [(call, call["args"] or "") for call in message.invalid_tool_calls]
    if calls:
        said["content"] = message.text or None
        said["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": arguments},
            }
            for call, arguments in calls
        ]
    choice = {
        "index": 0,
        "message": said,
        "logprobs": _logprobs(message),
        "finish_reason": _reason(message),
    }
    return {"choices": [choice], "usage": _usage(message)}


def _delta(chunk: AIMessageChunk, numbers: dict[Any, int]) -> dict[str, Any]:
    """What a chunk adds to the answer; `numbers` are those of the stream's calls so far."""
    delta: dict[str, Any] = {"content": chunk.text} if chunk.text else {}
    if chunk.tool_call_chunks:
        delta["tool_calls"] = [
            {
                "index": _number(call, numbers),
                **({"id": call["id"], "type": "function"} if call["id"] else {}),
                "function": {
                    **({"name": call["name"]} if call["name"] else {}),
                    "arguments": call["args"] or "",
                },
            }
            for call in chunk.tool_call_chunks
        ]
    return delta


def _logprobs(message: AIMessage) -> dict[str, Any] | None:
    tokens = token_logprobs(message)
    return {"content": tokens, "refusal": None} if tokens else None


def _number(call: ToolCallChunk, numbers: dict[Any, int]) -> int:
    """The number of a call, or of a piece of one, among the calls of its stream, from 0. Some
    providers number texts and calls together, others give whole calls and number none.
    """
    key = call["id"] if call["index"] is None else call["index"]
    return numbers.setdefault(object() if key is None else key, len(numbers))


def _reason(message: AIMessage) -> str:
    if message.tool_calls or message.invalid_tool_calls:
        return "tool_calls"
    told = message.response_metadata
    reasons = (told.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    return _REASONS.get(str(next(filter(None, reasons), "")).lower(), "stop")


def _usage(message: AIMessage) -> dict[str, Any]:
    used = cast(Any, message.usage_metadata or {})
    details = used.get("input_token_details") or {}
    return {
        "prompt_tokens": used.get("input_tokens", 0),
        "completion_tokens": used.get("output_tokens", 0),
        "total_tokens": used.get("total_tokens", 0),
        "prompt_tokens_details": {"cached_tokens": details.get("cache_read") or 0},
    }
