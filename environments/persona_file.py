"""A persona's file: read with what is wrong in it, and saved only where nothing is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .faults import EnvironmentFault, Problem, fault, shown
from .firm_folder import encoded_like
from .loading import find_environment, parse_yaml, read_text, refuse_bundled
from .persona import Persona


@dataclass(frozen=True)
class PersonaFile:
    """One persona as its file tells it. `persona` is None where the file is broken."""

    path: Path
    text: str
    persona: Persona | None
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without .yaml."""
        return self.path.stem


def check_persona(path: Path, text: str) -> tuple[Persona | None, tuple[Problem, ...]]:
    """The persona that a text gives, and every problem with file, line and field."""
    try:
        persona = parse_yaml(path, text, Persona)
    except EnvironmentFault as error:
        return None, tuple(error.problems)
    if persona.name != path.stem:
        problem = Problem(path, f"{shown(persona.name)} differs from the file's name", 1, "name",
                          path.stem)  # fmt: skip
        return None, (problem,)
    return persona, ()


def read_personas(name_or_folder: str | Path) -> list[PersonaFile]:
    """Every persona's file of a firm, the broken ones too, in order of name.

    Raises:
        EnvironmentFault: where there is no such firm.
    """
    found: list[PersonaFile] = []
    for path in sorted((find_environment(name_or_folder) / "personas").glob("*.yaml")):
        try:
            text = read_text(path)
        except EnvironmentFault as error:
            found.append(PersonaFile(path, "", None, tuple(error.problems)))
            continue
        found.append(PersonaFile(path, text, *check_persona(path, text)))
    return found


def personas_stamp(name_or_folder: str | Path) -> tuple[tuple[str, int, int], ...]:
    """What tells whether any persona's file of a firm changed: names, times and sizes.

    Raises:
        EnvironmentFault: where there is no such firm.
    """
    found: list[tuple[str, int, int]] = []
    for path in sorted((find_environment(name_or_folder) / "personas").glob("*.yaml")):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((path.name, state.st_mtime_ns, state.st_size))
    return tuple(found)


def save_persona(file: PersonaFile, text: str) -> PersonaFile:
    """Save a persona's text whole or not at all. The file keeps its kind of line ends and the mark at
    its beginning, and a link goes on leading to it.

    Args:
        file: what the person began from, which must still be what is on disk.
        text: what they made of it.

    Raises:
        EnvironmentFault: where the firm is bundled, the text is broken, the file was changed
            meanwhile, or cannot be written; the file is as it was then.
    """
    refuse_bundled(file.path)
    persona, problems = check_persona(file.path, text)
    if problems:
        raise EnvironmentFault(list(problems))
    if read_text(file.path) != file.text:
        raise fault(file.path, "was changed meanwhile; look at it again, nothing was saved")
    try:
        place = file.path.resolve()
        written = encoded_like(place.read_bytes(), text)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(written)
            Path(name).chmod(place.stat().st_mode)
            Path(name).replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise fault(file.path, f"cannot be written: {error.strerror}") from error
    return PersonaFile(file.path, text, persona)
