"""The strict pydantic model that every file of a firm is read with."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown fields are errors, text is stripped, and a loaded value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
