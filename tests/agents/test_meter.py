"""The meter books what a call costs, cached input at its own price, and holds a budget whatever a
provider reports.
"""

from __future__ import annotations

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.agents.voice import Voice


@pytest.mark.parametrize(
    ("model", "details", "usd"),
    [
        ("openai:gpt-5-mini", {}, 0.027),
        ("openai:gpt-5-mini", {"cache_read": 90_000}, 0.00675),
        ("openai:gpt-5-mini", {"cache_read": 900_000}, 0.0045),
        ("anthropic:claude-sonnet-4-5", {"cache_read": 50_000, "cache_creation": 40_000}, 0.21),
        (
            "anthropic:claude-sonnet-4-5",
            {"cache_creation": 0, "ephemeral_5m_input_tokens": 40_000,
             "ephemeral_1h_input_tokens": 50_000},
            0.495,
        ),
        ("local:qwen2.5-coder-1.5b", {"cache_read": 90_000}, 0.0),
    ],
)  # fmt: skip
def test_input_from_the_cache_is_booked_at_its_own_price(model, details, usd):
    used = {"input_tokens": 100_000, "output_tokens": 1000, "total_tokens": 101_000}
    meter = Meter()
    meter.add(
        "judge", model, AIMessage("x", usage_metadata={**used, "input_token_details": details})
    )
    assert meter.usd == pytest.approx(usd)


ZEROS = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("reported", [None, ZEROS])
async def test_what_a_provider_does_not_report_is_estimated_so_that_the_budget_holds(reported):
    call = {"name": "refund", "args": {"booking": "X4"}, "id": "c", "type": "tool_call"}
    said = AIMessage("x" * 38, tool_calls=[call], usage_metadata=reported)
    meter = Meter(budget_tokens=130, budget_usd=10.0)
    model = GenericFakeChatModel(messages=iter([said, said]))
    voice = Voice("student", model, "openai:gpt-5-mini", meter)
    for spent in (False, True):
        await voice.say([HumanMessage("y" * 199), HumanMessage("y")])
        assert meter.spent == spent
    used = meter.of("student")
    assert (used.calls, used.input, used.output) == (2, 100, 32)
    assert used.usd == pytest.approx(100 * 0.25e-6 + 32 * 2e-6)


@pytest.mark.parametrize("budget", [{"budget_usd": float("nan")}, {"budget_usd": float("inf")}])
def test_a_budget_that_bounds_nothing_is_refused(budget):
    with pytest.raises(ModelFault, match=r"a budget of (nan|inf) bounds nothing") as fault:
        Meter(**budget)
    assert fault.value.exit_code == 2
