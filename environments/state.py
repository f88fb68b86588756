"""The small state that a firm's tools change: how it begins, and what stands in it at the end."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator


def as_json(value: Any) -> Any:
    """A value of a YAML file as JSON holds it: dates and keys as text.

    Raises:
        ValueError: where it holds what JSON cannot (a binary, a NaN).
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_as_text))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"holds what JSON cannot: {error}") from error


def _as_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__}")


Json = Annotated[Any, BeforeValidator(as_json)]


def merged(state: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A new state: `state` with a JSON merge patch laid over it (RFC 7396).

    Mappings are merged key by key, None removes a key, and anything else replaces what was there.
    """
    result = copy.deepcopy(dict(state))
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def at_path(state: Any, path: str) -> Any:
    """The value at a dotted path ("orders.A1.items.0.price"); None where the path leads nowhere."""
    for step in path.split("."):
        if isinstance(state, Mapping) and step in state:
            state = state[step]
        elif isinstance(state, list) and step.isdecimal() and int(step) < len(state):
            state = state[int(step)]
        else:
            return None
    return state


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right
