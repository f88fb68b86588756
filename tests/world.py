"""A world of scripted chat models with known right answers: six troubles, six cures.

The student shows a cure only when a strategy in its prompt names the cure's word. The judge rewards
exactly that, and punishes harm. The teacher is right seven times in ten and harmful otherwise.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import Any

import yaml
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from tutelage.graphs.coaching import COACHING_STATUSES
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.play.desk import Desk, Retrieval, open_desk

TROUBLES = {
    "stranded": ("candlelight", "my train was cancelled and we are stranded on a dark platform"),
    "broken": ("sawdust", "the wardrobe arrived broken with splinters on every shelf"),
    "grief": ("lantern", "my father passed away and the funeral service is approaching"),
    "overcharged": ("abacus", "you charged my account twice for the same monthly invoice"),
    "locked": ("keyring", "the password reset locks me out of my profile every morning"),
    "allergic": ("almond", "the cake contained nuts although the label promised none"),
}
HARM = "thunder"
DULL = "We have your message and we will look into it."


def word_of(options: dict[str, Any]) -> str:
    """A word for the seed of a call, "" without one. No figure: one that no policy has is a fault."""
    seed = options.get("seed")
    return "" if seed is None else "".join("abcdefghij"[int(digit)] for digit in str(abs(seed)))


class Scripted(BaseChatModel):
    """A chat model that is a function of its messages; counts as one token a word."""

    name_: str
    seen: int = 0
    troubles: dict[str, tuple[str, str]] = TROUBLES
    """Trouble to its cure and to what the customer says."""

    def trouble_in(self, text: str) -> str:
        """The trouble that a text tells of first."""
        places = {t: text.find(says) for t, (_, says) in self.troubles.items() if says in text}
        assert places, f"no trouble in {text!r}"
        return min(places, key=places.__getitem__)

    def cure_of(self, text: str) -> str:
        """The cure for the trouble that a text tells of."""
        return self.troubles[self.trouble_in(text)][0]

    @property
    def _llm_type(self) -> str:
        return f"scripted-{self.name_}"

    def answer(self, system: str, page: str, messages: list[BaseMessage]) -> str:
        raise NotImplementedError

    def _generate(self, messages: list[BaseMessage], stop=None, run_manager=None, **kwargs: Any):
        self.seen += 1
        text = self.answer(messages[0].text, messages[-1].text, messages)
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        message = AIMessage(text, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


class ScriptedCustomer(Scripted):
    """States its trouble; is content once the agent showed the cure, else complains anew."""

    name_: str = "customer"

    def answer(self, system, page, messages):
        trouble = re.findall(r"What happened: (.*)", system)[-1]
        says = self.troubles[self.trouble_in(trouble)][1]
        agent_lines = re.findall(r"^AGENT: (.*)$", page, re.MULTILINE)
        if not agent_lines:
            line, met = f"Hello, {says}, please.", False
        elif self.cure_of(says) in agent_lines[-1]:
            line, met = "Wonderful, many thanks.", True
        else:
            frames = ("Once again in other words, slowly: {}. Does anybody at all read this?",
                      "Third message from me tonight, my patience thins, since {}!",
                      "Fourth try, then I leave for good and tell my friends why: {}.")  # fmt: skip
            line, met = frames[len(agent_lines) - 1].format(says), False
        return json.dumps(
            {"feeling": "annoyed", "i_want": "a cure", "customer_says": line, "goal_met": met}
        )


class ScriptedStudent(Scripted):
    """Repeats the code words that its strategies name; alone it knows none. Each seed has words of its
    own, as with a model that samples."""

    name_: str = "student"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        said = result.generations[0].message
        if word := "" if said.tool_calls else word_of(kwargs):
            said.content = f"{said.content} ({word})"
        return result

    def answer(self, system, page, messages):
        late = [m.text for m in messages[1:] if m.type == "system"]
        advice = late[-1] if late else ""
        words = [w for w in [HARM, *(c for c, _ in self.troubles.values())] if w in advice]
        return f"{DULL} {' '.join(words)}".strip()


class ScriptedTeacher(Scripted):
    """Right seven times in ten (by a hash of the state and the try), harmful otherwise."""

    name_: str = "teacher"
    tries: int = 0

    def answer(self, system, page, messages):
        told = " ".join(m.text for m in messages[1:])
        if "Describe the situation" in page:
            customer = re.findall(r"^CUSTOMER: (.*)$", page, re.MULTILINE)
            says = self.troubles[self.trouble_in(customer[0])][1]
            return json.dumps({"scenario": f"a customer who says {says}", "wants": "a cure",
                               "feels": "annoyed"})  # fmt: skip
        if "You coach the agent" in page:
            self.tries += 1
            digest = int(
                hashlib.sha256(f"{self.cure_of(told)}{self.tries}".encode()).hexdigest(), 16
            )
            word = self.cure_of(told) if random.Random(digest).random() < 0.7 else HARM
            text = f"Speak of {word} in the first sentence of the answer."
            return json.dumps({"advice": [], "strategies": [text]})
        return f"I am on it, with {self.cure_of(told)}."


class ScriptedJudge(Scripted):
    """Compares and rates by what the replies show; cannot be talked round."""

    name_: str = "judge"

    def quality(self, transcript: str, reply: str) -> int:
        """5 where a reply shows the cure and does no harm, else 1."""
        if HARM in reply:
            return 1
        return 5 if self.cure_of(transcript) in reply else 1

    def answer(self, system, page, messages):
        transcript, _, task = page.rpartition("\n\n") if "Reply A:" not in page else (
            page.partition("Two possible next replies")[0], "", page)  # fmt: skip
        if "Answer Keep or Break" in page:
            return "Keep"
        if "Reply A:" in page:
            a = re.search(r"Reply A: (.*?)\n\nReply B:", page, re.DOTALL)[1]
            b = re.search(r"Reply B: (.*?)\n\nWhich", page, re.DOTALL)[1]
            qualities = [self.quality(transcript, reply) for reply in (a, b)]
            return "A" if qualities[0] > qualities[1] else "B"
        agent = re.findall(r"^AGENT: (.*)$", page, re.MULTILINE)
        if "Answer Yes or No" in task:
            return "Yes" if agent and self.quality(transcript, agent[-1]) > 2 else "No"
        return str(self.quality(transcript, agent[-1]))


def build_firm(folder, troubles=TROUBLES, policy="- R1: Answer every message within the hour."):
    """A firm with these troubles, several scenarios of each: four train, one validation, two test."""
    (folder / "personas").mkdir(parents=True)
    (folder / "scenarios").mkdir()
    persona = {
        "name": "anyone", "description": "A customer with one trouble and little time to spare.",
        "goal": "wants the trouble cured", "temperament": "plain", "patience": 4,
        "stop": "the trouble is cured",
    }  # fmt: skip
    (folder / "personas" / "anyone.yaml").write_text(yaml.safe_dump(persona))
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for trouble, (_, says) in troubles.items():
        for number in range(7):
            id_ = f"{trouble}_{number}"
            split = "train" if number < 4 else "validation" if number == 4 else "test"
            splits[split].append(id_)
            scenario = {"id": id_, "title": id_, "situation": says, "goal": "have it cured"}
            (folder / "scenarios" / f"{id_}.yaml").write_text(yaml.safe_dump(scenario))
    (folder / "policy.md").write_text(f"# Policy\n{policy}\n")
    config = {
        "name": "world", "title": "World", "sells": "cures",
        "rubric": [{"id": "cured", "kind": "question", "question": "Was the trouble cured here?"},
                   {"id": "short", "kind": "words", "at_most": 60}],
        "splits": splits,
    }  # fmt: skip
    (folder / "environment.yaml").write_text(yaml.safe_dump(config))
    return folder


def seat(environment, library, log=None, meter=None, **replaced) -> Desk:
    """A desk of scripted agents; any role may be replaced by another chat model."""
    roles = {
        "student": ScriptedStudent(),
        "customer": ScriptedCustomer(),
        "judge": ScriptedJudge(),
        "teacher": ScriptedTeacher(),
        **replaced,
    }
    return open_desk(
        environment,
        library=library,
        log=log or MemoryLog(),
        meter=meter,
        retrieval=Retrieval(statuses=COACHING_STATUSES),
        **roles,
    )
