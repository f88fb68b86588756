"""The teacher as an author of scenarios: writes one for a gap, and rules on one it has not written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, Field
from tutelage.environments import Environment, Persona, Rule, Scenario

from .student import desk_text
from .teacher import Teacher
from .templates import render

_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{3,}\b|\b\d{3,}\b")


class Fact(BaseModel):
    """One thing that somebody knows or a screen shows."""

    name: str = Field(min_length=1, max_length=60)
    value: str = Field(min_length=1, max_length=160)


class ScenarioDraft(BaseModel):
    """A scenario as the model writes it."""

    title: str = Field(min_length=3, max_length=80)
    what_happened: str = Field(min_length=20, max_length=500)
    wants: str = Field(min_length=5, max_length=200)
    customer_knows: list[Fact] = Field(default_factory=list, max_length=6)
    screen_shows: list[Fact] = Field(default_factory=list, max_length=6)
    first_words: str = Field(min_length=5, max_length=300)
    rules: list[str] = Field(min_length=1, max_length=5)
    good_agent: str = Field(min_length=10, max_length=400)


class Ruling(BaseModel):
    """Which rules decide a case, and what in it contradicts ("" where nothing does)."""

    rules: list[str] = Field(default_factory=list, max_length=8)
    contradiction: str = Field("", max_length=300)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new scenario is to be about; `examples` and `said` are what lies nearest on the map."""

    rules: Sequence[Rule]
    topic: str = ""
    persona: Persona | None = None
    examples: Sequence[Scenario] = ()
    said: Sequence[str] = ()


async def write_scenario(
    teacher: Teacher, wanted: Wanted, failures: Sequence[str], seed: int
) -> ScenarioDraft:
    """Have the teacher write a scenario.

    Args:
        teacher: who writes.
        wanted: the gap.
        failures: what was written for it before, and why it was refused.
        seed: for models that take one.

    Raises:
        ModelFault: where the model gives no valid draft in two tries.
    """
    page = render(
        "teacher_scenario",
        rules=wanted.rules,
        topic=wanted.topic,
        persona=wanted.persona,
        examples=[_as_example(one) for one in wanted.examples],
        said=wanted.said,
        failures=failures,
    )
    return await teacher.voice.ask(
        [SystemMessage(desk_text(teacher.environment, None)), HumanMessage(page)],
        ScenarioDraft,
        seed=seed,
        temperature=0.8,
        max_tokens=600,
    )


async def rule_on(teacher: Teacher, scenario: Scenario, seed: int) -> Ruling:
    """Have the teacher say which rules decide a scenario, without being told what its author meant.

    What was written for a rule and is not found to be decided by it is not about it (the round-trip
    check of generated questions, Alberti and others 2019).

    Raises:
        ModelFault: where the model gives no valid ruling in two tries.
    """
    page = render("teacher_ruling", scenario=scenario)
    return await teacher.voice.ask(
        [SystemMessage(desk_text(teacher.environment, scenario)), HumanMessage(page)],
        Ruling,
        seed=seed,
        temperature=0.2,
        max_tokens=160,
    )


def scenario_of(
    draft: ScenarioDraft, wanted: Wanted, environment: Environment, id_: str
) -> Scenario:
    """A draft as a scenario of the firm; rules that the policy does not have are left out."""
    return Scenario.model_validate(
        {
            "id": id_,
            "title": _plain(draft.title),
            "topic": wanted.topic,
            "situation": _plain(draft.what_happened),
            "goal": _plain(draft.wants),
            "facts": {_plain(fact.name): _plain(fact.value) for fact in draft.customer_knows},
            "opening": _plain(draft.first_words),
            "personas": [wanted.persona.name] if wanted.persona else [],
            "records": {_plain(fact.name): _plain(fact.value) for fact in draft.screen_shows},
            "rules": [r for r in dict.fromkeys(draft.rules) if r in environment.policy.rules],
            "expected": _plain(draft.good_agent),
            "source": "generated",
        }
    )


def impossible(scenario: Scenario, wanted: Wanted, policy: str) -> str:
    """Why a scenario cannot be played as written, as far as code can tell; "" where it can."""
    missing = [rule.id for rule in wanted.rules if rule.id not in scenario.rules]
    if len(missing) == len(wanted.rules):
        return f"it does not name the rule it was written for ({', '.join(missing)})"
    known = " ".join([*scenario.facts, *scenario.facts.values(), policy]).casefold()
    for code in _CODE.findall(f"{scenario.situation} {scenario.goal} {scenario.opening}"):
        if code.casefold() not in known:
            return f"the customer speaks of {code}, which is not among customer_knows"
    shown = " ".join([*scenario.records, *scenario.records.values()]).casefold()
    codes = [code for value in scenario.facts.values() for code in _CODE.findall(value)]
    if scenario.records and codes and not any(code.casefold() in shown for code in codes):
        return "nothing that the customer knows leads to what the screen shows"
    return ""


def _as_example(scenario: Scenario) -> str:
    return json.dumps(
        {
            "title": scenario.title,
            "what_happened": scenario.situation,
            "wants": scenario.goal,
            "customer_knows": [{"name": k, "value": v} for k, v in scenario.facts.items()],
            "screen_shows": [{"name": k, "value": v} for k, v in scenario.records.items()],
            "first_words": scenario.opening,
            "rules": scenario.rules,
            "good_agent": scenario.expected,
        },
        ensure_ascii=False,
    )


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
