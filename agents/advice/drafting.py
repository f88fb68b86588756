"""Drafting: a library that nobody had to learn, of what a policy gives and advice for any firm."""

from __future__ import annotations

from tutelage.environments import Environment, Policy, Rule
from tutelage.strategy_store import ANY_CUSTOMER, OF_MATTER, Entry, Provenance, Strategy, vet
from tutelage.strategy_store.wording import sentences

from .rule_orders import mid_sentence, orders_of, unreferenced
from .tactics import GENERIC_ADVICE


def drafted_entries(
    environment: Environment, general: bool = True
) -> tuple[list[Entry], list[str]]:
    """All that a library is begun with: what the policy gives and, where `general`, advice for every
    customer of any firm. See `policy_entries`.
    """
    entries, silent = policy_entries(environment)
    return [*entries, *([generic_entry()] if general else [])], silent


def policy_entries(environment: Environment) -> tuple[list[Entry], list[str]]:
    """An entry for every rule of a firm's policy: its sentences, as orders to say them to a customer
    whom they concern. It is found by these words and by the rule's section. No model is asked, and
    nothing is tested.

    Args:
        environment: the firm.

    Returns:
        The entries, all proposed, in the policy's order; and the ids of the rules that give none: what
        speaks to the agent alone, or of other rules.
    """
    policy = environment.policy
    entries: list[Entry] = []
    silent: list[str] = []
    for rule in policy.rules.values():
        orders = [order for order in orders_of(rule, policy) if not vet(order)]
        if not orders:
            silent.append(rule.id)
            continue
        origin = Provenance(source="policy", environment=environment.name)
        strategies = [Strategy.new(order, origin) for order in orders]
        cues = [rule.section] if rule.section else []
        entries.append(
            Entry.new(_scenario(rule, policy), rules=[rule.id], cues=cues, strategies=strategies)
        )
    return entries, silent


def generic_entry() -> Entry:
    """GENERIC_ADVICE as an entry that is given to every customer; proposed."""
    advice = Strategy.new(GENERIC_ADVICE, Provenance(source="generic"))
    return Entry.new(ANY_CUSTOMER, general=True, strategies=[advice])


def _scenario(rule: Rule, policy: Policy) -> str:
    """The rule's section and how the rule begins: what a person tells entries apart by."""
    first = sentences(unreferenced(rule, policy))[0]
    begins = mid_sentence(first.split("; ")[0].rstrip(".!?"), policy.text)
    section = f"{mid_sentence(rule.section, policy.text)}: " if rule.section else ""
    return f"{OF_MATTER}{section}{begins}"
