"""A text in the person's own editor ($VISUAL, $EDITOR), with the screen given over to it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported


class EditorFault(Exception):
    """The editor could not be used; str() says why and what to do."""


def editor_command() -> list[str]:
    """The person's editor and its arguments.

    Raises:
        EditorFault: where none is named and none of the usual ones is there.
    """
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        try:
            command = shlex.split(named)
        except ValueError as error:
            raise EditorFault(f"$EDITOR is no command: {error}") from error
        if command and shutil.which(command[0]):
            return command
        raise EditorFault(f"the editor {named!r} is not there; set $EDITOR to another")
    for usual in ("nano", "vim", "vi"):
        if shutil.which(usual):
            return [usual]
    raise EditorFault("no editor is named; set $EDITOR, for example EDITOR=nano")


def edit_outside(app: App[object], text: str, suffix: str = ".yaml") -> str:
    """Let the person change a text in their own editor.

    Args:
        app: gives its screen over meanwhile.
        text: what to edit.
        suffix: of the file, by which editors know its kind.

    Returns:
        The text as the editor left it.

    Raises:
        EditorFault: where there is no editor, it fails, what it left is no UTF-8, or the screen
            cannot be given over (in a browser).
    """
    command = editor_command()
    with tempfile.TemporaryDirectory(prefix="tutelage-") as folder:
        path = Path(folder) / f"edit{suffix}"
        path.write_text(text, encoding="utf-8")
        try:
            with app.suspend():
                # The event loop waits: nobody looks at the screen meanwhile.
                done = subprocess.run([*command, str(path)], check=False)  # noqa: S603 - the user's own
        except SuspendNotSupported as error:
            raise EditorFault("another editor cannot be opened from here; edit in place") from error
        except OSError as error:
            raise EditorFault(f"{command[0]} cannot be started: {error.strerror}") from error
        if done.returncode:
            raise EditorFault(f"{command[0]} ended with code {done.returncode}; nothing changed")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EditorFault(f"what the editor left cannot be read: {error}") from error
