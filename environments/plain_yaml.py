"""Plain YAML: what a person's file says, or the line that is wrong; no aliases, no key given twice."""

from __future__ import annotations

from typing import Any

import yaml

from .faults import shown
from .surrogates import joined

_INTEGER = "tag:yaml.org,2002:int"
_MOST_BITS = 64
_LONGEST_INTEGER = 100
"""Letters, which is more than 64 bits need in any base; YAML's base 60 takes minutes for a million."""


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # Nested aliases make billions of values out of a few lines.
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not taken here; write the value out",
                problem_mark=self.peek_event().start_mark,
            )
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        try:
            node.value = joined(node.value, "strict")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode("utf-16-le")[-40:]
            raise yaml.MarkedYAMLError(
                problem=f"half a character follows {before!r}; write it whole, or take it out",
                problem_mark=node.start_mark,
            ) from error
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            too_long = node.tag == _INTEGER and len(node.value) > _LONGEST_INTEGER
            value = None if too_long else super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # What PyYAML lets through on `2026-13-45` or `!!int abc`.
            raise yaml.MarkedYAMLError(
                problem=f"{shown(str(node.value))} is no {node.tag.rpartition(':')[2]}; as a text it "
                "stands in quotes",
                problem_mark=node.start_mark,
            ) from error
        if too_long or (isinstance(value, int) and value.bit_length() > _MOST_BITS):
            raise yaml.MarkedYAMLError(
                problem=f"{shown(str(node.value))} is a number of more than {_MOST_BITS} bits; as a "
                "text it stands in quotes",
                problem_mark=node.start_mark,
            )
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{shown(key.value)} stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> tuple[object, yaml.Node | None]:
    """The value of a YAML document, and its nodes, which know their lines.

    Raises:
        yaml.MarkedYAMLError: where it is broken; `problem` says how, and `problem_mark` where, if that
            can be told.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        letter, line = text[error.position], text.count("\n", 0, error.position)
        raise yaml.MarkedYAMLError(
            problem=f"holds {letter!a} (U+{ord(letter):04X}), which no YAML takes",
            problem_mark=yaml.Mark("", error.position, line, 0, None, 0),
        ) from error
    try:
        node = loader.get_single_node()
        return (loader.construct_document(node) if node is not None else None), node
    except RecursionError as error:
        raise yaml.MarkedYAMLError(problem="is nested too deeply") from error
    finally:
        loader.dispose()
