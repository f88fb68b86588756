"""Review: the library in the terminal, to read, approve, edit, reject, split, merge and undo."""

from __future__ import annotations

from pathlib import Path

__all__ = ["review"]


def review(library: Path, *, firm: str | None = None, by: str = "") -> None:
    """Show a library until the person leaves; what they change is written at once, in their name.

    Args:
        library: the library's file.
        firm: a bundled firm's name or a firm's folder, for the policy rules; found from the run
            or the provenance where not given.
        by: the name in the audit trail; the user's own where not given.

    Raises:
        LibraryFault: where it is no library (exit code 2 where it is missing), before the screen
            is taken.
        ScreenFault: where there is no terminal (exit code 2), or the screen broke.
    """
    from tutelage.graphs.review import open_review

    from .app import ReviewApp

    with open_review(library, firm=firm, by=by) as opened:
        ReviewApp(opened).run()
