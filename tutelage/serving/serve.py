"""The proxy from the command line: its socket, its key, its lines on the screen."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from rich.text import Text

from tutelage.agents.models.chat_models import (
    chat_model,
    clean_url,
    measured_placement,
    model_name,
    named_at,
)
from tutelage.agents.models.embedding_models import embedding_model
from tutelage.console import result, talk
from tutelage.strategy_store import Deployment, Library
from tutelage.strategy_store.given import TOP
from tutelage.strategy_store.prompt import Placement
from tutelage.tui.serve import is_loopback

KEY = "TUTELAGE_SERVE_KEY"


class ServeFault(Exception):
    """The proxy cannot be started; str() says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


def serve_run(
    library: Path,
    spec: str,
    host: str,
    port: int,
    placement: Placement | None,
    *,
    top: int | None = None,
    threshold: float | None = None,
    embeddings: str | None = None,
) -> None:
    """Serve until a person stops it.

    Raises:
        ServeFault: where the extra is missing, the address cannot be had, or it would be open to
            others without a key.
        LibraryFault: where the library cannot be opened.
        ModelFault: where the model cannot be had.
    """
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise ServeFault("serving needs more packages: `pip install 'tutelage[serve]'`")
    key = os.environ.get(KEY, "").strip()
    if not is_loopback(host) and not key:
        raise ServeFault(
            f"{host} is open to other machines, which could use your model and key; set {KEY} to "
            f"what clients must send as their key, or listen on 127.0.0.1",
            2,
        )
    import uvicorn

    from tutelage.serving.model import ModelUpstream
    from tutelage.serving.proxy import HttpUpstream, Proxy, Served, proxy_app

    if forwarded := HttpUpstream.of_spec(spec):
        _refuse_no_address(forwarded[1].base_url)
        model, (name, upstream) = None, forwarded
        elsewhere = "@" in spec or os.environ.get("OPENAI_API_BASE")
        known = f"openai:{name}@{clean_url(upstream.base_url)}" if elsewhere else spec
    else:
        model = chat_model(spec)
        known = model_name(model) if "@" in spec else spec
        name, _ = named_at(spec.partition(":")[2])
        upstream = ModelUpstream(model, known)

    meaning = embedding_model(embeddings)

    def say(served: Served) -> None:
        given = f"{len(served.strategies)} strategies" if served.strategies else "no strategy"
        kind = ", stream" if served.stream else ""
        line = f"{served.status}  {served.seconds:.2f} s  {given}{kind}"
        # rich ends the program where nobody reads it any more.
        with contextlib.suppress(SystemExit):
            talk().print(Text(line, style="dim"), soft_wrap=True)

    with Library.open(library) as opened, _socket(host, port) as bound:
        if forwarded:
            _refuse_itself(forwarded[1].base_url, host, bound.getsockname()[1])
        approved = opened.counts()["approved"]
        if not approved:
            talk().print(
                f"note: nothing in {library} is approved yet, so nothing is added; "
                f"`tutelage library approve {library} --all` counts at once",
                soft_wrap=True,
            )
        app = proxy_app(
            Proxy(
                deployment=Deployment(
                    opened,
                    TOP if top is None else top,
                    threshold,
                    placement=placement or measured_placement(model, opened, known),
                    embeddings=meaning,
                ),
                name=name,
                aliases=(spec,),
                upstream=upstream,
                key=key,
                hosts=_hosts(host),
                on_served=say,
            )
        )
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, server_header=False)
        )
        # Asked twice, or before it is up, it breaks off what is under way; that is no error to tell.
        logging.getLogger("uvicorn.error").addFilter(
            lambda told: not server.force_exit and "CancelledError" not in told.getMessage()
        )
        shown = f"[{host}]" if ":" in host else host
        # Whoever reads the address may stop it at once. A server that was stopped raises
        # KeyboardInterrupt, but not where a shell started it with Ctrl-C switched off.
        with contextlib.suppress(KeyboardInterrupt):
            result(f"http://{shown}:{bound.getsockname()[1]}/v1")
            talk().print(
                Text(f"serving {name} with {approved} approved strategies; Ctrl-C stops it"),
                soft_wrap=True,
            )
            server.run(sockets=[bound])
        talk().print("stopped")


def _refuse_no_address(address: str) -> None:
    """Refuse a model's address that cannot be called.

    Raises:
        ServeFault: where it is none.
    """
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ServeFault(
            "the model's address (after @ in --model, or OPENAI_BASE_URL) is none: give it as "
            "http://host:port/v1",
            2,
        )


def _refuse_itself(address: str, host: str, port: int) -> None:
    """Refuse a model whose address is the one that is listened on: each question would be its own.

    Raises:
        ServeFault: where it is.
    """
    asked = urlsplit(address)
    own = {host, "localhost", "127.0.0.1", "::1"} if is_loopback(host) else {host}
    if asked.hostname in own and asked.port == port:
        raise ServeFault(
            f"{clean_url(address)}, the model's address, is this proxy itself; name the model's server "
            "in --model (openai:NAME@http://host:port/v1), or unset OPENAI_BASE_URL here: that is for "
            "the proxy's clients",
            2,
        )


def _socket(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ServeFault: where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        # Whoever reads the address may come at once; until the server runs they wait in the queue.
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise ServeFault(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            f"name another with --port or --host"
        ) from error
    return bound


def _hosts(host: str) -> tuple[str, ...]:
    """The names under which requests are taken where this address is listened on."""
    if not is_loopback(host):
        return ("*",)
    # In Starlette before 1.8 every address in brackets reads as "[". It is an address all the same,
    # and no name of a web page's.
    own = (f"[{host}]", "[") if ":" in host else (host,)
    return ("localhost", "127.0.0.1", *own)
