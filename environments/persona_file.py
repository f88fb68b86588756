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
    """One persona as its file tells it. `persona` is None where the file is broken; `unread` says that
    no text could be had of it, so that `text` is "".
    """

    path: Path
    text: str
    persona: Persona | None
    problems: tuple[Problem, ...] = ()
    unread: bool = False

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


def read_persona(path: Path) -> PersonaFile:
    """One persona's file as it is now, also where it is broken or missing."""
    try:
        text = read_text(path)
    except EnvironmentFault as error:
        return PersonaFile(path, "", None, tuple(error.problems), unread=True)
    return PersonaFile(path, text, *check_persona(path, text))


def read_personas(name_or_folder: str | Path) -> list[PersonaFile]:
    """Every persona's file of a firm, the broken ones too, in order of name.

    Raises:
        EnvironmentFault: where there is no such firm.
    """
    folder = find_environment(name_or_folder) / "personas"
    return [read_persona(path) for path in sorted(folder.glob("*.yaml"))]


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
        file: what the person began from, or what they were told of since (`read_persona`), which must
            still be what is on disk; where that could not be read, it is written anew.
        text: what they made of it.

    Raises:
        EnvironmentFault: where the firm is bundled, the text is broken, the file was changed or
            deleted meanwhile, or cannot be written; the file is as it was then.
    """
    refuse_bundled(file.path)
    persona, problems = check_persona(file.path, text)
    if problems:
        raise EnvironmentFault(list(problems))
    now = read_persona(file.path)
    if now != file:
        raise fault(file.path, _what_came(now))
    try:
        place = file.path.resolve()
        place.parent.mkdir(exist_ok=True)
        # What is no text has no line ends to keep; a new file is as open as its folder.
        written = encoded_like(b"" if now.unread else place.read_bytes(), text)
        mode = place.stat().st_mode if place.exists() else place.parent.stat().st_mode & 0o666
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(written)
            Path(name).chmod(mode)
            Path(name).replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise fault(file.path, f"cannot be written: {error.strerror}") from error
    return PersonaFile(file.path, text, persona)


def _what_came(now: PersonaFile) -> str:
    if not now.unread:
        return "was changed meanwhile; look at it again, nothing was saved"
    if not now.path.exists():
        return "was deleted meanwhile; nothing was saved"
    return f"was changed meanwhile and {now.problems[0].message}; nothing was saved"
