"""What is wrong in a firm's files: one problem per place, and the error that carries them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MOST_SHOWN = 80
"""Characters of a value that an error shows; what it is about is known by its line."""


def short(text: str, most: int = MOST_SHOWN) -> str:
    """The beginning of a text, which says so where there is more."""
    return text if len(text) <= most else f"{text[:most]}..."


def shown(value: object) -> str:
    """A value of a file as an error quotes it."""
    return repr(short(value)) if isinstance(value, str) else short(repr(value))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    `line` counts from 1 and is None where the file as a whole is meant; `field` is the dotted path
    inside the file ("" for the file itself); `nearest` is the closest valid name, if one is close.
    """

    path: Path
    message: str
    line: int | None = None
    field: str = ""
    expected: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        """Render as `file:line: field: what is wrong; expected ...; did you mean ...?`."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        text = (
            f"{place}: {short(self.field, 2 * MOST_SHOWN)}: {self.message}"
            if self.field
            else f"{place}: {self.message}"
        )
        if self.expected:
            text += f"; expected {self.expected}"
        if self.nearest:
            text += f"; did you mean {shown(self.nearest)}?"
        return text


@dataclass
class EnvironmentFault(Exception):
    """A firm could not be loaded, made or imported; `problems` says every reason, none twice.

    `exit_code` is what a command line ends with: 1, or 2 where a name was given that does not exist.
    """

    problems: list[Problem] = field(default_factory=list)
    exit_code: int = 1

    def __str__(self) -> str:
        """One line per problem."""
        return "\n".join(str(problem) for problem in self.problems)


def fault(path: Path, message: str, **details: object) -> EnvironmentFault:
    """Make an EnvironmentFault with a single problem; `details` are the other fields of Problem."""
    return EnvironmentFault([Problem(path, message, **details)])  # type: ignore[arg-type]
