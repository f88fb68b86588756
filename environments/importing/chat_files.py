"""Reading a firm's chat logs: JSONL in OpenAI's format, or CSV with a line a row."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..faults import EnvironmentFault, Problem, fault
from ..loading import nearest
from ..scenario import SpokenTurn
from .masking import normal

MAX_LINE_BYTES = 1_000_000
MAX_CHATS = 100_000
MAX_TEXT = 2000
"""Characters of one line that are kept; real lines are shorter, and a pasted mail is cut."""
MAX_TURNS = 60
MOST_PROBLEMS = 10
_CUSTOMER = frozenset({"customer", "user", "client", "visitor", "guest", "caller", "human"})
_AGENT = frozenset({"agent", "assistant", "bot", "operator", "support", "staff", "advisor", "ai"})
_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What "surrogateescape" makes of bytes that are no UTF-8."""
_ASIDE = frozenset({"system", "developer", "tool", "function"})


@dataclass(frozen=True, slots=True)
class Columns:
    """How a CSV file names its columns, and by which name its customers speak ("" where by one of
    the usual: customer, user, client, visitor ...).
    """

    conversation: str = "conversation_id"
    speaker: str = "speaker"
    text: str = "text"
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat as it was, unmasked: never written anywhere. `line` is where it begins in the file."""

    line: int
    turns: tuple[SpokenTurn, ...]


@dataclass
class _Reading:
    """What was read so far: chats, what is broken, what was not read."""

    path: Path
    chats: list[Chat] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    document: Problem | None = None
    """Says that the file seems to be one JSON value, where it begins as one."""
    unread: list[Problem] = field(default_factory=list)

    def broken(self, line: int, message: str, **details: Any) -> None:
        self.problems.append(Problem(self.path, message, line, **details))

    def full(self, line: int) -> None:
        message = f"holds more than {MAX_CHATS:,} chats; what follows is not read"
        self.unread.append(Problem(self.path, message, line))


def read_chats(
    path: Path,
    columns: Columns,
    *,
    form: Literal["auto", "jsonl", "csv"] = "auto",
    skip_broken: bool = False,
) -> tuple[list[Chat], list[Problem]]:
    """Read all chats of a file.

    Consecutive lines of one speaker are joined, what the agent says before the customer's first line
    is left out, so that the two take turns and the customer begins.

    Args:
        path: the file.
        columns: for CSV: the names of its columns.
        form: what the file is; `auto` goes by its ending (.csv, .tsv, else JSONL).
        skip_broken: leave broken lines out instead of refusing the file.

    Returns:
        The chats in order, MAX_CHATS of them at most, and what was left out.

    Raises:
        EnvironmentFault: where the file cannot be read, a column is missing (exit code 2), nothing
            is left, or, without `skip_broken`, a line is broken. Names the line, never its content.
    """
    as_csv = path.suffix.casefold() in (".csv", ".tsv") if form == "auto" else form == "csv"
    reading = _Reading(path)
    try:
        if as_csv:
            # One byte that is no UTF-8 must cost its row alone, and only rows know their number.
            with path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                _read_csv(file, columns, reading)
        else:
            with path.open("rb") as file:
                _read_jsonl(file, reading)
    except OSError as error:
        message = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise EnvironmentFault([Problem(path, f"{message}: {error.strerror}")], 2) from error
    if reading.document and not (skip_broken and reading.chats):
        raise EnvironmentFault([reading.document])
    if reading.problems and not skip_broken:
        shown = reading.problems[:MOST_PROBLEMS]
        rest = len(reading.problems) - len(shown)
        hint = Problem(
            path,
            (f"{rest} more lines are broken; " if rest else "")
            + "nothing was imported; mend the lines, or leave them out with --skip-broken",
        )
        raise EnvironmentFault([*shown, hint])
    if not reading.chats:
        raise fault(path, "holds no chat with a customer's line", expected="at least one")
    return reading.chats, [*reading.unread, *reading.problems]


def _read_jsonl(file: IO[bytes], reading: _Reading) -> None:
    begun = False
    for number, raw in _lines(file):
        if raw is None:
            reading.broken(number, f"is longer than {MAX_LINE_BYTES:,} bytes")
            continue
        raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip():
            continue
        if not begun:
            begun, reading.document = True, _document(reading.path, number, raw.strip())
        if len(reading.chats) >= MAX_CHATS:
            reading.full(number)
            return
        try:
            value = json.loads(raw.decode())
        except UnicodeDecodeError:
            reading.broken(number, "is not UTF-8", expected="UTF-8 text")
            continue
        except json.JSONDecodeError as error:
            reading.broken(number, f"is broken JSON: {error.msg} at character {error.pos + 1}")
            continue
        except (ValueError, RecursionError):
            reading.broken(number, "is broken JSON: a number too long, or nested too deep")
            continue
        _take(number, _messages(number, value, reading), reading)


def _document(path: Path, number: int, first: bytes) -> Problem | None:
    """What a file is that begins with this line, where that is one JSON value and no JSONL."""
    if not first.startswith(b"[") and first != b"{":
        return None
    what, lines = ("a JSON array", ".[]") if first != b"{" else ("JSON over many lines", ".")
    expected = f"one chat a line (JSONL), as `jq -c '{lines}'` writes it"
    return Problem(path, f"begins {what}", number, expected=expected)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their number; None for one that is too long, of which nothing is kept."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) <= MAX_LINE_BYTES:
            yield number, raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES)
        yield number, None


def _messages(number: int, value: Any, reading: _Reading) -> list[tuple[str, str]] | None:
    """Speaker and text of each message, or None where the line is broken (which is then noted)."""
    messages = value.get("messages") if isinstance(value, Mapping) else None
    if not isinstance(messages, list):
        expected = '{"messages": [{"role": "user", "content": "..."}, ...]}'
        reading.broken(number, "holds no list of messages", field="messages", expected=expected)
        return None
    found: list[tuple[str, str]] = []
    for position, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        where = f"messages.{position}"
        if not isinstance(role, str):
            reading.broken(
                number, "names no role", field=f"{where}.role", expected="user, assistant"
            )
            return None
        if role in _ASIDE:
            continue
        speaker = _speaker(role, "")
        if speaker is None:
            known = ["user", "assistant", *sorted(_ASIDE)]
            reading.broken(
                number, "is no role of a chat", field=f"{where}.role",
                expected=", ".join(known), nearest=nearest(role, known),
            )  # fmt: skip
            return None
        text = _content(message.get("content"))
        if text is None:
            reading.broken(
                number,
                "is no text",
                field=f"{where}.content",
                expected="text, or parts of type text",
            )
            return None
        found.append((speaker, text))
    return found


def _content(content: Any) -> str | None:
    """The text of a message: a string, a list of parts, or nothing at all (a tool call)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts: list[str] = []
    for part in content:
        text = part.get("text", "") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return " ".join(texts)


def _read_csv(file: IO[str], columns: Columns, reading: _Reading) -> None:
    before = csv.field_size_limit(MAX_LINE_BYTES)
    try:
        _read_rows(file, *_header(file, reading.path), columns, reading)
    finally:
        csv.field_size_limit(before)


def _header(file: IO[str], path: Path) -> tuple[str, list[str]]:
    """The delimiter, and the columns' names."""
    head = file.readline(MAX_LINE_BYTES)
    expected = "a line with the columns' names, then a row for each spoken line"
    if not head:
        raise fault(path, "is empty", expected=expected)
    if len(head) == MAX_LINE_BYTES and not head.endswith("\n"):
        raise fault(path, f"is longer than {MAX_LINE_BYTES:,} characters", line=1)
    if _NO_UTF8.search(head):
        raise fault(path, "is not UTF-8", line=1, expected="UTF-8 text")
    delimiter = max(",;\t|", key=head.count)
    try:
        header = next(csv.reader([head], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise fault(path, f"is broken CSV: {error}", line=1) from error
    names = [name.strip() for name in header]
    if not any(names):
        raise fault(path, "names no columns", line=1, expected=expected)
    return delimiter, names


def _places(names: Sequence[str], columns: Columns, path: Path) -> list[int]:
    """Where the columns stand that hold the conversation, the speaker and the text."""
    wanted = {
        "--conversation-column": columns.conversation,
        "--speaker-column": columns.speaker,
        "--text-column": columns.text,
    }
    shown = ", ".join(cut(name, 40) for name in names[:20])
    missing = [
        Problem(
            path, f"has no column {name!r}", 1, "", f"{option} with one of {shown}",
            nearest(name, [name for name in names if len(name) <= 40]),
        )
        for option, name in wanted.items()
        if name not in names
    ]  # fmt: skip
    twice = [
        Problem(
            path, f"has {names.count(name)} columns {name!r}", 1,
            expected=f"one, or {option} with another",
        )
        for option, name in wanted.items()
        if names.count(name) > 1
    ]  # fmt: skip
    if missing or twice:
        raise EnvironmentFault([*missing, *twice], 2)
    return [names.index(name) for name in wanted.values()]


def _read_rows(
    file: IO[str], delimiter: str, names: Sequence[str], columns: Columns, reading: _Reading
) -> None:
    at = _places(names, columns, reading.path)
    rows: dict[str, list[tuple[str, str]]] = {}
    lines: dict[str, int] = {}
    unknown: dict[str, int] = {}
    reader = csv.reader(_bounded(file, reading), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 2
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            last = reader.line_num + 1
            upto = f" up to line {last}" if last > number else ""
            reading.broken(
                number, f"is broken CSV{upto}: {error}", expected="every quote closed, or doubled"
            )
            continue
        if not row:
            continue
        if len(row) <= max(at) or any(row[len(names) :]):
            expected = f"{len(names)}, and quotes around a text that holds {delimiter!r}"
            reading.broken(number, f"has {len(row)} columns", expected=expected)
            continue
        if any(map(_NO_UTF8.search, row)):
            reading.broken(number, "is not UTF-8", expected="UTF-8 text")
            continue
        chat, said_by, text = (row[position] for position in at)
        if not chat.strip():
            reading.broken(number, "names no conversation", field=columns.conversation)
            continue
        speaker = _speaker(said_by, columns.customer)
        if speaker is None:
            unknown.setdefault(said_by, number)
            continue
        if chat not in rows and len(rows) >= MAX_CHATS:
            reading.full(number)
            break
        rows.setdefault(chat, []).append((speaker, text))
        lines.setdefault(chat, number)
    for number in list(unknown.values())[:MOST_PROBLEMS]:
        reading.broken(
            number, "the speaker is neither a customer nor an agent by name", field=columns.speaker,
            expected="--customer NAME, as the file calls its customers; all others are then agents",
        )  # fmt: skip
    for chat, said in rows.items():
        _take(lines[chat], said, reading)


def _bounded(file: IO[str], reading: _Reading) -> Iterator[str]:
    """The rows' lines; one that is too long is noted and stands empty, so that numbers stay right."""
    number = 1
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith("\n"):
            reading.broken(number, f"is longer than {MAX_LINE_BYTES:,} characters")
            while line and not line.endswith("\n"):
                line = file.readline(MAX_LINE_BYTES)
            line = "\n"
        yield line


def _speaker(name: str, customer: str) -> Literal["customer", "student"] | None:
    plain = name.strip().casefold()
    if customer:
        return "customer" if plain == customer.strip().casefold() else "student"
    if plain in _CUSTOMER:
        return "customer"
    return "student" if plain in _AGENT else None


def _take(line: int, said: Sequence[tuple[str, str]] | None, reading: _Reading) -> None:
    """Add one chat: cleaned, the customer first, the two in turns; one without a customer is noted."""
    if said is None:
        return
    turns: list[tuple[str, str]] = []
    for speaker, text in said:
        plain = " ".join(
            "".join(c if c.isprintable() else " " for c in normal(text[: 2 * MAX_TEXT])).split()
        )
        if not plain or (not turns and speaker != "customer"):
            continue
        if turns and turns[-1][0] == speaker:
            turns[-1] = (speaker, cut(f"{turns[-1][1]} {plain}", MAX_TEXT))
        elif len(turns) < MAX_TURNS:
            turns.append((speaker, cut(plain, MAX_TEXT)))
    if not turns:
        reading.broken(line, "holds no customer's line")
        return
    reading.chats.append(
        Chat(line, tuple(SpokenTurn(speaker=s, text=t) for s, t in turns))  # type: ignore[arg-type]
    )


def cut(text: str, most: int) -> str:
    """At most so many characters of a text, ending with a whole word."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0] or text[:most]
