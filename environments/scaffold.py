"""Making a new firm or persona: a small valid start that its owner then writes over."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path

import yaml

from .faults import EnvironmentFault, Problem, fault
from .firm_folder import copy_firm, disk_says
from .loading import find_environment, load_environment, refuse_bundled

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_environment(name: str, out: Path | None = None, like: str | Path | None = None) -> Path:
    """Make a firm's folder: a small valid one with comments that teach the main fields, or a copy.

    A copy has all that lies in the other firm's folder except hidden files, caches, `runs`
    and pipes; of environment.yaml only the value of `name` differs.

    Args:
        name: lower-case letters, digits and underscores.
        out: the folder to make; ./NAME where not given.
        like: the firm to copy, a bundled one's name or a folder.

    Returns:
        The folder.

    Raises:
        EnvironmentFault: where the name is no name or there is no firm to copy (exit code 2), the
            folder is there already or cannot be written, or the firm to copy is not valid or holds
            a link that leads out of it.
    """
    _check_name(name)
    folder = out or Path(name)
    if folder.exists():
        raise fault(folder, "is there already; nothing was changed", expected="a new folder")
    if like is None:
        source = Path(str(resources.files("tutelage.environments") / "templates" / "firm"))
    else:
        source = load_environment(like).path
        if folder.resolve().is_relative_to(source.resolve()):
            message = "lies in the firm that it copies; nothing was written"
            raise fault(folder, message, expected="--out with a folder elsewhere")
    try:
        copy_firm(source, folder)
        head = folder / "environment.yaml"
        head.write_bytes(_named(head.read_bytes().decode("utf-8"), name).encode())
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise fault(folder, f"cannot be written: {disk_says(error)}") from error
    return folder


def new_persona(environment: str | Path, name: str) -> Path:
    """Add a persona to a firm's folder.

    Raises:
        EnvironmentFault: where the name is no name or there is no such firm (exit code 2), the firm
            is bundled, or the persona is there already.
    """
    _check_name(name)
    folder = find_environment(environment)
    refuse_bundled(folder)
    path = folder / "personas" / f"{name}.yaml"
    if path.exists():
        raise fault(path, "is there already; nothing was changed")
    template = resources.files("tutelage.environments") / "templates" / "persona.yaml"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(_named(template.read_text(encoding="utf-8"), name), "utf-8")
    except OSError as error:
        raise fault(path, f"cannot be written: {error.strerror}") from error
    return path


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        expected = "lower-case letters, digits and underscores, a letter first"
        raise EnvironmentFault([Problem(Path(name), "is no name", expected=expected)], 2)


def _named(text: str, name: str) -> str:
    """A YAML file's text with another value of its field `name`."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    (value,) = (value for key, value in pairs if key.value == "name")
    begin, end = value.start_mark.index, value.end_mark.index
    # The mark of a block's end stands after its line break.
    end = begin + len(text[begin:end].rstrip())
    # YAML takes `no` and `null` for something else than names.
    written = name if yaml.safe_load(name) == name else json.dumps(name)
    return text[:begin] + written + text[end:]
