"""Detached: a run in a process of its own, watched from this one; leaving does not stop it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from tutelage.console import talk
from tutelage.graphs.log.run_log import RunFault, log_path

STARTING_SECONDS = 120.0
"""How long a run may take to begin its log; models are looked up and firms read before."""

LAST_LINES = 12
"""Lines of what a command said that are told where it ended without an error of its own."""


def arguments_of(request: BaseModel) -> list[str]:
    """A request as the arguments of its command, the firm first; what is left at its default is left
    out.
    """
    given = request.model_dump(exclude_defaults=True, exclude_none=True)
    words = [str(given.pop("environment"))]
    for name, value in given.items():
        if name == "arms":
            words += ["--arms", ",".join(value)]
        elif isinstance(value, list):
            words += [word for one in value for word in (f"--{name.removesuffix('s')}", str(one))]
        else:
            said = [] if isinstance(value, bool) else [str(value)]
            words += [option_of(name, value), *said]
    return words


def option_of(name: str, value: object) -> str:
    """The option that gives a request's field this value."""
    option = name.strip("_").replace("_", "-")
    return f"--no-{option}" if value is False else f"--{option}"


def run_detached(command: str, arguments: Sequence[str], folder: Path) -> None:
    """Start a command of ours and watch its run.

    Args:
        command: coach, simulate or evaluate.
        arguments: the command's own, without its run.
        folder: the run's folder, for the run and for what the command says (`<command>.log`).

    Raises:
        RunFault: where the command ends before its run begins, or has failed when the watch is left;
            with what it said.
        ScreenFault: where there is no terminal to watch it in; nothing is started then.
    """
    from tutelage.tui import watch
    from tutelage.tui.shell import need_terminal

    need_terminal()
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / f"{command}.log"
    words = [sys.executable, "-m", "tutelage", command, *arguments, "--run", str(folder)]
    began = said.stat().st_size if said.exists() else 0
    with said.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program, arguments as a list
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    until = time.monotonic() + STARTING_SECONDS
    while not log_path(folder).exists():
        if process.poll() is not None or time.monotonic() > until:
            _give_up(process, folder, said, began)
        time.sleep(0.1)
    watch(folder)
    code = process.poll()
    if code:
        raise RunFault(
            f"{_told(said, began)}; all that the run said is in {said}", _exit_code(code)
        )
    if code is None:
        talk().print(
            f"the run goes on; watch it again with: tutelage watch {folder}", soft_wrap=True
        )
    else:
        talk().print(f"the run is over; what it said is in {said}", soft_wrap=True)


def _give_up(process: subprocess.Popen[bytes], folder: Path, said: Path, began: int) -> None:
    code = process.poll()
    if code is None:
        raise RunFault(f"{folder}: the run has not begun yet; look into {said}, it may still begin")
    told = _told(said, began)
    if not began:
        said.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    raise RunFault(told or f"{folder}: the run ended before it began", _exit_code(code))


def _told(said: Path, began: int) -> str:
    """The error that a command ended with; where it named none, the last that it said."""
    told = said.read_bytes()[began:].decode(errors="replace").strip()
    _, error, fault = f"\n{told}".rpartition("\nerror: ")
    return fault if error else "\n".join(told.splitlines()[-LAST_LINES:])


def _exit_code(code: int) -> int:
    return 2 if code == 2 else 1
