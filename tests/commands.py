"""The command line as tests call it: in this process, or as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from tutelage.console import talk
from tutelage.main import run


def tutelage(*arguments, cwd=".", **environment):
    """A command in this process: to start one costs more than most of them do."""
    out, err = StringIO(), StringIO()
    talk.cache_clear()
    with (
        chdir(cwd), redirect_stdout(out), redirect_stderr(err),
        patch.dict(os.environ, {"COLUMNS": "200", **environment}),
        patch.object(sys, "argv", ["tutelage", *map(str, arguments)]),
    ):  # fmt: skip
        try:
            run()
            code = 0
        except SystemExit as left:
            code = left.code or 0
    talk.cache_clear()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def in_a_process(*arguments, cwd=None, **environment):
    """A command as a shell starts it."""
    return subprocess.run(
        [sys.executable, "-m", "tutelage", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
