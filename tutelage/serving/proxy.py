"""The proxy: an OpenAI-compatible endpoint that coaches whatever passes through it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tutelage.agents.models.chat_models import clean_url, named_at, redacted
from tutelage.agents.models.faults import ModelFault
from tutelage.environments.surrogates import mended
from tutelage.serving.errors import ProxyError, fault_error
from tutelage.serving.model import ModelUpstream
from tutelage.strategy_store import Deployment, LibraryFault, coach_wire

MAX_BODY = 32_000_000
"""Bytes of a request at most; pictures travel inside."""
SECONDS = 600.0
"""How long an upstream may take, as OpenAI's own clients allow."""
_RESPONSE_HEADERS = ("x-request-id", "retry-after", "retry-after-ms")
_RESPONSE_PREFIXES = ("openai-", "x-ratelimit-")
_tracer = trace.get_tracer("tutelage")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpUpstream:
    """A server that speaks the OpenAI protocol; what is sent and answered passes as it is.

    `key` is the proxy's own; without one, the client's key is passed on, unless it is what lets the
    client into the proxy.
    """

    base_url: str
    key: str = field(default="", repr=False)

    @classmethod
    def of_spec(cls, spec: str) -> tuple[str, HttpUpstream] | None:
        """The name and upstream of an `openai:` spec; None for any other."""
        provider, _, rest = spec.partition(":")
        if provider != "openai" or not rest:
            return None
        name, address = named_at(rest)
        default = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        base = address or default or "https://api.openai.com/v1"
        return name, cls(base.rstrip("/"), os.environ.get("OPENAI_API_KEY", "").strip())

    @property
    def url(self) -> str:
        """Where completions are asked for; a query of the address stays behind its path."""
        parts = urlsplit(self.base_url)
        return parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions").geturl()


@dataclass(frozen=True)
class Served:
    """One request that was answered, for the log; holds no text and no key."""

    status: int
    strategies: tuple[str, ...]
    seconds: float
    stream: bool


@dataclass(frozen=True)
class Proxy:
    """What the proxy needs.

    Attributes:
        deployment: the library at work.
        name: the model's id for clients.
        upstream: what answers.
        aliases: other ids by which clients may ask for it.
        key: what clients must send as their key; "" for no check.
        hosts: the names and addresses under which requests are taken, "*" for any. This machine's
            own alone keep web pages from reaching it under a name of theirs.
        on_served: told after each answer.
    """

    deployment: Deployment
    name: str
    upstream: HttpUpstream | ModelUpstream
    aliases: tuple[str, ...] = ()
    key: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")
    on_served: Callable[[Served], None] | None = None
    transport: httpx.AsyncBaseTransport | None = None


def proxy_app(proxy: Proxy) -> Starlette:
    """The ASGI app: `POST /v1/chat/completions` and `GET /v1/models`, errors in OpenAI's shape."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        timeout = httpx.Timeout(SECONDS, connect=10.0)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        # What the upstream gives one client to remember is not sent with another's request.
        forgetful = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        async with httpx.AsyncClient(
            timeout=timeout, limits=limits, transport=proxy.transport, cookies=forgetful
        ) as client:
            app.state.client = client
            yield

    async def complete(request: Request) -> Response:
        _check_key(proxy, request)
        try:
            return await _complete(proxy, request)
        except (ProxyError, ModelFault, LibraryFault, HTTPException, ClientDisconnect):
            raise
        except Exception as error:
            # Starlette would pass it on to the server, which prints what it says.
            return await _on_defect(request, error)

    async def models(request: Request) -> Response:
        _check_key(proxy, request)
        return JSONResponse({"object": "list", "data": [_model(proxy)]})

    async def one_model(request: Request) -> Response:
        _check_key(proxy, request)
        _check_model(proxy, request.path_params["id"])
        return JSONResponse(_model(proxy))

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{id:path}", one_model),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=proxy.hosts, www_redirect=False)
        ],
        exception_handlers={
            ProxyError: _on_error, ModelFault: _on_fault, LibraryFault: _on_library,
            HTTPException: _on_http, ClientDisconnect: _on_gone,
        },
        lifespan=lifespan,
    )  # fmt: skip


async def _complete(proxy: Proxy, request: Request) -> Response:
    """Coach one request and have it answered."""
    began = time.monotonic()
    body = await _body(request)
    _check_model(proxy, body.get("model", proxy.name))
    messages = _messages(body)
    context = propagate.extract(dict(request.headers))
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": proxy.name,
    }
    with _tracer.start_as_current_span(
        f"chat {proxy.name}",
        context,
        SpanKind.SERVER,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        found = await proxy.deployment.aretrieve_wire(messages)
        sent = {
            **body,
            "model": proxy.name,
            "messages": coach_wire(messages, found, proxy.deployment.placement),
        }
        given = tuple(strategy.id for one in found for strategy in one.strategies)
        stream = bool(body.get("stream"))
        try:
            response = await _unless_gone(request, _answer(proxy, request, sent))
        except ProxyError as error:
            span.set_status(Status(StatusCode.ERROR, error.code))
            span.set_attribute("error.type", error.code)
            raise
        if span.is_recording():
            _describe(span, response)
    # An id may be any text in a library of somebody's making, and a header takes little of it.
    ids = (quote(id_, safe="", errors="replace") for id_ in given)
    response.headers["x-tutelage-strategies"] = ",".join(ids)
    if proxy.on_served:
        # An answer that is there is not lost to a log that cannot be written.
        with suppress(Exception):
            proxy.on_served(Served(response.status_code, given, time.monotonic() - began, stream))
    return response


async def _answer(proxy: Proxy, request: Request, body: dict[str, Any]) -> Response:
    """What the upstream answers to a coached body, streamed or whole."""
    if isinstance(proxy.upstream, HttpUpstream):
        return await _forward(proxy, proxy.upstream, request, body)
    answer = await proxy.upstream.complete(body)
    if body.get("stream"):
        return StreamingResponse(answer, media_type="text/event-stream")
    return JSONResponse(answer)


async def _unless_gone(request: Request, answering: Coroutine[Any, Any, Response]) -> Response:
    """The answer, unless the client goes away before it is there: then the call is given up, which
    would cost money or hold a local model for nobody.

    Raises:
        ClientDisconnect: where it went.
    """
    answer, gone = asyncio.create_task(answering), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()
        # Also takes what a call says that fails while it is given up; asyncio would log its words.
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client of a request that was read to its end goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _forward(
    proxy: Proxy, upstream: HttpUpstream, request: Request, body: Mapping[str, Any]
) -> Response:
    """Send a body to the upstream and give back what it answers, streamed or whole."""
    client: httpx.AsyncClient = request.app.state.client
    authorization = f"Bearer {upstream.key}" if upstream.key else None
    if not upstream.key and not proxy.key:
        authorization = request.headers.get("authorization")
    headers = {
        "content-type": "application/json",
        # What is not compressed can be passed on piece by piece as it comes.
        "accept-encoding": "identity",
        **{k: v for k, v in request.headers.items() if k.startswith("openai-")},
        **({"authorization": authorization} if authorization else {}),
    }
    propagate.inject(headers)
    content = json.dumps(body, ensure_ascii=False).encode()
    try:
        answer = await client.send(
            client.build_request("POST", upstream.url, content=content, headers=headers),
            stream=True,
        )
    except httpx.TimeoutException as error:
        raise ProxyError(504, "The upstream did not answer in time.", code="timeout") from error
    except httpx.HTTPError as error:
        raise ProxyError(
            502, "The upstream cannot be reached.", code="upstream_unreachable"
        ) from error
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name in _RESPONSE_HEADERS or name.startswith(_RESPONSE_PREFIXES)
    }
    if answer.status_code >= 400:
        raise await _refused(answer, proxy, upstream, kept)
    if answer.status_code >= 300:
        await answer.aclose()
        raise _moved(answer)
    media = answer.headers.get("content-type", "application/json")
    if body.get("stream"):
        return StreamingResponse(
            _pieces(answer),
            headers=kept,
            media_type=media,
            background=BackgroundTask(answer.aclose),
        )
    try:
        whole = await answer.aread()
    except httpx.HTTPError as error:
        raise ProxyError(
            502, "The upstream broke off its answer.", code="upstream_broke_off"
        ) from error
    finally:
        await answer.aclose()
    return Response(whole, headers=kept, media_type=media)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The upstream's stream as it comes; a break is told in the stream, the only place left."""
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    except httpx.HTTPError:
        error = ProxyError(502, "The upstream broke off its answer.", code="upstream_broke_off")
        yield f"\n\ndata: {json.dumps(error.body)}\n\n".encode()
    finally:
        await answer.aclose()


def _moved(answer: httpx.Response) -> ProxyError:
    """A redirect, which is not followed: whoever set the address up should know what is asked."""
    where = answer.headers.get("location")
    named = f" to {clean_url(str(answer.url.join(where)))}" if where else ""
    return ProxyError(
        502,
        f"The upstream redirects ({answer.status_code}){named}; start the proxy with the address "
        f"that answers.",
        code="upstream_redirected",
    )


async def _refused(
    answer: httpx.Response, proxy: Proxy, upstream: HttpUpstream, headers: dict[str, str]
) -> ProxyError:
    """An upstream's refusal: its own status and words, without keys. That it refuses the proxy's
    key, or that the proxy has none where clients send theirs to it alone, is no fault of theirs.
    """
    status = answer.status_code
    try:
        found = json.loads(await answer.aread())
    except (ValueError, httpx.HTTPError):
        found = None
    finally:
        await answer.aclose()
    if status in (401, 403) and (upstream.key or proxy.key):
        said = "The upstream refused the proxy's key."
        if not upstream.key:
            said = "The upstream wants a key; set OPENAI_API_KEY for the proxy."
        return ProxyError(502, said, code="upstream_refused_key")
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return ProxyError(
            status, f"The upstream answered {status}.", code="upstream_error", headers=headers
        )
    return ProxyError(
        status,
        redacted(str(error.get("message", ""))),
        type_=error.get("type") or "",
        code=error.get("code"),
        param=error.get("param"),
        headers=headers,
    )


async def _body(request: Request) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        ProxyError: where it is too large, no JSON, or no object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A web page can send other types without asking first.
        raise ProxyError(415, "The content type must be application/json.")
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) > MAX_BODY:
            raise ProxyError(413, f"The request is larger than {MAX_BODY:,} bytes.")
    try:
        body = mended(json.loads(bytes(pieces)))
    except (ValueError, RecursionError) as error:
        raise ProxyError(400, "The request's body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ProxyError(400, "The request's body must be a JSON object.")
    return body


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The request's messages.

    Raises:
        ProxyError: where they are none, or the content of one is neither a text nor parts.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ProxyError(400, "'messages' must be an array of objects", param="messages")
    for place, message in enumerate(messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else [content or ""]
        kinds = dict | str if isinstance(content, list) else str
        if not all(isinstance(part, kinds) for part in parts):
            raise ProxyError(
                400,
                f"The content of message {place} must be a text or an array of objects.",
                param=f"messages[{place}].content",
            )
    return messages


def _check_key(proxy: Proxy, request: Request) -> None:
    if not proxy.key:
        return
    sent = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not hmac.compare_digest(sent.encode(), proxy.key.encode()):
        raise ProxyError(401, "The key is missing or wrong.", code="invalid_api_key")


def _check_model(proxy: Proxy, name: object) -> None:
    if name not in (proxy.name, *proxy.aliases):
        raise ProxyError(
            404,
            f"This proxy serves {proxy.name!r} only.",
            code="model_not_found",
            param="model",
        )


def _model(proxy: Proxy) -> dict[str, Any]:
    return {"id": proxy.name, "object": "model", "created": 0, "owned_by": "tutelage"}


def _describe(span: trace.Span, response: Response) -> None:
    """What a whole answer says of itself, for the trace; streams pass unread."""
    if isinstance(response, StreamingResponse):
        return
    try:
        answer = json.loads(bytes(response.body))
        usage = answer.get("usage") or {}
        span.set_attribute("gen_ai.response.model", str(answer["model"]))
        span.set_attribute("gen_ai.usage.input_tokens", int(usage["prompt_tokens"]))
        span.set_attribute("gen_ai.usage.output_tokens", int(usage["completion_tokens"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProxyError)
    return JSONResponse(error.body, error.status, headers=error.headers)


async def _on_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, ModelFault)
    return await _on_error(request, fault_error(error))


async def _on_library(request: Request, error: Exception) -> Response:
    return await _on_error(request, ProxyError(500, str(error), code="library"))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "This proxy answers POST /v1/chat/completions and GET /v1/models."
    return await _on_error(request, ProxyError(error.status_code, said, code="unknown_url"))


async def _on_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _on_defect(request: Request, error: Exception) -> Response:
    # What an unforeseen error says may hold anything; its kind and place are all that is told.
    place = traceback.extract_tb(error.__traceback__)[-1]
    _log.error("%s in the proxy, at %s:%s", type(error).__name__, place.filename, place.lineno)
    return await _on_error(request, ProxyError(500, f"{type(error).__name__} in the proxy."))
