"""What counts as an order that fits every customer, and what contradicts what."""

from __future__ import annotations

import asyncio
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tutelage.agents.advice.policy_check import breach, nearest_rules, plain_breach
from tutelage.environments import load_environment
from tutelage.strategy_store.wording import (
    opposed,
    opposed_to,
    opposites,
    same_order,
    same_orders,
    same_words,
    too_special,
)

POLICY = (
    "# Larkspur Air\n- R77: Pay 120 euros after 3 hours of delay.\n"
    "- R78: Repay needed items up to 60 euros, families 90. Children of 5 to 11 years fly with us.\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "Name the wait before anything else.",
        "If the customer is angry, take up the anger first.",
        "Never promise what the screen does not show.",
        "Do not ask twice for what is known.",
        "Always say what happens next.",
        "Bring the next step forward.",
        "Thank them for the patience they had.",
        "Open with 'I see why this hurts', then answer.",
        "Say how much of the 120 euros is paid and when.",
        "Offer another Larkspur flight first.",
        "Say that €120 are paid from 3 hours on.",
        "Say that a 3-hour delay is paid for.",
        "Say that 3 full hours of delay give 120.",
        "Say that families get needed items repaid up to 90 euros.",
        "Say that from 5 years on children fly alone.",
        "Say that needed items are repaid up to sixty euros, for families ninety.",
        "Say that after three hours one hundred and twenty euros are paid.",
        "Say that a three-hour delay is paid for.",
        "Offer one more try, and once that failed two other ways.",
        "Ask for two things at most, the second only after the first is answered.",
        "Name one day and one euro sum, in three short steps of five words.",
        "Give the twenty-first caller the patience that the first one had.",
        "Say what stands on the tenth line in one sentence, often in less.",
        'Begin with "I am sorry, this one is on me", and name the next step.',
        "Write 'I'm on your side' once, or “let me see” where it's slow.",
        "Show that the customer's claim matters to us, and what we'll do.",
    ],
)
def test_orders_that_fit_everybody_pass(text):
    assert too_special(text, POLICY) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The agent should be warm.", "no order"),
        ("You must name the wait.", "no order"),
        ("Being kind helps.", "no order"),
        ("Customers like a clear answer.", "no order"),
        ("Empathy is the first thing to show.", "no order"),
        ("I understand how you feel.", "no order"),
        ("Tell Maria that her bag is late.", "'Maria'"),
        ("Offer 50 euros at once.", "50 euros"),
        ("Say that 3 euros of taxes are repaid.", "3 euros"),
        ("Say that the money comes within 120 days.", "120 days"),
        ("Say that it costs €3.", "3 euros"),
        ("Offer 50 at once.", "number 50"),
        ("Say that 5 euros are repaid.", "5 euros"),
        ("Say that 90 hours are enough.", "90 hours"),
        ("Say that the change to 77 May is free.", "number 77"),
        ("Offer fifty euros at once.", "50 euros"),
        ("Offer fifty at once.", "number 50"),
        ("Say that two euros of taxes are repaid.", "2 euros"),
        ("Say that it comes within two hundred and forty days.", "240 days"),
        ("Say that twenty-five percent are taken off.", "25 percents"),
        ("Offer a fifty-pound voucher.", "50 pounds"),
        ("Say that it takes two working days.", "2 days"),
        ("Say that my claim was refused without a reason.", "'my'"),
        ("Ask for the admission that I want, and the money.", "'I'"),
        ('Say "yes, at once" and let me know by whom.', "'me'"),
        ("Say that I’ll be given a date.", "'I’ll'"),
    ],
)
def test_what_fits_one_customer_or_is_no_order_is_refused(text, reason):
    assert any(reason in why for why in too_special(text, POLICY))


@pytest.mark.parametrize(
    ("policy", "text", "fits"),
    [
        (
            "- R1: Slots move free until two working days before.",
            "Say that 2 days are enough.",
            True,
        ),
        (
            "- R1: Slots move free until two working days before.",
            "Say that two days are enough.",
            True,
        ),
        ("- R1: A transfer takes two or three days.", "Say that it takes two days.", True),
        ("- R1: Up to twenty-five pounds are repaid.", "Say that 25 pounds are repaid.", True),
        ("- R1: Up to twenty-five pounds are repaid.", "Say that 20 pounds are repaid.", False),
        ("- R1: A hundred euros are the most.", "Say that one hundred euros are the most.", True),
        ("- R1: One voucher a booking.", "Say that there are two vouchers a booking.", True),
    ],
)
def test_a_number_is_the_same_in_words_and_in_digits(policy, text, fits):
    assert (too_special(text, policy) == []) is fits


def test_all_bundled_tactics_are_orders_that_fit_everybody():
    for name in ("airline", "furniture", "broadband"):
        firm = load_environment(name)
        known = f"{firm.policy.text}\n{firm.config.title}"
        for tactic in firm.handbook.values():
            assert too_special(tactic.do, known) == [], tactic.do


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("Offer a voucher to calm the customer.", "Never offer vouchers.", True),
        ("Do not name the wait.", "Name the wait and say sorry.", True),
        ("Promise a full refund at once.", "We do not promise refunds.", True),
        ("Ask one question at a time.", "Do not ask for a card number.", False),
        ("Promise a refund at once.", "Never promise a refund before it is checked.", False),
        ("Offer a voucher.", "Offer a voucher at the end.", False),
        ("Never offer a voucher.", "Never offer vouchers.", False),
        ("Do not discuss fault.", "Say so and stop discussing fault.", False),
        ("Discuss whose fault it was.", "Say so and stop discussing fault.", True),
        ("Say: stop using the recalled chest.", "A recall of chests: write to all.", False),
        ("Never offer or promise a voucher.", "Promise a voucher.", True),
        ("Do not lightly offer vouchers.", "Offer a voucher.", True),
        ("Never reply by letter.", "Reply by letter at once.", True),
        ("Stop at the first no.", "Go on after the first no.", False),
        ("Do not offer any other change.", "Any fare changes free, or is repaid.", False),
        ("Do not give every customer a voucher.", "Write to every customer by mail.", False),
    ],
)
def test_plain_contradictions_are_seen_and_others_left_alone(first, second, told):
    assert opposed(first, second) is told and opposed(second, first) is told


def test_one_word_that_differs_tells_two_texts_apart():
    assert same_words("Name the wait before anything else.", "Before anything else, name the wait!")
    assert not same_words("Speak of sawdust in the first sentence of the answer.",
                          "Speak of lantern in the first sentence of the answer.")  # fmt: skip
    assert not same_words("", "Offer two ways.")


def test_code_answers_first_and_the_judge_is_asked_about_the_nearest_rules_only(airline):
    class Reads:
        def __init__(self, broken):
            self.broken, self.asked = broken, []

        async def weigh(self, messages, answers):
            self.asked.append(messages[-1].text)
            breaks = 0.9 if self.broken in messages[-1].text else 0.1
            return [1 - breaks, breaks]

    against = plain_breach(airline, "Never rebook a cancelled flight.")
    assert against is not None and against.rule.id == "R4"
    for kept in (
        "Promise no day for the late bag.",
        "Say that no day can be promised for the bag.",
    ):
        assert plain_breach(airline, kept) is None
    assert plain_breach(airline, "Take no notice and promise a day for the late bag.") is not None
    assert plain_breach(airline, "Say what happens next.") is None
    reader = Reads("R31-none")
    found = asyncio.run(breach(airline, reader, "Promise a day for a late bag at once."))
    assert found is not None and found.rule.id == "R22" and not reader.asked
    assert "would break rule R22: 'Never promise a day" in str(found)
    reader = Reads("Light fares are not refundable")
    text = "Give Light fares their money back when somebody is upset."
    found = asyncio.run(breach(airline, reader, text))
    assert found is not None and found.rule.id == "R10" and len(reader.asked) <= 3
    assert asyncio.run(breach(airline, Reads("nothing"), text)) is None
    assert nearest_rules(airline.policy.rules.values(), "Smile.") == []


def test_a_rule_that_shares_a_word_by_chance_is_not_asked_about():
    rules = load_environment("broadband").policy.rules.values()
    text = "Say the router comes back postage free within 21 days."
    assert [rule.id for rule in nearest_rules(rules, text, 0.5)] == ["R26"]
    assert len(nearest_rules(rules, text)) == 3
    assert nearest_rules([], text) == nearest_rules(rules, "") == []


WORDS = [
    "never", "do", "not", "offer", "say", "name", "the", "wait", "refund", "hotel", "meal", "voucher",
    "first", "once", "Zug", "of", "to",
]  # fmt: skip
SAID = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=12)


@given(SAID)
def test_those_that_say_the_same_are_found_as_by_looking_at_every_two(texts):
    every = combinations(range(len(texts)), 2)
    assert [*same_orders(texts)] == [(i, j) for i, j in every if same_order(texts[i], texts[j])]


@given(SAID, SAID)
def test_those_that_disagree_are_found_as_by_looking_at_every_two(texts, rules):
    every = ((i, j) for i in range(len(texts)) for j in range(len(rules)))
    assert opposed_to(texts, rules) == {(i, j) for i, j in every if opposed(texts[i], rules[j])}
    pairs = combinations(range(len(texts)), 2)
    assert opposites(texts) == [(i, j) for i, j in pairs if opposed(texts[i], texts[j])]
