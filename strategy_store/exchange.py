"""Exchange: the library as YAML or Markdown that a person can read and edit, and back, exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError
from tutelage.environments.plain_yaml import read_yaml

from .entry import Entry, content_id
from .given import Retrieved, Room
from .history import LibraryFault
from .library import scenario_refused, strategy_refused
from .plain_text import clean, escaped, json_text, one_line
from .prompt import static_text, strategies_text

Format = Literal["yaml", "markdown", "prompt", "static"]
FORMAT = 1
MAX_BYTES = 20_000_000
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What may stand in a header of HTTP, in a command line and on a terminal."""
_OPENS = re.compile(r"```[ \t]*ya?ml\b", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})")
_YAML = re.compile(r"^[ \t{\"']*tutelage_library\b", re.MULTILINE)
_HEAD = "# Library of strategies"
_BEGINNING = f"{_HEAD}\n\nEdit the blocks; the headings and quotes are drawn from them.\n"
MOST_FAULTS = 20
"""Of a file: whoever has mended these reads it again."""


def export_text(entries: Sequence[Entry], form: Format) -> str:
    """The entries as text.

    Args:
        entries: what to write.
        form: `yaml`; `markdown`, a document with a block of YAML under each heading, which is what
            is read back; `prompt`, the exact text that deployment adds for each entry, as far
            as its usual budget of tokens goes; `static`, one prompt for all of them, for apps that
            cannot retrieve.
    """
    if form == "yaml":
        document = {"tutelage_library": FORMAT, "entries": [_plain(entry) for entry in entries]}
        return _yaml(document)
    if form == "prompt":
        return "\n\n".join(_prompt(entry) for entry in entries) + "\n" if entries else ""
    if form == "static":
        text = static_text(entries)
        return text + "\n" if text else ""
    return "\n".join([_BEGINNING, *(_section(entry) for entry in entries)])


def import_text(text: str, name: str) -> list[Entry]:
    """Read entries back from YAML or Markdown.

    Args:
        text: what `export_text` wrote, possibly edited.
        name: the file's name, for errors.

    Raises:
        LibraryFault: names file, line and field of all that is wrong, a line each, the first
            MOST_FAULTS; among it texts that may not enter a prompt, and one id under two scenarios.
    """
    if len(text.encode()) > MAX_BYTES:
        raise LibraryFault(f"{name}: is larger than {MAX_BYTES:,} bytes")
    faults: list[str] = []
    # A person may write such a heading over their YAML, too; what stands in a block is of an entry.
    if text.lstrip().startswith(_HEAD) and not _YAML.search(text.partition("```")[0]):
        found = _of_markdown(text, name, faults)
    else:
        found = _of_yaml(text, name)
    entries = [_entry(value, name, line, faults) for value, line in found]
    faults += _two_in_one(entries, [line for _, line in found], name)
    if faults:
        if (more := len(faults) - MOST_FAULTS) > 0:
            faults[MOST_FAULTS:] = [f"{name}: and {more} more"]
        raise LibraryFault("\n".join(faults))
    return [entry for entry in entries if entry is not None]


def entries_of(path: Path, *, keep_status: bool = False) -> list[Entry]:
    """A file's entries. What a person writes by hand needs no more than scenarios with texts: ids
    follow from the texts, and where nothing is said of where they come from, a person wrote them.

    Strategies come in as proposed whatever the file says, unless the person asks to keep the
    status: a file is not an approval. One whose words were edited in the file comes in without the
    evidence and the uplift of the old ones.

    Raises:
        LibraryFault: where the file is unreadable or broken; names file, line and field, as
            `import_text` does.
    """
    entries = import_text(_read(path), str(path))
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


def _read(path: Path) -> str:
    """What a file holds, as far as it may be that large."""
    try:
        # A pipe or a device may have no end.
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryFault(f"{path}: cannot be read: {error}", 2) from error


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


def _quoted(dumper: _Dumper, text: str) -> yaml.Node:
    # Escapes stand in double quotes alone.
    style = None if clean(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def _yaml(value: object) -> str:
    return escaped(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


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
    body = _yaml(_plain(entry))
    if "```" in body:
        # A fence inside a text would end the block; JSON strings, which YAML reads too, escape it.
        body = json_text(_plain(entry)).replace("`", "\\u0060")
    heading = f"## {one_line(entry.scenario)}"
    return "\n".join([heading, "", *quotes, "```yaml", body.rstrip(), "```", ""])


def _prompt(entry: Entry) -> str:
    given = Retrieved(entry, Room().take(entry), 1.0, 1.0, None)
    return strategies_text([given])


def _of_yaml(text: str, name: str) -> list[tuple[object, int]]:
    """The entries of a document as they are written, each with its line."""
    document, node = _load(text, name, 0)
    found = document.get("tutelage_library") if isinstance(document, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise LibraryFault(
            f"{name}:1: was written by a newer tutelage (this one reads `tutelage_library: {FORMAT}`);"
            " update tutelage"
        )
    if not isinstance(document, dict) or found != FORMAT:
        raise LibraryFault(
            f"{name}:1: is no exported library; expected `tutelage_library: {FORMAT}`"
        )
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise LibraryFault(f"{name}:1: entries: expected a list")
    return list(zip(entries, _entry_lines(node), strict=True))


def _of_markdown(text: str, name: str, faults: list[str]) -> list[tuple[object, int]]:
    """The entries of a document's blocks, each with its line; adds what is wrong to the faults."""
    found: list[tuple[object, int]] = []
    for body, line in _blocks(text, name, faults):
        try:
            found.append((_load(body, name, line)[0], line + 1))
        except LibraryFault as fault:
            faults.append(str(fault))
    if not found and not faults and text.strip() != _BEGINNING.strip():
        faults.append(f"{name}:1: holds no block ```yaml; write one for each entry")
    return found


def _blocks(text: str, name: str, faults: list[str]) -> list[tuple[str, int]]:
    """The blocks of a Markdown document, each with the line of the fence that opens it. What else might
    have been meant as one is added to the faults, so that no entry is left out unseen.
    """
    found: list[tuple[str, int]] = []
    lines = text.split("\n")
    heading = opened = 0
    fence = ""

    def is_read() -> bool:
        return opened > 0 and _OPENS.match(lines[opened - 1]) is not None

    def check_closed() -> None:
        if is_read():
            faults.append(
                f"{name}:{opened}: the block that opens here is not closed; write ``` on a line of its "
                "own below it"
            )

    def check_heading() -> None:
        if heading:
            faults.append(
                f"{name}:{heading}: has no block ```yaml below it; write one, or take the heading out"
            )

    for number, line in enumerate(lines, 1):
        if opened and line.rstrip(" \t\r") == fence:
            if is_read():
                found.append(("\n".join([*lines[opened : number - 1], ""]), opened))
            opened = 0
        elif _OPENS.match(line):
            check_closed()
            heading, opened, fence = 0, number, "```"
        elif opened:
            continue
        elif other := _FENCE.match(line):
            faults.append(
                f"{name}:{number}: opens no block that is read; an entry's opens with ```yaml at the "
                "start of a line"
            )
            heading, opened, fence = 0, number, other[0]
        elif line.startswith("## "):
            check_heading()
            heading = number
    check_closed()
    check_heading()
    return found


def _load(text: str, name: str, offset: int) -> tuple[object, yaml.Node | None]:
    """The value and the nodes of a document, or of a block below that many lines."""
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line if error.problem_mark else 0) + 1 + offset
        raise LibraryFault(f"{name}:{line}: is broken YAML: {error.problem}") from error


def _entry(value: object, name: str, line: int, faults: list[str]) -> Entry | None:
    """What a file says of one entry; None where it may not come in, and why is added to the faults."""
    try:
        entry = Entry.model_validate(_completed(value))
    except ValidationError as error:
        wrong = [_told(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
    else:
        wrong = _refused(entry)
        if not wrong:
            return entry
    faults += [f"{name}:{line}: entry: {one}" for one in wrong]
    return None


def _two_in_one(entries: Sequence[Entry | None], lines: Sequence[int], name: str) -> list[str]:
    """The entries that have the id of another one above and do not describe the same."""
    first: dict[str, tuple[str, int]] = {}
    faults: list[str] = []
    for entry, line in zip(entries, lines, strict=True):
        if entry is None:
            continue
        described = content_id("e", entry.scenario)
        other, above = first.setdefault(entry.id, (described, line))
        if other != described:
            faults.append(
                f"{name}:{line}: entry: id: {entry.id!r} is one id under two scenarios, the other is in "
                f"line {above}; give one of them another id, or take its id out"
            )
    return faults


def _refused(entry: Entry) -> list[str]:
    """Why an entry may not come in."""
    ids = {"id": entry.id}
    ids |= {f"strategies.{place}.id": one.id for place, one in enumerate(entry.strategies)}
    return [
        *(
            f"{where}: {id_[:80]!r} is no id; use 1 to 64 of the letters a to z, digits, and _ . -"
            for where, id_ in ids.items()
            if not _ID.fullmatch(id_)
        ),
        *([told] if (told := scenario_refused(entry.scenario)) else []),
        *(
            f"strategies.{place}.text: {told}"
            for place, one in enumerate(entry.strategies)
            if (told := strategy_refused(one.text))
        ),
    ]


def _told(where: str, what: str) -> str:
    return f"{where}: {what}" if where else what


def _completed(value: object) -> object:
    """An entry as a person may write it, with what the store keeps besides."""
    if not isinstance(value, dict) or not isinstance(value.get("scenario"), str):
        return value
    id_ = value.get("id") or content_id("e", value["scenario"])
    # A number is refused below, and may be too long to be written.
    own_id = id_ if isinstance(id_, str) else ""
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def strategy(found: object) -> object:
        found = {"text": found} if isinstance(found, str) else found
        if not isinstance(found, dict) or not isinstance(found.get("text"), str):
            return found
        made = {"id": content_id("s", f"{own_id}|{found['text']}"), "created_at": now,
                "provenance": {"source": "person"}}  # fmt: skip
        return made | _of_its_words(found, own_id)

    strategies = value.get("strategies", [])
    if isinstance(strategies, list):
        strategies = [strategy(found) for found in strategies]
    return value | {"id": id_, "strategies": strategies}


def _of_its_words(found: dict, entry: str) -> dict:
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
        # Of what is merged in (`<<`) the last stands.
        for key, value in reversed(node.value):
            if key.value == "entries" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
