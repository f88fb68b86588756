"""Plain YAML: what a person's file says, or the line that is wrong; no aliases, no key given twice."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # Nested aliases make billions of values out of a few lines.
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not taken here; write the value out",
                problem_mark=self.peek_event().start_mark,
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # What PyYAML lets through on `2026-13-45` or `!!int abc`.
            raise yaml.MarkedYAMLError(
                problem=f"{str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}; as a text it "
                "stands in quotes",
                problem_mark=node.start_mark,
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> tuple[object, yaml.Node | None]:
    """The value of a YAML document, and its nodes, which know their lines.

    Raises:
        yaml.MarkedYAMLError: where it is broken; `problem` says how, `problem_mark` where.
        yaml.YAMLError, RecursionError: where it is no text for YAML at all, or nested too deeply.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return (loader.construct_document(node) if node is not None else None), node
    finally:
        loader.dispose()
