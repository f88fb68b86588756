"""A firm's folder out of its own chats: masked scenarios, states to go on from, and personas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..environment import Environment
from ..faults import EnvironmentFault, Problem, fault
from ..firm_folder import write_firm
from ..rubric import StateCheck
from ..scenario import SpokenTurn
from .chat_files import Chat, Columns, cut, read_chats
from .masking import PLACEHOLDER, Masker, bare, lower_words, normal, words

_TAKEN_OUT = "## Data taken out"
_PLACEHOLDERS = (
    "Words in square brackets, such as [name 1] or [code 2], stand for data that was taken out of real "
    "chats: use them as if they were the data."
)
_POLICY = """# {title}: rules for the chat desk

## To be written
- R1: Answer from what the customer tells and what the screen shows; promise nothing beyond it.
- R2: Say what happens next, who does it and by when.
"""
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
    {"id": "not_too_long", "kind": "words", "at_most": 120},
    {"id": "no_stock_phrases", "kind": "excludes", "none_of": ["as an ai", "language model"]},
]
_LENGTHS = {
    "terse": "writes a few words at a time",
    "plain": "writes a sentence or two at a time",
    "wordy": "writes long messages that tell everything",
}
_MOODS = {
    "heated": "is upset and says so",
    "polite": "stays polite and says please and thank you",
    "matter_of_fact": "is matter of fact, neither warm nor rude",
}
_HEAT = re.compile(
    r"!|\b(?:ridiculous|unbelievable|terrible|awful|worst|angry|furious|joke|disgrace\w*|scam|useless|"
    r"unacceptable|lawyer|complain\w*|disappoint\w*|fed up|never again)\b",
    re.IGNORECASE,
)
_POLITE = re.compile(r"\b(?:please|thank\w*|kind|kindly|appreciate|sorry)\b", re.IGNORECASE)
_CLOSING = re.compile(
    r"^(?:ok\w*|fine|great|perfect|thanks?|thank you|cheers|good ?bye|bye|no,? that.?s all|that.?s all|"
    r"yes|no|sure|alright)\b.{0,40}$",
    re.IGNORECASE,
)
_WANT = re.compile(
    r"\?|\b(?:want|need|would like|please|can you|could you|how do i|refund|cancel|change)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import; `found` is how many chats the file holds."""

    folder: Path
    found: int
    chats: int
    scenarios: int
    states: int
    personas: int
    masked: dict[str, int]
    left_out: list[Problem]


@dataclass(frozen=True, slots=True)
class _Masked:
    """One chat, masked; `number` counts chats from 1."""

    number: int
    line: int
    turns: tuple[SpokenTurn, ...]
    style: str

    @property
    def customer(self) -> list[str]:
        return [turn.text for turn in self.turns if turn.speaker == "customer"]


def import_chats(
    path: Path,
    out: Path,
    *,
    title: str = "",
    firm: Environment | None = None,
    columns: Columns | None = None,
    form: Any = "auto",
    states: int = 1,
    limit: int = 200,
    keep: Sequence[str] = (),
    skip_broken: bool = False,
) -> Imported:
    """Make a firm's folder out of real chats.

    Each chat gives a scenario that begins as the chat did, and up to `states` more that begin later:
    with the chat so far as history, at a customer's line that the student is to answer. Chats in which
    the customer said the same count once. Personas are the ways in which the customers write.
    Everything is masked before it is written.

    Args:
        path: JSONL in OpenAI's format, or CSV.
        out: the folder to make.
        title: the firm's name as customers know it; it is not masked.
        firm: whose policy, handbook, rubric and agent to take; without it, a policy to be written.
        columns: how a CSV file names its columns.
        form: `jsonl`, `csv`, or `auto` by the file's ending.
        states: later states of each chat, 0 to 10: the last ones that the agent answered.
        limit: chats at most; of more, so many spread evenly over the file are taken.
        keep: words that are not to be masked: products, places of the firm.
        skip_broken: leave broken lines out instead of refusing the file.

    Raises:
        EnvironmentFault: where the title is too short (exit code 2), the file is broken or the folder
            is there already; nothing half-made stays behind.
    """
    if title and len(title.strip()) < 2:
        short = f"{title!r} is shorter than 2 characters"
        expected = "the firm's name as customers know it"
        raise EnvironmentFault([Problem(Path("--title"), short, expected=expected)], 2)
    if out.exists():
        raise fault(out, "is there already; nothing was changed", expected="a new folder")
    chats, left_out = read_chats(path, columns or Columns(), form=form, skip_broken=skip_broken)
    every = lower_words(turn.text for chat in chats for turn in chat.turns)
    taken = [chats[n * len(chats) // limit] for n in range(limit)] if len(chats) > limit else chats
    kept, of_policy = _known_words(title, firm, keep)
    every |= of_policy
    counts: Counter[str] = Counter()
    masked = _distinct(
        _masked(n, chat, every, kept, counts) for n, chat in enumerate(taken, start=1)
    )
    scenarios: dict[str, dict[str, Any]] = {}
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    later = 0
    for position, chat in enumerate(masked):
        made = [_scenario(chat, None), *_states(chat, states)]
        later += len(made) - 1
        for scenario in made:
            scenarios[scenario["id"]] = scenario
            splits[_split(position, len(masked))].append(scenario["id"])
    personas = _personas(masked)
    name = re.sub(r"[^a-z0-9_]+", "_", out.resolve().name.casefold()).strip("_") or "chats"
    write_firm(
        out,
        config=_config(name if name[0].isalpha() else f"firm_{name}", title, firm, splits),
        policy=_policy(title or name, firm),
        personas=personas,
        scenarios=scenarios,
        handbook=firm.path / "handbook" if firm else None,
    )
    return Imported(
        out, len(chats), len(masked), len(masked), later, len(personas), dict(counts), left_out
    )


def _known_words(
    title: str, firm: Environment | None, keep: Sequence[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Words that are never masked (the firm's and its products' names), and ordinary ones."""
    named = normal(" ".join([title, *keep]))
    kept = {*words(named), *named.split()}  # By spaces as well: S24 and X-200 are codes, no words.
    ordinary: set[str] = set()
    if firm is not None:
        told = words(f"{firm.config.title} {firm.config.sells} {firm.policy.text}")
        kept |= {word for word in told if word[0].isupper()}
        ordinary = {word for word in told if word[0].islower()}
    return frozenset(map(bare, kept)), frozenset(ordinary)


def _masked(
    number: int, chat: Chat, every: frozenset[str], kept: frozenset[str], counts: Counter[str]
) -> _Masked:
    masker = Masker(ordinary=every, kept=kept)
    texts = masker.mask([turn.text for turn in chat.turns])
    counts.update(masker.counts)
    turns = tuple(
        SpokenTurn(speaker=turn.speaker, text=cut(text, 4000))
        for turn, text in zip(chat.turns, texts, strict=True)
    )
    return _Masked(
        number, chat.line, turns, _style([t.text for t in turns if t.speaker == "customer"])
    )


def _distinct(chats: Iterable[_Masked]) -> list[_Masked]:
    """One chat of those in which the customer said the same; else two splits could share it."""
    return list({tuple(chat.customer): chat for chat in reversed(list(chats))}.values())[::-1]


def _style(lines: Sequence[str]) -> str:
    mean = sum(len(line.split()) for line in lines) / len(lines)
    length = "terse" if mean < 8 else "wordy" if mean > 28 else "plain"
    heat = sum(len(_HEAT.findall(line)) for line in lines)
    shouted = sum(len(w) > 3 and w.isupper() for line in lines for w in line.split())
    polite = sum(len(_POLITE.findall(line)) for line in lines)
    mood = "heated" if heat + shouted > max(1, polite) else "polite" if polite else "matter_of_fact"
    return f"{length}_{mood}"


def _scenario(chat: _Masked, begins: int | None) -> dict[str, Any]:
    """A scenario of a chat: from its beginning, or with `begins` lines of history."""
    told = [line for line in chat.customer if not _CLOSING.match(line)] or chat.customer
    situation = cut(" ".join(told), 700)
    opening = cut(chat.customer[0], 400)
    sentences = (part for line in told for part in re.split(r"(?<=[.?!])\s+", line))
    wanted = next((part for part in sentences if _WANT.search(part)), opening)
    facts = dict.fromkeys(m for line in told for m in PLACEHOLDER.findall(line))
    title = cut(opening, 60).strip()
    scenario: dict[str, Any] = {
        "id": f"chat_{chat.number:04d}",
        "title": title if len(title) >= 3 else f"Chat {chat.number}",
        "situation": f"In a real chat this customer told: {situation}",
        "goal": f"to have this settled: {cut(wanted, 200)}",
        "facts": {fact.strip("[]"): fact for fact in facts},
        "personas": [chat.style],
        "source": "chat",
        # Without the file's name, which may be the customer's.
        "origin": f"the chat that begins in line {chat.line} of the file, masked",
    }
    if begins is None:
        return {**scenario, "opening": opening}
    turn = sum(t.speaker == "customer" for t in chat.turns[:begins])
    return {
        **scenario,
        "id": f"{scenario['id']}_turn_{turn}",
        "title": f"{scenario['title']} (from turn {turn})",
        "history": [line.model_dump() for line in chat.turns[:begins]],
    }


def _states(chat: _Masked, most: int) -> list[dict[str, Any]]:
    """The last customer lines after the first that the agent answered and that are no goodbye."""
    found = [
        position + 1
        for position, turn in enumerate(chat.turns[:-1])
        if position and turn.speaker == "customer" and not _CLOSING.match(turn.text)
    ]
    return [_scenario(chat, begins) for begins in found[len(found) - min(most, len(found)) :]]


def _split(position: int, chats: int) -> str:
    """Seven in ten chats to train, the rest to validation and test; all to train where few."""
    if chats < 7:
        return "train"
    return {3: "validation", 6: "test", 9: "test"}.get(position % 10, "train")


def _personas(chats: Sequence[_Masked]) -> dict[str, dict[str, Any]]:
    personas: dict[str, dict[str, Any]] = {}
    for style in sorted({chat.style for chat in chats}):
        own = [chat for chat in chats if chat.style == style]
        length, _, mood = style.partition("_")
        samples = [
            line
            for chat in own
            for line in chat.customer
            if 4 <= len(line.split()) <= 30 and "[" not in line
        ]
        personas[style] = {
            "name": style,
            "description": f"A customer as in {len(own)} of {len(chats)} of the firm's chats, who "
            f"{_LENGTHS[length]} and {_MOODS[mood]}.",
            "goal": "to get the matter settled in this chat",
            "temperament": f"{_LENGTHS[length]}; {_MOODS[mood]}",
            "patience": min(20, max(3, round(median(len(chat.customer) for chat in own)) + 1)),
            "discloses": "at_once" if length == "wordy" else "when_asked",
            "stop": "the matter is settled, or refused for good",
            "lines": list(dict.fromkeys(samples))[:3],
        }
    return personas


def _config(
    name: str, title: str, firm: Environment | None, splits: dict[str, list[str]]
) -> dict[str, Any]:
    shared: dict[str, Any] = {"sells": "what its chats are about", "rubric": _RUBRIC}
    if firm is not None:
        # The tools do not come along, and without them nothing would change a state.
        items = [item for item in firm.config.rubric if not isinstance(item, StateCheck)]
        shared = {
            "sells": firm.config.sells,
            "language": firm.config.language,
            "agent": firm.config.agent,
            "today": firm.config.today,
            "rubric": [
                item.model_dump(exclude_defaults=True) | {"kind": item.kind} for item in items
            ]
            or _RUBRIC,
        }
    return {
        "name": name,
        "title": title or (firm.config.title if firm else f"Firm {name}"),
        **shared,
        "origin": "imported from the firm's chats, masked",
        "splits": {split: ids for split, ids in splits.items() if ids},
    }


def _policy(title: str, firm: Environment | None) -> str:
    text = firm.policy.text.rstrip() if firm else _POLICY.format(title=title).rstrip()
    return f"{text}\n" if _TAKEN_OUT in text else f"{text}\n\n{_TAKEN_OUT}\n- X1: {_PLACEHOLDERS}\n"
