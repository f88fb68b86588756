"""The 98 MB smoke model: says nothing of use, but proves that the plumbing holds."""

from __future__ import annotations

import functools
import os

import pytest
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.weights import pull

NAME = "smollm2-135m"


@functools.cache
def _why_missing() -> str:
    try:
        pull(NAME)
    except ModelFault as fault:
        return str(fault)
    return ""


def smoke_model() -> str:
    """The smoke model's name, fetched if need be; skips the test where it cannot be had."""
    # Small on purpose: the machine that runs the tests may be running other things.
    os.environ.setdefault("TUTELAGE_LOCAL_CONTEXT", "2048")
    os.environ.setdefault("TUTELAGE_LOCAL_SLOTS", "4")
    os.environ.setdefault("TUTELAGE_LOCAL_CACHE_MIB", "256")
    if why := _why_missing():
        pytest.skip(f"the smoke model cannot be had: {why}")
    return NAME
