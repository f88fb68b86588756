"""Reading a firm's folder, with every error traced to its file, line and field."""

from __future__ import annotations

import codecs
import os
import stat
import types
from collections.abc import Collection, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from rapidfuzz import process

from .environment import Environment, EnvironmentConfig
from .faults import MOST_SHOWN, EnvironmentFault, Problem, fault, short, shown
from .handbook import Tactic, parse_handbook
from .persona import Persona
from .plain_yaml import read_yaml
from .policy import Policy
from .rubric import StateCheck
from .scenario import Scenario
from .state import as_json
from .tool_source import DeclaredTool, declared_tools

M = TypeVar("M", bound=BaseModel)
MAX_FILE_BYTES = 2_000_000


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name closest to a wrong one, or None where none is close (score under 60 of 100)."""
    found = process.extractOne(name, list(valid), score_cutoff=60)
    return found[0] if found else None


def is_none(name: str, kind: str, valid: Collection[str]) -> str:
    """What a person is told who asks for what is none of these; offers the nearest.

    Args:
        name: what was asked for.
        kind: what it should be: an arm, a placement.
        valid: all there are.
    """
    close = nearest(name, valid)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"{name!r} is no {kind}; expected one of {', '.join(valid)}{hint}"


def bundled_path() -> Path:
    """The folder that holds the bundled firms."""
    return Path(str(resources.files("tutelage.environments") / "firms"))


def bundled_names() -> list[str]:
    """The names of the bundled firms, sorted."""
    return sorted(p.parent.name for p in bundled_path().glob("*/environment.yaml"))


def bundled_firm(path: Path) -> str:
    """The bundled firm that a folder or file on disk belongs to; "" for what is not bundled."""
    home, place = bundled_path().resolve(), path.resolve()
    return place.relative_to(home).parts[0] if home in place.parents else ""


def refuse_bundled(path: Path) -> None:
    """Refuse to write into a firm that comes with tutelage.

    Args:
        path: the firm's folder, or a file of it.

    Raises:
        EnvironmentFault: where it is bundled; says how to get a copy.
    """
    if name := bundled_firm(path):
        raise fault(
            Path(name),
            "comes with tutelage and is not changed; a copy of your own: "
            f"`tutelage env new mine --like {name}`",
        )


def find_environment(name_or_folder: str | Path) -> Path:
    """The folder of a firm, given a bundled firm's name or a folder.

    Raises:
        EnvironmentFault: where neither exists; offers the nearest bundled name.
    """
    folder = Path(name_or_folder)
    if (folder / "environment.yaml").is_file():
        return folder
    text = str(name_or_folder)
    if text in bundled_names():
        return bundled_path() / text
    if folder.is_dir():
        raise fault(folder, "is a folder without an environment.yaml", expected="a firm's folder")
    problem = Problem(
        folder,
        "is no bundled firm and no folder",
        expected=f"one of {', '.join(bundled_names())}, or a folder",
        nearest=nearest(text, bundled_names()),
    )
    raise EnvironmentFault([problem], exit_code=2)


def read_text(path: Path, most: int = MAX_FILE_BYTES) -> str:
    """Read a UTF-8 file of at most so many bytes, without a byte order mark.

    Raises:
        EnvironmentFault: where it is missing, no plain file (a pipe, a device), too large, unreadable
            or not UTF-8.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise fault(path, "is no plain file", expected="a file of text")
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise fault(path, "is missing", expected="a file") from error
    except OSError as error:
        raise fault(path, f"cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise fault(path, f"is larger than {most:,} bytes")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 (byte {error.start + len(data) - len(error.object)})"
        raise fault(path, message, line=line, expected="UTF-8 text") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _at_once(name: str, flags: int) -> int:
    # Whoever opens a pipe waits for its other end, and a firm may hold one.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def line_at(node: yaml.Node | None, location: Sequence[str | int]) -> int | None:
    """The line of the value a pydantic location points at, or of its nearest parent."""
    line = node.start_mark.line + 1 if node else None
    for step in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    line, node = key.start_mark.line + 1, value
                    break
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value)
        ):
            child = node.value[step]
            node, line = child, child.start_mark.line + 1
    return line


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The field names that would be valid beside the last step of a location."""
    current: list[Any] = [model]
    for step in location[:-1]:
        if isinstance(step, int):
            continue  # An item of a list; `_leaves` has opened the list itself.
        following: list[Any] = []
        for kind in current:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                # A union's tag first: `question` is also the name of a field.
                tag = kind.model_fields.get("kind")
                if tag is not None and step in get_args(tag.annotation):
                    following.append(kind)
                elif step in kind.model_fields:
                    following.append(kind.model_fields[step].annotation)
            elif get_args(kind):
                following.extend(get_args(kind))
        current = [leaf for kind in following for leaf in _leaves(kind)]
    names = {
        n
        for k in current
        if isinstance(k, type) and issubclass(k, BaseModel)
        for n in k.model_fields
    }
    return sorted(names)


def _leaves(kind: Any) -> list[Any]:
    """Open unions, lists and annotations down to the types inside."""
    if get_origin(kind) in (Union, types.UnionType, list) or hasattr(kind, "__metadata__"):
        return [leaf for arg in get_args(kind) for leaf in _leaves(arg)]
    return [kind]


def parse_yaml(path: Path, text: str, model: type[M]) -> M:
    """Validate one YAML file's text against a model.

    Raises:
        EnvironmentFault: one problem per wrong place, with file, line, field, what was expected
            and, for an unknown name, the nearest valid one.
    """
    node, data = _plain(path, text)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_problem(path, node, model, dict(e)) for e in error.errors()]
        raise EnvironmentFault(problems) from error


def _plain(path: Path, text: str) -> tuple[yaml.Node | None, dict[Any, Any]]:
    """The mapping that a YAML or JSON file holds, with its tree for line numbers."""
    try:
        data, node = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        message = f"is broken YAML: {short(str(error.problem), 4 * MOST_SHOWN)}"
        raise fault(path, message, line=line) from error
    if not isinstance(data, dict):
        raise fault(path, "holds no fields", line=1, expected="`field: value` lines")
    return node, data


def _state_of(path: Path) -> dict[str, Any]:
    """The initial state in a file.

    Raises:
        EnvironmentFault: where it is no mapping, or holds what JSON cannot.
    """
    _, data = _plain(path, read_text(path))
    try:
        return as_json(data)
    except ValueError as error:
        raise fault(path, str(error)) from error


def _problem(path: Path, node: yaml.Node | None, model: type[BaseModel], error: dict) -> Problem:
    location: tuple[str | int, ...] = error["loc"]
    close, expected = None, ""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        valid = _fields_at(model, location)
        close = nearest(str(location[-1]), valid)
        message, expected = "is no field of this file", "one of " + ", ".join(valid)
    elif error["type"] == "missing":
        message, expected = "is missing", "a value"
    elif error["type"] in ("literal_error", "union_tag_invalid"):
        context = error["ctx"]
        expected = context.get("expected") or context.get("expected_tags", "")
        given = context.get("tag") or error["input"]
        message = f"{shown(given)} is not valid here"
        close = nearest(
            str(given), [e.strip(" '") for e in expected.replace(" or ", ",").split(",")]
        )
    # What leads to a server may hold a password or a key.
    elif location[:1] != ("mcp",) and not isinstance(error["input"], dict | list):
        message = f"{message} (found {shown(error['input'])})"
    return Problem(
        path, message, line_at(node, location), ".".join(map(str, location)), expected, close
    )


def load_environment(name_or_folder: str | Path) -> Environment:
    """Load a firm: a bundled one by name, or any folder of the same shape.

    Args:
        name_or_folder: a bundled firm's name ("airline") or the path of a firm's folder.

    Returns:
        The firm with its policy, personas, scenarios, handbook and rubric, all validated.

    Raises:
        EnvironmentFault: with every problem of every file, not just the first.
    """
    folder = find_environment(name_or_folder)
    problems: list[Problem] = []

    def attempt(path: Path, model: type[M]) -> M | None:
        try:
            return parse_yaml(path, read_text(path), model)
        except EnvironmentFault as error:
            problems.extend(error.problems)
            return None

    config = attempt(folder / "environment.yaml", EnvironmentConfig)
    policy = Policy("")
    try:
        policy = Policy(read_text(folder / "policy.md"))
    except EnvironmentFault as error:
        problems.extend(error.problems)
    for id_, line in policy.duplicates():
        problems.append(Problem(folder / "policy.md", "stands twice", line, id_, "one rule an id"))

    personas: dict[str, Persona] = {}
    for path in sorted((folder / "personas").glob("*.yaml")):
        if persona := attempt(path, Persona):
            personas[persona.name] = persona
            if persona.name != path.stem:
                problems.append(
                    Problem(
                        path,
                        f"{shown(persona.name)} differs from the file's name",
                        1,
                        "name",
                        path.stem,
                    )
                )
    scenarios: dict[str, Scenario] = {}
    places: dict[str, Path] = {}
    for path in sorted((folder / "scenarios").glob("*.yaml")):
        if scenario := attempt(path, Scenario):
            if scenario.id in scenarios:
                problems.append(
                    Problem(
                        path,
                        f"{shown(scenario.id)} stands in {places[scenario.id].name} too",
                        1,
                        "id",
                    )
                )
            scenarios[scenario.id], places[scenario.id] = scenario, path
    handbook: dict[str, Tactic] = {}
    for path in sorted((folder / "handbook").glob("*.md")):
        try:
            for tactic in parse_handbook(path, read_text(path)):
                if tactic.id in handbook:
                    problems.append(Problem(path, "stands twice in the handbook", None, tactic.id))
                handbook[tactic.id] = tactic
        except EnvironmentFault as error:
            problems.extend(error.problems)

    tools: tuple[DeclaredTool, ...] = ()
    state: dict[str, Any] = {}
    if config:
        try:
            if config.tools:
                path = folder / config.tools
                tools = tuple(declared_tools(path, read_text(path)))
        except EnvironmentFault as error:
            problems.extend(error.problems)
        try:
            if config.state:
                state = _state_of(folder / config.state)
        except EnvironmentFault as error:
            problems.extend(error.problems)

    for kind, found in (("personas", personas), ("scenarios", scenarios)):
        if not found and not any(kind in p.path.parts for p in problems):
            problems.append(
                Problem(
                    folder / kind, f"holds no valid {kind[:-1]}", expected="one .yaml file or more"
                )
            )
    if config:
        broken = {problem.path.stem for problem in problems}
        problems += _cross_problems(folder, config, policy, personas, scenarios, places, broken)
    if problems or config is None:
        raise EnvironmentFault(problems)
    return Environment(config, policy, personas, scenarios, handbook, folder, tools, state)


def _cross_problems(
    folder: Path,
    config: EnvironmentConfig,
    policy: Policy,
    personas: dict[str, Persona],
    scenarios: dict[str, Scenario],
    places: dict[str, Path],
    broken: set[str],
) -> list[Problem]:
    """Names that point nowhere: splits, personas and rules of scenarios, rubric ids given twice.

    `broken` names the files that could not be read; what points at them is left alone.
    """
    problems: list[Problem] = []
    head = folder / "environment.yaml"
    node = yaml.compose(read_text(head), Loader=yaml.SafeLoader)
    seen: dict[str, str] = {}
    for split, ids in config.splits.items():
        for index, id_ in enumerate(ids):
            place = (head, line_at(node, ("splits", split, index)), f"splits.{split}.{index}")
            if id_ not in scenarios and id_ not in broken:
                problems.append(_unknown(*place, id_, "scenario", scenarios))
            elif id_ in seen:
                problems.append(
                    Problem(
                        place[0], f"{shown(id_)} is in split {seen[id_]!r} too", place[1], place[2]
                    )
                )
            seen[id_] = split
    for index_split, ids in config.splits.items():
        for index, id_ in enumerate(ids):
            made = scenarios.get(id_)
            if made and made.source == "generated" and index_split != "train":
                line = line_at(node, ("splits", index_split, index))
                field = f"splits.{index_split}.{index}"
                problems.append(
                    Problem(head, f"{shown(id_)} was generated", line, field, "it in split train")
                )
    for id_ in sorted(scenarios.keys() - seen.keys()):
        problems.append(Problem(places[id_], "is in no split of environment.yaml", 1, "id"))
    problems += _state_problems(folder, config, scenarios, places)
    shared = [item.id for item in config.rubric]
    for index, item_id in enumerate(shared):
        if item_id in shared[:index]:
            line = line_at(node, ("rubric", index, "id"))
            problems.append(
                Problem(head, f"{shown(item_id)} stands twice", line, f"rubric.{index}.id")
            )
    for id_, scenario in scenarios.items():
        path = places[id_]
        tree = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
        for field, names, valid in (
            ("personas", scenario.personas, personas),
            ("rules", scenario.rules, policy.rules),
        ):
            for index, name in enumerate(names):
                if name not in valid and not broken & {name, "policy" if field == "rules" else ""}:
                    line = line_at(tree, (field, index))
                    problems.append(
                        _unknown(path, line, f"{field}.{index}", name, field[:-1], valid)
                    )
        own = [item.id for item in scenario.rubric]
        for index, item_id in enumerate(own):
            told = "is an item of the firm" if item_id in shared else "stands twice"
            if item_id in shared or item_id in own[:index]:
                line = line_at(tree, ("rubric", index, "id"))
                problems.append(
                    Problem(path, f"{shown(item_id)} {told}", line, f"rubric.{index}.id")
                )
    return problems


def _state_problems(
    folder: Path,
    config: EnvironmentConfig,
    scenarios: dict[str, Scenario],
    places: dict[str, Path],
) -> list[Problem]:
    """State, and checks of it, where nothing could ever change or read it."""
    if config.tools or (config.mcp and config.mcp.read):
        return []
    head = folder / "environment.yaml"
    expected = "`tools` (or `mcp` with a `read` tool) in environment.yaml"
    message = "checks a state that nothing changes" if not config.mcp else "checks an unread state"
    holders = [(head, config.rubric), *((places[id_], s.rubric) for id_, s in scenarios.items())]
    problems = [
        Problem(path, message, None, f"rubric.{index}", expected)
        for path, items in holders
        for index, item in enumerate(items)
        if isinstance(item, StateCheck)
    ]
    if not config.mcp:
        stated = [(head, config.state), *((places[id_], s.state) for id_, s in scenarios.items())]
        problems += [
            Problem(path, "is a state that nothing changes", None, "state", expected)
            for path, state in stated
            if state
        ]
    return problems


def _unknown(
    path: Path, line: int | None, field: str, name: str, kind: str, valid: Iterable[str]
) -> Problem:
    valid = list(valid)
    some = ", ".join(map(short, valid[:12])) + (", ..." if len(valid) > 12 else "")
    return Problem(
        path,
        f"{shown(name)} is no {kind} of this firm",
        line,
        field,
        f"one of {some}",
        nearest(name, valid),
    )
