"""Importing a tau2-bench domain: policy, tasks and published splits become a firm's folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from ..faults import EnvironmentFault, Problem, fault
from ..firm_folder import write_firm
from ..loading import read_text
from .tau2_tools import Action, changes, state_checks, tools_text

MAX_TASKS = 5000
MAX_JSON_BYTES = 50_000_000
"""More than a firm's own file may hold: a domain's tasks all stand in one."""
_NEUTRAL = {
    "description": "A customer as the imported task describes them; the scenario says the rest.",
    "goal": "to get done what the scenario says",
    "temperament": "plain, neither warm nor cold, one thing at a time",
    "patience": 8,
    "discloses": "when_asked",
    "stop": "the request is settled, or refused for good",
}
_RUBRIC: list[dict[str, Any]] = [
    {
        "id": "keeps_policy",
        "kind": "question",
        "question": "Does the agent keep to the policy in everything it says and promises?",
    },
    {
        "id": "clear_outcome",
        "kind": "question",
        "question": "Does the customer know at the end what was done or why it was not?",
    },
    {"id": "not_too_long", "kind": "words", "at_most": 150},
    {"id": "no_empty_phrases", "kind": "excludes", "none_of": ["as an ai", "language model"]},
]


def import_tau2(
    folder: Path, out: Path | None = None, *, tools: bool = False
) -> tuple[Path, list[str]]:
    """Turn a tau2-bench domain folder into a firm's folder.

    Assertions become rubric questions, facts to communicate become checks by code, the published
    train and test splits are kept. The domain's database is no part of the data: nothing can be
    looked up. With `tools` the actions that the tasks expect become tools that note what was done,
    and what each task expects of them becomes checks of the state.

    Args:
        folder: holds tasks.json, a policy (policy.md or main_policy.md) and, if published,
            split_tasks.json.
        out: the folder to make; ./NAME of the source where not given.
        tools: whether the agent is to act; needs a student that can call tools.

    Returns:
        The firm's folder, which loads without fault, and notes on what was left out.

    Raises:
        EnvironmentFault: where a file is missing or broken; names file, task and field. Nothing
            half-made stays behind.
    """
    tasks = _read_tasks(folder / "tasks.json")
    policy_path = next(
        (folder / n for n in ("policy.md", "main_policy.md") if (folder / n).is_file()),
        folder / "policy.md",
    )
    policy = read_text(policy_path)
    notes = [] if tools else ["tools are not imported: the agent speaks, it does not act"]
    name = re.sub(r"[^a-z0-9_]+", "_", folder.resolve().name.casefold()).strip("_") or "imported"
    if not name[0].isalpha():
        name = f"firm_{name}"
    target = out or Path(name)
    if target.exists():
        raise fault(target, "is there already; nothing was changed", expected="a new folder")

    personas: dict[str, dict[str, Any]] = {}
    scenarios: dict[str, dict[str, Any]] = {}
    by_task: dict[str, str] = {}
    every: list[Action] = []
    unchecked = 0
    for index, task in enumerate(tasks):
        where = _Where(folder / "tasks.json", index)
        given = where.text(task.get("id"), "id") or str(index)
        if given in by_task:
            raise where.fault("id", f"{given!r} stands twice")
        scenario = {"id": _scenario_id(given, scenarios), **_scenario(task, given, where)}
        if tools:
            actions = _actions(task, where)
            checks, missing = state_checks(actions, json.dumps(task.get("user_scenario")))
            every += actions
            unchecked += missing
            scenario["rubric"] = [*scenario.get("rubric", []), *checks]
        persona = _persona(task, where, personas)
        scenario["personas"] = [persona]
        scenarios[scenario["id"]] = scenario
        by_task[given] = scenario["id"]
    splits, split_notes = _splits(folder / "split_tasks.json", by_task)
    notes += split_notes
    if tools:
        if not any(changes(action) for action, _ in every):
            raise fault(
                folder / "tasks.json", "names no action that changes anything",
                expected="tasks with evaluation_criteria.actions, or no --tools",
            )  # fmt: skip
        wanted = sum(changes(action) for action, _ in every)
        notes.append(
            f"the domain's database is not in the data: tools note what is done and look nothing up; "
            f"{wanted - unchecked} of {wanted} expected changes are checked by code, the others name "
            "what only the database knows and are left to the judge"
        )
    title = name.replace("_", " ").title()
    config: dict[str, Any] = {
        "name": name,
        "title": title,
        "sells": f"what its policy describes (tau2-bench domain {folder.resolve().name})",
        "origin": "imported from tau2-bench, without its database"
        + ("" if tools else " and tools"),
        **({"tools": "tools.py"} if tools else {}),
        "rubric": _RUBRIC,
        "splits": splits,
    }
    write_firm(
        target,
        config=config,
        policy=policy,
        personas=personas,
        scenarios=scenarios,
        tools=tools_text(every) if tools else "",
    )
    return target, notes


class _Where:
    """A task in its file, for errors."""

    def __init__(self, path: Path, index: int):
        self.path, self.index = path, index

    def fault(self, field: str, message: str, expected: str = "") -> EnvironmentFault:
        problem = Problem(self.path, message, None, f"[{self.index}].{field}", expected)
        return EnvironmentFault([problem])

    def text(self, value: Any, field: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str | int | float):
            raise self.fault(field, f"is a {type(value).__name__}", "text")
        return str(value).strip()

    def mapping(self, value: Any, field: str) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.fault(field, f"is a {type(value).__name__}", "an object")
        return value

    def list_(self, value: Any, field: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(field, f"is a {type(value).__name__}", "a list")
        return value


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path, MAX_JSON_BYTES))
    except json.JSONDecodeError as error:
        raise fault(path, f"is broken JSON: {error.msg}", line=error.lineno) from error
    except RecursionError as error:
        raise fault(path, "is nested too deeply") from error
    except ValueError as error:
        # A number of thousands of digits.
        raise fault(path, f"cannot be read: {error}") from error


def _read_tasks(path: Path) -> list[Mapping[str, Any]]:
    tasks = _read_json(path)
    if not isinstance(tasks, list) or not tasks:
        raise fault(path, "holds no tasks", expected="a list of tasks")
    if len(tasks) > MAX_TASKS:
        raise fault(path, f"holds {len(tasks)} tasks, more than {MAX_TASKS}")
    return [_Where(path, index).mapping(task, "") for index, task in enumerate(tasks)]


def _scenario_id(given: str, taken: Container[str]) -> str:
    """A scenario's id out of a task's; with its hash where that loses what tells it from others."""
    slug = re.sub(r"[^a-z0-9_]+", "_", given.casefold()).strip("_")
    if slug and len(slug) <= 60 and f"task_{slug}" not in taken:
        return f"task_{slug}"
    # Not for secrecy: ids stay the same from import to import.
    digest = hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"task_{slug[:60]}_{digest}" if slug else f"task_{digest}"


def _scenario(task: Mapping[str, Any], given: str, where: _Where) -> dict[str, Any]:
    user = where.mapping(task.get("user_scenario"), "user_scenario")
    told = user.get("instructions")
    if isinstance(told, str):
        told = {"reason_for_call": told}
    told = where.mapping(told, "user_scenario.instructions")
    prefix = "user_scenario.instructions."
    reason = where.text(told.get("reason_for_call"), prefix + "reason_for_call")
    known = where.text(told.get("known_info"), prefix + "known_info")
    behaviour = where.text(told.get("task_instructions"), prefix + "task_instructions")
    description = task.get("description")
    description = {"purpose": description} if isinstance(description, str) else description
    purpose = where.text(where.mapping(description, "description").get("purpose"), "purpose")
    criteria = where.mapping(task.get("evaluation_criteria"), "evaluation_criteria")
    raw = [
        where.text(a, f"evaluation_criteria.nl_assertions[{n}]")
        for n, a in enumerate(where.list_(criteria.get("nl_assertions"), "nl_assertions"))
    ]
    assertions = [text for text in raw if text]
    facts = [
        where.text(fact, f"evaluation_criteria.communicate_info[{n}]")
        for n, fact in enumerate(where.list_(criteria.get("communicate_info"), "communicate_info"))
    ]
    rubric: list[dict[str, Any]] = [
        {
            "id": f"assertion_{n}",
            "kind": "question",
            "question": f"Is this true of the chat: {text}",
        }
        for n, text in enumerate(assertions, start=1)
    ]
    rubric += [
        {
            "id": f"communicates_{n}",
            "kind": "regex",
            "scope": "dialogue",
            "pattern": _spoken(fact),
            "note": f"tells the customer: {fact}",
        }
        for n, fact in enumerate((f for f in facts if f), start=1)
    ]
    situation = " ".join([reason, known]).strip() or behaviour or purpose
    if len(situation) < 10:
        raise where.fault(prefix + "reason_for_call", "says too little", "why the customer calls")
    actions = [name for name, _ in _actions(task, where)]
    done = f" Actions a good agent takes: {', '.join(actions)}." if actions else ""
    scenario = {
        "title": (purpose or reason or given)[:70],
        "situation": situation,
        "goal": reason if len(reason) >= 5 else "what the instructions say",
        "unknown": where.text(told.get("unknown_info"), prefix + "unknown_info"),
        "behaviour": behaviour,
        "expected": " ".join([purpose, *assertions]).strip() + done,
        "rubric": rubric,
    }
    return {key: value for key, value in scenario.items() if value not in ("", [])}


def _actions(task: Mapping[str, Any], where: _Where) -> list[Action]:
    """What a task expects an agent to do, in order."""
    criteria = where.mapping(task.get("evaluation_criteria"), "evaluation_criteria")
    field = "evaluation_criteria.actions"
    return [
        (
            where.text(where.mapping(action, field).get("name"), f"{field}.name"),
            where.mapping(action.get("arguments"), f"{field}.arguments"),
        )
        for action in where.list_(criteria.get("actions"), field)
    ]


def _persona(task: Mapping[str, Any], where: _Where, personas: dict[str, dict[str, Any]]) -> str:
    """The name of the task's persona, added to `personas` where it is new; one a distinct text."""
    user = where.mapping(task.get("user_scenario"), "user_scenario")
    text = where.text(user.get("persona"), "user_scenario.persona")
    for name, persona in personas.items():
        if persona["description"] == (text or _NEUTRAL["description"]):
            return name
    name = "customer" if not text else f"customer_{len(personas) + 1}"
    described = {"name": name, **_NEUTRAL}
    if text:
        described["description"] = text if len(text) >= 20 else f"The customer: {text}. As given."
    personas[name] = described
    return name


def _splits(path: Path, by_task: Mapping[str, str]) -> tuple[dict[str, list[str]], list[str]]:
    """The published train and test splits; a task in neither joins train, and that is said."""
    notes: list[str] = []
    published: Mapping[str, Any] = {}
    if path.is_file():
        published = _Where(path, 0).mapping(_read_json(path), "")
    else:
        notes.append("no split was published: every task is in train")
    splits: dict[str, list[str]] = {"train": [], "test": []}
    placed: set[str] = set()
    for split in splits:
        for task in _Where(path, 0).list_(published.get(split), split):
            id_ = by_task.get(str(task).strip())
            if id_ is None:
                raise fault(
                    path, f"{task!r} is no task", field=split, expected="an id of tasks.json"
                )
            if id_ in placed:
                raise fault(path, f"{task!r} is in two splits", field=split)
            splits[split].append(id_)
            placed.add(id_)
    rest = [id_ for id_ in by_task.values() if id_ not in placed]
    if rest and published:
        notes.append(f"{len(rest)} tasks are in no published split; they join train")
    splits["train"] += rest
    other = sorted(set(published) - set(splits))
    if other:
        notes.append(f"splits left aside: {', '.join(map(str, other))}")
    return {name: ids for name, ids in splits.items() if ids}, notes


def _spoken(fact: str) -> str:
    """A pattern that finds a fact however it is written: 1628 also as 1,628."""
    if re.fullmatch(r"\d{4,}", fact):
        groups = [fact[: len(fact) % 3 or 3]]
        groups += [fact[i : i + 3] for i in range(len(groups[0]), len(fact), 3)]
        return rf"(?<!\d){'[,. ]?'.join(groups)}(?!\d)"
    bounded = re.escape(fact)
    return rf"(?<!\w){bounded}(?!\w)"
