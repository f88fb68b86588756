"""Writing a firm's folder whole or not at all."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from .environment import EnvironmentConfig
from .faults import EnvironmentFault, Problem, fault
from .loading import load_environment, parse_yaml, read_text, refuse_bundled
from .scenario import Scenario
from .surrogates import mended


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
        handbook: a folder whose handbook files (*.md) to take, if any.
        tools: the text of tools.py, if any.

    Raises:
        EnvironmentFault: where the folder cannot be written, or what was written is no valid firm.
            Nothing half-made stays behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise fault(target, f"cannot be written: {disk_says(error)}") from error
    try:
        _write(staging / "policy.md", policy)
        write_yaml(staging / "environment.yaml", config)
        if tools:
            _write(staging / "tools.py", tools)
        for kind, values in (("personas", personas), ("scenarios", scenarios)):
            (staging / kind).mkdir()
            for id_, value in values.items():
                write_yaml(staging / kind / f"{id_}.yaml", value)
        if handbook is not None and handbook.is_dir():
            (staging / "handbook").mkdir()
            for path in handbook.glob("*.md"):
                _write(staging / "handbook" / path.name, read_text(path))
        _check(staging, target)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError as error:
        raise fault(target, f"cannot be written: {disk_says(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def add_scenarios(source: Path, target: Path, scenarios: Sequence[Scenario]) -> None:
    """Add training scenarios to a firm, in place or in a copy of it.

    The files of the firm keep their comments: of environment.yaml only the list of split train grows.
    A copy has what `copy_firm` copies.

    Args:
        source: the firm's folder.
        target: where the firm with the scenarios shall lie: `source` itself, or a new folder.
        scenarios: what to add; their ids must be new.

    Raises:
        EnvironmentFault: where the target is there already, is bundled, cannot be written, the firm
            to copy holds a link that leads out of it, or what was written is no valid firm. Nothing
            half-made stays behind.
    """
    refuse_bundled(target)
    in_place = target.exists() and source.resolve() == target.resolve()
    if target.exists() and not in_place:
        raise fault(target, "is there already; nothing was changed", expected="a new folder")
    if in_place and (source / "scenarios").is_symlink():
        expected = "the folder itself in its place, or a new firm"
        raise fault(source / "scenarios", "is a link; nothing was changed", expected=expected)
    # Links that lead out of a firm lead to the same place from beside it.
    home = (target.resolve() if in_place else target).parent
    try:
        home.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=home))
    except OSError as error:
        raise fault(target, f"cannot be written: {disk_says(error)}") from error
    try:
        copy_firm(source, staging, links_out=in_place)
        head = staging / "environment.yaml"
        text = _with_train(head, [one.id for one in scenarios])
        written = encoded_like(head.read_bytes(), text)
        head.unlink()
        with head.open("xb") as file:
            file.write(written)
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
        raise fault(target, f"cannot be written: {disk_says(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def copy_firm(source: Path, target: Path, *, links_out: bool = False) -> None:
    """Copy what lies in a firm's folder except hidden files, caches, `runs` and pipes. A link stays one,
    and the copy may be written.

    Args:
        source: the firm's folder.
        target: the folder to make, or to fill.
        links_out: whether links that lead out of the firm are copied, too.

    Raises:
        EnvironmentFault: where a link leads out of the firm and `links_out` is not set; nothing is
            copied then.
        OSError: where the disk does not have it; `disk_says` tells why.
    """
    if not links_out and (leading_out := list(_links_out(source))):
        raise EnvironmentFault(leading_out)
    shutil.copytree(source, target, symlinks=True, ignore=_no_part_of_it, dirs_exist_ok=True)
    # An installed package may be read-only, and with it every file that was copied.
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def encoded_like(original: bytes, text: str) -> bytes:
    """What a file is to hold, with the mark at the beginning and the line ends that it had.

    Args:
        original: what it holds.
        text: what it is to hold, each line ending with a line feed.
    """
    mark = codecs.BOM_UTF8 if original.startswith(codecs.BOM_UTF8) else b""
    end = re.search(rb"\r\n|\r|\n", original)
    return mark + mended(text).encode().replace(b"\n", end[0] if end else b"\n")


def disk_says(error: OSError) -> str:
    """Why something could not be written; copytree gathers it file by file, as (from, to, why)."""
    return str(error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror)


def _no_part_of_it(folder: str, names: list[str]) -> set[str]:
    """What lies in a firm's folder and does not belong to the firm."""
    return {
        name
        for name in names
        if name.startswith(".")
        or name in ("__pycache__", "runs")
        or name.endswith(".pyc")
        or _is_pipe(Path(folder, name))
    }


def _is_pipe(path: Path) -> bool:
    """Whether it is neither a link nor a file nor a folder."""
    return not (path.is_symlink() or path.is_file() or path.is_dir())


def _links_out(source: Path) -> Iterator[Problem]:
    """The links of a firm that would lead elsewhere from a copy of it, or that leave the firm."""
    for folder, below, files in os.walk(source):
        left_out = _no_part_of_it(folder, [*below, *files])
        below[:] = [name for name in below if name not in left_out]
        for name in (*below, *files):
            path = Path(folder, name)
            if name in left_out or not path.is_symlink():
                continue
            leads = os.readlink(path)
            place = os.path.normpath(path.parent.relative_to(source) / leads)
            within = path.resolve().is_relative_to(source.resolve())
            if os.path.isabs(leads) or place.split(os.sep)[0] == ".." or not within:
                expected = "the file itself in its place"
                yield Problem(path, "is a link that leads out of the firm", expected=expected)


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


def _with_train(head: Path, ids: Sequence[str]) -> str:
    """The text of an environment.yaml with more ids in split train, and else as it is."""
    text = read_text(head)
    parse_yaml(head, text, EnvironmentConfig)
    if not ids:
        return text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    splits = _at(root, "splits")
    train = _at(splits, "train")
    listed = ", ".join(ids)
    if isinstance(train, yaml.SequenceNode) and not train.flow_style:
        margin = " " * train.start_mark.column
        return _below(text, train.value[-1].end_mark.index, [f"{margin}- {id_}" for id_ in ids])
    if isinstance(train, yaml.SequenceNode) and train.value:
        return _inserted(text, train.value[-1].end_mark.index, f", {listed}")
    if isinstance(train, yaml.SequenceNode):
        return _inserted(text, train.end_mark.index - 1, listed)
    if isinstance(splits, yaml.MappingNode) and not splits.flow_style:
        above = next(key.end_mark.index for key, value in root.value if value is splits)
        margin = " " * splits.value[0][0].start_mark.column
        return _below(text, above, [f"{margin}train:", *(f"{margin}- {id_}" for id_ in ids)])
    if isinstance(splits, yaml.MappingNode):
        more = ", " if splits.value else ""
        return _inserted(text, splits.start_mark.index + 1, f"train: [{listed}]{more}")
    raise fault(head, "holds no list of scenarios of its own", expected="`splits:` lines")


def _inserted(text: str, at: int, more: str) -> str:
    return text[:at] + more + text[at:]


def _below(text: str, at: int, more: Sequence[str]) -> str:
    """A text with more lines below the one in which a letter stands."""
    end = at + len(text[at:].partition("\n")[0])
    return _inserted(text, end, "".join(f"\n{line}" for line in more))


def _at(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """Write one file of a firm, which must not be there yet."""
    _write(
        path, yaml.safe_dump(mended(dict(value)), sort_keys=False, allow_unicode=True, width=100)
    )


def _write(path: Path, text: str) -> None:
    # What a person typed or a file is called may hold what UTF-8 cannot. A link that lies in the
    # place is not followed.
    with path.open("x", encoding="utf-8") as file:
        file.write(mended(text))
