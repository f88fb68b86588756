"""The actions of imported tau2-bench tasks, as tools that note what was done, and checks of it."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Action = tuple[str, Mapping[str, Any]]
_CHANGES_NOTHING = re.compile(r"^(get|search|list|find|check|calculate|think|transfer)(_|$)")
_TYPES = {str: "str", bool: "bool", int: "int", float: "float", list: "list", dict: "dict"}
_HEAD = '''"""What an agent of this imported domain can do.

Each tool only notes that it was called: the domain's database is not in the task data. Put your own
system behind them to look things up.
"""

from __future__ import annotations


def _note(state: dict, tool: str, arguments: dict) -> str:
    given = {name: value for name, value in arguments.items() if value is not None}
    done = state.setdefault("done", {}).setdefault(tool, {})
    key = str(next(iter(given.values()), len(done)))
    done[key if key not in done else f"{key}#{len(done)}"] = given
    return "done"
'''


def is_name(text: str) -> bool:
    """Whether a text may stand as a name in Python: the task data is not trusted to."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text)) and not keyword.iskeyword(text)


def changes(name: str) -> bool:
    """Whether an action changes something, by its name; the task data does not say."""
    return not _CHANGES_NOTHING.match(name)


def tools_text(actions: Iterable[Action]) -> str:
    """A tools file with one function for each kind of action that changes something.

    Arguments that some calls lack may be left out. Nothing of the data but names enters the text.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for name, arguments in actions:
        if changes(name) and is_name(name) and all(map(is_name, arguments)):
            kinds.setdefault(name, []).append(arguments)
    return "\n\n".join([_HEAD, *(_function(name, kinds[name]) for name in sorted(kinds))])


def state_checks(actions: Sequence[Action], told: str) -> tuple[list[dict[str, Any]], int]:
    """Rubric items that check what was noted against what a task expects.

    Args:
        actions: the task's, in order.
        told: all that the customer is told. An argument is checked only where its value stands
            there; others (flights, payment methods) come from the database.

    Returns:
        The items, and how many actions are not checked: those about something that the customer
        cannot name, and those that do the same to one thing twice.
    """
    wanted = [action for action in actions if changes(action[0])]
    if not wanted:
        return [{"id": "nothing_done", "kind": "state", "path": "done", "equals": None,
                 "note": "changes nothing"}], 0  # fmt: skip
    items: list[dict[str, Any]] = []
    unchecked = 0
    about = [(name, str(next(iter(arguments.values()), ""))) for name, arguments in wanted]
    for (name, key), (_, arguments) in zip(about, wanted, strict=True):
        several = about.count((name, key)) > 1
        if several or not _told(key, told) or "." in key or not is_name(name):
            unchecked += 1
            continue
        for argument, value in arguments.items():
            if isinstance(value, str | int | float) and _told(_text(value), told):
                items.append(
                    {"id": f"done_{len(items) + 1}", "kind": "state",
                     "path": f"done.{name}.{key}.{argument}", "equals": value,
                     "note": f"{name}: {argument}"}
                )  # fmt: skip
    return items, unchecked


def _function(name: str, calls: Sequence[Mapping[str, Any]]) -> str:
    arguments = dict.fromkeys(argument for call in calls for argument in call)
    optional = {a for a in arguments if any(a not in call for call in calls)}
    named = {a: a for a in arguments}
    # A tool's own first argument is `state`; what the data calls so is noted under its own name.
    if "state" in named:
        named["state"] = "state_"
        while named["state"] in arguments:
            named["state"] += "_"
    typed = [
        f"{named[a]}: {_type(a, calls)}" + (" | None = None" if a in optional else "")
        for a in arguments
    ]
    signature = ",\n    ".join(["state: dict", *(["*", *typed] if typed else [])])
    given = "".join(f'        "{a}": {named[a]},\n' for a in arguments)
    return (
        f'def {name}(\n    {signature},\n) -> str:\n    """{name.replace("_", " ").capitalize()}."""\n'
        f'    given = {{\n{given}    }}\n    return _note(state, "{name}", given)\n'
    )


def _type(argument: str, calls: Sequence[Mapping[str, Any]]) -> str:
    kinds = {_TYPES.get(type(call[argument]), "object") for call in calls if argument in call}
    return kinds.pop() if len(kinds) == 1 else "object"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _told(value: str, told: str) -> bool:
    bounded = rf"(?<!\w){re.escape(value)}(?!\w)"
    return len(value) > 0 and re.search(bounded, told, re.IGNORECASE) is not None
