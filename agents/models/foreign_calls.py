"""Calls of functions that others wrote, which can neither hold our threads nor end our process."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any


class EndedItself(Exception):
    """A function of others would have ended the program."""


async def call_foreign(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function, a coroutine function or not, and give what it returns.

    What is no coroutine function runs on a daemon thread of its own: one that never returns takes no
    place among the threads of `asyncio.to_thread`, and the process ends without it.

    Args:
        function: what to call.
        args: its arguments.
        kwargs: its named arguments.

    Raises:
        EndedItself: where it calls `sys.exit`; whatever else it raises passes as it is.
    """
    try:
        called = getattr(function, "__call__", None)  # noqa: B004 - looks for an async __call__
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
            return await function(*args, **kwargs)
        answer = await _on_own_thread(partial(function, *args, **kwargs))
        return await answer if inspect.isawaitable(answer) else answer
    except SystemExit as error:
        raise EndedItself(f"it would have ended the program (sys.exit({error.code!r}))") from error


async def _on_own_thread(function: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def tell(answer: Any, error: BaseException | None) -> None:
        # Nobody waits any more for a call that was given up.
        if not ended.done():
            ended.set_result((answer, error))

    def work() -> None:
        answer, error = None, None
        try:
            answer = context.run(function)
        except BaseException as raised:
            error = raised
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, answer, error)

    threading.Thread(target=work, name="tutelage-foreign", daemon=True).start()
    answer, error = await ended
    if error is not None:
        raise error
    return answer
