"""What goes wrong with a model, said in one sentence to the person who must act on it."""

from __future__ import annotations

from collections.abc import Iterator


class ModelFault(Exception):
    """A model cannot be had, reached or run; str() says what was wrong and what to do.

    Args:
        message: one clear sentence or two; never holds a key.
        exit_code: what a command line ends with: 1 failed, 2 wrong use.
        retryable: whether the same call may succeed later (a busy or unreachable server).
        status_code: what an endpoint would answer, 400 to 599; None where that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int = 1,
        retryable: bool = False,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.retryable = retryable
        self.status_code = status_code


class InvalidAnswer(ModelFault):
    """A model answers, and not in the form that it was asked for, not even when asked again."""


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, outermost first; groups by their first member."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        inner = link.exceptions[0] if isinstance(link, BaseExceptionGroup) else None
        link = inner or link.__cause__ or link.__context__


def status_of(error: BaseException) -> int | None:
    """The HTTP status of what went wrong with a call.

    Args:
        error: what was raised.

    Returns:
        The provider's own status, 504 where it did not answer in time, None where there is none.
    """
    chain = list(chain_of(error))
    # Every client has its own place for it.
    for holder in [holder for link in chain for holder in (link, getattr(link, "response", None))]:
        for field in ("status_code", "http_status", "code", "status"):
            value = getattr(holder, field, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return 504 if any("Timeout" in type(link).__name__ for link in chain) else None
