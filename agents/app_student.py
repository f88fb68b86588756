"""Any app as the student: a Runnable, a compiled graph, a function or an endpoint, left as it is."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from pydantic import ConfigDict
from tutelage.strategy_store import Retrieved, on_trial
from tutelage.strategy_store.prompt import Placement, coach_messages, strategies_text

from .models.chat_models import as_taken, chat_model, clean_url, fitting_placement, named_at
from .models.faults import ModelFault
from .models.foreign_calls import call_foreign
from .transcript import Reply, ToolUse

SPEC_HELP = "app:module:NAME, app:file.py:NAME, or app:NAME@http://host:port/v1"


@dataclass(frozen=True)
class Asked:
    """What an app is asked at one turn.

    Attributes:
        messages: the dialogue, the customer being the human, with the strategies in a system
            message at its end; earlier tool calls and results stand in it.
        dialogue: the same without the strategies.
        strategies: the text of the strategies; "" where there are none.
        records: what the firm's desk knows of the customer in this scenario.
        thread: an id of this very question, for apps that keep a memory by thread.
    """

    messages: list[BaseMessage]
    dialogue: list[BaseMessage]
    strategies: str
    records: Mapping[str, str] = field(default_factory=dict)
    thread: str = ""


Student = str | BaseChatModel | Runnable[Any, Any] | Callable[..., Any]
"""Whatever can be the student: a spec, a chat model, a Runnable or graph, a function."""


def app_student(
    app: Runnable[Any, Any] | Callable[..., Any],
    *,
    name: str = "",
    to_input: Callable[[Asked], Any] | None = None,
    to_reply: Callable[[Any], Any] | None = None,
    to_config: Callable[[Asked], Mapping[str, Any]] | None = None,
    context: Callable[[Asked], Any] | None = None,
    placement: Placement = "after",
) -> AppStudent:
    """An app as the student, where what it takes or gives needs translating.

    Without translation a graph whose state has `messages` is given those, and anything else is
    given the list of messages; the reply may be a text, a message, a list of messages, or a state
    with `messages`.

    Args:
        app: a Runnable, a compiled graph, or a function (async or not) of one argument.
        name: for logs and reports; the app's own name where not given.
        to_input: makes the app's input.
        to_reply: takes the reply from the app's output: a text, a message, messages or a `Reply`.
        to_config: more config for the app's run, such as `{"configurable": {...}}`.
        context: the runtime context, for graphs with a context schema.
        placement: where in the messages the strategies stand.
    """
    title = name or getattr(app, "name", None) or getattr(app, "__name__", None)
    if title == "LangGraph":
        # What LangGraph calls a graph that nobody named.
        title = "graph"
    return AppStudent(
        app=app,
        title=str(title or type(app).__name__),
        to_input=to_input,
        to_reply=to_reply,
        to_config=to_config,
        context=context,
        placement=placement,
    )


def as_student(student: Student) -> str | BaseChatModel:
    """A student as the other agents are: a spec or a chat model.

    A chat model with arguments bound (tools, a seed) plays under the firm's own prompt, as a chat
    model does; every other Runnable or function is an app with a prompt of its own.

    Raises:
        ModelFault: where it is nothing that can answer, or an `app:` spec leads nowhere.
    """
    if isinstance(student, str):
        return _from_spec(student) if student.startswith("app:") else student
    if isinstance(student, BaseChatModel):
        return student
    if isinstance(student, RunnableBinding) and isinstance(student.bound, BaseChatModel):
        return AppStudent(
            app=student,
            title=_bound_name(student),
            placement=fitting_placement(student.bound),
            firm_prompt=True,
        )
    if isinstance(student, Runnable) or callable(student):
        return app_student(student)
    raise ModelFault(
        f"A {type(student).__name__} cannot be the student; give a spec, a chat model, a Runnable, "
        f"a compiled graph or a function.",
        exit_code=2,
    )


class AppStudent(BaseChatModel):
    """An app, asked as a chat model is. It is asked anew at every turn with the whole dialogue, on
    a thread of its own, so that any state can be answered again; what it keeps elsewhere than in
    its messages does not last from turn to turn.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    app: Any
    title: str
    to_input: Callable[[Asked], Any] | None = None
    to_reply: Callable[[Any], Any] | None = None
    to_config: Callable[[Asked], Mapping[str, Any]] | None = None
    context: Callable[[Asked], Any] | None = None
    placement: Placement = "after"
    firm_prompt: bool = False
    """Whether the firm's policy and desk screen are sent with the dialogue."""

    @property
    def _llm_type(self) -> str:
        return "app"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        if self.firm_prompt:
            return self.app.bound._get_ls_params(stop, **kwargs)
        return {"ls_provider": "app", "ls_model_name": self.title, "ls_model_type": "chat"}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind a firm's tools beside what is bound already, where this is a chat model.

        Raises:
            ModelFault: where tools are bound already.
            NotImplementedError: where this is an app, which has tools of its own.
        """
        if not self.firm_prompt:
            raise NotImplementedError
        if {"tools", "functions"} & set(self.app.kwargs):
            raise ModelFault(
                f"{self.title} has tools bound already, which nobody here can run, and this firm has "
                f"its own; give the model without them.",
                exit_code=2,
            )
        return self.app.model_copy(update={"bound": self.app.bound.bind_tools(tools, **kwargs)})

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return asyncio.run(self._agenerate(messages, *args, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        retrieved: Sequence[Retrieved] | None = None,
        records: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = Asked(
            messages=coach_messages(messages, retrieved or [], self.placement),
            dialogue=list(messages),
            strategies=strategies_text(retrieved or []),
            records=records or {},
            thread=uuid.uuid4().hex,
        )
        # An app that is coached already must give these strategies too, and no others.
        with on_trial(retrieved), _apart():
            output = await self._ask(asked, _callbacks_under(run_manager), kwargs)
        given = self.to_reply(output) if self.to_reply else output
        reply, usage = _read(given, self.title)
        message = AIMessage(
            reply.text,
            usage_metadata=usage,
            response_metadata={"tools": [used.model_dump() for used in reply.tools]},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _ask(self, asked: Asked, callbacks: Any, options: dict[str, Any]) -> Any:
        app = self.app
        if self.to_input:
            given = self.to_input(asked)
        elif "messages" in _state_keys(app):
            given = {"messages": asked.messages}
        elif keys := _state_keys(app):
            raise ModelFault(
                f"The app {self.title} takes a state with {', '.join(sorted(keys))}; say with "
                f"app_student(app, to_input=...) how the dialogue goes into it.",
                exit_code=2,
            )
        else:
            given = asked.messages
        if isinstance(app, Runnable):
            config = RunnableConfig(callbacks=callbacks, configurable={"thread_id": asked.thread})
            if self.to_config:
                config = merge_configs(config, cast(RunnableConfig, self.to_config(asked)))
            extra = {"context": self.context(asked)} if self.context else {}
            if self.firm_prompt:
                # Only a model with arguments bound takes the sampling options that models take.
                app, options = as_taken(app, options)
                extra |= options
            return await app.ainvoke(given, config, **extra)
        return await call_foreign(app, given)


@contextmanager
def _apart() -> Iterator[None]:
    """Within the block a graph runs as in its own app, not as a part of the graph around it."""
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _callbacks_under(run: AsyncCallbackManagerForLLMRun | None) -> AsyncCallbackManager | None:
    """Callbacks for what the app runs, as parts of the student's run."""
    if run is None:
        return None
    callbacks = AsyncCallbackManager(handlers=[], parent_run_id=run.run_id)
    callbacks.set_handlers(run.inheritable_handlers)
    callbacks.add_tags(run.inheritable_tags)
    callbacks.add_metadata(run.inheritable_metadata)
    return callbacks


def _state_keys(app: Any) -> set[str]:
    """The keys of a compiled graph's input, also where the graph has retries, fallbacks, a config or
    further steps about it; empty for anything else.
    """
    while inner := _first_asked(app):
        app = inner
    schema = getattr(getattr(app, "builder", None), "input_schema", None)
    kinds = getattr(schema, "__mro__", ())
    return {key for kind in kinds for key in getattr(kind, "__annotations__", {})}


def _first_asked(app: Any) -> Runnable[Any, Any] | None:
    """What within an app gets its input as it is."""
    match app:
        case RunnableBindingBase():
            return app.bound
        case RunnableSequence():
            return app.first
        case RunnableWithFallbacks():
            return app.runnable
        case _:
            return None


def _read(output: Any, title: str) -> tuple[Reply, UsageMetadata | None]:
    """The reply in what an app gave, with the tools it called and the tokens it used.

    Raises:
        ModelFault: where there is no reply in it.
    """
    if isinstance(output, Reply):
        return output, None
    if isinstance(output, str):
        return Reply(output), None
    if isinstance(output, Mapping):
        if output.get("__interrupt__"):
            raise ModelFault(
                f"The app {title} stopped to ask a person; a simulated customer cannot answer that."
            )
        found = output.get("messages", output.get("output"))
        if isinstance(found, str):
            return Reply(found), None
        if found is None:
            raise _no_reply(output, title)
        output = found
    if isinstance(output, BaseMessage):
        output = [output]
    try:
        messages = convert_to_messages(output)
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise _no_reply(output, title) from error
    people = [place for place, message in enumerate(messages) if message.type == "human"]
    new = messages[people[-1] + 1 :] if people else messages
    said = [m for m in new if isinstance(m, AIMessage)]
    texts = [message.text.strip() for message in said if message.text.strip()]
    if not said:
        raise ModelFault(f"The app {title} gave no reply to the customer's last line.")
    usage = None
    for message in said:
        usage = add_usage(usage, message.usage_metadata)
    return Reply(texts[-1] if texts else "", _tools(new)), usage


def _tools(messages: Sequence[BaseMessage]) -> list[ToolUse]:
    """The tool calls in messages, in order, each with its result."""
    results = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
    used: list[ToolUse] = []
    for message in messages:
        if not isinstance(message, AIMessage):
            continue
        for call in message.tool_calls:
            result = results.get(call["id"] or "")
            used.append(
                ToolUse(
                    name=call["name"],
                    arguments=call["args"],
                    result=result.text if result else "",
                    error=result is not None and result.status == "error",
                    own=True,
                )
            )
        used += [
            ToolUse(name=call["name"] or "", result=f"not JSON: {call['args']}", error=True)
            for call in message.invalid_tool_calls
        ]
    return used


def _no_reply(output: Any, title: str) -> ModelFault:
    shape = f"a {type(output).__name__}"
    if isinstance(output, Mapping):
        shape = f"a state with {', '.join(map(str, output)) or 'nothing in it'}"
    return ModelFault(
        f"The app {title} gave {shape}, which holds no reply; expected a text, a message, messages, "
        f"or a state with `messages` (app_student(app, to_reply=...) translates).",
        exit_code=2,
    )


def _bound_name(binding: RunnableBinding) -> str:
    params = binding.bound._get_ls_params() if isinstance(binding.bound, BaseChatModel) else {}
    return str(params.get("ls_model_name") or type(binding.bound).__name__)


def _from_spec(spec: str) -> BaseChatModel:
    """The app that an `app:` spec names: an attribute of a module or file, or an endpoint.

    Raises:
        ModelFault: where it names none; says what to write.
    """
    name, address = named_at(spec.removeprefix("app:"))
    if address:
        model = chat_model(f"openai:{name}@{address}")
        return AppStudent(app=model, title=f"{name}@{clean_url(address)}")
    where, colon, attribute = name.rpartition(":")
    if not colon or not where or not attribute:
        raise ModelFault(f"{spec!r} names no app; write {SPEC_HELP}.", exit_code=2)
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
        app = getattr(module, attribute)
    # An app's file may raise anything, and one that is a script ends by leaving.
    except (Exception, SystemExit) as error:
        raise ModelFault(f"{spec!r} cannot be loaded: {_why(error)}", exit_code=2) from error
    if isinstance(app, AppStudent):
        return app
    return AppStudent(app=app, title=re.sub(r".*[/\\]", "", name))


def _why(error: BaseException) -> str:
    """What an app's file raised when it was loaded, and its own line that did."""
    clear = isinstance(error, ImportError | OSError | AttributeError | SyntaxError)
    said = str(error) if clear else f"{type(error).__name__}: {error}"
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename != __file__ and "importlib" not in frame.filename:
            return f"{said} ({frame.filename}:{frame.lineno})"
    return said


def _load_module(name: str) -> Any:
    # The console script does not look in the folder it is called from, where the app mostly lies.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise OSError(f"there is no file {path}")
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(found)
    beside, new = str(path.parent.resolve()), path.stem not in sys.modules
    # As where Python runs the file itself.
    if beside not in sys.path:
        sys.path.insert(0, beside)
    sys.modules.setdefault(path.stem, module)
    try:
        found.loader.exec_module(module)
    except BaseException:
        if new:
            # Half of a module is none that may be found by its name.
            sys.modules.pop(path.stem, None)
        raise
    return module
