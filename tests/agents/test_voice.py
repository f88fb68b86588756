"""A voice whose model tells no probabilities hears which answer a text gives."""

from __future__ import annotations

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from tutelage.agents.models.meter import Meter
from tutelage.agents.voice import Voice

PAIR, SCALE, AGREES = ("A", "B"), "12345", ("Yes", "No")


@pytest.mark.parametrize(
    ("answers", "text", "given"),
    [
        (PAIR, "B", "B"),
        (PAIR, "**b**", "B"),
        (PAIR, "(a)", "A"),
        (PAIR, "This is a close call, but reply B is better.", "B"),
        (PAIR, "As a judge of both replies, I choose B.", "B"),
        (PAIR, "A close call: reply B.", "B"),
        (PAIR, "Reply B is much better than reply A.", "B"),
        (PAIR, "A is warm, but B keeps to the policy.", "B"),
        (PAIR, "I prefer reply A over reply B.", "A"),
        (PAIR, "B. It names the sum, which reply A does not.", "B"),
        (PAIR, "**Answer: A**\n\nReply B bends the rule.", "A"),
        (PAIR, "Of A and B, the better answer is reply A; B is cold.", "A"),
        (PAIR, "Reply B, since reply A is cold.", "B"),
        (PAIR, "Reply A: vague. Reply B: exact.\n\nB", "B"),
        (SCALE, "4", "4"),
        (SCALE, "4/5", "4"),
        (SCALE, "On a scale of 1 to 5: 4", "4"),
        (SCALE, "From 1 (useless) to 5 (excellent), I would rate it 2.", "2"),
        (SCALE, "I give it a 3 out of 5.", "3"),
        (SCALE, "Rating: 2. It asks for 3 things again.", "2"),
        (SCALE, "It makes 2 mistakes in 10.5 lines, so 1.", "1"),
        (AGREES, "yes", "Yes"),
        (AGREES, "Yes, there is no breach.", "Yes"),
        (AGREES, "There is no breach, so the answer is yes.", "Yes"),
        (AGREES, "No. Yes would be too kind.", "No"),
        (AGREES, "I would say no.", "No"),
    ],
)
async def test_a_vote_is_read_from_what_the_text_decides(answers, text, given):
    model = FakeListChatModel(responses=[text])
    voice = Voice("judge", model, "some:model", Meter())
    weights = await voice.weigh([HumanMessage("Which?")], answers)
    assert weights[answers.index(given)] == 1.0


@pytest.mark.parametrize("text", ["It is a tie.", "A or B?", "I cannot tell a difference."])
async def test_a_text_that_decides_nothing_is_no_vote(text):
    voice = Voice("judge", FakeListChatModel(responses=[text]), "some:model", Meter())
    assert await voice.weigh([HumanMessage("Which?")], PAIR) == [0.5, 0.5]
