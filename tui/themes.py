"""Themes: the colours of every screen, by what they mean, and how a theme is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

VARIABLE = "TUTELAGE_THEME"
"""The environment variable that names the theme to begin with."""
DEFAULT = "tutelage"

MEANINGS: Mapping[str, str] = {
    "customer": "$warning",
    "student": "$success",
    "teacher": "$secondary",
    "judge": "$primary",
    "strategy": "$accent",
    "good": "$success",
    "bad": "$error",
    "quiet": "$foreground 60%",
}
"""What our screens colour by. Use them in TCSS and in `Content` styles as `$customer`, `$good`, ...
Colour never tells anything alone: a word or a mark stands beside it."""


def _theme(name: str, colours: Mapping[str, str], *, dark: bool = True) -> Theme:
    """A theme from the colours of the meanings and of the ground."""
    return Theme(
        name=name,
        primary=colours["judge"],
        secondary=colours["teacher"],
        accent=colours["strategy"],
        warning=colours["customer"],
        success=colours["good"],
        error=colours["bad"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["surface"],
        panel=colours["panel"],
        dark=dark,
        variables={
            **{meaning: colours[meaning] for meaning in MEANINGS},
            "footer-key-foreground": colours["strategy"],
            "footer-background": colours["panel"],
            "border": colours["quiet"],
            "border-blurred": colours["panel"],
            "block-cursor-background": colours["cursor"],
            "block-cursor-foreground": colours["foreground"],
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": colours["panel"],
            "block-cursor-blurred-foreground": colours["foreground"],
            "block-cursor-blurred-text-style": "none",
        },
    )


_DARK = {
    "foreground": "#d9dee5", "background": "#0f1318", "surface": "#151a21", "panel": "#1f2630",
    "cursor": "#2f4257", "customer": "#eba35c", "student": "#5fcbb2", "teacher": "#b9a0f7",
    "judge": "#7fb6f7", "strategy": "#e7cb62", "good": "#83d481", "bad": "#f27f7f",
    "quiet": "#7c8794",
}  # fmt: skip
_LIGHT = {
    "foreground": "#20262d", "background": "#f7f5f0", "surface": "#efece5", "panel": "#e2ded4",
    "cursor": "#cfdcec", "customer": "#a5530b", "student": "#0b7264", "teacher": "#6a45b8",
    "judge": "#1f5fae", "strategy": "#7f6100", "good": "#2f7d31", "bad": "#b3302f",
    "quiet": "#6b6f75",
}  # fmt: skip
# Okabe and Ito's palette (2008), told apart with any common colour vision; good and bad are blue
# and vermilion, never green and red.
_COLOUR_BLIND = _DARK | {
    "customer": "#e69f00", "student": "#56b4e9", "teacher": "#cc79a7", "judge": "#1fb58a",
    "strategy": "#f0e442", "good": "#56b4e9", "bad": "#f0743a",
}  # fmt: skip
_MONOCHROME = {
    "foreground": "#e6e6e6", "background": "#000000", "surface": "#0d0d0d", "panel": "#262626",
    "cursor": "#4d4d4d", "customer": "#ffffff", "student": "#d0d0d0", "teacher": "#bcbcbc",
    "judge": "#ffffff", "strategy": "#ffffff", "good": "#ffffff", "bad": "#ffffff",
    "quiet": "#949494",
}  # fmt: skip

THEMES = (
    _theme(DEFAULT, _DARK),
    _theme("tutelage-light", _LIGHT, dark=False),
    _theme("colour-blind", _COLOUR_BLIND),
    _theme("monochrome", _MONOCHROME),
)


def install(app: App[Any], name: str | None = None) -> None:
    """Give an app our themes and choose one.

    Args:
        app: the app, not yet running.
        name: a theme of ours or of Textual's; else what the environment names, else the default.
            A name that nobody knows gives the default.
    """
    for theme in THEMES:
        app.register_theme(theme)
    wanted = name or os.environ.get(VARIABLE, "")
    app.theme = wanted if wanted in app.available_themes else DEFAULT


def is_theme(name: str) -> bool:
    """Whether a theme has this name, one of ours or of Textual's."""
    return name in theme_names() or name in BUILTIN_THEMES


def theme_names() -> list[str]:
    """Our themes, in the order in which a key goes through them."""
    return [theme.name for theme in THEMES]
