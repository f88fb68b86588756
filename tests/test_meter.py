"""The meter books what a call costs, with the part of the prompt that came from the cache."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage
from tutelage.agents.meter import Meter


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
