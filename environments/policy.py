"""The policy: the firm's rules for its agents, with an id for each rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_RULE = re.compile(
    r"^\s*(?:[-*]|\d+\.)\s+(?:\*{0,2}(?P<id>[A-Z]{1,3}\d+)\*{0,2}[.:)]\s*)?(?P<text>.+)$"
)
_HEADING = re.compile(r"^(#{1,6})\s+(?P<text>.+?)\s*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the policy; `line` counts from 1 in policy.md."""

    id: str
    section: str
    text: str
    line: int


@dataclass(frozen=True)
class Policy:
    """The policy as written. `text` is what the agent reads, word for word."""

    text: str

    @cached_property
    def rules(self) -> dict[str, Rule]:
        """The list items of the policy by id, in order.

        An item that starts with an id of its own (`- R12: ...`) keeps it; any other is called
        after its place, `S3.2` being the second item under the third heading.
        """
        rules: dict[str, Rule] = {}
        section, sections, count = "", 0, 0
        for number, line in enumerate(self.text.splitlines(), start=1):
            if heading := _HEADING.match(line):
                section, sections, count = heading["text"], sections + 1, 0
            elif item := _RULE.match(line):
                count += 1
                id_ = item["id"] or f"S{sections}.{count}"
                rules.setdefault(id_, Rule(id_, section, item["text"].strip(), number))
        return rules

    @cached_property
    def any_id(self) -> str:
        """A regular expression of the rules' ids, which matches nothing where there are none."""
        return rf"\b(?:{'|'.join(map(re.escape, self.rules)) or '(?!)'})\b"

    def named_in(self, text: str) -> str:
        """The first rule that a text names by its id; "" where it names none."""
        found = re.search(self.any_id, text)
        return found[0] if found else ""

    def duplicates(self) -> list[tuple[str, int]]:
        """Ids that a policy gives to a second rule, each with the line where it does."""
        seen: set[str] = set()
        twice: list[tuple[str, int]] = []
        for number, line in enumerate(self.text.splitlines(), start=1):
            if (item := _RULE.match(line)) and (id_ := item["id"]):
                if id_ in seen:
                    twice.append((id_, number))
                seen.add(id_)
        return twice
