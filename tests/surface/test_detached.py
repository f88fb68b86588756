"""Runs in a process of their own, and the watch in a browser: nothing is lost on the way there."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tutelage.graphs.log.run_log import RunFault
from tutelage.tui.serve import _server_class, is_loopback
from typer.testing import CliRunner

from tutelage.evaluation import run as evaluate_run
from tutelage.evaluation.result import EvaluateRequest
from tutelage.main import app
from tutelage.runs import coach as coach_run
from tutelage.runs import detached
from tutelage.runs import simulate as simulate_run
from tutelage.runs.detached import arguments_of, run_detached

REQUESTS = {
    "coach": coach_run.CoachRequest(
        environment="airline", student="openai:x", rounds=2, budget_usd=1.5, library="/l.db", seed=7,
        general=False,
    ),
    "simulate": simulate_run.SimulateRequest(
        environment="airline", persona="rude", split="test", dialogues=9, exchanges=2, seed=3
    ),
    "evaluate": EvaluateRequest(
        environment="airline", library="l.db", arms=["none", "library"], students=["openai:a", "b:c"],
        sequential=True, proposed=True, repeats=3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", REQUESTS)
def test_a_request_comes_through_its_arguments_unchanged(command, monkeypatch):
    home = {"coach": coach_run, "simulate": simulate_run, "evaluate": evaluate_run}[command]
    got = []
    monkeypatch.setattr(home, f"{command}_run", lambda request, *_, **__: got.append(request))
    done = CliRunner().invoke(app, [command, *arguments_of(REQUESTS[command]), "--run", "r"])
    assert done.exit_code == 0, done.output
    assert got == [REQUESTS[command]]


@pytest.mark.parametrize("command", REQUESTS)
def test_watch_starts_the_run_elsewhere_and_only_there(command, monkeypatch, tmp_path):
    home = {"coach": coach_run, "simulate": simulate_run, "evaluate": evaluate_run}[command]
    got = []
    monkeypatch.setattr(home, "run_detached", lambda *words: got.append(words))
    folder = tmp_path / "r"
    request = REQUESTS[command].model_copy(update={"library": None})
    words = [command, *arguments_of(request), "--run", str(folder)]
    done = CliRunner().invoke(app, [*words, "--watch"])
    assert done.exit_code == 0, done.output
    assert got == [(command, arguments_of(request), folder)]
    both = CliRunner().invoke(app, [*words, "--watch", "--json"])
    assert both.exit_code == 2 and "one of them" in both.output


@pytest.fixture
def terminal(monkeypatch):
    """Tests have none."""
    monkeypatch.setattr("tutelage.tui.shell.need_terminal", lambda: None)


@pytest.mark.usefixtures("terminal")
def test_a_run_that_ends_before_it_begins_says_why_and_leaves_nothing(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RunFault, match=r"qwen2\.5-coder") as fault:
        run_detached("simulate", ["airline", "--student", "local:qwen2.5-coder-1.5x"], folder)
    assert fault.value.exit_code == 2 and "error:" not in str(fault.value)
    assert not folder.exists()


@pytest.mark.usefixtures("terminal")
def test_the_watch_of_a_detached_run_is_opened_and_its_going_on_is_told(
    tmp_path, monkeypatch, capsys
):
    watched = []
    monkeypatch.setattr("tutelage.tui.watch", lambda run, *_: watched.append(run))
    code = "import time, pathlib, sys; p = pathlib.Path(sys.argv[-1]); (p / 'run.db').touch(); "
    for more, told in (("time.sleep(30)", "goes on"), ("", "is over")):
        folder = tmp_path / told.split()[0]
        started = []
        real = detached.subprocess.Popen

        def start(words, real=real, more=more, started=started, **options):
            started.append(real([words[0], "-c", code + more, *words[3:]], **options))
            if not more:
                started[-1].wait()
            return started[-1]

        monkeypatch.setattr(detached.subprocess, "Popen", start)
        run_detached("coach", ["airline"], folder)
        monkeypatch.setattr(detached.subprocess, "Popen", real)
        started[0].kill()
        started[0].wait()
        assert watched[-1] == folder and told in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_a_run_that_failed_while_it_was_watched_is_a_fault(tmp_path, monkeypatch):
    (tmp_path / "run.db").touch()
    (tmp_path / "coach.log").write_text("error: an older one\n")
    code = "import sys; print('working'); sys.exit('error: the model x is not here; pull it')"
    real = detached.subprocess.Popen
    started = []

    def start(words, **options):
        started.append(real([words[0], "-c", code], **options))
        return started[-1]

    monkeypatch.setattr(detached.subprocess, "Popen", start)
    monkeypatch.setattr("tutelage.tui.watch", lambda *_: started[0].wait())
    with pytest.raises(RunFault) as fault:
        run_detached("coach", ["airline", "--resume"], tmp_path)
    assert fault.value.exit_code == 1
    said = str(fault.value)
    assert "pull it" in said and "older" not in said and "working" not in said
    assert str(tmp_path / "coach.log") in said


async def test_a_browser_is_let_in_from_this_machine_and_from_no_other_page():
    server = _server_class()("true", host="127.0.0.1", port=8077)
    async with TestClient(TestServer(await server._make_app())) as client:
        here = {"Host": "127.0.0.1:8077"}
        for headers, status in (
            (here, 200),
            (here | {"Origin": "http://127.0.0.1:8077"}, 200),
            (here | {"Origin": "http://evil.example"}, 403),
            (here | {"Origin": "null"}, 403),
            ({"Host": "evil.example:8077"}, 403),
        ):
            assert (await client.get("/", headers=headers)).status == status, headers
            if status == 403:
                assert (await client.get("/ws", headers=headers)).status == 403, headers


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("127.0.0.1", 8077, "127.0.0.1:8077"),
        ("127.0.0.1", 8077, "localhost:8077"),
        ("localhost", 8077, "[::1]:8077"),
        ("0.0.0.0", 8077, "192.168.1.20:8077"),
        ("0.0.0.0", 8077, "box.example:8077"),
        ("127.0.0.1", 80, "localhost"),
        ("0.0.0.0", 80, "box.example"),
    ],
)
async def test_a_page_opens_its_line_at_the_address_it_was_asked_at(host, port, named):
    server = _server_class()("true", host=host, port=port)
    async with TestClient(TestServer(await server._make_app())) as client:
        page = await client.get("/", headers={"Host": named})
        assert page.status == 200
        found = re.search('data-session-websocket-url="([^"]+)"', await page.text())
        line = urlsplit(found[1])
        assert (line.scheme, line.netloc) == ("ws", named)
        headers = {"Host": line.netloc, "Origin": f"http://{named}"}
        async with client.ws_connect(line.path, headers=headers) as opened:
            assert not opened.closed


def test_what_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.2", "example.com", "::")))
