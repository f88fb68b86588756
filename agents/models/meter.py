"""The meter: calls, tokens and money by role, and whether the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from tutelage.strategy_store.given import CHARS_PER_TOKEN

from .faults import ModelFault

_CACHE = (
    "cache_read", "cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens",
)  # fmt: skip
"""What a provider reports of its prompt cache; Anthropic's writes stand in the last two."""
Role = Literal["customer", "student", "judge", "teacher"]


@dataclass
class Usage:
    """What one role has used: calls, tokens (input, output, cached input) and US dollars."""

    model: str = ""
    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    usd: float = 0.0
    repaired: int = 0


_tally: ContextVar[Usage | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Usage]:
    """Also counts what is used inside the block, by whichever role, in the usage it gives."""
    usage = Usage()
    token = _tally.set(usage)
    try:
        yield usage
    finally:
        _tally.reset(token)


@dataclass
class Meter:
    """Adds up usage by role. `budget_tokens` and `budget_usd` are upper bounds, None for no bound; what
    a run used before it went on (`earlier_tokens`, `earlier_usd`) counts against them, nowhere else.

    Raises:
        ModelFault: where a bound is no finite number (exit code 2).
    """

    budget_tokens: int | None = None
    budget_usd: float | None = None
    earlier_tokens: int = 0
    earlier_usd: float = 0.0
    roles: dict[Role, Usage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for budget in (self.budget_tokens, self.budget_usd):
            if budget is not None and not math.isfinite(budget):
                raise ModelFault(f"a budget of {budget} bounds nothing; give a number", exit_code=2)

    def of(self, role: Role, model: str = "") -> Usage:
        """The usage of a role, made on first use."""
        usage = self.roles.setdefault(role, Usage())
        usage.model = model or usage.model
        return usage

    def add(
        self, role: Role, model: str, message: AIMessage, asked: Sequence[BaseMessage] = ()
    ) -> None:
        """Count one answer of a model, by the usage the provider reported with it. Where it reported
        none, tokens are estimated by the letters of what was asked and said, so that a budget holds.
        """
        usages = [self.of(role, model)]
        if (inner := _tally.get()) is not None:
            usages.append(inner)
        used = message.usage_metadata
        if not used or not (used["input_tokens"] or used["output_tokens"]):
            used = _estimated(message, asked)
        for usage in usages:
            usage.calls += 1
            usage.input += used["input_tokens"]
            usage.output += used["output_tokens"]
            usage.cached += (used.get("input_token_details") or {}).get("cache_read") or 0
            usage.usd += price(model, used)

    @property
    def tokens(self) -> int:
        """Input and output tokens of all roles."""
        return sum(u.input + u.output for u in self.roles.values())

    @property
    def usd(self) -> float:
        """US dollars of all roles; models without a known price count as free."""
        return sum(u.usd for u in self.roles.values())

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return self.budget_tokens is not None or self.budget_usd is not None

    @property
    def spent(self) -> bool:
        """Whether a bound is reached."""
        tokens, usd = self.tokens + self.earlier_tokens, self.usd + self.earlier_usd
        over_tokens = self.budget_tokens is not None and tokens >= self.budget_tokens
        return over_tokens or (self.budget_usd is not None and usd >= self.budget_usd)


def _estimated(message: AIMessage, asked: Sequence[BaseMessage]) -> UsageMetadata:
    read, written = _tokens(asked), _tokens([message])
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _tokens(messages: Sequence[BaseMessage]) -> int:
    """About how many tokens messages have."""
    letters = sum(len(message.text) for message in messages)
    calls = [call for one in messages if isinstance(one, AIMessage) for call in one.tool_calls]
    letters += sum(len(call["name"]) + len(str(call["args"])) for call in calls)
    return math.ceil(letters / CHARS_PER_TOKEN)


def price(model: str, used: UsageMetadata) -> float:
    """The list price of a call in US dollars, what is read from and written to the prompt cache at its
    own; 0 for local models and for those without a known one.

    Prices come from the `genai-prices` package.
    """
    if not is_priced(model):
        return 0.0
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    provider, _, name = model.partition(":")
    details: dict[str, Any] = dict(used.get("input_token_details") or {})
    read, written, minutes, hour = (details.get(part) or 0 for part in _CACHE)
    # The package refuses parts that exceed their whole, which some servers report.
    read = min(read, used["input_tokens"])
    written = min(written + minutes + hour, used["input_tokens"] - read)
    tokens = Tokens(
        input_tokens=used["input_tokens"], cache_read_tokens=read, cache_write_tokens=written,
        cache_write_1h_tokens=min(hour, written), output_tokens=used["output_tokens"],
    )  # fmt: skip
    return float(calc_price(tokens, model_ref=name, provider_id=provider).total_price)


def is_priced(model: str) -> bool:
    """Whether `genai-prices` knows what a model costs; a budget in dollars needs that."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    provider, _, name = model.partition(":")
    if provider in ("local", "ollama") or not name:
        return False
    try:
        calc_price(Tokens(input_tokens=1, output_tokens=1), model_ref=name, provider_id=provider)
    except LookupError:
        return False
    return True
