"""The watch in a real terminal (tmux), on a run that another process is playing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, which is absent")


class Tmux:
    """A tmux of its own with one window; `screen` is what a person would see."""

    def __init__(self, command: list[str], columns: int, rows: int, cwd: Path):
        self.name = f"tutelage-{uuid.uuid4().hex[:8]}"
        self._do("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd), *command)

    def _do(self, *words: str) -> str:
        # Where these are set, programs believe them and not the terminal.
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-L", self.name, "-f", "/dev/null", *words],
            capture_output=True, text=True, env=env,
        )  # fmt: skip
        return done.stdout

    @property
    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    @property
    def alive(self) -> bool:
        return bool(self._do("list-sessions"))

    def press(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def until(self, wanted, seconds: float = 60.0) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if wanted(screen := self.screen):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"never seen; the screen is:\n{self.screen}")

    def close(self) -> None:
        self._do("kill-server")


@pytest.fixture
def terminal():
    opened: list[Tmux] = []

    def open_one(command, columns=120, rows=36, cwd=HERE):
        opened.append(Tmux(command, columns, rows, cwd))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.alone
def test_a_run_is_watched_moved_about_in_and_left_running(tmp_path, terminal):
    playing = subprocess.Popen(
        [sys.executable, HERE / "scripted_run.py", tmp_path, "0.12"],
        stdout=subprocess.DEVNULL, stderr=(tmp_path / "said").open("wb"),
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "run" / "run.db").exists():
            assert playing.poll() is None and time.monotonic() < end, (
                tmp_path / "said"
            ).read_text()
            time.sleep(0.1)
        watch = [sys.executable, "-m", "tutelage", "watch", str(tmp_path / "run")]
        screen = terminal(watch, 140, 40)
        drawn = ("coach world", "customer", "● live", "Help")
        screen.until(lambda text: all(part in text for part in drawn))
        grown = set()
        screen.until(
            lambda text: grown.update(re.findall(r"(We have[^▍\n]*)▍", text)) or len(grown) > 1
        )
        screen.press("2")
        screen.until(lambda text: "state" in text and "kept" in text)
        screen.press("1", "g")
        moved = screen.until(lambda text: "r0·val" in text)
        assert "r0·val" in moved
        screen.until(lambda text: "✗ cured" in text)
        screen.press("r")
        screen.until(lambda text: "line 1 of" in text)
        screen.press("G")
        screen.until(lambda text: "satisfaction" in text)
        screen.press("Escape")
        screen.resize(80, 24)
        small = screen.until(lambda text: "r0·val" in text)
        assert all(len(line) <= 80 for line in small.splitlines())
        assert playing.poll() is None, "it still runs"
        screen.press("q")
        end = time.monotonic() + 20
        while screen.alive and time.monotonic() < end:
            time.sleep(0.1)
        assert not screen.alive, "q leaves"
        assert playing.poll() is None, "and the run goes on"
        (tmp_path / "hurry").touch()
        assert playing.wait(120) == 0, (tmp_path / "said").read_text()
        again = terminal(watch, 120, 36)
        again.until(lambda text: "over: done" in text)
        again.press("3")
        again.until(lambda text: "satisfaction by round" in text)
        again.press("q")
        assert not (tmp_path / "run" / "speaking.db").exists()
    finally:
        playing.kill()
        playing.wait()
