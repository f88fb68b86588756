"""Serving: the watch in a browser, through textual-serve, on this machine unless told otherwise."""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tutelage.graphs.log.run_log import RunFault, RunLog

HTTP_PORT = 80
"""Browsers do not name this port in a request."""


def serve(
    run: Path, *, host: str = "127.0.0.1", port: int = 8077, theme: str | None = None
) -> None:
    """Serve the watch of a run until Ctrl-C. Each browser gets a watch of its own.

    Args:
        run: the run's folder.
        host: the address to listen on. Nobody is asked for a password, so anything but loopback
            shows the run to whoever reaches the address; that is said aloud.
        port: the port.
        theme: as for `watch`.

    Raises:
        RunFault: where it is no run (exit code 2), or textual-serve is not installed.
    """

    async def check() -> None:
        async with await RunLog.open(run, create=False):
            pass

    asyncio.run(check())
    try:
        server = _server_class()
    except ImportError:
        raise RunFault("--serve needs textual-serve: pip install 'tutelage[serve]'", 2) from None
    words = [sys.executable, "-m", "tutelage", "watch", str(run.resolve())]
    if theme is not None:
        words += ["--theme", theme]
    if not is_loopback(host):
        sys.stderr.write(
            f"note: whoever reaches {host}:{port} sees this run; there is no password\n"
        )
    try:
        server(shlex.join(words), host=host, port=port, title=f"tutelage {run.name}").serve()
    except OSError as error:
        raise RunFault(
            f"{host}:{port}: cannot be listened on: {error.strerror or error}"
        ) from error


def _server_class() -> Any:
    """textual-serve's server, closed to the pages of other sites that a browser has open."""
    from aiohttp import web
    from textual_serve.server import Server

    @web.middleware
    async def same_site(request: web.Request, handler: Any) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="this page is not for other sites")
        return await handler(request)

    class SameSite(Server):
        async def _make_app(self) -> web.Application:
            app = await super()._make_app()
            # A name that resolves to this machine would make another site's page the same site.
            app.middlewares.extend([_only_hosts(self.host, self.port), same_site])
            return app

        async def handle_index(self, request: web.Request) -> Any:
            # What is listened on may be no address that a browser reaches (0.0.0.0), or another name.
            self.public_url = f"{request.scheme}://{request.host}"
            return await super().handle_index(request)

    return SameSite


def _only_hosts(host: str, port: int) -> Any:
    from aiohttp import web

    names = {host, "127.0.0.1", "localhost", "[::1]"}
    known = {f"{name}:{port}" for name in names}
    if port == HTTP_PORT:
        known |= names

    @web.middleware
    async def only_hosts(request: web.Request, handler: Any) -> web.StreamResponse:
        if is_loopback(host) and request.host not in known:
            raise web.HTTPForbidden(text="this page is for this machine only")
        return await handler(request)

    return only_hosts


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
