"""The meter: calls, tokens and money by role, and whether the budget is spent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import AIMessage

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
    """

    budget_tokens: int | None = None
    budget_usd: float | None = None
    earlier_tokens: int = 0
    earlier_usd: float = 0.0
    roles: dict[Role, Usage] = field(default_factory=dict)

    def of(self, role: Role, model: str = "") -> Usage:
        """The usage of a role, made on first use."""
        usage = self.roles.setdefault(role, Usage())
        usage.model = model or usage.model
        return usage

    def add(self, role: Role, model: str, message: AIMessage) -> None:
        """Count one answer of a model, by the usage the provider reported with it."""
        usages = [self.of(role, model)]
        if (inner := _tally.get()) is not None:
            usages.append(inner)
        reported = message.usage_metadata
        for usage in usages:
            usage.calls += 1
            if reported is None:
                continue
            usage.input += reported["input_tokens"]
            usage.output += reported["output_tokens"]
            usage.cached += (reported.get("input_token_details") or {}).get("cache_read") or 0
            usage.usd += price(model, reported["input_tokens"], reported["output_tokens"])

    @property
    def tokens(self) -> int:
        """Input and output tokens of all roles."""
        return sum(u.input + u.output for u in self.roles.values())

    @property
    def usd(self) -> float:
        """US dollars of all roles; models without a known price count as free."""
        return sum(u.usd for u in self.roles.values())

    @property
    def spent(self) -> bool:
        """Whether a bound is reached."""
        tokens, usd = self.tokens + self.earlier_tokens, self.usd + self.earlier_usd
        over_tokens = self.budget_tokens is not None and tokens >= self.budget_tokens
        return over_tokens or (self.budget_usd is not None and usd >= self.budget_usd)


def price(model: str, input_tokens: int, output_tokens: int) -> float:
    """The list price of a call in US dollars; 0 for local models and for those without a known one.

    Prices come from the `genai-prices` package.
    """
    if not is_priced(model):
        return 0.0
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    provider, _, name = model.partition(":")
    tokens = Tokens(input_tokens=input_tokens, output_tokens=output_tokens)
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
