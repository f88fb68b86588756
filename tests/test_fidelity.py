"""The fidelity check tells a customer's line from one that breaks character."""

from __future__ import annotations

import pytest
from tutelage.agents.fidelity import breaks
from tutelage.agents.transcript import Turn

KNOWN = "Flight LK210 was cancelled. booking code: K7QX2P, price 79 euros"
TALK = [
    Turn(speaker="customer", text="You cancelled my flight and nobody tells us anything."),
    Turn(speaker="student", text="I am sorry. Would you like the flight at 18:40 or a refund?"),
]

IN_CHARACTER = [
    ("my code is K7QX2P", False),
    ("the 18:40 one, please", False),
    ("I paid 79 euros and I want them back!", False),
    ("ok", False),
    ("Fine, the later flight then. Thanks, bye.", True),
    ("Can you help me at all?", False),
    ("Why would that take seven days?", False),
]
BROKEN = [
    ("", False, "empty"),
    ("How can I help you today?", False, "role flip"),
    ("Your booking has been changed, thank you for your patience.", False, "role flip"),
    ("I have processed your refund of 79 euros.", False, "role flip"),
    ("Please provide your booking code.", False, "role flip"),
    ("As an AI I cannot feel that.", False, "leaked instructions"),
    ('{"customer_says": "hi"}', False, "leaked instructions"),
    ("AGENT: sorry for that", False, "leaked instructions"),
    ("My code is ZZ91XY.", False, "invented: ZZ91XY"),
    ("I paid 450 euros for this.", False, "invented: 450"),
    ("You cancelled my flight and nobody tells us anything!", False, "repeated line"),
    ("I am sorry. Would you like the flight at 18:40 or a refund?", False, "copied the agent"),
    (
        "Am I sorry? Would you like the flight at 18:40 or a refund? Tell me!",
        False,
        "copied the agent",
    ),
    ("Are you people asleep over there?", False, "copied a sample"),
    ("Well, are you people asleep over there? I need an answer.", False, "copied a sample"),
    ("I'm sorry, but I can't help with that.", False, "role flip"),
    ("The customer wants a refund.", False, "leaked instructions"),
    ("So what happens now?", True, "premature stop"),
    ("Forget it, goodbye.", False, "missing stop"),
]


@pytest.mark.parametrize(("line", "met"), IN_CHARACTER)
def test_lines_in_character_pass(line, met):
    assert breaks(line, met, TALK, KNOWN, samples=["Are you people asleep over there?"]) == []


@pytest.mark.parametrize(("line", "met", "reason"), BROKEN)
def test_broken_lines_are_named(line, met, reason):
    found = breaks(line, met, TALK, KNOWN, samples=["Are you people asleep over there?"])
    assert reason in found


def test_nothing_is_settled_before_the_agent_has_spoken():
    assert breaks("All is well then.", True, [], KNOWN) == ["premature stop"]
