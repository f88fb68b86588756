"""The toolbox: a firm's tools in the student's hands, and the state that they change."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.tools.base import create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError
from tutelage.environments import Environment, McpServer, Scenario, as_json
from tutelage.environments.surrogates import mended

from .models.chat_models import clean_url, redacted
from .models.faults import ModelFault
from .models.foreign_calls import call_foreign
from .transcript import ToolUse, Turn

T = TypeVar("T")
TOOL_SECONDS = 30.0
"""How long one call may take, and each step in opening a session with an MCP server."""
MAX_RESULT = 8000
"""Characters of a result that reach the model; what is longer is cut, and says so."""

_MOST_ARGUMENTS = 40
_MOST_OF_ONE = 400
_ACTED_ON = re.compile(r"([\s$`;|&<>(){}\"'\\]+)")
"""What a shell acts on. It is always shown: no program shall hide behind what looks like a key."""
_NAMES = "(?:key|token|secret|password)"
_SECRET_COMES = re.compile(rf"-.*{_NAMES}|.*{_NAMES}:|bearer", re.IGNORECASE)
_SECRETS = (
    re.compile("(://)[^/]+(?=@)"),
    re.compile(rf"({_NAMES}[=:]).+", re.IGNORECASE),
)


class ToolFault(ModelFault):
    """A firm's tools cannot be had, or cannot be called again as they were; str() says why."""


def shown_server(server: McpServer) -> str:
    """An MCP server as people are shown it: its address, or the command that starts it, without
    passwords and keys. What is long is cut and says so. It may still hold what a terminal obeys.
    """
    if server.url:
        return clean_url(server.url)
    words = [server.command, *_without_secrets(server.args[:_MOST_ARGUMENTS])]
    more = len(server.args) - _MOST_ARGUMENTS
    return shlex.join(words) + (f" ... ({more} more arguments)" if more > 0 else "")


def _without_secrets(arguments: Sequence[str]) -> Iterator[str]:
    comes = False
    for argument in arguments:
        parts = _ACTED_ON.split(argument)
        for place, part in enumerate(parts):
            if place % 2:
                comes = comes and not part.strip(" \t\"'")
            elif part:
                secret = comes and not part.startswith("-")
                comes = _SECRET_COMES.fullmatch(part) is not None
                parts[place] = "***" if secret else _unnamed(redacted(part))
        shown = "".join(parts)
        more = len(shown) - _MOST_OF_ONE
        yield shown if more <= 0 else f"{shown[:_MOST_OF_ONE]}... ({more} more characters)"


def _unnamed(part: str) -> str:
    for secret in _SECRETS:
        part = secret.sub(r"\1***", part)
    return part


@dataclass
class Toolbox:
    """The tools as they stand at one point of a dialogue. Made by `open_toolbox`."""

    tools: dict[str, BaseTool]
    read: Callable[[], Awaitable[dict[str, Any]]]
    """Gives the state as it is now; empty where the tools show none."""

    async def use(self, name: str, arguments: Mapping[str, Any]) -> ToolUse:
        """Call one tool. What goes wrong comes back as the result, in words for the model."""
        arguments = dict(arguments)
        if name not in self.tools:
            known = ", ".join(sorted(self.tools))
            error = f"there is no tool {name!r}; the tools are {known}"
            return ToolUse(name=name, arguments=arguments, result=error, error=True)
        try:
            async with asyncio.timeout(TOOL_SECONDS):
                answer = await _answer(self.tools[name], arguments)
        except TimeoutError:
            error = f"no answer within {TOOL_SECONDS:g} s"
        except ValidationError as fault:
            error = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in fault.errors()
            )
        except Exception as fault:
            error = str(fault) or type(fault).__name__
        else:
            if answer.status != "error":
                return ToolUse(name=name, arguments=arguments, result=_cut(answer.text))
            error = answer.text or "the tool failed"
        return ToolUse(name=name, arguments=arguments, result=_cut(error), error=True)


@asynccontextmanager
async def open_toolbox(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn] = ()
) -> AsyncIterator[Toolbox]:
    """The firm's tools, with the state that a dialogue has brought about.

    The state is not stored: it follows from the scenario's initial state and the calls in `turns`,
    which are made again, as tau-bench does it. So a tool must depend on nothing but its arguments
    and the state.

    Raises:
        ToolFault: where the tools cannot be had, or a call does not give again what it gave.
    """
    if environment.config.mcp is not None:
        async with _served(environment, scenario) as box:
            if environment.config.mcp.command or environment.config.mcp.reset:
                await _repeat(box, turns)
            yield box
        return
    box = _from_file(environment, scenario)
    await _repeat(box, turns)
    yield box


async def final_state(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn]
) -> dict[str, Any]:
    """The state that a dialogue has brought about; as it began where nobody called a tool.

    Raises:
        ToolFault: as `open_toolbox`, and where a server shows no state.
    """
    async with open_toolbox(environment, scenario, turns) as box:
        return await box.read()


def check_tools(environment: Environment) -> None:
    """Load the tools file, so that what is wrong with it is said before any dialogue begins.

    Raises:
        ToolFault: where it cannot be loaded, or where the package for MCP is missing.
    """
    if environment.config.mcp is not None:
        _adapters()
    elif environment.config.tools:
        _from_file(environment, next(iter(environment.scenarios.values())))


async def tool_schemas(environment: Environment) -> list[dict[str, Any]]:
    """The firm's tools in OpenAI's format; empty for a firm without.

    Raises:
        ToolFault: as `open_toolbox`.
    """
    if not environment.has_tools:
        return []
    async with open_toolbox(environment, next(iter(environment.scenarios.values()))) as box:
        return [convert_to_openai_tool(tool) for tool in box.tools.values()]


async def _repeat(box: Toolbox, turns: Sequence[Turn]) -> None:
    for use in (use for turn in turns for use in turn.tools):
        if use.error or use.name not in box.tools:
            continue
        again = await box.use(use.name, use.arguments)
        # What an app's own tool did, the firm's does for the state, as far as it would.
        if not use.own and (again.error or again.result != use.result):
            raise ToolFault(
                f"the tool {use.name!r} gave {_short(again.result)} where the same "
                f"call gave {_short(use.result)} before; a tool must depend on nothing but its "
                "arguments and the state (no clock, no chance)"
            )


def _from_file(environment: Environment, scenario: Scenario) -> Toolbox:
    path = (environment.path / environment.config.tools).resolve()
    module = _module(path, path.stat().st_mtime_ns)
    state = environment.state_for(scenario)

    def bound(name: str) -> BaseTool:
        function = getattr(module, name)
        takes_state = "state" in inspect.signature(function).parameters

        async def call(**arguments: Any) -> Any:
            nonlocal state
            # On a copy: a call that fails half-way changes nothing.
            changed = copy.deepcopy(state)
            if takes_state:
                arguments["state"] = changed
            result = await call_foreign(function, **arguments)
            state = mended(as_json(changed))
            if isinstance(result, str):
                return result
            return json.dumps(result, ensure_ascii=False, default=str)

        schema = create_schema_from_function(
            name, function, filter_args=["state"], parse_docstring=True,
            error_on_invalid_docstring=False,
        )  # fmt: skip
        return StructuredTool(
            name=name, description=inspect.getdoc(function) or name, args_schema=schema,
            coroutine=call,
        )  # fmt: skip

    async def read() -> dict[str, Any]:
        return copy.deepcopy(state)

    try:
        return Toolbox({tool.name: bound(tool.name) for tool in environment.tools}, read)
    except (AttributeError, TypeError, ValueError, NameError) as error:
        raise ToolFault(f"{path}: cannot be made into tools: {error}") from error


@lru_cache(maxsize=32)
def _module(path: Path, changed: int) -> ModuleType:
    """A tools file as a module, run once for each content it has had in this process."""
    name = f"tutelage_tools_{hashlib.sha256(f'{path}{changed}'.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pydantic models look their own module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    # One that is a script ends by leaving.
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ToolFault(
            f"{path}: cannot be loaded: {type(error).__name__}: {error}", exit_code=1
        ) from error
    return module


@asynccontextmanager
async def _served(environment: Environment, scenario: Scenario) -> AsyncIterator[Toolbox]:
    """The tools of an MCP server, in one session with it."""
    server = environment.config.mcp
    assert server is not None
    client_kind, load_tools = _adapters()
    client = client_kind({"firm": _connection(server, environment.path)})
    async with _named_faults(server, client.session("firm")) as session:
        offered = {tool.name: tool for tool in await _in_time(load_tools(session))}
        for name in filter(None, (server.reset, server.read)):
            if name not in offered:
                known = ", ".join(sorted(offered))
                raise ToolFault(f"the MCP server offers no tool {name!r}; it offers {known}")
        if server.reset:
            state = environment.state_for(scenario)
            reset = await _in_time(_answer(offered[server.reset], {"state": state}))
            if reset.status == "error":
                raise ToolFault(f"{server.reset!r} took no state: {_short(reset.text)}")

        async def read() -> dict[str, Any]:
            if not server.read:
                return {}
            text = (await _in_time(_answer(offered[server.read], {}))).text
            try:
                state = json.loads(text)
            except ValueError as error:
                raise ToolFault(f"{server.read!r} answered no JSON: {_short(text)}") from error
            if not isinstance(state, dict):
                raise ToolFault(f"{server.read!r} answered no JSON object: {_short(text)}")
            return state

        own = {server.reset, server.read}
        yield Toolbox({name: tool for name, tool in offered.items() if name not in own}, read)


@asynccontextmanager
async def _named_faults(server: McpServer, session: Any) -> AsyncIterator[Any]:
    """A session whose failures name the server, not the plumbing."""
    where = shown_server(server)
    try:
        async with AsyncExitStack() as stack:
            yield await _in_time(stack.enter_async_context(session))
    except (ToolFault, ModelFault):
        raise
    except (Exception, ExceptionGroup) as error:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ModelFault):
            raise cause from error
        said = redacted(str(cause))
        raise ToolFault(f"the MCP server `{where}` does not answer: {said}") from error


async def _in_time(answer: Awaitable[T]) -> T:
    """What a server answers, as long as a call may take.

    Raises:
        TimeoutError: where it takes longer.
    """
    try:
        async with asyncio.timeout(TOOL_SECONDS):
            return await answer
    except TimeoutError as error:
        raise TimeoutError(f"nothing came within {TOOL_SECONDS:g} s") from error


def _adapters() -> tuple[Any, Any]:
    try:
        from langchain_mcp_adapters.client import MultiServerMCPClient
        from langchain_mcp_adapters.tools import load_mcp_tools
    except ImportError as error:
        raise ToolFault(
            "this firm's tools are an MCP server's; install what speaks with it: "
            "pip install 'tutelage[mcp]'"
        ) from error
    return MultiServerMCPClient, load_mcp_tools


def _connection(server: McpServer, folder: Path) -> dict[str, Any]:
    if server.url:
        return {"transport": "streamable_http", "url": server.url}
    seen = {name: os.environ[name] for name in ("PATH", "HOME", *server.env) if name in os.environ}
    return {
        "transport": "stdio", "command": server.command, "args": server.args, "env": seen,
        "cwd": str(folder.resolve()),
    }  # fmt: skip


async def _answer(tool: BaseTool, arguments: dict[str, Any]) -> ToolMessage:
    """What a tool answers, as a message: only that tells an MCP server's errors from its results."""
    return await tool.ainvoke(ToolCall(name=tool.name, args=arguments, id="call", type="tool_call"))


def _cut(text: str) -> str:
    text = mended(text)
    return text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]} ... (cut)"


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:117]}...")
