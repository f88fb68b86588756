"""`tutelage doctor`: what is there, what is missing, and no secret on the screen."""

from __future__ import annotations

import json
from importlib.metadata import version

from endpoint import recording
from typer.testing import CliRunner

from tutelage.main import app


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_what_is_installed_is_told_and_what_is_missing_with_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TUTELAGE_MODELS_DIR", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = doctor()
    assert done.exit_code == 0
    assert version("langgraph") in done.stdout
    assert "-> tutelage models pull qwen2.5-coder-1.5b" in done.stdout
    assert "OPENAI_API_KEY is not set" in done.stdout
    assert "extra serve" in done.stdout
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-shown")
    rows = {row["what"]: row for row in json.loads(doctor("--json").stdout)}
    assert rows["openai:..."]["ok"] and not rows["local:smollm2-135m"]["ok"]
    assert "sk-not-shown" not in str(rows)


def test_a_model_that_was_asked_for_answers_or_is_a_failure(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with recording() as endpoint:
        endpoint.answers = ["ready"]
        done = doctor("--model", endpoint.spec)
        assert done.exit_code == 0 and "answers: ready" in done.stdout
    done = doctor("--model", "openai:m@http://127.0.0.1:9/v1")
    assert done.exit_code == 1 and "127.0.0.1:9" in done.stdout


def test_what_stands_in_a_models_address_is_not_shown(monkeypatch):
    done = doctor("--model", "openai:m@http://bea:hunter2@127.0.0.1:9/v1?key=opensesame")
    assert done.exit_code == 1 and "no user, password or query" in done.stdout
    assert "hunter2" not in done.output and "opensesame" not in done.output
