"""Rubric orders: what a rubric asks of every reply, said to the agent."""

from __future__ import annotations

from tutelage.agents.rubric_orders import rubric_orders
from tutelage.environments import load_environment
from tutelage.strategy_store import vet


def test_questions_of_agent_and_customer_become_orders_and_others_are_left_out():
    assert rubric_orders(
        [
            "Does the agent answer everything that the customer asked?",
            "Does the customer know at the end what happens next?",
            "Is the result the one that the policy leads to?",
        ]
    ) == [
        "Answer everything that the customer asked.",
        "Let the customer know at the end what happens next.",
    ]


def test_the_bundled_firms_rubrics_give_orders_that_may_enter_a_prompt():
    for firm in ("airline", "broadband", "furniture"):
        questions = [getattr(item, "question", "") for item in load_environment(firm).config.rubric]
        orders = rubric_orders(filter(None, questions))
        assert len(orders) >= 3 and not [order for order in orders if vet(order)]
