"""Faults of a reply that code finds, each by a reply that has it and one that has not."""

from __future__ import annotations

import pytest
from tutelage.agents.reading.reply_faults import reply_faults
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
        (
            "impersonal",
            OPENING,
            "Delivery of the bag: tomorrow.",
            "We deliver it tomorrow to your door.",
        ),
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


def found(reply, turns=OPENING, known=KNOWN):
    return {fault for fault, size in reply_faults(reply, turns, SCENARIO, known).items() if size}


def heard(asked, told):
    return (*OPENING, Turn(speaker="student", text=asked), Turn(speaker="customer", text=told))


def test_thanks_for_what_was_asked_are_no_stock_phrase():
    assert not found("Thank you, I have it.", GAVE)
    ordered = heard("Please give me your booking code and your last name.", f"It is {CODE}.")
    assert not found("Thank you, I have found your bag.", ordered)


@pytest.mark.parametrize(
    "reply",
    [
        "Lieferung kommt morgen vor 18:00.",
        "Das tut sehr leid. Was brauchen Sie für das Baby?",
        "Uw koffer is gevonden en wordt morgen bezorgd. Het spijt ons zeer.",
        "Det må være vanskelig for dere. Bagasjen kommer i morgen.",
        "Jeg beklager det. Vi leverer bagasjen for deg i morgen.",
        "Koffer zum Bahnhof. Mit „Fly and Drive“ fahren Sie weiter.",
    ],
)
def test_what_is_cold_is_told_of_english_only(reply):
    assert not found(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "Could you tell me your customer number?",
        "Your customer account shows the bag.",
        "You can call the customer hotline at any time.",
        "I have asked the customer relations desk to call you.",
        "All our customers with a baby get this.",
    ],
)
def test_a_word_made_with_customer_speaks_of_nobody_else(reply):
    assert "third_person" not in found(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "I informed the customer of the delivery.",
        "I understand the customer\u2019s situation.",
        "Ask the customer to keep the receipts.",
        "The customer can pay at the airport.",
        "I have told our customer.",
        "The customer missed the bus, and the customer feels upset.",
        "Dear [Customer's Name], the bag is found.",
    ],
)
def test_the_customer_as_somebody_else_is_the_third_person(reply):
    assert "third_person" in found(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "I can confirm that your booking code matches, and I will bring the bag to you.",
        "I've found it. Please keep your booking code at hand for the courier.",
        "Please give me a moment while I look up your booking code.",
        "Please send us the receipts with your booking code, so that we can repay you.",
        "Your seat is on the booking code that is yours, which the code on the bag confirms.",
    ],
)
def test_a_told_fact_that_is_spoken_of_is_not_asked_for(reply):
    assert "asks_again" not in found(reply, GAVE)


@pytest.mark.parametrize(
    "reply",
    [
        "Before I can look, please tell me your booking code.",
        "I need your booking code first.",
        "Which booking code is it?",
        "May I have your booking code?",
        "Could you please confirm your booking code once more.",
        "Provide me with your booking code, so that I can help.",
    ],
)
def test_a_told_fact_is_asked_for_in_many_ways(reply):
    assert "asks_again" in found(reply, GAVE)


@pytest.mark.parametrize(
    "reply",
    [
        "Let me find your bag with the nappies right away.",
        "Please let me know if you need anything else for the baby.",
    ],
)
def test_what_is_done_or_offered_is_no_question(reply):
    assert "asks_again" not in found(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "We repay what your baby needs, up to \u20ac200.00, against receipts.",
        "We repay up to 200,00 euros, and meals up to 15.00 euros.",
        "The refund reaches your card within 7 days, so by 19 May.",
        "We bring the bag to you before 6:00 PM.",
        "It was loaded between 9 and 11 pm on 11 May.",
        "It cost 36.00 euros, and the parcel 79,50.",
        "The 1,000 points are in your account, and the van comes at 11:00.",
    ],
)
def test_the_same_figure_written_otherwise_is_no_new_one(reply):
    case = "Points: 1000. Paid: 36 and 79.50. Loaded 21:00-23:00 on 11 May. The van: 10:00-11:00."
    assert "from_nowhere" not in found(reply, known=(*KNOWN, case))


@pytest.mark.parametrize(
    "reply",
    [
        "We repay what your baby needs, up to 2,000 euros.",
        "We repay 20.50 euros.",
        "The refund reaches your card by 23 May.",
        "The bag comes before 7:00 pm.",
        "The bag comes tomorrow at 9:00.",
        f"Your number is {'7' * 5000}.",
    ],
)
def test_another_figure_is_a_new_one(reply):
    assert "from_nowhere" in found(reply)


def test_who_does_what_was_asked_says_it_back_and_parrots_nothing():
    wish = "Please deliver the cot to 12 Main Street on Monday between 8 and 10."
    done = "I will deliver the cot to 12 Main Street on Monday between 8 and 10."
    assert "parroted" not in found(done, heard("Where shall it go?", wish))
    plight = (
        "Our flight was three hours late. I have missed the last ferry, and I will miss the train."
    )
    parrot = "I am sorry that your flight was three hours late. I have missed the last ferry."
    assert "parroted" in found(parrot, heard("What happened?", plight))
    offer = parrot.replace("I am sorry that your", "Your") + " I will help you."
    assert "parroted" in found(offer, heard("What happened?", plight))
