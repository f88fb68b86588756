"""How fast the watch is: a board of 64 streaming dialogues, key presses, a log of 100,000 events.

    python benchmarks/tui/run.py            # about two minutes; writes benchmarks/tui/result.json

The watch runs as its users run it, in a terminal (a pty) of 160x48, in a process of its own; another
process talks: 64 dialogues at once, 2,000 tokens a second in all, written as a run writes them.
Processor time is that of the watch's process, read from /proc, so this needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from tutelage.graphs.log import events as ev
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.speech import Speech

HERE = Path(__file__).parent
DIALOGUES, TOKENS_A_SECOND, EVENTS = 64, 2000, 100_000
CURSOR = b"48;2;47;66;87"
"""The background of the row under the cursor in the default theme."""
TEXT = (
    "I am sorry that you had to wait for four hours and that nobody at the gate helped you. There "
    "are two ways from here: the flight at 18:40 tomorrow, or the whole fare back to your card."
)
WORDS = TEXT.split()
TICKS = os.sysconf("SC_CLK_TCK")


def name_of(number: int) -> str:
    """The scenario of a dialogue, as the board shows it."""
    return f"talk_{number:05}"


def started(number: int) -> ev.DialogueStarted:
    """The beginning of a dialogue."""
    return ev.DialogueStarted(
        dialogue=f"d{number}", round=1, scenario=name_of(number), title=name_of(number),
        persona="hurried", seed=number,
    )  # fmt: skip


def spoken(number: int, turn: int, speaker: ev.Speaker, text: str) -> ev.TurnSpoken:
    """A line of a dialogue."""
    feeling = ("angry", "annoyed", "calm")[turn % 3] if speaker == "customer" else ""
    return ev.TurnSpoken(
        dialogue=f"d{number}", turn=turn, speaker=speaker, text=text, feeling=feeling, tokens=900
    )


async def talk(run: Path, seconds: float) -> None:
    """Speak in 64 dialogues at once for some seconds; each token is handed over as it comes."""
    async with await RunLog.open(run) as log, await Speech.open(run) as speech:
        await log.append(ev.RunStarted(command="coach", environment="airline", models={}))
        for number in range(DIALOGUES):
            await log.append(started(number))
        handed = 0
        until = time.monotonic() + seconds

        async def one(number: int) -> None:
            nonlocal handed
            pause = DIALOGUES / TOKENS_A_SECOND
            await asyncio.sleep(pause * number / DIALOGUES)
            due = time.monotonic()
            turn = 0
            while time.monotonic() < until:
                speaker: ev.Speaker = "student" if turn % 2 else "customer"
                said = ""
                for place in range(60 + number % 30):
                    said += WORDS[(place + number) % len(WORDS)] + " "
                    speech.hear(f"d{number}", turn // 2, speaker, said)
                    handed += 1
                    due += pause
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if time.monotonic() > until:
                        return
                await log.append(spoken(number, turn // 2, speaker, said))
                speech.end(f"d{number}")
                turn += 1

        began = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(DIALOGUES)))
        print(json.dumps({"tokens_a_second": handed / (time.monotonic() - began)}), flush=True)


def long_log(run: Path) -> None:
    """A finished run of 100,000 events: dialogues of twelve events, and a workshop."""
    import sqlite3

    rows: list[tuple[float, str, str | None, str]] = []

    def add(event: ev.Event) -> None:
        row = (
            len(rows) / 10,
            event.kind,
            getattr(event, "dialogue", None),
            event.model_dump_json(),
        )
        rows.append(row)

    add(ev.RunStarted(command="coach", environment="airline", models={}))
    number = 0
    while len(rows) < EVENTS - 20:
        add(started(number))
        for turn in range(4):
            add(spoken(number, turn, "customer", TEXT))
            add(spoken(number, turn, "student", TEXT * 2))
        add(ev.StrategyTried(proposal=f"p{number}", phase="accept", dialogue=f"d{number}", turn=1,
                             seed=1, before=TEXT, after=TEXT, preference=0.6))  # fmt: skip
        add(ev.DialogueJudged(dialogue=f"d{number}", satisfaction=1 + number % 5, rubric=0.5,
                              checks={"short": 1.0, "no_promise": 0.0},
                              questions={"feeling_first": 0.4}, turn_scores=[3, 2, 4]))  # fmt: skip
        add(ev.DialogueEnded(dialogue=f"d{number}", reason="goal_met", turns=8))
        number += 1
    while len(rows) < EVENTS - 1:
        add(ev.Fault(where="dialogue", message="the endpoint answered 503"))
    add(ev.RunEnded(reason="done"))

    async def schema() -> None:
        async with await RunLog.open(run):
            pass

    asyncio.run(schema())
    with sqlite3.connect(run / "run.db") as connection:
        connection.executemany(
            "INSERT INTO events (at, kind, dialogue, payload) VALUES (?, ?, ?, ?)", rows
        )


class Terminal:
    """The watch in a terminal of its own; everything it writes is read as it comes."""

    def __init__(self, run: Path, columns: int = 160, rows: int = 48):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        env.pop("NO_COLOR", None)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tutelage", "watch", str(run)],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def read_for(self, seconds: float) -> None:
        """Read what comes for some seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 1 << 16)

    def wait_for(self, pattern: bytes, seconds: float = 30.0) -> float:
        """Seconds until something appears that was not there before; keeps what follows."""
        began = time.monotonic()
        wanted = re.compile(pattern, re.DOTALL)
        self.seen = b""
        while time.monotonic() - began < seconds:
            if select.select([self.master], [], [], 1.0)[0]:
                self.seen += os.read(self.master, 1 << 16)
                if wanted.search(self.seen):
                    return time.monotonic() - began
        raise TimeoutError(f"{pattern!r} never came; last seen: {self.seen[-2000:]!r}")

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def processor_seconds(self) -> float:
        """Processor time so far, user and system, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_megabytes(self) -> float:
        """The most memory it held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def close(self) -> None:
        """Leave as a person does."""
        self.press(b"q")
        # A terminal whose program has gone cannot be read any more.
        with contextlib.suppress(OSError):
            self.read_for(5.0)
        self.process.wait(10)
        os.close(self.master)


def streaming(seconds: float, presses: int) -> dict[str, float]:
    """The board's processor share and the answer to key presses while 64 dialogues stream."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        talker = subprocess.Popen(
            [sys.executable, __file__, "talk", folder, str(seconds + presses * 0.3 + 25)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not (run / "run.db").exists():
            time.sleep(0.1)
        time.sleep(2)
        screen = Terminal(run)
        screen.wait_for(b"speaks")
        screen.read_for(4)
        before, began = screen.processor_seconds(), time.monotonic()
        screen.read_for(seconds)
        share = (screen.processor_seconds() - before) / (time.monotonic() - began)
        screen.press(b"g")
        screen.read_for(1.0)
        screen.press(b"1" + b"\x1b[H")
        screen.read_for(1.0)
        screen.press(b"\x1b[1;5H")
        screen.read_for(0.5)
        answers = []
        at = 0
        screen.press(b"k" * DIALOGUES)
        screen.read_for(2.0)
        for number in range(presses):
            down = (number // (DIALOGUES - 1)) % 2 == 0
            at += 1 if down else -1
            screen.press(b"j" if down else b"k")
            row = CURSOR + rb"m[^\n]{0,120}?" + name_of(at).encode()
            answers.append(screen.wait_for(row, 5.0) * 1000)
            screen.read_for(0.15)
        screen.close()
        told = json.loads(talker.communicate(timeout=120)[0])
    print("slowest:", [round(a) for a in sorted(answers)[-12:]], file=sys.stderr)
    cuts = statistics.quantiles(answers, n=20)
    return {
        "dialogues": DIALOGUES,
        "tokens_a_second": round(told["tokens_a_second"]),
        "processor_share_of_one_core": round(share, 3),
        "key_presses": presses,
        "key_ms_p50": round(statistics.median(answers), 1),
        "key_ms_p95": round(cuts[-1], 1),
    }


def opening() -> dict[str, float]:
    """A log of 100,000 events: seconds until the board shows it, and the most memory held."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        long_log(run)
        figures = {
            "events": EVENTS,
            "log_megabytes": round((run / "run.db").stat().st_size / 1e6, 1),
        }
        starts, opens = [], []
        for _ in range(5):
            screen = Terminal(run)
            screen.wait_for(b"waiting for the run")
            opens.append(screen.wait_for(rb"talk_0\d{4}.*of 5|dialogues.*talk_0"))
            starts.append(time.monotonic() - screen.began)
            screen.read_for(4)
            peak = screen.peak_megabytes()
            screen.close()
        return figures | {
            "open_seconds": round(statistics.median(opens), 2),
            "from_command_to_board_seconds": round(statistics.median(starts), 2),
            "peak_megabytes": round(peak),
        }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=("all", "talk", "open", "stream"))
    parser.add_argument("folder", nargs="?")
    parser.add_argument("seconds", nargs="?", type=float, default=20.0)
    parser.add_argument("--presses", type=int, default=100)
    given = parser.parse_args()
    if given.what == "talk":
        asyncio.run(talk(Path(given.folder), given.seconds))
        return
    result: dict[str, object] = {"command": "python benchmarks/tui/run.py", "cores": os.cpu_count()}
    result |= {"load_before": round(os.getloadavg()[0], 1), "niceness": os.nice(0)}
    if given.what in ("all", "open"):
        result["opening"] = opening()
    if given.what in ("all", "stream"):
        result["streaming"] = streaming(given.seconds, given.presses)
    print(json.dumps(result, indent=2))
    if given.what == "all":
        (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
