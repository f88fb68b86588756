"""The handbook: service tactics a firm knows, which the teacher may choose from and fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .faults import EnvironmentFault, Problem, shown

_FIELD = re.compile(r"^(?P<key>When|Do|Example|Source):\s*(?P<text>.+)$")


@dataclass(frozen=True, slots=True)
class Tactic:
    """One tactic: when it fits, what to do, how it sounds, and where it comes from."""

    id: str
    title: str
    when: str
    do: str
    example: str
    source: str


def parse_handbook(path: Path, text: str) -> list[Tactic]:
    """Read the tactics of one handbook file.

    A tactic is a second-level heading `## id: Title` and under it one line each of `When:`, `Do:`,
    `Example:` (may be left out) and `Source:`; other text is for people and is passed over.

    Raises:
        EnvironmentFault: with every heading or field that is missing or stands twice.
    """
    tactics: list[Tactic] = []
    problems: list[Problem] = []
    heading: tuple[str, str, int] | None = None
    fields: dict[str, str] = {}

    def close() -> None:
        if heading is None:
            return
        id_, title, line = heading
        missing = [key for key in ("When", "Do", "Source") if key not in fields]
        for key in missing:
            problems.append(
                Problem(
                    path,
                    f"tactic {shown(id_)} has no {key!r} line",
                    line,
                    id_,
                    f"a line `{key}: ...`",
                )
            )
        if not missing:
            tactics.append(
                Tactic(
                    id_,
                    title,
                    fields["When"],
                    fields["Do"],
                    fields.get("Example", ""),
                    fields["Source"],
                )
            )

    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("## "):
            close()
            fields = {}
            id_, colon, title = line[3:].partition(":")
            heading = (id_.strip(), title.strip(), number)
            if not colon or not re.fullmatch(r"[a-z][a-z0-9_]*", id_.strip()):
                problems.append(
                    Problem(
                        path,
                        f"heading {shown(line[3:])} names no tactic",
                        number,
                        "",
                        "`## short_id: Title`",
                    )
                )
                heading = None
        elif heading and (match := _FIELD.match(line)):
            if match["key"] in fields:
                problems.append(Problem(path, f"{match['key']!r} stands twice", number, heading[0]))
            fields[match["key"]] = match["text"].strip()
    close()
    if problems:
        raise EnvironmentFault(problems)
    return tactics
