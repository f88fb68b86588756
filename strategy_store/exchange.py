"""Exchange: the library as YAML or Markdown that a person can read and edit, and back, exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError
from tutelage.environments.plain_yaml import read_yaml

from .entry import Entry, content_id
from .history import LibraryFault
from .plain_text import one_line
from .prompt import static_text, strategies_text
from .retrieval import Retrieved

Format = Literal["yaml", "markdown", "prompt", "static"]
FORMAT = 1
MAX_BYTES = 20_000_000
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What may stand in a header of HTTP, in a command line and on a terminal."""
_OPENS = re.compile(r"^```[ \t]*ya?ml[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_CLOSES = re.compile(r"^```[ \t\r]*$", re.MULTILINE)


def export_text(entries: Sequence[Entry], form: Format) -> str:
    """The entries as text.

    Args:
        entries: what to write.
        form: `yaml`; `markdown`, a document with a block of YAML under each heading, which is what
            is read back; `prompt`, the exact text that deployment adds for each entry; `static`,
            one prompt for all of them, for apps that cannot retrieve.
    """
    if form == "yaml":
        document = {"tutelage_library": FORMAT, "entries": [_plain(entry) for entry in entries]}
        return _yaml(document)
    if form == "prompt":
        return "\n\n".join(_prompt(entry) for entry in entries) + "\n" if entries else ""
    if form == "static":
        text = static_text(entries)
        return text + "\n" if text else ""
    parts = [
        "# Library of strategies\n\nEdit the blocks; the headings and quotes are drawn from them.\n"
    ]
    parts += [_section(entry) for entry in entries]
    return "\n".join(parts)


def import_text(text: str, name: str) -> list[Entry]:
    """Read entries back from YAML or Markdown.

    Args:
        text: what `export_text` wrote, possibly edited.
        name: the file's name, for errors.

    Raises:
        LibraryFault: names file, line and field.
    """
    if len(text.encode()) > MAX_BYTES:
        raise LibraryFault(f"{name}: is larger than {MAX_BYTES:,} bytes")
    if text.lstrip().startswith("# Library of strategies"):
        return [
            _entry(_load(body, name, line - 1)[0], name, line + 1)
            for body, line in _blocks(text, name)
        ]
    document, node = _load(text, name, 0)
    if not isinstance(document, dict) or document.get("tutelage_library") != FORMAT:
        raise LibraryFault(
            f"{name}:1: is no exported library; expected `tutelage_library: {FORMAT}`"
        )
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise LibraryFault(f"{name}: entries: expected a list")
    lines = _entry_lines(node)
    return [_entry(value, name, line) for value, line in zip(entries, lines, strict=True)]


def entries_of(path: Path, *, keep_status: bool = False) -> list[Entry]:
    """A file's entries. What a person writes by hand needs no more than scenarios with texts: ids
    follow from the texts, and where nothing is said of where they come from, a person wrote them.

    Strategies come in as proposed whatever the file says, unless the person asks to keep the
    status: a file is not an approval. One whose words were edited in the file comes in without the
    evidence and the uplift of the old ones.

    Raises:
        LibraryFault: where the file is unreadable or broken; names file, line and field.
    """
    try:
        entries = import_text(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryFault(f"{path}: cannot be read: {error}", 2) from error
    if keep_status:
        return entries
    return [
        entry.model_copy(
            update={
                "strategies": [
                    s.model_copy(update={"status": "proposed"}) for s in entry.strategies
                ]
            }
        )
        for entry in entries
    ]


def _plain(entry: Entry) -> dict:
    plain = entry.model_dump(mode="json", exclude_defaults=True) | {"id": entry.id}
    for written, strategy in zip(plain.get("strategies", ()), entry.strategies, strict=True):
        if strategy.uplift or strategy.provenance.evidence:
            written["digest"] = _digest(strategy.text)
    return plain


def _digest(text: str) -> str:
    """What tells, beside what was measured of a strategy, whether it was measured of these words."""
    return content_id("d", text)


class _Dumper(yaml.SafeDumper):
    """Writes whatever SafeDumper writes, without aliases, which people do not read well."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _section(entry: Entry) -> str:
    quotes: list[str] = []
    for strategy in entry.strategies:
        if evidence := strategy.provenance.evidence:
            quotes += [
                f"> customer: {one_line(evidence.customer)}",
                ">",
                f"> before: {one_line(evidence.before)}",
                ">",
                f"> after: {one_line(evidence.after)}",
                "",
            ]
            break
    heading = " ".join(entry.scenario.split())
    body = _yaml(_plain(entry))
    if "```" in body:
        # A fence inside a text would end the block; JSON strings, which YAML reads too, escape it.
        body = json.dumps(_plain(entry), indent=2).replace("`", "\\u0060") + "\n"
    return "\n".join([f"## {heading}", "", *quotes, "```yaml", f"{body.rstrip()}", "```", ""])


def _prompt(entry: Entry) -> str:
    given = Retrieved(entry, entry.strategies, 1.0, 1.0, None)
    return strategies_text([given])


def _blocks(text: str, name: str) -> list[tuple[str, int]]:
    """The blocks of a Markdown document, each with the line of the fence that opens it."""
    found: list[tuple[str, int]] = []
    opened = list(_OPENS.finditer(text))
    for fence, following in zip(opened, [*opened[1:], None], strict=True):
        line = text.count("\n", 0, fence.start()) + 1
        until = following.start() if following else len(text)
        closed = _CLOSES.search(text, fence.end(), until)
        if closed is None:
            raise LibraryFault(
                f"{name}:{line}: the block that opens here is not closed; write ``` on a line of its "
                "own below it"
            )
        found.append((text[fence.end() : closed.start()], line))
    return found


def _load(text: str, name: str, offset: int) -> tuple[object, yaml.Node | None]:
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1 if error.problem_mark else 1) + offset
        raise LibraryFault(f"{name}:{line}: is broken YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise LibraryFault(f"{name}: is broken YAML: {error}") from error


def _entry(value: object, name: str, line: int) -> Entry:
    try:
        entry = Entry.model_validate(_completed(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise LibraryFault(f"{name}:{line}: entry: {where}: {first['msg']}") from error
    ids = {"id": entry.id}
    ids |= {f"strategies.{place}.id": one.id for place, one in enumerate(entry.strategies)}
    for where, id_ in ids.items():
        if not _ID.fullmatch(id_):
            raise LibraryFault(
                f"{name}:{line}: entry: {where}: {id_[:80]!r} is no id; use 1 to 64 of the letters a "
                "to z, digits, and _ . -"
            )
    return entry


def _completed(value: object) -> object:
    """An entry as a person may write it, with what the store keeps besides."""
    if not isinstance(value, dict) or not isinstance(value.get("scenario"), str):
        return value
    id_ = value.get("id") or content_id("e", value["scenario"])
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def strategy(found: object) -> object:
        found = {"text": found} if isinstance(found, str) else found
        if not isinstance(found, dict) or not isinstance(found.get("text"), str):
            return found
        made = {"id": content_id("s", f"{id_}|{found['text']}"), "created_at": now,
                "provenance": {"source": "person"}}  # fmt: skip
        return made | _of_its_words(found, id_)

    strategies = value.get("strategies", [])
    if isinstance(strategies, list):
        strategies = [strategy(found) for found in strategies]
    return value | {"id": id_, "strategies": strategies}


def _of_its_words(found: dict, entry: object) -> dict:
    """A strategy without the evidence and the uplift of other words than it has in the file."""
    own = {name: value for name, value in found.items() if name != "digest"}
    text = found["text"]
    # Older files hold no digest; an id that follows from the text is of that text.
    known = found.get("digest") or found.get("id")
    if known not in (_digest(text), content_id("s", f"{entry}|{text}")):
        own.pop("uplift", None)
        origin = found.get("provenance")
        if isinstance(origin, dict):
            own["provenance"] = {name: origin[name] for name in origin if name != "evidence"}
    return own


def _entry_lines(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "entries" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
