"""Coroutines for callers without a loop: where they can wait, they do; else they are told."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from tutelage.blocking import run_blocking


async def seven():
    await asyncio.sleep(0)
    return 7


def test_a_caller_inside_our_own_loop_is_refused_and_not_left_to_wait_for_itself():
    async def inner():
        return run_blocking(seven())

    told = []

    def call():
        with pytest.raises(RuntimeError, match="await it") as caught:
            run_blocking(inner())
        told.append(caught)

    # A thread of its own, so that a failure of this test does not hang all.
    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    caller.join(5)
    assert told


async def test_a_caller_in_another_loop_or_behind_a_thread_of_ours_is_answered():
    async def behind():
        return await asyncio.to_thread(run_blocking, seven())

    assert run_blocking(seven()) == 7
    assert run_blocking(behind()) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_loop_of_its_own():
    assert run_blocking(seven()) == 7
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            os._exit(run_blocking(seven()))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert run_blocking(seven()) == 7
