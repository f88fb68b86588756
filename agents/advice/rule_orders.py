"""Rule orders: what a rule of the policy gives, as orders to say it to a customer it applies to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutelage.environments import Policy, Rule, Scenario
from tutelage.strategy_store.vetting import MAX_WORDS
from tutelage.strategy_store.wording import sentences

from ..transcript import Turn
from .policy_check import nearest_rules

_LEAD_WORDS = 4
"""Words at most that make a clause an order."""
SHORTEST = 4
"""Words that a clause needs to say anything by itself."""
TELLING = "say|tell|name|offer|explain|confirm|promise|grant|refuse"
_TO_SAY = re.compile(rf"(?:{TELLING}|state|mention)\b", re.IGNORECASE)
_TO_THE_AGENT = re.compile(
    rf"(?:{TELLING}|never|do not|don't|ask|speak|match|give|discuss|stop|keep|let|send|hand|pass|check"
    r"|reveal|act|use|make|read|answer|reply|respond|write|refer|transfer|escalate|apologi[sz]e|always"
    r"|be|ensure|wait|follow|treat|collect|verify|avoid|assume|promptly|please|you|wins?)\b",
    re.IGNORECASE,
)
_NEEDS_MORE = re.compile(
    r"(?:this|these|those|it|they|if not|then|afterwards|one more)\b", re.IGNORECASE
)
"""Beginnings of what means nothing without the words before it."""
_HEADED = re.compile(
    r"(?!.*\b(?:is|are|was|were|has|have|may|can|costs?|gets?|comes?|ends?|goes|go)\b.*:)"
    r"(?!(?:if|where|when|after|from)\b)\S+(?: [^\s:]+){0,9}: ",
    re.IGNORECASE,
)
"""A clause that names its case, then says what holds: "Gold members: one free bag"."""


def orders_to_say(text: str) -> bool:
    """Whether a strategy orders the agent to say something: to tell, offer, confirm or refuse it.

    A rule that is said once more changes nothing for a student which has read it (+0.03 on the checks
    of a case), the same rule as an order to say it does (+0.15; benchmarks/parts).
    """
    return bool(_TO_SAY.match(text.strip()))


def deciding_rules(policy: Policy, scenario: Scenario, turns: Sequence[Turn]) -> list[Rule]:
    """The rules that decide a state, at most three, the nearest in words first.

    They are looked for among those that the scenario names, else among all. [] where none has a
    content word in common with what a good agent does here and what the customer said.

    Args:
        policy: the firm's.
        scenario: the state's; `rules` and `expected` tell what decides.
        turns: the dialogue so far.
    """
    about = " ".join([scenario.expected, *(t.text for t in turns if t.speaker == "customer")])
    named = [policy.rules[id_] for id_ in scenario.rules if id_ in policy.rules]
    return nearest_rules(named or policy.rules.values(), about)


def rule_orders(policy: Policy, scenario: Scenario, turns: Sequence[Turn]) -> list[str]:
    """Orders to say what the rules that decide a state give, as `deciding_rules` finds them: one order
    a sentence or clause. What speaks to the agent or of other rules is left out.
    """
    rules = deciding_rules(policy, scenario, turns)
    return [order for rule in rules for order in orders_of(rule, policy)]


def orders_of(rule: Rule, policy: Policy) -> list[str]:
    """A rule's sentences as orders to say them; of one that is too long for an order, its clauses."""
    parts: list[str] = []
    for sentence in (said.rstrip(".!?") for said in sentences(unreferenced(rule, policy))):
        clauses = [
            clause
            for clause in sentence.split("; ")
            if not _TO_THE_AGENT.match(clause) and not policy.named_in(clause)
        ]
        whole = "; ".join(clauses)
        if parts and clauses and len(whole.split()) < SHORTEST:
            parts[-1] += f"; {whole[0].lower()}{whole[1:]}"
        else:
            fits = len(whole.split()) <= MAX_WORDS - _LEAD_WORDS
            parts += [whole] if fits else clauses
    return [
        f"{'Say what holds for' if _HEADED.match(part) else 'Say that'} "
        f"{mid_sentence(part, policy.text)}."
        for part in parts
        if len(part.split()) >= SHORTEST and not _NEEDS_MORE.match(part)
    ]


def unreferenced(rule: Rule, policy: Policy) -> str:
    """A rule's text, which says "no money" for "no money under R5": no customer can look that up."""
    ids = rf"{policy.any_id}(?:(?:,| and| or| to) {policy.any_id})*"
    return re.sub(rf" under {ids}", "", rule.text)


def rules_said(text: str, policy: Policy) -> list[str]:
    """The ids of the rules of which a strategy is a sentence, as an order to say it; [] of another."""
    plain = " ".join(text.casefold().split())
    return [
        rule.id
        for rule in policy.rules.values()
        if any(plain == order.casefold() for order in orders_of(rule, policy))
    ]


def of_the_policy(text: str, policy: Policy) -> bool:
    """Whether a strategy is a rule's own sentence as an order to say it: such a one breaks no rule,
    however a model reads it.
    """
    return bool(rules_said(text, policy))


def mid_sentence(clause: str, policy: str) -> str:
    """A clause as it goes on after other words: a capital stays where the policy keeps it there."""
    first = clause.split()[0].strip(",:")
    if first[1:].lower() != first[1:] or re.search(rf"[a-z,]\s{re.escape(first)}\b", policy):
        return clause
    return clause[0].lower() + clause[1:]
