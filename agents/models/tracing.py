"""OpenTelemetry spans of what the roles ask their models, by the GenAI semantic conventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import AIMessage
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from .faults import ModelFault

_tracer = trace.get_tracer("tutelage")
_REQUEST = ("temperature", "top_p", "max_tokens", "seed")


class ModelSpan:
    """The span of one call; without an SDK configured it does nothing."""

    def __init__(self, span: trace.Span):
        self._span = span

    def answered(self, message: AIMessage) -> None:
        """Note the model, the tokens and the reason to end that an answer tells; never its text."""
        if not self._span.is_recording():
            return
        told = message.response_metadata
        found: dict[str, Any] = {
            "gen_ai.response.model": told.get("model_name"),
            "gen_ai.response.id": message.id,
        }
        if reason := told.get("finish_reason"):
            found["gen_ai.response.finish_reasons"] = [str(reason)]
        if used := message.usage_metadata:
            found["gen_ai.usage.input_tokens"] = used["input_tokens"]
            found["gen_ai.usage.output_tokens"] = used["output_tokens"]
            cached = (used.get("input_token_details") or {}).get("cache_read")
            found["gen_ai.usage.cache_read.input_tokens"] = cached
        self._span.set_attributes({k: v for k, v in found.items() if v is not None})


@contextmanager
def model_span(role: str, spec: str, options: Mapping[str, Any]) -> Iterator[ModelSpan]:
    """A span around one call of a role's model. It holds names and numbers, no text of anybody.

    Args:
        role: customer, student, judge or teacher.
        spec: the model's name for logs, `provider:name`; an app's begins with `app:`.
        options: what the call asks for; the sampling options among it are noted.
    """
    provider, _, name = spec.partition(":")
    attributes: dict[str, Any] = {"tutelage.role": role}
    if provider == "app":
        title, attributes["gen_ai.agent.name"] = f"invoke_agent {name}", name
        attributes["gen_ai.operation.name"] = "invoke_agent"
    else:
        name = name.partition("@")[0]
        title, attributes["gen_ai.operation.name"] = f"chat {name}", "chat"
        attributes["gen_ai.provider.name"] = provider
        attributes["gen_ai.request.model"] = name
        for option in _REQUEST:
            if isinstance(value := options.get(option), int | float):
                attributes[f"gen_ai.request.{option}"] = value
    with _tracer.start_as_current_span(
        title,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        # What an exception says may hold a key or a customer's words.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield ModelSpan(span)
        except ModelFault as fault:
            kind = type(fault.__cause__ or fault).__name__
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, kind))
            raise
