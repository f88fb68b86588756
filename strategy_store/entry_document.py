"""One entry as a document for a text editor: what a person may change of it, and back."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tutelage.environments.plain_yaml import read_yaml

from .entry import Entry
from .history import LibraryFault
from .vetting import MAX_WORDS

_HEAD = f"""\
# One entry of the library. Change the words; ids stay as they are.
# A strategy is one line of at most {MAX_WORDS} words; one that you change is proposed again.
# It is given where what a customer writes is like the scenario or the cues, and not where that is at
# least as like a line under unless, or less like (0 to 1) than the threshold. What is
# general is given always.
"""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    text: str


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")
    scenario: str
    wants: str = ""
    feels: str = ""
    rules: list[str] = []
    cues: list[str] = []
    unless: list[str] = []
    threshold: float | None = Field(default=None, ge=0, le=1)
    general: bool = False
    strategies: list[_Line] = []


def entry_document(entry: Entry) -> str:
    """The entry's words as YAML, under a head that says what may be done."""
    plain = entry.model_dump(include=set(_Document.model_fields) - {"strategies"})
    plain["strategies"] = [{"id": s.id, "text": s.text} for s in entry.strategies]
    body = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return _HEAD + body


def read_entry_document(text: str, entry: Entry) -> tuple[dict[str, Any], dict[str, str]]:
    """What a person changed in an entry's document.

    Args:
        text: the document as it came back from the editor.
        entry: the entry it was made of.

    Returns:
        The changed fields with their new values, and the changed texts by strategy id.

    Raises:
        LibraryFault: where it cannot be read; names the line or the field.
    """
    try:
        found = _Document.model_validate(read_yaml(text)[0])
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LibraryFault(f"line {line}: is broken YAML: {error.problem}") from error
    except ValidationError as error:
        found_wrong = [
            f"{'.'.join(map(str, e['loc'])) or 'the document'}: {e['msg']}" for e in error.errors()
        ]
        raise LibraryFault("; ".join(found_wrong[:3])) from error
    ids = [line.id for line in found.strategies]
    if sorted(ids) != sorted(s.id for s in entry.strategies):
        raise LibraryFault(
            "strategies: the ids must stay as they are; reject a strategy to be rid of it"
        )
    texts = {line.id: " ".join(line.text.split()) for line in found.strategies}
    old = {s.id: " ".join(s.text.split()) for s in entry.strategies}
    fields = {
        name: value
        for name, value in found.model_dump(exclude={"strategies"}).items()
        if value != getattr(entry, name)
    }
    return fields, {id_: new for id_, new in texts.items() if new != old[id_]}
