"""A recording endpoint that speaks the OpenAI protocol, and a library with one thing to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tutelage.strategy_store import Entry, Evidence, Library, Provenance, Strategy

ADVICE = "Name the wait before anything else."
UNAPPROVED = "Promise a free upgrade to everybody at once."
REJECTED = "Blame the weather for whatever went wrong."
QUESTION = "They cancelled my flight and I have waited for hours, nobody helps."
EXCHANGE = "You have waited for hours, and I am sorry."


def fill(library: Library) -> Library:
    """One approved strategy, one proposed and one rejected, all for the same state; each with the
    exchange that it was kept for.
    """
    evidence = Evidence(customer="My flight is cancelled, I wait.", after=EXCHANGE, preference=0.9)
    origin = Provenance(source="teacher", evidence=evidence)
    texts = (ADVICE, UNAPPROVED, REJECTED)
    entry = library.add(
        Entry.new(
            "a customer whose flight was cancelled and who has waited for hours",
            cues=["my flight was cancelled and nobody helps"],
            strategies=[Strategy.new(text, origin) for text in texts],
        ),
        "test",
    )
    ids = {strategy.text: strategy.id for strategy in entry.strategies}
    library.approve([ids[ADVICE]], "test")
    library.reject([ids[REJECTED]], "test", "untrue")
    return library


@dataclass
class Endpoint:
    """What was received, and what is answered: texts in turn (the last one again and again), tool
    calls as `(name, arguments)`, a status with a body, or a function of the request that gives one.
    """

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=lambda: ["Two hours. I am sorry."])
    break_stream: bool = False

    @property
    def spec(self) -> str:
        return f"openai:recorder@{self.url}"

    def next_answer(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def recording() -> Iterator[Endpoint]:
    """An endpoint on loopback for the time of the block."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            endpoint.bodies.append(body)
            endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
            answer = endpoint.next_answer()
            if callable(answer):
                answer = answer(body)
            if isinstance(answer, dict) and "status" in answer:
                self._send(answer["status"], json.dumps(answer["body"]).encode())
            elif body.get("stream"):
                self._stream(answer, body)
            else:
                self._send(200, json.dumps(_whole(answer, body)).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("x-request-id", "req-7")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, answer: Any, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            words = answer.split(" ")
            for place, word in enumerate(words):
                delta = {"content": word if place == 0 else f" {word}"}
                self._event(body, [{"index": 0, "delta": delta, "finish_reason": None}])
                if endpoint.break_stream:
                    return
            self._event(body, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
            if (body.get("stream_options") or {}).get("include_usage"):
                self._event(body, [], usage=USAGE)
            self.wfile.write(b"data: [DONE]\n\n")

        def _event(self, body: dict[str, Any], choices: list[Any], **more: Any) -> None:
            chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1,
                     "model": body["model"], "choices": choices, **more}  # fmt: skip
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


def _whole(answer: Any, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer}
    if isinstance(answer, tuple):
        name, arguments = answer
        call = {"id": f"call_{name}", "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)}}  # fmt: skip
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    reason = "tool_calls" if isinstance(answer, tuple) else "stop"
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": USAGE,
    }  # fmt: skip
