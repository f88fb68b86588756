"""Making a new firm or persona: a small valid start that its owner then writes over."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

from .faults import EnvironmentFault, Problem, fault

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_environment(name: str, out: Path | None = None) -> Path:
    """Make a firm's folder, complete and valid, with comments that teach every field.

    Args:
        name: lower-case letters, digits and underscores.
        out: the folder to make; ./NAME where not given.

    Returns:
        The folder.

    Raises:
        EnvironmentFault: where the name is no name (exit code 2) or the folder is there already.
    """
    _check_name(name)
    folder = out or Path(name)
    if folder.exists():
        raise fault(folder, "is there already; nothing was changed", expected="a new folder")
    source = Path(str(resources.files("tutelage.environments") / "templates" / "firm"))
    try:
        shutil.copytree(source, folder)
        head = folder / "environment.yaml"
        head.write_text(head.read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        # copytree gathers what went wrong, file by file: (from, to, why).
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
        raise fault(folder, f"cannot be written: {why}") from error
    return folder


def new_persona(environment: Path, name: str) -> Path:
    """Add a persona to a firm's folder.

    Raises:
        EnvironmentFault: where the name is no name (exit code 2), the folder is no firm, or the
            persona is there already.
    """
    _check_name(name)
    if not (environment / "environment.yaml").is_file():
        raise EnvironmentFault(
            [Problem(environment, "holds no environment.yaml", expected="a firm's folder")], 2
        )
    path = environment / "personas" / f"{name}.yaml"
    if path.exists():
        raise fault(path, "is there already; nothing was changed")
    template = resources.files("tutelage.environments") / "templates" / "persona.yaml"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(template.read_text(encoding="utf-8").replace("NAME", name), "utf-8")
    except OSError as error:
        raise fault(path, f"cannot be written: {error.strerror}") from error
    return path


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        expected = "lower-case letters, digits and underscores, a letter first"
        raise EnvironmentFault([Problem(Path(name), "is no name", expected=expected)], 2)
