"""What all tests share: the data of others, and a firm made for tests."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest
from endpoint import recording
from tutelage.environments import load_environment
from tutelage.environments.scaffold import new_environment
from tutelage.strategy_store import Library

pytest_plugins = ["pytester"]


def pytest_collection_modifyitems(items):
    """Pictures of the screens hold for the pinned release of textual, which draws them."""
    pins = (Path(__file__).parent.parent / "constraints.txt").read_text().splitlines()
    if f"textual=={version('textual')}" in pins:
        return
    for item in items:
        if "snap_compare" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason="snapshots are of the pinned textual"))


@pytest.fixture
def tau2_airline() -> Path:
    """The airline domain of tau2-bench, which lies beside the project where tests run in CI."""
    root = Path(__file__).parent.parent
    shared = Path(os.environ.get("TUTELAGE_SHARED_DATA", root.parent / "shared" / "data"))
    folder = shared / "tau2-airline"
    if not folder.is_dir():
        pytest.skip(f"needs tau2-bench's airline domain in {folder} (set TUTELAGE_SHARED_DATA)")
    return folder


@pytest.fixture
def bakery(tmp_path: Path) -> Path:
    """A small valid firm that a test may break."""
    return new_environment("bakery", tmp_path / "bakery")


@pytest.fixture
def airline():
    """The bundled airline."""
    return load_environment("airline")


@pytest.fixture
def library(tmp_path: Path):
    """A library that holds nothing yet."""
    with Library.open(tmp_path / "l.db", create=True) as opened:
        yield opened


@pytest.fixture
def endpoint():
    """An endpoint that keeps what it is sent."""
    with recording() as started:
        yield started
