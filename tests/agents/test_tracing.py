"""Tracing: spans by the GenAI conventions without anybody's words; nothing is sent unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import world
from endpoint import QUESTION, fill, recording
from langchain_core.embeddings import FakeEmbeddings
from langchain_core.messages import HumanMessage
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from proxying import client, serving
from tutelage.agents.app_student import app_student
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.environments import load_environment
from tutelage.graphs.play.desk import voice_of
from tutelage.strategy_store import Deployment, Library

import tutelage
from tutelage.serving.proxy import HttpUpstream, Proxy

SECRET = "sk-verysecret-0123456789abcdef"
_exporter = InMemorySpanExporter()


@pytest.fixture(scope="session", autouse=True)
def _provider():
    """One for the session: a process takes no second, and may come back to this file."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(provider)
    yield
    provider.shutdown()


@pytest.fixture
def spans():
    _exporter.clear()
    return _exporter


async def test_every_call_of_a_role_is_a_span_with_names_and_numbers_and_no_words(spans, tmp_path):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    with recording() as endpoint:
        graph = tutelage.dialogue_graph(
            firm, student=endpoint.spec, customer=world.ScriptedCustomer(),
            judge=world.ScriptedJudge(), max_exchanges=1,
        )  # fmt: skip
        await graph.ainvoke({"scenario": "stranded_0"})
    found = {span.attributes["tutelage.role"]: span for span in spans.get_finished_spans()}
    assert set(found) == {"customer", "student", "judge"}
    student = found["student"]
    assert student.name == "chat recorder"
    attributes = dict(student.attributes)
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "recorder"
    assert attributes["gen_ai.request.max_tokens"] == 120
    assert attributes["gen_ai.usage.input_tokens"] == 11
    assert attributes["gen_ai.usage.output_tokens"] == 4
    told = json.dumps([span.to_json() for span in spans.get_finished_spans()])
    assert "stranded on a dark platform" not in told and "Two hours" not in told


async def test_a_fault_is_an_error_without_the_key_in_it(spans):
    with recording() as endpoint:
        endpoint.answers = [{"status": 400, "body": {"error": {"message": f"bad {SECRET}"}}}]
        with pytest.raises(ModelFault):
            await voice_of("student", endpoint.spec, Meter()).say([HumanMessage("Hi")])
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith("RequestError")
    assert SECRET not in span.to_json() and not span.events


async def test_what_a_fault_says_of_a_customer_stays_out_of_the_trace(spans):
    def lost(messages):
        raise ValueError(f"cannot route {messages[-1].text!r}")

    with pytest.raises(ModelFault, match="my wife died"):
        await voice_of("student", app_student(lost), Meter()).say([HumanMessage("my wife died")])
    (span,) = spans.get_finished_spans()
    assert span.status.description == span.attributes["error.type"] == "ValueError"
    assert "my wife died" not in span.to_json()


async def test_an_app_is_an_agent(spans):
    async def shop(messages):
        return "Hello."

    await voice_of("student", app_student(shop), Meter()).say([HumanMessage("Hi")])
    (span,) = spans.get_finished_spans()
    assert span.name == "invoke_agent shop"
    assert span.attributes["gen_ai.agent.name"] == "shop"


def test_the_proxy_joins_the_clients_trace_and_says_which_advice_it_gave(spans, tmp_path):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with recording() as endpoint, Library.open(tmp_path / "l.db", create=True) as library:
        proxy = Proxy(Deployment(fill(library)), "recorder", HttpUpstream(endpoint.url, SECRET))
        with serving(proxy) as url:
            client(url).chat.completions.create(
                model="recorder", messages=[{"role": "user", "content": QUESTION}],
                extra_headers={"traceparent": parent},
            )  # fmt: skip
        sent = endpoint.headers[-1]["traceparent"]
    found = {span.name: span for span in spans.get_finished_spans()}
    served, looked_up = found["chat recorder"], found["retrieval tutelage"]
    assert f"{served.context.trace_id:032x}" == parent.split("-")[1] == sent.split("-")[1]
    assert looked_up.parent.span_id == served.context.span_id
    assert len(looked_up.attributes["tutelage.strategies"]) == 1
    assert served.attributes["gen_ai.usage.output_tokens"] == 4
    told = served.to_json() + looked_up.to_json()
    assert SECRET not in told and QUESTION not in told


def test_what_an_embedding_says_of_a_customer_stays_out_of_the_trace(spans, tmp_path):
    class Refusing(FakeEmbeddings):
        def embed_query(self, text):
            raise ValueError(f"input refused: {text}")

    with Library.open(tmp_path / "l.db", create=True) as library:
        deployment = Deployment(fill(library), embeddings=Refusing(size=3))
        with pytest.raises(ValueError, match="my wife died"):
            deployment.retrieve("my wife died")
    (span,) = spans.get_finished_spans()
    assert span.status.description == span.attributes["error.type"] == "ValueError"
    assert "my wife died" not in span.to_json()


# Nothing unasked. A process of its own, so that nothing of this one's settings is there.

_DIALOGUE = """
    import asyncio, json, os, socket, sys
    sys.path.insert(0, {tests!r})
    reached = []
    connect, lookup = socket.socket.connect, socket.getaddrinfo
    def noted(self, address):
        reached.append(address[0] if isinstance(address, tuple) else "unix")
        return connect(self, address)
    def asked(host, *args, **kwargs):
        reached.append(host)
        return lookup(host, *args, **kwargs)
    socket.socket.connect, socket.getaddrinfo = noted, asked
    import tutelage, world
    from pathlib import Path
    from tutelage.environments import load_environment
    firm = load_environment(world.build_firm(Path({folder!r})))
    with tutelage.Library.open({folder!r} + ".db", create=True) as library:
        graph = tutelage.dialogue_graph(
            firm, student=tutelage.coached(world.ScriptedStudent(), library),
            customer=world.ScriptedCustomer(), judge=world.ScriptedJudge(), library=library,
            max_exchanges=2)
        asyncio.run(graph.ainvoke({{"scenario": "stranded_0"}}))
    from langchain_core.tracers.langchain import wait_for_all_tracers
    wait_for_all_tracers()
    print(json.dumps(reached))
"""


def _played(tmp_path, **env) -> list[str]:
    """Every address that a process reached for while it played a dialogue."""
    code = textwrap.dedent(_DIALOGUE).format(
        tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "world")
    )
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("LANG", "OTEL"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240,
        env={**mine, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_without_settings_nothing_is_sent_anywhere(tmp_path):
    assert _played(tmp_path) == []


def test_with_langsmiths_own_variables_it_gets_the_runs(tmp_path):
    got: list[str] = []

    class Smith(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            got.append(self.path)
            self.send_response(202)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_PATCH = do_POST

    server = ThreadingHTTPServer(("127.0.0.1", 0), Smith)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        reached = _played(
            tmp_path, LANGSMITH_TRACING="true", LANGSMITH_API_KEY="lsv2_x",
            LANGSMITH_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert set(reached) == {"127.0.0.1"}
    assert any("runs" in path for path in got)
