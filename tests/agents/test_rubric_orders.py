"""Rubric orders: what a rubric asks of every reply, said to the agent."""

from __future__ import annotations

from tutelage.agents.advice.rubric_orders import check_orders, rubric_orders
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


def test_notes_that_say_what_a_good_reply_does_become_orders_and_names_of_things_do_not():
    assert check_orders(
        [
            "takes the customer's side at least once in words",
            "shows in words, once or more, that it stands with the customer",
            "keeps the numbering of the rules to itself.",
            "passes nothing by",
            "no stock phrases",
            "replies of at most 90 words",
            "at most two questions a reply",
            "",
        ]
    ) == [
        "Take the customer's side at least once in words.",
        "Show in words, once or more, that you stand with the customer.",
        "Keep the numbering of the rules to yourself.",
        "Pass nothing by.",
    ]


def test_the_bundled_firms_checks_give_an_order_each_that_may_enter_a_prompt():
    for firm in ("airline", "broadband", "furniture"):
        orders = check_orders([item.note for item in load_environment(firm).config.rubric])
        assert orders and not [order for order in orders if vet(order)]
