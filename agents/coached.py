"""A chat model with the library at work: same input, same output, one line around the model."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig, RunnableLambda
from pydantic import ConfigDict
from tutelage.strategy_store import Deployment, Library, Placement
from tutelage.strategy_store.given import TOKEN_BUDGET, TOP

from .models.chat_models import chat_model, measured_placement
from .models.embedding_models import embedding_model


@overload
def coached(
    model: str | BaseChatModel,
    library: Library,
    *,
    placement: Placement | None = None,
    top: int = TOP,
    threshold: float | None = None,
    token_budget: int = TOKEN_BUDGET,
    embeddings: Any = None,
) -> CoachedChatModel: ...
@overload
def coached(
    model: Runnable[LanguageModelInput, Any],
    library: Library,
    *,
    placement: Placement | None = None,
    top: int = TOP,
    threshold: float | None = None,
    token_budget: int = TOKEN_BUDGET,
    embeddings: Any = None,
) -> Runnable[LanguageModelInput, Any]: ...
def coached(
    model: str | BaseChatModel | Runnable[LanguageModelInput, Any],
    library: Library,
    *,
    placement: Placement | None = None,
    top: int = TOP,
    threshold: float | None = None,
    token_budget: int = TOKEN_BUDGET,
    embeddings: Any = None,
) -> Runnable[LanguageModelInput, Any]:
    """Put the library to work in front of a chat model.

    At every call the approved strategies that fit the dialogue are added to the messages; where
    none fits, the model is sent what it would have been sent anyway. Callbacks, tracing and usage
    see one run, the model's own, with the messages that were really sent.

    Args:
        model: a spec string, a chat model, or any Runnable that takes messages, such as a model
            with tools bound.
        library: where strategies are looked up.
        placement: where in the prompt they stand; where None, as the library has it measured for
            this model (`library place`), else what its provider takes.
        top: entries at most.
        threshold: similarity (0-1) below which an entry does not fit; see `Index.search`.
        token_budget: tokens of strategy text at most.
        embeddings: a LangChain `Embeddings` or its spec string ("local:NAME", "openai:NAME"), for
            retrieval by meaning beside that by words.

    Returns:
        A chat model where one (or a spec) was given; else a Runnable with the same input and
        output as the one given.

    Raises:
        ModelFault: where a spec names no model that can be had.
    """
    inner = chat_model(model) if isinstance(model, str) else model
    spec = model if isinstance(model, str) else ""
    placement = placement or measured_placement(inner, library, spec)
    meaning = embedding_model(embeddings)
    deployment = Deployment(library, top, threshold, token_budget, placement, meaning)
    if isinstance(inner, BaseChatModel):
        return CoachedChatModel(model=inner, deployment=deployment)
    return _step(deployment) | inner


class CoachedChatModel(BaseChatModel):
    """A chat model that answers with a library's strategies; made by `coached`.

    Every public call is handed to the model's own public call, so that its cache, rate limit,
    callbacks and tracing work as without us.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    model: BaseChatModel
    deployment: Deployment

    def model_post_init(self, context: Any, /) -> None:
        """Take over what frameworks ask a model about itself."""
        super().model_post_init(context)
        self.profile = self.model.profile

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, as the model does."""
        return self.model.invoke(self.deployment.coach(_messages(input)), config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, as the model does."""
        messages = await self.deployment.acoach(_messages(input))
        return await self.model.ainvoke(messages, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Answer in chunks, as the model does."""
        yield from self.model.stream(self.deployment.coach(_messages(input)), config, **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Answer in chunks, as the model does."""
        messages = await self.deployment.acoach(_messages(input))
        async for chunk in self.model.astream(messages, config, **kwargs):
            yield chunk

    def stream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Stream events, as the model does."""
        return self.model.stream_events(self.deployment.coach(_messages(input)), config, **kwargs)

    def astream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Stream events, as the model does."""
        if kwargs.get("version") == "v3":
            return self._astream_typed(input, config, **kwargs)
        return super().astream_events(input, config, **kwargs)

    async def _astream_typed(self, input: Any, config: Any, **kwargs: Any) -> Any:
        messages = await self.deployment.acoach(_messages(input))
        return await self.model.astream_events(messages, config, **kwargs)

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """Answer several prompts, as the model does."""
        sent = [self.deployment.coach(one) for one in messages]
        return self.model.generate(sent, *args, **kwargs)

    async def agenerate(
        self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any
    ) -> LLMResult:
        """Answer several prompts, as the model does."""
        sent = [await self.deployment.acoach(one) for one in messages]
        return await self.model.agenerate(sent, *args, **kwargs)

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as the model does."""
        bound = self.model.bind_tools(tools, **kwargs)
        if isinstance(bound, RunnableBinding) and bound.bound is self.model:
            return bound.model_copy(update={"bound": self})
        return _step(self.deployment) | bound

    def with_structured_output(
        self, schema: builtins.dict[str, Any] | type, **kwargs: Any
    ) -> Runnable[LanguageModelInput, builtins.dict[str, Any] | Any]:
        """Constrain the answer as the model does."""
        return _step(self.deployment) | self.model.with_structured_output(schema, **kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text, as the model counts them."""
        return self.model.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """The number of tokens of a text, as the model counts them."""
        return self.model.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> int:
        """The number of tokens of messages, without strategies, as the model counts them."""
        return self.model.get_num_tokens_from_messages(messages, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Whatever else people read from the model: its name, its temperature."""
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            if name.startswith("_"):
                raise
            return getattr(self.model, name)

    @property
    def _llm_type(self) -> str:
        return self.model._llm_type

    @property
    def _identifying_params(self) -> Any:
        return self.model._identifying_params

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.model._get_ls_params(stop, **kwargs)

    # Frameworks that call a model from below, past its public door, are coached too.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.model._generate(self.deployment.coach(messages), stop, run_manager, **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        sent = await self.deployment.acoach(messages)
        return await self.model._agenerate(sent, stop, run_manager, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self.model._stream(self.deployment.coach(messages), stop, run_manager, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        sent = await self.deployment.acoach(messages)
        async for chunk in self.model._astream(sent, stop, run_manager, **kwargs):
            yield chunk


def _messages(input: LanguageModelInput) -> list[BaseMessage]:
    """A chat model's input as messages."""
    if isinstance(input, PromptValue):
        return input.to_messages()
    return convert_to_messages([input] if isinstance(input, str) else input)


def _step(deployment: Deployment) -> Runnable[LanguageModelInput, list[BaseMessage]]:
    """The coaching alone, as a step before any Runnable that takes messages."""

    def coach(input: LanguageModelInput) -> list[BaseMessage]:
        return deployment.coach(_messages(input))

    async def acoach(input: LanguageModelInput) -> list[BaseMessage]:
        return await deployment.acoach(_messages(input))

    return RunnableLambda(coach, afunc=acoach, name="strategies")
