"""Halves of characters (surrogates), which no encoding takes: joined, or replaced where one is alone."""

from __future__ import annotations

from typing import Any


def joined(text: str, alone: str) -> str:
    """A text in which each half of a character is joined with the other half behind it.

    Args:
        text: what JSON and YAML make of an escape such as `\\ud83d\\ude00`.
        alone: what becomes of a half without the other, as a handler of `bytes.decode`: U+FFFD takes
            its place ("replace"), or it is refused ("strict").

    Raises:
        UnicodeDecodeError: where one is refused.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", alone)


def mended(value: Any) -> Any:
    """A text, or JSON with texts in it, as UTF-8 can hold it.

    Args:
        value: a text, a list or a dict; anything else comes back as it is.

    Returns:
        The same with each half of a character (a surrogate) joined with the other half behind it, or
        replaced by U+FFFD where there is none.
    """
    if isinstance(value, str):
        return joined(value, "replace")
    if isinstance(value, dict):
        return {mended(key): mended(one) for key, one in value.items()}
    if isinstance(value, list):
        return [mended(one) for one in value]
    return value
