"""What goes wrong with a model, said in one sentence to the person who must act on it."""

from __future__ import annotations


class ModelFault(Exception):
    """A model cannot be had, reached or run; str() says what was wrong and what to do.

    Args:
        message: one clear sentence or two; never holds a key.
        exit_code: what a command line ends with: 1 failed, 2 wrong use.
        retryable: whether the same call may succeed later (a busy or unreachable server).
    """

    def __init__(self, message: str, *, exit_code: int = 1, retryable: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.retryable = retryable
