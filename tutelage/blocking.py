"""Coroutines for callers that have no event loop, or must not block the one they are in."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on one loop of our own, and return what it returns.

    One loop for all calls, since clients of model endpoints keep connections that belong to the
    loop they were opened in. Ctrl-C cancels the coroutine.

    Raises:
        RuntimeError: where the caller runs on that loop, which would wait for itself.
    """
    loop = _loop()
    if asyncio._get_running_loop() is loop:
        work.close()
        raise RuntimeError("run_blocking was called from a coroutine that it runs; await it there")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="tutelage", daemon=True).start()
    return loop


if hasattr(os, "register_at_fork"):
    # The thread that runs the loop does not come along.
    os.register_at_fork(after_in_child=_loop.cache_clear)
