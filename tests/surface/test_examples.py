"""The examples run, and what they send holds the approved advice and nothing else of the library."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import tutelage
from endpoint import ADVICE, QUESTION, REJECTED, UNAPPROVED, fill
from proxying import command
from tutelage.strategy_store import Library

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def library(library):
    return fill(library)


@pytest.fixture
def endpoint(endpoint):
    yield endpoint
    if not endpoint.bodies:
        return  # skipped
    sent = json.dumps(endpoint.bodies)
    assert ADVICE in sent, "the example was not coached"
    assert UNAPPROVED not in sent and REJECTED not in sent


def run(*args, given="", **env) -> str:
    done = subprocess.run(
        [str(arg) for arg in args], input=given, capture_output=True, text=True, timeout=240,
        cwd=ROOT, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chat_app(library, endpoint):
    said = run(sys.executable, EXAMPLES / "chat_app.py", library.path, endpoint.spec,
               given=f"{QUESTION}\nAnd now?\n\n")  # fmt: skip
    assert said == "Two hours. I am sorry.\n" * 2
    assert [m["role"] for m in endpoint.bodies[1]["messages"]] == [
        "system", "user", "assistant", "user", "system",
    ]  # fmt: skip


def test_agent_with_tools(library, endpoint):
    endpoint.answers = [
        ("flight_status", {"flight": "OAK12"}), ("rebook", {"flight": "OAK12", "leaves_at": "18:40"}),
        "You fly at 18:40.",
    ]  # fmt: skip
    said = run(
        sys.executable, EXAMPLES / "agent_with_tools.py", library.path, endpoint.spec, QUESTION
    )
    assert said.splitlines()[-1] == "You fly at 18:40." and "rebook(" in said
    assert len(endpoint.bodies) == 3
    assert all(ADVICE in body["messages"][-1]["content"] for body in endpoint.bodies)


def test_the_agent_as_it_is_can_be_the_student_of_a_simulation(library, endpoint, tmp_path):
    lines = iter([QUESTION, "Fine then, thanks and goodbye."])

    def answer(body):
        if "response_format" in body:
            line = next(lines)
            return json.dumps({"i_want": "help", "feeling": "annoyed", "customer_says": line,
                               "goal_met": "goodbye" in line})  # fmt: skip
        if "tools" not in body:
            return "4"
        if body["messages"][-1]["role"] == "tool" or "tool" in [
            m["role"] for m in body["messages"]
        ]:
            return "I have booked you on the flight at 18:40."
        return ("flight_status", {"flight": "OAK12"})

    endpoint.answers = [answer]
    said = run(
        sys.executable, "-m", "tutelage", "simulate", "airline", "--dialogues", "1",
        "--student", "app:examples/agent_with_tools.py:agent", "--customer", endpoint.spec,
        "--judge", endpoint.spec, "--run", tmp_path / "run", "--exchanges", "2", "--json",
        APP_MODEL=endpoint.spec, APP_LIBRARY=str(library.path),
    )  # fmt: skip
    assert json.loads(said)
    judged = json.dumps([b for b in endpoint.bodies if not {"tools", "response_format"} & set(b)])
    assert "the AGENT's tool flight_status(" in judged


def test_langgraph_own_state(library, endpoint):
    lines = iter([QUESTION, "Fine then, thanks and goodbye."])

    def answer(body):
        if "response_format" in body:
            line = next(lines)
            return json.dumps({"i_want": "help", "feeling": "annoyed", "customer_says": line,
                               "goal_met": "goodbye" in line})  # fmt: skip
        return "4" if body.get("max_completion_tokens") == 1 else "The next flight leaves at six."

    endpoint.answers = [answer]
    said = run(sys.executable, EXAMPLES / "langgraph_own_state.py", library.path, endpoint.spec)
    draft, verdict = said.splitlines()
    assert draft == "The next flight leaves at six."
    assert verdict.startswith("cancelled_waited: satisfaction ")


def test_fastapi_service(library, endpoint, monkeypatch):
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    monkeypatch.setenv("MODEL", endpoint.spec)
    monkeypatch.setenv("LIBRARY", str(library.path))
    found = importlib.util.spec_from_file_location("service", EXAMPLES / "fastapi_service.py")
    service = importlib.util.module_from_spec(found)
    sys.modules["service"] = service
    found.loader.exec_module(service)
    talk = {"messages": [{"role": "user", "content": QUESTION}]}
    with TestClient(service.app) as client:
        assert client.post("/reply", json=talk).json() == {"reply": "Two hours. I am sorry."}
        streamed = client.post("/reply", json={**talk, "stream": True})
        assert streamed.text == "Two hours. I am sorry."


def test_the_library_by_hand_of_the_review_page_comes_in_and_is_approved(tmp_path):
    page = (ROOT / "docs" / "review.md").read_text()
    (tmp_path / "mine.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    said = tutelage("library", "import", "mine.db", "mine.yaml", cwd=tmp_path)
    assert said.stdout == "added 1 entry and 1 strategy\n", said.stderr
    with Library.open(tmp_path / "mine.db") as made:
        assert not made.entries(("approved",))
        assert tutelage("library", "approve", "mine.db", "--all", cwd=tmp_path).returncode == 0
        (entry,) = made.entries(("approved",))
    assert entry.cues == ["you cancelled my flight and nobody helps"]


def test_proxy_with_a_javascript_client(library, endpoint, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    modules = Path(
        os.environ.get("TUTELAGE_NODE_MODULES", EXAMPLES / "proxy_javascript/node_modules")
    )
    if not (modules / "openai").is_dir():
        pytest.skip(f"needs npm's package openai in {modules} (npm install there)")
    shutil.copy(EXAMPLES / "proxy_javascript" / "client.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    with command(library, "--model", endpoint.spec) as (_, url):
        said = run(node, tmp_path / "client.mjs", "recorder", QUESTION,
                   OPENAI_BASE_URL=url, OPENAI_API_KEY="none")  # fmt: skip
    assert said == "Two hours. I am sorry.\n" * 2
    assert [bool(body.get("stream")) for body in endpoint.bodies] == [False, True]
