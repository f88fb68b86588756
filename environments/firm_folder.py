"""Writing a firm's folder whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from .environment import EnvironmentConfig
from .faults import EnvironmentFault, fault
from .loading import load_environment, parse_yaml, read_text
from .scenario import Scenario


def write_firm(
    target: Path,
    *,
    config: Mapping[str, Any],
    policy: str,
    personas: Mapping[str, Mapping[str, Any]],
    scenarios: Mapping[str, Mapping[str, Any]],
    handbook: Path | None = None,
    tools: str = "",
) -> None:
    """Write a firm beside its place, load it, and only then move it there.

    Args:
        target: the folder to make; must not exist.
        config: what environment.yaml shall hold.
        policy: the text of policy.md.
        personas, scenarios: what each file shall hold, by name.
        handbook: a folder of handbook files to copy, if any.
        tools: the text of tools.py, if any.

    Raises:
        EnvironmentFault: where the folder cannot be written, or what was written is no valid firm.
            Nothing half-made stays behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise fault(target, f"cannot be written: {_why(error)}") from error
    try:
        (staging / "policy.md").write_text(policy, encoding="utf-8")
        write_yaml(staging / "environment.yaml", config)
        if tools:
            (staging / "tools.py").write_text(tools, encoding="utf-8")
        for kind, values in (("personas", personas), ("scenarios", scenarios)):
            (staging / kind).mkdir()
            for id_, value in values.items():
                write_yaml(staging / kind / f"{id_}.yaml", value)
        if handbook is not None and handbook.is_dir():
            shutil.copytree(handbook, staging / "handbook")
        _check(staging, target)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError as error:
        raise fault(target, f"cannot be written: {_why(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def add_scenarios(source: Path, target: Path, scenarios: Sequence[Scenario]) -> None:
    """Add training scenarios to a firm, in place or in a copy of it.

    The files of the firm keep their comments: of environment.yaml only the list of split train grows.

    Args:
        source: the firm's folder.
        target: where the firm with the scenarios shall lie: `source` itself, or a new folder.
        scenarios: what to add; their ids must be new.

    Raises:
        EnvironmentFault: where the target is there already, cannot be written, or what was written
            is no valid firm. Nothing half-made stays behind.
    """
    in_place = target.exists() and source.resolve() == target.resolve()
    if target.exists() and not in_place:
        raise fault(target, "is there already; nothing was changed", expected="a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise fault(target, f"cannot be written: {_why(error)}") from error
    try:
        shutil.copytree(source, staging, dirs_exist_ok=True)
        head = staging / "environment.yaml"
        head.write_text(_with_train(head, [one.id for one in scenarios]), encoding="utf-8")
        added = [staging / "scenarios" / f"{one.id}.yaml" for one in scenarios]
        for path, one in zip(added, scenarios, strict=True):
            write_yaml(path, one.model_dump(exclude_defaults=True))
        _check(staging, target)
        if in_place:
            for path in added:
                path.rename(target / "scenarios" / path.name)
            os.replace(head, target / "environment.yaml")
        else:
            staging.chmod(0o755)
            staging.rename(target)
    except OSError as error:
        raise fault(target, f"cannot be written: {_why(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check(staging: Path, target: Path) -> None:
    """Load what was written; what is wrong is said of the place it was meant for."""
    try:
        load_environment(staging)
    except EnvironmentFault as error:
        raise EnvironmentFault(
            [
                replace(problem, path=target / problem.path.relative_to(staging))
                if problem.path.is_relative_to(staging)
                else problem
                for problem in error.problems
            ],
            error.exit_code,
        ) from error


def _why(error: OSError) -> str:
    """What the disk said; copytree gathers it file by file, as (from, to, why)."""
    return str(error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror)


def _with_train(head: Path, ids: Sequence[str]) -> str:
    """The text of an environment.yaml with more ids in split train."""
    text = read_text(head)
    config = parse_yaml(head, text, EnvironmentConfig)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    train = _at(_at(node, "splits"), "train")
    if not isinstance(train, yaml.SequenceNode) or not train.value or not ids:
        value = config.model_dump(mode="json", exclude_defaults=True)
        value["splits"] = {**config.splits, "train": [*config.splits.get("train", []), *ids]}
        value["rubric"] = [
            item.model_dump(exclude_defaults=True) | {"kind": item.kind} for item in config.rubric
        ]
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    last = train.value[-1]
    if train.flow_style:
        return (
            text[: last.end_mark.index]
            + "".join(f", {id_}" for id_ in ids)
            + text[last.end_mark.index :]
        )
    lines = text.splitlines(keepends=True)
    row = last.end_mark.line
    if not lines[row].endswith("\n"):
        lines[row] += "\n"
    margin = " " * train.start_mark.column
    lines[row + 1 : row + 1] = [f"{margin}- {id_}\n" for id_ in ids]
    return "".join(lines)


def _at(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """Write one file of a firm."""
    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")
