"""The judge: compares replies blind and in both orders, rates dialogues, answers rubric questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from tutelage.environments import Environment, Question, Scenario, check_score

from .reply_faults import reply_faults
from .templates import render
from .transcript import Turn, replies
from .voice import Voice

_RATE_REPLY = (
    "How good is the AGENT's last reply, from 1 (useless or harmful) to 5 (excellent)? "
    "Answer with one digit."
)
_OVERALL = "Which reply is better for this CUSTOMER and keeps to the policy?"
_WARMER = "Which reply takes up what the CUSTOMER feels, in a warmer way?"
_CLOSER = "Which reply comes closer to what a good agent does here?"
FAULT_LOGIT = 1.0
"""What a whole fault that code finds takes from a reply's log-odds of being the better one. The
bundled model's own log-odds lie between 0.02 and 0.6, and favour the longer reply."""
FAULT_RATING = 1.0
"""What a whole fault takes from a rating of 1 to 5."""
_RATE_DIALOGUE = (
    "How satisfied is this CUSTOMER with the AGENT at the end, from 1 (very dissatisfied) to 5 "
    "(very satisfied)? Answer with one digit."
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge says of a whole dialogue: satisfaction 1-5, rubric 0-1, and its parts."""

    satisfaction: float
    rubric: float
    checks: dict[str, float]
    questions: dict[str, float]
    turn_scores: list[float]


@dataclass(frozen=True)
class Judge:
    """Reads dialogues of one firm. Sees what a good agent does, never which arm is speaking."""

    voice: Voice
    environment: Environment

    def _messages(self, scenario: Scenario, turns: Sequence[Turn], task: str) -> list[BaseMessage]:
        config = self.environment.config
        system = render(
            "judge",
            title=config.title,
            sells=config.sells,
            today=config.today,
            policy=self.environment.policy.text.strip(),
            agent=config.agent,
            records=scenario.records,
            expected=scenario.expected,
        )
        page = render("judge_transcript", turns=turns, task=task)
        return [SystemMessage(system), HumanMessage(page)]

    async def prefer(
        self, scenario: Scenario, turns: Sequence[Turn], first: str, second: str
    ) -> float:
        """The probability that `second` is the better next reply: both orders, averaged.

        Two equal replies give 0.5 without a call.
        """
        if first.strip() == second.strip():
            return 0.5
        forward = await self.prefer_shown(scenario, turns, first, second)
        backward = await self.prefer_shown(scenario, turns, second, first)
        return (forward + 1 - backward) / 2

    async def prefer_shown(
        self, scenario: Scenario, turns: Sequence[Turn], shown_a: str, shown_b: str
    ) -> float:
        """The probability that reply B is better, in this one order.

        Where the model tells its probabilities, several questions are asked of the same page and
        their answers averaged: a small model reads no single one well, and all but the last line
        of each comes from the cache. Faults that code finds are taken off in log-odds.
        """
        questions = [_OVERALL]
        if self.voice.tells_probabilities:
            questions += [_WARMER, *([_CLOSER] if scenario.expected else [])]
        read: list[float] = []
        for question in questions:
            task = (
                f"Two possible next replies of the AGENT:\n\nReply A: {shown_a}\n\n"
                f"Reply B: {shown_b}\n\n{question} Answer A or B."
            )
            weights = await self.voice.weigh(self._messages(scenario, turns, task), ("A", "B"))
            read.append(weights[1])
        faults = [self._faults(scenario, turns, reply) for reply in (shown_a, shown_b)]
        return _shifted(fmean(read), FAULT_LOGIT * (faults[0] - faults[1]))

    def _faults(self, scenario: Scenario, turns: Sequence[Turn], reply: str) -> float:
        """How many faults code finds in a reply."""
        known = (self.environment.policy.text, self.environment.config.today)
        return sum(reply_faults(reply, turns, scenario, known).values())

    async def satisfaction(self, scenario: Scenario, turns: Sequence[Turn]) -> float:
        """How satisfied the customer is at the end of a dialogue, 1 to 5, less the faults that code
        finds in the replies, on the mean.
        """
        rated = await self.rate(scenario, turns, _RATE_DIALOGUE)
        faults = [
            self._faults(scenario, turns[:place], turn.text)
            for place, turn in enumerate(turns)
            if turn.speaker == "student" and place >= len(scenario.history)
        ]
        return max(1.0, rated - FAULT_RATING * (fmean(faults) if faults else 0.0))

    async def rate_reply(self, scenario: Scenario, turns: Sequence[Turn]) -> float:
        """How good the last reply of a dialogue is, 1 to 5, less the faults that code finds in it."""
        rated = await self.rate(scenario, turns, _RATE_REPLY)
        *before, last = turns
        return max(1.0, rated - FAULT_RATING * self._faults(scenario, before, last.text))

    async def rate(self, scenario: Scenario, turns: Sequence[Turn], task: str) -> float:
        """A rating 1-5 as the expected value over the five digits."""
        weights = await self.voice.weigh(self._messages(scenario, turns, task), "12345")
        return sum(digit * weight for digit, weight in enumerate(weights, start=1))

    async def assess(self, scenario: Scenario, turns: Sequence[Turn]) -> Judgement:
        """Judge a whole dialogue: each reply, the customer's satisfaction, every rubric item.

        The questions are asked one after another on the same growing transcript, so that the
        endpoint's prompt cache serves all but the last line of each. What a scenario's history
        holds is read but not judged: the student did not say it.
        """
        turn_scores: list[float] = []
        for index, turn in enumerate(turns):
            if turn.speaker == "student" and index >= len(scenario.history):
                turn_scores.append(await self.rate_reply(scenario, turns[: index + 1]))
        satisfaction = await self.satisfaction(scenario, turns)
        checks: dict[str, float] = {}
        questions: dict[str, float] = {}
        items = self.environment.rubric_for(scenario)
        said = replies(turns[len(scenario.history) :])
        for item in items:
            if isinstance(item, Question):
                task = f"{item.question} Answer Yes or No."
                yes, _ = await self.voice.weigh(
                    self._messages(scenario, turns, task), ("Yes", "No")
                )
                questions[item.id] = yes
            else:
                checks[item.id] = check_score(item, said)
        weights = {item.id: item.weight for item in items}
        scores = {**checks, **questions}
        rubric = sum(weights[id_] * score for id_, score in scores.items()) / sum(weights.values())
        return Judgement(satisfaction, rubric, checks, questions, turn_scores)


def _shifted(probability: float, logits: float) -> float:
    """A probability moved by some log-odds; as it is where they are none."""
    if not logits:
        return probability
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-math.log(kept / (1 - kept)) - logits))
