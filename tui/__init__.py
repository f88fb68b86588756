"""Seeing: watch a run in the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

__all__ = ["watch"]


def watch(run: Path) -> None:
    """Show a run, live or finished, until the person leaves; the run is not touched.

    Args:
        run: the run's folder.

    Raises:
        RunFault: where it is no run (exit code 2), before the screen is taken.
    """
    from tutelage.graphs.run_log import RunLog

    from .app import WatchApp

    async def check() -> None:
        async with await RunLog.open(run, create=False) as log:
            await log.read(kinds=("run_started",))

    asyncio.run(check())
    WatchApp(run).run()
