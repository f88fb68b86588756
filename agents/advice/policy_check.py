"""The policy check: whether an agent that does as a strategy says would break a rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_core.messages import HumanMessage, SystemMessage
from tutelage.environments import Environment, Rule
from tutelage.strategy_store.wording import content_words, opposed

from ..voice import Voice

BREAKS_FROM = 0.62
"""Probability that a rule is broken, from which a strategy is refused."""
RULES_ASKED = 3
"""Rules at most that are nearest to a text in words: what a model is asked about, one by one."""


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
    rule or break it? Read by log-probabilities a 1.5B model tells most apart (AUC 0.91, see
    benchmarks/policy_check); asked instead which of two orders breaks it, it told none apart.

    Args:
        environment: the firm.
        voice: who reads; log-probabilities where its model gives them.
        text: the strategy.
    """
    if found := plain_breach(environment, text):
        return found
    worst: Breach | None = None
    for rule in nearest_rules(environment.policy.rules.values(), text):
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


def nearest_rules(rules: Iterable[Rule], text: str) -> list[Rule]:
    """The rules that share the most content words with a text, the nearest first."""
    words = set(content_words(text))
    shared = [(len(words & set(content_words(rule.text))), rule) for rule in rules]
    shared.sort(key=lambda pair: -pair[0])
    return [rule for count, rule in shared[:RULES_ASKED] if count]
