"""Plain text for screens, which import from this floor only."""

from __future__ import annotations

from tutelage.strategy_store.plain_text import clean, one_line

__all__ = ["clean", "one_line"]
