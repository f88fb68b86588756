"""Small windows over a screen: a text to write, a question to answer."""

from .question import Question
from .writing import Writing

__all__ = ["Question", "Writing"]
