"""What goes wrong in the proxy, in the shape that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutelage.agents.models.faults import ModelFault
from tutelage.environments.surrogates import mended

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class ProxyError(Exception):
    """An answer that is an error.

    Args:
        status: the HTTP status, 400 to 599.
        message: one sentence; never holds a key.
        code: a word for programs.
        type_: OpenAI's name for the kind; by the status, where "".
        param: the field at fault.
        headers: more headers, such as `retry-after`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: Any = None,
        type_: str = "",
        param: Any = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.code = str(code or status)
        self.headers = dict(headers or {})
        default = "invalid_request_error" if status < 500 else "server_error"
        error = {
            "message": message,
            "type": type_ or _TYPES.get(status, default),
            "param": param,
            "code": code,
        }
        self.body = {"error": mended(error)}


def fault_error(fault: ModelFault, status: int | None = None) -> ProxyError:
    """A model's fault as an answer: with its provider's own status, where that is no refusal of the
    proxy's key; else 503 where the same call may succeed later, and 502.

    Args:
        fault: the fault.
        status: what `status_of` finds of it, where the client's request is what was answered so.
    """
    if status in (401, 403):
        return ProxyError(502, str(fault), code="upstream_refused_key")
    own = status or (503 if fault.retryable else 502)
    return ProxyError(own, str(fault), code="upstream_error")
