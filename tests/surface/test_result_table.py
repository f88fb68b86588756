"""The benchmark of coaching keeps what it played: a fresh checkout goes on with it."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "coaching" / "run.py"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The benchmark's script, with its results in a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("result_table", RUN)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "RUNS", tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    return script


def play(work: Path, name: str, what: str) -> None:
    (work / name).mkdir(parents=True, exist_ok=True)
    (work / name / "run.db").write_text(what)
    (work / name / "library.db").write_text(f"learned: {what}")


def test_a_fresh_checkout_goes_on_with_the_runs_of_earlier_sittings(table, tmp_path):
    work = tmp_path / "work"
    with table.kept("airline", work):
        play(work, "evaluate", "none")
    with contextlib.suppress(SystemExit), table.kept("airline", work):
        play(work, "coach", "round 1")
        raise SystemExit(1)
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert set(made) == {"airline.evaluate.tar.xz", "airline.coach.tar.xz"}
    shutil.rmtree(work)
    with table.kept("furniture", work):
        assert not work.exists(), "each firm has its own"
    with table.kept("airline", work):
        assert (work / "evaluate" / "run.db").read_text() == "none"
        assert (work / "coach" / "library.db").read_text() == "learned: round 1"
        play(work, "coach", "round 2")
    with table.kept("airline", work):
        assert (work / "coach" / "run.db").read_text() == "round 2", "what is there stays"
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    changed = {name for name in now if now[name] != made[name]}
    assert changed == {"airline.coach.tar.xz"}, "what nobody went on with is not packed anew"
