"""Examples drawn from a run's log: to fine-tune a model on, and to evaluate an app with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import convert_to_openai_messages
from tutelage.agents.student import desk_text
from tutelage.agents.transcript import Turn, as_messages
from tutelage.environments import Environment

from .events import StateExamined, StrategyDecided, StrategyTried
from .run_log import Log
from .states import Played, played, states_of

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which replies are good enough to learn from."""

    csat: float = 4.0
    """Satisfaction (1-5) from which a whole dialogue is taken."""
    turn: float = 4.0
    """The judge's 1-5 from which a reply within it is learned from; others are context only."""
    preference: float = 0.6
    """Probability (0-1) from which an accepted reply counts as better than the one before it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reply of the student with a strategy that was kept, and the state it answers."""

    dialogue: str
    turn: int
    turns: tuple[Turn, ...]
    reply: Turn
    preference: float


async def accepted_replies(log: Log, choice: Choice) -> list[Accepted]:
    """The best reply to each state among the acceptance trials of the strategies that were kept.

    Trials of the choosing phase are left out: the best of several tries is too good. So are those
    in which a check by code fell.
    """
    dialogues = await played(log)
    verdicts: dict[str, str] = {}
    tried: list[StrategyTried] = []
    for logged in await log.read(kinds=("strategy_decided", "strategy_tried")):
        match logged.event:
            case StrategyDecided() as event:
                verdicts[event.proposal] = event.verdict
            case StrategyTried() as event if event.phase == "accept":
                tried.append(event)
    best: dict[tuple[str, int, str], Accepted] = {}
    for event in tried:
        one = dialogues.get(event.dialogue)
        fell = (event.checks_after or 0.0) < (event.checks_before or 0.0)
        if verdicts.get(event.proposal) != "kept" or one is None or fell:
            continue
        if event.preference < choice.preference or not event.customer_says:
            continue
        asked = Turn(speaker="customer", text=event.customer_says)
        earlier = one.turns[: 2 * event.turn]
        key = (event.dialogue, event.turn, event.customer_says)
        if key not in best or event.preference > best[key].preference:
            reply = Turn(speaker="student", text=event.after, tools=event.tools_after)
            best[key] = Accepted(
                event.dialogue, event.turn, (*earlier, asked), reply, event.preference
            )
    return list(best.values())


async def finetuning_records(
    log: Log, environment: Environment, choice: Choice, tools: Sequence[Record] = ()
) -> tuple[list[Record], dict[str, int]]:
    """Training examples in OpenAI's chat format, from training dialogues only.

    Two kinds: accepted replies, each with the dialogue before it as context; and whole dialogues
    that the customer liked and in which every check by code passed. A message with `weight` 0 is
    context. Strategies are in no prompt: what they brought about is to go into the weights.

    Args:
        log: the run's.
        environment: the firm, whose policy and desk screen make the system message.
        choice: what is good enough.
        tools: the firm's tools in OpenAI's format, named in every example.

    Returns:
        The examples without duplicates, and how many came from where.
    """
    dialogues = await played(log)
    extra: Record = {"tools": list(tools), "parallel_tool_calls": False} if tools else {}
    records: list[Record] = []
    counts: dict[str, int] = {}
    seen: set[str] = set()

    def add(kind: str, scenario: str, turns: Sequence[Turn], weights: Sequence[bool]) -> None:
        record = {"messages": _weighted(environment, scenario, turns, weights), **extra}
        key = json.dumps(record, sort_keys=True)
        if key not in seen:
            seen.add(key)
            records.append(record)
            counts[kind] = counts.get(kind, 0) + 1

    for accepted in await accepted_replies(log, choice):
        scenario = dialogues[accepted.dialogue].started.scenario
        if scenario not in environment.scenarios:
            continue
        before = [turn.speaker == "student" for turn in accepted.turns]
        add("accepted replies", scenario, (*accepted.turns, accepted.reply),
            [*[False] * sum(before), True])  # fmt: skip
    for one in dialogues.values():
        weights = _worth(one, choice)
        if one.started.scenario in environment.scenarios and any(weights):
            end = max(n for n, turn in enumerate(one.turns) if turn.speaker == "student") + 1
            add("good dialogues", one.started.scenario, one.turns[:end], weights)
    return records, counts


async def reply_records(log: Log, environment: Environment, choice: Choice) -> list[Record]:
    """One LangSmith example for each state in which the student spoke.

    `inputs` hold the messages up to the customer's line, the system text, scenario and persona;
    `outputs`, where a good reply is known, the best one: accepted, else the teacher's that was
    preferred, else the student's own. The split is the firm's.
    """
    better: dict[tuple[str, int], tuple[Turn, str]] = {}
    for logged in await log.read(kinds=("state_examined",)):
        event = logged.event
        if isinstance(event, StateExamined) and event.weak:
            turn = Turn(speaker="student", text=event.teacher_reply)
            better[event.dialogue, event.turn] = (turn, "teacher")
    dialogues = await played(log)
    for accepted in await accepted_replies(log, choice):
        if accepted.turns[-1].text == dialogues[accepted.dialogue].turns[2 * accepted.turn].text:
            better[accepted.dialogue, accepted.turn] = (accepted.reply, "accepted")
    records: list[Record] = []
    for one in dialogues.values():
        if one.started.scenario not in environment.scenarios:
            continue
        for state in states_of(one, environment):
            spoken = one.turns[len(state.turns)]
            own = (spoken, "student") if state.score >= choice.turn else None
            best = better.get((state.dialogue, state.turn)) or own
            record = _example(environment, one, {"turn": state.turn, "score": state.score})
            record["inputs"] |= {
                "system": desk_text(environment, environment.scenarios[state.scenario]),
                "messages": _openai(state.turns),
            }
            if best:
                record["outputs"] = {"messages": _openai([best[0]])}
                record["metadata"]["reference"] = best[1]
            records.append(record)
    return records


async def dialogue_records(log: Log, environment: Environment) -> list[Record]:
    """One LangSmith example for each valid dialogue: who came with what, and how it went."""
    records: list[Record] = []
    for one in (await played(log)).values():
        if not one.valid or one.judged is None or one.started.scenario not in environment.scenarios:
            continue
        judged = one.judged.model_dump(include={"satisfaction", "rubric", "checks", "questions"})
        record = _example(environment, one, judged)
        record["inputs"]["seed"] = one.started.seed
        record["outputs"] = {"messages": _openai(one.turns)}
        records.append(record)
    return records


def as_jsonl(records: Iterable[Record]) -> str:
    """One JSON document a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _worth(one: Played, choice: Choice) -> list[bool]:
    """Which replies of a dialogue are learned from; none of one that is not good as a whole."""
    judged = one.judged
    replies = [event for event in one.spoken if event.speaker == "student"]
    if not one.valid or judged is None or one.started.purpose != "train":
        return [False] * len(replies)
    if judged.satisfaction < choice.csat or any(v < 1 for v in judged.checks.values()):
        return [False] * len(replies)
    # What was spoken before has no score of its own: another agent's words.
    scores = iter(judged.turn_scores)
    return [not event.replayed and next(scores, 0.0) >= choice.turn for event in replies]


def _weighted(
    environment: Environment, scenario: str, turns: Sequence[Turn], weights: Sequence[bool]
) -> list[Record]:
    """The messages of an example; everything the student does in one turn has the turn's weight."""
    system = desk_text(environment, environment.scenarios[scenario])
    messages: list[Record] = [{"role": "system", "content": system}]
    left = iter(weights)
    for turn in turns:
        spoken = _openai([turn])
        if turn.speaker == "student":
            weight = int(next(left))
            spoken = [m | {"weight": weight} if m["role"] == "assistant" else m for m in spoken]
        messages += spoken
    return messages


def _example(environment: Environment, one: Played, metadata: Record) -> Record:
    started = one.started
    return {
        "inputs": {"scenario": started.scenario, "persona": started.persona},
        "metadata": {
            "environment": environment.name, "dialogue": started.dialogue, "arm": started.arm,
            "round": started.round, **metadata,
        },
        "split": started.purpose,
    }  # fmt: skip


def _openai(turns: Sequence[Turn]) -> list[Record]:
    return convert_to_openai_messages(as_messages(turns))  # type: ignore[return-value]
