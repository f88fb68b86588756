"""The examples about firms, run as a reader would, on a scripted endpoint that plays every part."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from endpoint import USAGE, Endpoint

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LINES = ["Nobody has told me anything so far, please help me.", "Lovely, many thanks to you."]
SORRY = "Say that you are sorry for the wait before you name any time."


def stage(body: dict[str, Any]) -> Any:
    """Answers as whichever part the prompt asks for."""
    messages = body["messages"]
    system, page = messages[0]["content"], messages[-1]["content"] or ""
    form = ((body.get("response_format") or {}).get("json_schema") or {}).get("name")
    if form == "CustomerLine":
        place = min(page.count("AGENT: "), len(LINES) - 1)
        return json.dumps({"feeling": "calm", "i_want": "it", "customer_says": LINES[place],
                           "goal_met": place == len(LINES) - 1})  # fmt: skip
    if form == "Description":
        return json.dumps({"scenario": "a customer asks when an order comes and nobody wrote back",
                           "wants": "a time", "feels": "annoyed"})  # fmt: skip
    if form == "Draft":
        return json.dumps({"advice": [], "strategies": [SORRY]})
    if "You review chats" in system:
        if "Answer A or B" not in page:
            return sure("4" if "one digit" in page else "Yes", body)
        kind = ["sorry" in re.search(rf"Reply {x}: (.*)", page)[1] for x in "AB"]
        return sure("B" if kind == [False, True] else "A", body)
    if body.get("tools"):
        called = [m for m in messages if m.get("tool_calls")]
        if not called:
            return ("find_order", {"order_number": "OK58299", "postcode": "2417"})
        if len(called) == 1:
            return ("move_slot", {"order_number": "OK58299", "day": "2026-10-16"})
    said = "It comes on Sunday between 9 and 11, to your door."
    # Whoever is told to be sorry is: the teacher by the scenario, a student by its strategies.
    kind = "sorry for the" in page
    return f"I am sorry for the wait. {said}" if kind else said


def sure(answer: str, body: dict[str, Any]) -> dict[str, Any]:
    """One token with all of the probability, as endpoints that give log-probabilities say it."""
    token = {"token": answer, "logprob": 0.0}
    choice = {
        "index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop",
        "logprobs": {"content": [{**token, "top_logprobs": [token]}]},
    }  # fmt: skip
    return {
        "status": 200,
        "body": {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"],
                 "choices": [choice], "usage": USAGE},
    }  # fmt: skip


@pytest.fixture
def endpoint(endpoint):
    endpoint.answers = [stage]
    return endpoint


def run(endpoint: Endpoint, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_API_KEY": "none", "NO_COLOR": "1", **more,
    }  # fmt: skip
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=240
    )


def test_a_firm_with_tools(endpoint):
    done = run(endpoint, sys.executable, "examples/firm_with_tools/play.py", endpoint.spec)
    assert done.returncode == 0, done.stderr
    assert (
        "tool: move_slot {'order_number': 'OK58299', 'day': '2026-10-16'} -> moved" in done.stdout
    )
    assert "state: fits_the_chat 1, moved 1, free 1" in done.stdout
    assert "not_cancelled 1" in done.stdout


def test_a_new_firm_in_ten_minutes(endpoint, tmp_path):
    firm = tmp_path / "bakery"
    done = run(endpoint, "bash", "examples/new_firm/run.sh", str(firm), endpoint.spec)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "bakery is valid" in done.stdout
    assert "customer: Is my cake for Sunday coming or not? Nobody writes back." in done.stdout
    assert (firm / "runs" / "coached" / "library.db").is_file()
    # Somebody taught: the teacher was asked for strategies.
    forms = [(body.get("response_format") or {}).get("json_schema", {}) for body in endpoint.bodies]
    assert "Draft" in [form.get("name") for form in forms]


def test_the_pytest_plugin_on_an_app(endpoint, tmp_path):
    options = ["-p", "no:cacheprovider", "-q", f"--basetemp={tmp_path / 'inner'}"]
    command = [
        sys.executable, "-m", "pytest", "examples/pytest_app", *options,
        "--tutelage-env=airline", "--tutelage-scenarios=2",
        f"--tutelage-customer={endpoint.spec}", f"--tutelage-judge={endpoint.spec}",
    ]  # fmt: skip
    done = run(endpoint, *command, APP_MODEL=endpoint.spec)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    skipped = run(endpoint, *command[: 4 + len(options)])
    assert "1 skipped" in skipped.stdout, skipped.stdout


@pytest.mark.skipif(
    find_spec("tutelage.environments.importing.chats") is None,
    reason="needs tutelage env import chats",
)
def test_coaching_an_app_from_its_chat_logs(endpoint, tmp_path):
    firm = tmp_path / "firm"
    done = run(
        endpoint, "bash", "examples/chat_logs/run.sh", str(firm), endpoint.spec,
        APP="app:examples/pytest_app/app.py:answer", APP_MODEL=endpoint.spec,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "48213" not in "".join(p.read_text() for p in firm.glob("scenarios/*.yaml"))
    assert (firm / "runs" / "coached" / "library.db").is_file()
