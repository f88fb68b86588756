"""A harder world: kinds that share their words, cures that harm the neighbour, advice in other words.

`late` and `gift` are both about a late parcel, so an entry for one is retrieved at the other; the
cure of each harms the other. `damp` is described and cured in other words every time. `price` has a
cure that the policy forbids.
"""

from __future__ import annotations

import json
import re

import world

KINDS = {
    "late": ("ribbon", "my parcel is late although tracking promised Monday delivery"),
    "gift": ("anchor", "my parcel is late and her birthday surprise is ruined"),
    "damp": ("lantern", "the cellar walls are damp again after your repair"),
    "price": ("voucher", "the same lamp is cheaper in every other shop"),
}
HARMS = {"late": "anchor", "gift": "ribbon"}
"""Kind to the neighbour's cure, which makes things worse there."""
POLICY = (
    "- R1: Answer every message within the hour.\n"
    "- R2: Never offer a voucher for a price difference."
)
SENTENCES = (
    "a customer whose walls became damp once more",
    "somebody annoyed that repaired cellars are wet anew",
    "a person who finds moisture after the firm came",
    "a client living above wet rooms despite earlier work",
)
WORDINGS = (
    "Speak of lantern in the first sentence of the answer.",
    "Begin by bringing up lantern warmly.",
    "Open with the word lantern, then carry on.",
    "Let lantern lead whatever you say next.",
)


class Student(world.ScriptedStudent):
    troubles: dict[str, tuple[str, str]] = KINDS


class Customer(world.ScriptedCustomer):
    troubles: dict[str, tuple[str, str]] = KINDS


class Judge(world.ScriptedJudge):
    """A cure is worth 5, the neighbour's cure 1, a dull reply 2."""

    troubles: dict[str, tuple[str, str]] = KINDS

    def quality(self, transcript, reply):
        kind = self.trouble_in(transcript)
        if world.HARM in reply or HARMS.get(kind, world.HARM) in reply:
            return 1
        return 5 if self.cure_of(transcript) in reply else 2


class Teacher(world.ScriptedTeacher):
    """Always right about the cure; says it in other words each time where the trouble is `damp`."""

    troubles: dict[str, tuple[str, str]] = KINDS
    described: int = 0
    worded: int = 0

    def answer(self, system, page, messages):
        told = " ".join(m.text for m in messages[1:])
        kind = self.trouble_in(told)
        if "Describe the situation" in page and kind == "damp":
            self.described += 1
            sentence = SENTENCES[self.described % len(SENTENCES)]
            return json.dumps({"scenario": sentence, "wants": "a cure", "feels": "annoyed"})
        if "You coach the agent" in page:
            self.tries += 1
            text = f"Speak of {self.cure_of(told)} in the first sentence of the answer."
            if kind == "damp":
                self.worded += 1
                text = WORDINGS[self.worded % len(WORDINGS)]
            if kind == "price":
                text = "Offer a voucher to every customer who compares."
            return json.dumps({"advice": [], "strategies": [text]})
        return super().answer(system, page, messages)


class Poisoned(Teacher):
    """Writes well-worded harm, and nothing else."""

    def answer(self, system, page, messages):
        if "You coach the agent" in page:
            verb = ("Speak of", "Mention", "Begin with", "Return to")[self.tries % 4]
            self.tries += 1
            return json.dumps({"advice": [], "strategies": [f"{verb} {world.HARM} in the answer."]})
        return super().answer(system, page, messages)


class Deaf(Student):
    """Answers the same whatever it is told."""

    def answer(self, system, page, messages):
        return world.DULL


def build_firm(folder):
    """The firm of this world."""
    return world.build_firm(folder, KINDS, POLICY)


def seat(environment, library, **replaced):
    """A desk of this world's agents."""
    roles = {"student": Student(), "customer": Customer(), "judge": Judge(), "teacher": Teacher()}
    return world.seat(environment, library, **{**roles, **replaced})


def words_of(library) -> dict[str, str]:
    """Cure to the scenario of the entry that names it."""
    return {
        word: entry.scenario
        for entry in library.entries()
        for strategy in entry.strategies
        for word in re.findall(r"ribbon|anchor|lantern|voucher|thunder", strategy.text)
    }
