"""Small windows over a screen: a text to write, a question to answer."""

from .question import Question
from .writing import Save, Writing

__all__ = ["Question", "Save", "Writing"]
