"""The judge: compares replies blind and in both orders, rates dialogues, answers rubric questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from tutelage.environments import (
    Environment,
    Question,
    RubricItem,
    Scenario,
    StateCheck,
    check_mean,
    check_score,
    checks_passed,
    checks_score,
    state_score,
    weighted_mean,
)

from .reading.reply_faults import reply_faults
from .templates import render
from .toolbox import final_state
from .transcript import ToolUse, Turn, actions, replies, without_actions
from .voice import Voice

_RATE_REPLY = (
    "How good is the AGENT's last reply, from 1 (useless or harmful) to 5 (excellent)? "
    "Answer with one digit."
)
_BETTER = "Which reply is better for this CUSTOMER and keeps to the policy?"
_CLOSER = "Which reply comes closer to what a good agent does here?"
"""The bundled model leans to reply B by 1.3 in log-odds where it is asked which is better, and by 0.1
where it is asked this (`benchmarks/judge/questions.py`)."""
FAULT_LOGIT = 1.0
"""What a whole fault that code finds takes from a reply's log-odds of being the better one. The
bundled model's own, both orders averaged, are 0.2 in the mean and 0.9 at most."""
CHECK_LOGIT = 6.0
"""What holding all of the rubric's checks by code, against none, adds to a reply's log-odds. On 63 pairs
that nothing was chosen on it took the bundled model from 0.68 right to 0.89 (docs/judge.md)."""
ANCHOR_GAIN = 4.0
"""How much a reply's log-odds against what a good agent does are stretched into its rating."""
FAULT_RATING = 1.0
"""What a whole fault takes from a rating of 1 to 5."""
CHECK_RATING = 2.0
"""What failing all of the rubric's checks by code takes from a dialogue's satisfaction of 1 to 5."""
_RATE_DIALOGUE = (
    "How satisfied is this CUSTOMER with the AGENT at the end, from 1 (very dissatisfied) to 5 "
    "(very satisfied)? Answer with one digit."
)
_KEEPS_POLICY = "Does the AGENT keep to the policy in everything it says, promises and does?"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge says of a whole dialogue: satisfaction 1-5, rubric 0-1, and its parts."""

    satisfaction: float
    rubric: float
    checks: dict[str, float]
    questions: dict[str, float]
    by_code: float | None
    by_judge: float | None
    turn_scores: list[float]


@dataclass(frozen=True, slots=True)
class RubricAnswers:
    """The rubric's items, each 0 to 1, and their weighted means: of all, of the checks by code and of
    the judge's questions (None where there are none).
    """

    score: float
    checks: dict[str, float]
    questions: dict[str, float]
    by_code: float | None
    by_judge: float | None


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

        Faults that code finds are taken off in log-odds, and what the rubric's checks by code say of
        either reply is added.
        """
        question = _CLOSER if scenario.expected else _BETTER
        read = await self.weigh_pair(scenario, turns, shown_a, shown_b, question)
        faults = [self._faults(scenario, turns, reply) for reply in (shown_a, shown_b)]
        held = [
            checks_held(self.environment, scenario, turns, reply) or 0.0
            for reply in (shown_a, shown_b)
        ]
        by_code = FAULT_LOGIT * (faults[0] - faults[1]) + CHECK_LOGIT * (held[1] - held[0])
        return _from_logit(_logit(read) + by_code)

    async def weigh_pair(
        self, scenario: Scenario, turns: Sequence[Turn], shown_a: str, shown_b: str, question: str
    ) -> float:
        """The model's own probability (0-1) that the answer to a question about two replies is B."""
        task = (
            f"Two possible next replies of the AGENT:\n\nReply A: {shown_a}\n\n"
            f"Reply B: {shown_b}\n\n{question} Answer A or B."
        )
        page = self._messages(scenario, turns, task)
        return (await self.voice.weigh(page, ("A", "B"), for_odds=True))[1]

    def _faults(
        self,
        scenario: Scenario,
        turns: Sequence[Turn],
        reply: str,
        tools: Sequence[ToolUse] = (),
    ) -> float:
        """How many faults code finds in what is said in a reply, for which the tools were called,
        whether or not it is shown with what was done.
        """
        called = [used.result for turn in turns for used in turn.tools]
        known = [self.environment.policy.text, self.environment.config.today, *called]
        known += [*(used.result for used in tools), *actions(reply)]
        return sum(reply_faults(without_actions(reply), turns, scenario, known).values())

    def _anchored(self, scenario: Scenario) -> bool:
        """Whether ratings rest on comparisons with what a good agent does: a small model's digits
        say next to nothing (docs/judge.md).
        """
        return bool(scenario.expected) and self.voice.tells_probabilities

    async def satisfaction(
        self, scenario: Scenario, turns: Sequence[Turn], ratings: Sequence[float]
    ) -> float:
        """How satisfied the customer is at the end of a dialogue, 1 to 5, less what the rubric's checks
        by code find missing.

        Args:
            scenario: what the dialogue is about.
            turns: the dialogue to its end.
            ratings: of its replies, by `rate_reply`; where those are anchored, their mean makes up
                half of the satisfaction.
        """
        rated = await self.rate(scenario, turns, _RATE_DIALOGUE)
        if self._anchored(scenario) and ratings:
            rated = (rated + fmean(ratings)) / 2
        else:
            faults = [
                self._faults(scenario, turns[:place], turn.text, turn.tools)
                for place, turn in enumerate(turns)
                if turn.speaker == "student" and place >= len(scenario.history)
            ]
            rated -= FAULT_RATING * (fmean(faults) if faults else 0.0)
        said = replies(turns[len(scenario.history) :])
        held = checks_score(self.environment.rubric_for(scenario), said)
        return max(1.0, rated - CHECK_RATING * (1 - (1.0 if held is None else held)))

    async def rate_reply(self, scenario: Scenario, turns: Sequence[Turn]) -> float:
        """How good the last reply of a dialogue is, 1 to 5, less the faults that code finds in it.

        Where the scenario says what a good agent does and the model tells its probabilities, the
        reply is compared with that, in both orders; else the model rates it in digits.
        """
        *before, last = turns
        if self._anchored(scenario):
            asked = (scenario, before)
            forward = await self.weigh_pair(*asked, scenario.expected, last.text, _BETTER)
            backward = await self.weigh_pair(*asked, last.text, scenario.expected, _BETTER)
            rated = 1 + 4 * _from_logit(ANCHOR_GAIN * _logit((forward + 1 - backward) / 2))
        else:
            rated = await self.rate(scenario, turns, _RATE_REPLY)
        return max(
            1.0, rated - FAULT_RATING * self._faults(scenario, before, last.text, last.tools)
        )

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
        turn_scores = await self.rate_replies(scenario, turns)
        satisfaction = await self.satisfaction(scenario, turns, turn_scores)
        answers = await self.answer_rubric(scenario, turns)
        return Judgement(
            satisfaction, answers.score, answers.checks, answers.questions, answers.by_code,
            answers.by_judge, turn_scores,
        )  # fmt: skip

    async def rate_replies(self, scenario: Scenario, turns: Sequence[Turn]) -> list[float]:
        """Every reply rated 1 to 5, in order; those of a scenario's history are left out."""
        return [
            await self.rate_reply(scenario, turns[: index + 1])
            for index, turn in enumerate(turns)
            if turn.speaker == "student" and index >= len(scenario.history)
        ]

    async def answer_rubric(self, scenario: Scenario, turns: Sequence[Turn]) -> RubricAnswers:
        """Every rubric item of a whole dialogue: checks by code, questions by the model.

        Checks of the state look at what the dialogue's tool calls have made of it.
        """
        checks: dict[str, float] = {}
        questions: dict[str, float] = {}
        items = self.environment.rubric_for(scenario)
        said = replies(turns[len(scenario.history) :])
        state: dict[str, Any] | None = None
        for item in items:
            if isinstance(item, Question):
                questions[item.id] = await self.agrees(scenario, turns, item.question)
            elif isinstance(item, StateCheck):
                if state is None:
                    state = await final_state(self.environment, scenario, turns)
                checks[item.id] = state_score(item, state)
            else:
                checks[item.id] = check_score(item, said)
        parts = {**checks, **questions}, checks, questions
        whole, by_code, by_judge = (weighted_mean(items, scores) for scores in parts)
        return RubricAnswers(whole or 0.0, checks, questions, by_code, by_judge)

    async def keeps_policy(self, scenario: Scenario, turns: Sequence[Turn]) -> float:
        """The probability that the agent kept to the policy; the rules at stake are named."""
        rules = self.environment.policy.rules
        stake = " ".join(f"({id_}) {rules[id_].text}" for id_ in scenario.rules)
        looked = f" Rules at stake: {stake}" if stake else ""
        return await self.agrees(scenario, turns, _KEEPS_POLICY + looked)

    async def agrees(self, scenario: Scenario, turns: Sequence[Turn], question: str) -> float:
        """The probability that the answer to a question about the dialogue is yes."""
        task = f"{question} Answer Yes or No."
        return (await self.voice.weigh(self._messages(scenario, turns, task), ("Yes", "No")))[0]


def checks_held(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn], reply: str
) -> float | None:
    """The weighted share (0-1) of the rubric's checks by code that hold with what is said in a next
    reply, whether or not it is shown with what was done; None where the rubric has none.
    """
    return check_mean(*_checked(environment, scenario, turns, reply))


def checks_won(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn], reply: str
) -> list[float]:
    """The weight of each check of `checks_held` that holds, 0 of the others, in the rubric's order."""
    items, said, earlier = _checked(environment, scenario, turns, reply)
    passed = checks_passed(items, said, earlier)
    return [item.weight * passed[item.id] for item in items if item.id in passed]


def _checked(
    environment: Environment, scenario: Scenario, turns: Sequence[Turn], reply: str
) -> tuple[list[RubricItem], str, list[str]]:
    """What the checks by code of a next reply are put to."""
    earlier = replies(turns[len(scenario.history) :])
    return environment.rubric_for(scenario), without_actions(reply), earlier


def _logit(probability: float) -> float:
    if probability in (0.0, 1.0):
        return math.inf if probability else -math.inf
    return math.log(probability / (1 - probability))


def _from_logit(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
