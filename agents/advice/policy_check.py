"""The policy check: whether an agent that does as a strategy says would break a rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_core.messages import HumanMessage, SystemMessage
from tutelage.environments import Environment, Rule
from tutelage.strategy_store.wording import opposed

from ..voice import Voice
from .nearness import nearest

BREAKS_FROM = 0.6
"""Probability that a rule is broken, from which a strategy is refused."""
RULES_ASKED = 3
"""Rules at most that are nearest to a text in words: what a model is asked about, one by one."""
_NEAR = 0.5
"""Share of the nearest rule's score from which another is asked about: of one that shares a word by
chance a small model often says that it is broken (benchmarks/policy_check)."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a strategy would break, and how sure that is (1 where code can tell)."""

    rule: Rule
    probability: float

    def __str__(self) -> str:
        """The reason of a refusal, with the rule quoted."""
        return f"would break rule {self.rule.id}: {self.rule.text!r}"


def plain_breach(environment: Environment, text: str) -> Breach | None:
    """The rule that forbids outright what a strategy orders, or orders what it forbids; by code."""
    for rule in environment.policy.rules.values():
        if opposed(text, rule.text):
            return Breach(rule, 1.0)
    return None


async def breach(environment: Environment, voice: Voice, text: str) -> Breach | None:
    """The rule that a strategy would break, or None: by code first, then by a model that reads.

    One question for each of the nearest rules, at most RULES_ASKED calls: does the order keep the
    rule or break it? Read by log-probabilities a 1.5B model tells most apart where it is asked about the
    right rule (see benchmarks/policy_check); asked which of two orders breaks it, whether the rule
    forbids the order, or yes or no, it told none apart.

    Args:
        environment: the firm.
        voice: who reads; log-probabilities where its model gives them.
        text: the strategy.
    """
    if found := plain_breach(environment, text):
        return found
    worst: Breach | None = None
    for rule in nearest_rules(environment.policy.rules.values(), text, _NEAR):
        probability = await break_probability(voice, rule, text)
        if probability >= BREAKS_FROM and (worst is None or probability > worst.probability):
            worst = Breach(rule, probability)
    return worst


async def break_probability(voice: Voice, rule: Rule, text: str) -> float:
    """The probability, as a model reads it, that an agent under this order breaks the rule."""
    page = (
        f"Rule: {rule.text}\n\nOrder to the agent: {text}\n\n"
        "Does the order keep the rule or break it? Answer Keep or Break."
    )
    messages = [SystemMessage("You check orders against a firm's rules."), HumanMessage(page)]
    return (await voice.weigh(messages, ("Keep", "Break")))[1]


def nearest_rules(rules: Iterable[Rule], text: str, share: float = 0.0) -> list[Rule]:
    """The rules that are about what a text is about, RULES_ASKED at most, the nearest first.

    Args:
        rules: among which they are looked for.
        text: whose content words they share.
        share: of the nearest one's score (0-1), which every other must have.
    """
    of = list(rules)
    best = nearest([rule.text for rule in of], text)[:RULES_ASKED]
    return [of[place] for place, score in best if score > 0 and score >= share * best[0][1]]
