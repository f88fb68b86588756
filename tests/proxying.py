"""The proxy for tests: on a real socket, as a command of its own, and a client of either."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import openai
import uvicorn

from tutelage.serving.proxy import Proxy, proxy_app


@contextlib.contextmanager
def serving(proxy: Proxy):
    """The proxy on a real socket; gives its base URL."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(proxy_app(proxy), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    for _ in range(3000):
        if server.started:
            break
        assert thread.is_alive(), "the server ended before it began"
        time.sleep(0.01)
    assert server.started, "the server did not start within 30 s"
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()


@contextlib.contextmanager
def command(library, *args, **env):
    """The real command in a process of its own; gives its address, then stops it by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tutelage", "serve", str(library.path), "--port", "0", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env},
    )  # fmt: skip
    try:
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.talk = process.communicate(timeout=20)[1]


def client(url, key="client-key"):
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)
