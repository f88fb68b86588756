"""Plain text: what models and people wrote, made safe to show in a terminal."""

from __future__ import annotations

# Needed inside words of Persian and some Indic scripts, and without width.
_KEPT = "\n\u200c"


def clean(text: str) -> str:
    """Text without what a terminal might obey: control characters, and the invisible ones that
    turn the direction of writing or join emoji (terminals disagree about the width of those).

    It may still hold markup, so give it to widgets as `Content(...)` or `Text(...)`, or with
    `markup=False`; never as a bare string where markup is read.
    """
    return "".join(c if c.isprintable() or c in _KEPT else " " for c in text.replace("\r\n", "\n"))


def one_line(text: str, width: int = 0) -> str:
    """Clean text on one line; of more than `width` characters the rest is cut (0: never)."""
    flat = " ".join(clean(text).split())
    return f"{flat[: width - 1]}…" if 0 < width < len(flat) else flat
