"""Tools for models without a tool format: the schema they are held to, the words, and the way back."""

from __future__ import annotations

import json

import jsonschema
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from tutelage.agents.models.spoken_tools import answer_schema, heard, spoken


@tool(parse_docstring=True)
def move(order: str, day: str, fee: int = 0) -> str:
    """Move a delivery.

    Args:
        order: its number.
        day: as YYYY-MM-DD.
        fee: in euros.
    """
    return f"{order} {day} {fee}"


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ({"say": "Hello."}, True),
        ({"tool": "move", "arguments": {"order": "A1", "day": "2026-10-16"}}, True),
        ({"tool": "move", "arguments": {"order": "A1", "day": "2026-10-16", "fee": 39}}, True),
        ({"tool": "move", "arguments": {"order": "A1"}}, False),
        ({"tool": "remove", "arguments": {"order": "A1", "day": "x"}}, False),
        ({"say": ""}, False),
        ({"say": "Hello.", "tool": "move"}, False),
        ({}, False),
    ],
)
def test_an_answer_speaks_or_calls_one_tool(answer, fits):
    assert jsonschema.Draft202012Validator(answer_schema([move])).is_valid(answer) is fits


def test_the_tools_join_the_first_system_message_and_calls_become_words():
    call = {"name": "move", "args": {"order": "A1", "day": "x"}, "id": "c"}
    out = spoken(
        [SystemMessage("Policy."), HumanMessage("Hi."), AIMessage("", tool_calls=[call]),
         ToolMessage("no such day", tool_call_id="c", name="move", status="error"),
         AIMessage("Which day?"), HumanMessage("The 16th."), SystemMessage("Late advice.")],
        [move],
    )  # fmt: skip
    assert out[0].text.startswith("Policy.\n\n")
    assert "- move(order: string (its number.), day: string (as YYYY-MM-DD.)" in out[0].text
    assert [m.type for m in out] == ["system", "human", "ai", "human", "ai", "human", "system"]
    assert json.loads(out[2].text) == {"tool": "move", "arguments": call["args"]}
    assert out[3].text == "(the tool move failed: no such day)"
    assert json.loads(out[4].text) == {"say": "Which day?"}
    assert out[6].text == "Late advice."


def test_what_was_answered_is_heard():
    assert heard(AIMessage('{"say": "Hello \\"you\\"."}')).text == 'Hello "you".'
    call = heard(AIMessage('{"tool": "move", "arguments": {"order": "A1"}}')).tool_calls[0]
    assert (call["name"], call["args"]) == ("move", {"order": "A1"})
    assert heard(AIMessage('{"say": "It comes on the 16th, and th')).text == (
        "It comes on the 16th, and th"
    )
    broken = heard(AIMessage('{"tool": "move", "argu'))
    assert not broken.tool_calls and "argu" in broken.invalid_tool_calls[0]["args"]
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert heard(AIMessage('{"say": "x"}', usage_metadata=usage)).usage_metadata == usage


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        ('{"say": "It comes on the 16th, and th', "It comes on the 16th, and th"),
        (r'{"say": "It costs 20 \u20', "It costs 20 "),
        (r'{"say": "It costs 20 \u', "It costs 20 "),
        ('{"say": "It costs 20 \\', "It costs 20 "),
        (r'{"say": "Good day \ud83d', "Good day "),
        (r'{"say": "20 \u20ac, she said: \"n', '20 €, she said: "n'),
        ('{ "say":"Hello.", "to', "Hello."),
    ],
)
def test_words_that_were_cut_short_anywhere_are_kept(cut, text):
    message = heard(AIMessage(cut))
    assert message.text == text and not message.invalid_tool_calls


@pytest.mark.parametrize(
    "broken",
    [
        '{"tool": "move", "arguments": {"order": "A',
        "",
        "[",
        "7",
        '{"say": 7',
        '"say',
        '{"say": "a\\q',
    ],
)
def test_what_is_no_answer_is_a_broken_call(broken):
    message = heard(AIMessage(broken))
    assert message.invalid_tool_calls[0]["args"] == broken and not message.tool_calls


@pytest.mark.weights
async def test_the_smoke_model_is_held_to_the_form():
    from smoke import smoke_model
    from tutelage.agents.models.meter import Meter
    from tutelage.graphs.play.desk import voice_of

    voice = voice_of("student", f"local:{smoke_model()}", Meter())
    said = await voice.act(
        [SystemMessage("You serve."), HumanMessage("Move A1 to the 16th.")], [move],
        seed=1, temperature=0.2, max_tokens=60,
    )  # fmt: skip
    assert said.text or said.tool_calls or said.invalid_tool_calls
    assert voice.meter.roles["student"].output > 0
    if said.tool_calls:
        assert said.tool_calls[0]["name"] == "move"
