"""Seeing: watch a run in the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

__all__ = ["export", "watch"]

EXPORT_SIZE = (160, 48)
"""Columns and rows of a saved screen."""


def watch(run: Path, theme: str | None = None, by: str = "") -> None:
    """Show a run, live or finished, until the person leaves; only who takes over a dialogue touches it.

    Args:
        run: the run's folder.
        theme: the theme to begin with; else the environment's or the default.
        by: who speaks where a dialogue is taken over; the user where not given.

    Raises:
        RunFault: where it is no run (exit code 2), before the screen is taken; where it cannot be
            read any further, after the screen is left.
        ScreenFault: where there is no terminal (exit code 2), or the screen broke.
    """
    from .app import WatchApp

    asyncio.run(_check(run))
    app = WatchApp(run, theme, by)
    app.run()
    if app.feed.fault is not None:
        raise app.feed.fault


def export(
    run: Path,
    target: Path,
    *,
    view: str = "dialogues",
    dialogue: str | None = None,
    size: tuple[int, int] = EXPORT_SIZE,
    theme: str | None = None,
) -> None:
    """Save a screen of a run as an SVG picture, without taking the terminal.

    Args:
        run: the run's folder.
        target: the file to write.
        view: dialogues, workshop, rounds or usage.
        dialogue: the dialogue to show; else the one that the watch would follow.
        size: columns and rows.
        theme: as for `watch`.

    Raises:
        RunFault: where it is no run, cannot be read, or has no such dialogue (exit code 2).
        OSError: where the file cannot be written.
    """
    from .app import WatchApp

    async def draw() -> str:
        await _check(run)
        app = WatchApp(run, theme)
        async with app.run_test(size=size) as pilot:
            await app.show_still(view, dialogue)
            await pilot.pause(0.2)
            return app.export_screenshot(title=f"tutelage watch {run.name}")

    target.write_text(asyncio.run(draw()), encoding="utf-8")


async def _check(run: Path) -> None:
    from tutelage.graphs.log.run_log import RunLog

    async with await RunLog.open(run, create=False) as log:
        await log.read(kinds=("run_started",))
