"""Where a firm's tools come from, a Python file or an MCP server; read here, never run."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from .faults import EnvironmentFault, Problem, fault
from .strict import Strict

_MOST_FINALLY = 2
_KEPT = ("args", "config", "kwargs", "run_manager", "self")
"""Names of arguments that a tool of LangChain is never given."""


class McpServer(Strict):
    """An MCP server that gives the student its tools. One with a `command` is started anew for
    each turn and the dialogue's calls are made again, so its state must live in its memory.
    """

    command: str = Field("", description="The program to start, found in PATH; speaks stdio.")
    args: list[str] = Field(
        default_factory=list, description="Its arguments, in the firm's folder."
    )
    env: list[str] = Field(
        default_factory=list, description="Names of environment variables that it may see."
    )
    url: str = Field(
        "", pattern=r"^(https?://.*)?$", description="Or a server that runs (streamable HTTP)."
    )
    reset: str = Field(
        "",
        description="The tool that takes the initial state as `state`; the student never sees it.",
    )
    read: str = Field(
        "", description="The tool that answers the state as JSON; the student never sees it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> McpServer:
        if bool(self.command) == bool(self.url):
            raise ValueError("names one of `command` and `url`")
        return self


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """A function of a tools file, as it stands in the text."""

    name: str
    does: str
    line: int


def declared_tools(path: Path, text: str) -> list[DeclaredTool]:
    """The tools that a Python file declares: every public function at its top level, in order.

    The text is compiled and never run.

    Raises:
        EnvironmentFault: where the file is no Python, declares no tool, or a tool lacks what a
            model needs of it (a docstring, a type for every argument).
    """
    try:
        # A warning would show a line of the file as it is, and so what a terminal obeys.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            _refuse_doubling(path, tree)
            compile(tree, str(path), "exec", dont_inherit=True)  # Finds an argument given twice.
    except (RecursionError, MemoryError) as error:
        raise fault(path, "is nested too deeply") from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise fault(path, f"is no Python: {getattr(error, 'msg', error)}", line=line) from error
    tools: list[DeclaredTool] = []
    problems: list[Problem] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name[0] == "_":
            continue
        said = ast.get_docstring(node) or ""
        if not said.strip():
            expected = "a docstring, which is all that the model reads of it"
            problems.append(
                Problem(path, "says not what it does", node.lineno, node.name, expected)
            )
        if node.args.vararg or node.args.kwarg or node.args.posonlyargs:
            expected = "named arguments only"
            problems.append(Problem(path, "takes open arguments", node.lineno, node.name, expected))
        problems += [
            Problem(
                path, "has a name that LangChain keeps for itself", argument.lineno,
                f"{node.name}.{argument.arg}", "another name",
            )
            for argument in [*node.args.args, *node.args.kwonlyargs]
            if argument.arg in _KEPT
        ]  # fmt: skip
        problems += [
            Problem(path, "has no type", argument.lineno, f"{node.name}.{argument.arg}", "a type")
            for argument in [*node.args.args, *node.args.kwonlyargs]
            if argument.annotation is None and argument.arg != "state"
        ]
        tools.append(DeclaredTool(node.name, said.split("\n\n")[0].strip(), node.lineno))
    if not tools:
        problems.append(Problem(path, "declares no tool", 1, "", "a public function or more"))
    if problems:
        raise EnvironmentFault(problems)
    return tools


def _refuse_doubling(path: Path, tree: ast.Module) -> None:
    """Refuse `finally` in `finally` in ...: Python writes the innermost out twice for each."""
    left: list[tuple[ast.AST, int]] = [(tree, 0)]
    while left:
        node, depth = left.pop()
        last: set[ast.AST] = set()
        if isinstance(node, ast.Try | ast.TryStar) and node.finalbody:
            if depth == _MOST_FINALLY:
                message = f"nests `finally` in `finally` more than {_MOST_FINALLY} deep"
                raise fault(path, message, line=node.lineno)
            last.update(node.finalbody)
        left += [(child, depth + (child in last)) for child in ast.iter_child_nodes(node)]
