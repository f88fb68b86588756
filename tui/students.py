"""Students: whose dialogues are whose, where an evaluation has several."""

from __future__ import annotations

from tutelage.graphs.log.events import DialogueStarted


def student_of(started: DialogueStarted) -> str:
    """The name that stands before the arm in a dialogue's id where an evaluation has several students;
    "" where it has one, and in every other run.
    """
    own = f".{started.arm}.{started.scenario}.{started.persona}.{started.seed}"
    student = started.dialogue.removesuffix(own)
    return "" if student == started.dialogue else student


def arm_of(started: DialogueStarted) -> str:
    """The arm of a dialogue, and of which student where there are several."""
    # The arm first: it is what is left to see where the two are cut.
    return f"{started.arm} {student_of(started)}".rstrip()
