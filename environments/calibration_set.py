"""The calibration set: chats with a good and a flawed reply, to measure a judge with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from .faults import EnvironmentFault, Problem
from .loading import load_environment, parse_yaml, read_text
from .strict import Strict

Flaw = Literal[
    "ignores_emotion",
    "breaks_policy",
    "invents_fact",
    "asks_what_was_given",
    "right_but_cold",
    "too_long",
    "accepts_wrong_premise",
]


class CalibrationItem(Strict):
    """One state of a bundled firm's scenario with two replies: `bad` is `good` with one flaw."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    scenario: str
    flaw: Flaw
    level: Literal["obvious", "medium", "subtle"]
    turns: list[str] = Field(min_length=1, description='"C: ..." and "A: ...", a customer last.')
    good: str = Field(min_length=10)
    bad: str = Field(min_length=10)
    closing: str = Field(default="", description='A last "C: ..." that fits both replies, or none.')

    @field_validator("turns")
    @classmethod
    def _tagged(cls, value: list[str]) -> list[str]:
        if any(line[:3] not in ("C: ", "A: ") for line in value) or value[-1][:2] != "C:":
            raise ValueError('lines begin with "C: " or "A: ", and the last is the customer\'s')
        return value

    @model_validator(mode="after")
    def _differs(self) -> CalibrationItem:
        if self.good == self.bad:
            raise ValueError("good and bad are the same")
        return self

    @property
    def held_out(self) -> bool:
        """Whether prompts must not be chosen on this item; every second one by number."""
        digits = "".join(c for c in self.id if c.isdigit())
        return int(digits or 0) % 2 == 1


class _File(Strict):
    items: list[CalibrationItem]


def calibrated_firms() -> list[str]:
    """The bundled firms that have a calibration set, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def calibration_set(firm: str) -> list[CalibrationItem]:
    """The items of one bundled firm.

    Raises:
        EnvironmentFault: where there is none, or an item is broken or names an unknown scenario.
    """
    path = _folder() / f"{firm}.yaml"
    if not path.is_file():
        known = ", ".join(calibrated_firms())
        problem = Problem(Path(firm), "has no calibration set", expected=f"one of {known}")
        raise EnvironmentFault([problem], exit_code=2)
    items = parse_yaml(path, read_text(path), _File).items
    scenarios = load_environment(firm).scenarios
    problems = [
        Problem(path, f"{item.scenario!r} is no scenario of {firm}", field=item.id)
        for item in items
        if item.scenario not in scenarios
    ]
    if problems:
        raise EnvironmentFault(problems)
    return items


def _folder() -> Path:
    return Path(str(resources.files("tutelage.environments") / "calibration"))
