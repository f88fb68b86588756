"""JSON Schemas of a firm's files, generated from the models; a test holds the committed copies."""

from __future__ import annotations

import json
from importlib import resources

from pydantic import BaseModel

from .environment import EnvironmentConfig
from .persona import Persona
from .scenario import Scenario

KINDS: dict[str, type[BaseModel]] = {
    "environment": EnvironmentConfig,
    "persona": Persona,
    "scenario": Scenario,
}


def schema_text(kind: str) -> str:
    """The JSON Schema (draft 2020-12) of one kind of file, as text.

    Args:
        kind: `environment`, `persona` or `scenario`.

    Raises:
        KeyError: for any other kind.
    """
    schema = KINDS[kind].model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


def committed_text(kind: str) -> str:
    """The schema as it ships, for editors that want a file."""
    folder = resources.files("tutelage.environments") / "schemas"
    return (folder / f"{kind}.schema.json").read_text(encoding="utf-8")
