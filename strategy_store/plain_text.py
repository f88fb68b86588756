"""Plain text: what models and people wrote, made safe to show in a terminal."""

from __future__ import annotations

import json

# Needed inside words of Persian and some Indic scripts, and without width.
_KEPT = "\n\u200c"


def clean(text: str) -> str:
    """Text without what a terminal might obey: control characters, and the invisible ones that
    turn the direction of writing or join emoji (terminals disagree about the width of those).

    It may still hold markup, so give it to widgets as `Content(...)` or `Text(...)`, or with
    `markup=False`; never as a bare string where markup is read.
    """
    return "".join(c if c.isprintable() or c in _KEPT else " " for c in text.replace("\r\n", "\n"))


def escaped(text: str) -> str:
    """JSON, or YAML whose texts that need it stand in double quotes, with escapes for all that `clean`
    would take out: nothing of it is lost.
    """
    return text.translate({ord(one): _escape(one) for one in set(text) if clean(one) != one})


def json_text(value: object) -> str:
    """A value as JSON that people can read and that no terminal obeys."""
    return escaped(json.dumps(value, indent=2, ensure_ascii=False))


def _escape(letter: str) -> str:
    halves = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{halves[at : at + 4]}" for at in range(0, len(halves), 4))


def one_line(text: str, width: int = 0) -> str:
    """Clean text on one line; of more than `width` characters the rest is cut (0: never)."""
    flat = " ".join(clean(text).split())
    return f"{flat[: width - 1]}…" if 0 < width < len(flat) else flat
