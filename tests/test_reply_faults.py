"""Faults of a reply that code finds, each by a reply that has it and one that has not."""

from __future__ import annotations

import pytest
from tutelage.agents.reply_faults import reply_faults
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment

FIRM = load_environment("airline")
SCENARIO = FIRM.scenarios["bag_late_baby"]
KNOWN = (FIRM.policy.text, FIRM.config.today)
CODE = SCENARIO.facts["booking code"]
OPENING = (Turn(speaker="customer", text=SCENARIO.opening),)
GAVE = (*OPENING, Turn(speaker="student", text="Which booking is it?"),
        Turn(speaker="customer", text=f"It is {CODE}."))  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "turns", "has", "has_not"),
    [
        ("from_nowhere", OPENING, "You get 137 euros for it.", "You get up to 200 euros for it."),
        ("asks_again", GAVE, "Please give me your booking code.", "I have found your booking."),
        (
            "asks_again",
            OPENING,
            "Could you tell me which clothes they are?",
            "Have you got their code?",
        ),
        ("asks_again", OPENING, "How old is the baby?", "Shall we bring the clothes to your door?"),
        ("too_long", OPENING, "I am on it. " * 40, "I am on it."),
        ("impersonal", OPENING, "Delivery is tomorrow.", "We deliver it tomorrow to your door."),
        (
            "stock_thanks",
            OPENING,
            "Thank you for your message.",
            "With a baby that is hard on you.",
        ),
        (
            "third_person",
            OPENING,
            "I will tell the customer that up to 200 euros are repaid.",
            "Up to 200 euros are repaid. Our customer care team answers by Friday.",
        ),
        (
            "third_person",
            OPENING,
            "Dear [Customer's Name], your bag is on its way.",
            "As a customer of ours you get your bag home.",
        ),
        (
            "parroted",
            OPENING,
            "I am sorry that your bag did not come. The nappies, the formula and all the clothes for "
            "your baby are in it.",
            "I am sorry that your bag did not come. Buy the nappies, the formula and the clothes that "
            "you need: we pay up to 200 euros for them.",
        ),
        ("stock_thanks", OPENING, "Thanks! The bag is found.", "I thank you for telling us early."),
    ],
)
def test_each_fault_is_told_by_what_has_it(fault, turns, has, has_not):
    assert reply_faults(has, turns, SCENARIO, KNOWN)[fault] > 0
    assert reply_faults(has_not, turns, SCENARIO, KNOWN)[fault] == 0


def test_thanks_for_what_was_asked_are_no_stock_phrase():
    assert reply_faults("Thank you, I have it.", GAVE, SCENARIO, KNOWN)["stock_thanks"] == 0


def test_what_is_cold_is_told_of_english_only():
    found = reply_faults("Lieferung kommt morgen vor 18:00.", OPENING, SCENARIO, KNOWN)
    assert found["impersonal"] == 0
