"""The teacher: answers a state itself, then writes strategies for the student."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field, field_validator
from tutelage.environments import Environment, Scenario, Tactic
from tutelage.strategy_store import Retrieved, always, coach_messages, mask
from tutelage.strategy_store.vetting import hostile

from .acting import act
from .advice.rule_orders import deciding_rules
from .models.chat_models import fitting_placement
from .models.faults import InvalidAnswer
from .reading.facts import alphabets
from .student import Student, desk_messages, desk_text, untagged
from .templates import render
from .toolbox import open_toolbox
from .transcript import Reply, Turn, with_actions
from .voice import Voice

_DRAWS = 3
_NOTHING_EXPECTED = "Follow the policy, and leave the customer knowing what happens next."
_ABOUT_IT = re.compile(
    r"^\W*(?:transcript\b|(?:the )?agent (?:says|writes|replies):"
    r"|[^\n:]{0,60}\breply\b[^\n:]{0,40}:(?=\s*[\"“\n-]))",
    re.IGNORECASE,
)
"""What a small model says of its reply before it gives it."""
_AS_CUSTOMER = re.compile(r"\W*customer\W*:", re.IGNORECASE)


class Description(BaseModel):
    """A state as a scenario: one general sentence, what the customer wants, how they feel."""

    scenario: str = Field(min_length=10, max_length=260)
    wants: str = Field(max_length=120)
    feels: str = Field(max_length=60)

    @field_validator("scenario")
    @classmethod
    def _may_enter_a_prompt(cls, scenario: str) -> str:
        # The library would refuse it, after all the trials.
        if reasons := hostile(mask(scenario)):
            raise ValueError(f"may not enter a prompt: {'; '.join(reasons)}")
        return scenario


class Draft(BaseModel):
    """A proposal as the model writes it: handbook tactics by their number in the prompt, from 1.

    Numbers, since a small model that is shown ids writes ids where sentences are asked for.
    """

    advice: list[int] = Field(default_factory=list, max_length=4)
    strategies: list[Annotated[str, Field(min_length=24, max_length=180)]] = Field(
        min_length=1, max_length=4
    )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the teacher writes for one state; `tactics` are ids from the handbook."""

    tactics: tuple[str, ...]
    strategies: tuple[str, ...]


class Rewriting(BaseModel):
    """One text for every state as the model writes it, order by order."""

    orders: list[Annotated[str, Field(min_length=12, max_length=160)]] = Field(
        min_length=1, max_length=8
    )


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a customer wrote, the student's weak reply to it, and the teacher's."""

    customer_says: str
    student_reply: str
    teacher_reply: str


@dataclass(frozen=True)
class Weakness:
    """A state in which the student's reply was weak, with all that the teacher may know of it."""

    scenario: Scenario
    turns: Sequence[Turn]
    student_reply: str
    teacher_reply: str
    reasons: Sequence[str] = ()
    ending: str = ""


def reply_alone(said: str, agent: str = "") -> str:
    """What the customer is to read of what the teacher said: no heading, bullet, quotes or name tag.

    Args:
        said: the model's answer.
        agent: the agent's name.
    """
    alone = _unquoted(_ABOUT_IT.sub("", said))
    if agent:
        alone = re.sub(rf"^{re.escape(agent)}\s*:", "", alone, flags=re.IGNORECASE)
    return untagged(_unquoted(alone)) or said.strip()


def _unquoted(text: str) -> str:
    """Without a bullet in front, and without quotes that stand round all of it."""
    text = text.strip(" \n-")
    return text[1:-1] if re.fullmatch(r"[\"“][^\"“”]*[\"”]", text) else text


def told_at_desk(
    model: BaseChatModel,
    environment: Environment,
    scenario: Scenario,
    turns: Sequence[Turn],
    tactics: Sequence[Tactic] = (),
) -> list[BaseMessage]:
    """What the teacher is asked for a reply with, in the student's seat: it is told what a good agent
    does here as the student is told strategies.
    """
    told = [scenario.expected or _NOTHING_EXPECTED, *(tactic.do for tactic in tactics)]
    plain = desk_messages(environment, scenario, turns)
    return coach_messages(plain, always(told), fitting_placement(model))


def asked_on_transcript(
    environment: Environment,
    scenario: Scenario,
    turns: Sequence[Turn],
    tactics: Sequence[Tactic] = (),
) -> list[BaseMessage]:
    """The same, as a task about a transcript: there it cannot go on in the agent's earlier words."""
    expected = scenario.expected or _NOTHING_EXPECTED
    page = render("teacher_reply", turns=turns, expected=expected, tactics=tactics)
    return [SystemMessage(desk_text(environment, scenario)), HumanMessage(page)]


@dataclass(frozen=True)
class TeacherAtDesk(Student):
    """The teacher in the student's seat for a whole dialogue, with the hindsight that it coaches with:
    the most that a student could learn of it.
    """

    def messages(
        self, scenario: Scenario, turns: Sequence[Turn], retrieved: Sequence[Retrieved]
    ) -> list[BaseMessage]:
        """What the teacher is sent for its next reply; it is given no strategies."""
        return told_at_desk(self.voice.model, self.environment, scenario, turns)

    def alone(self, said: str) -> str:
        """What the customer reads, without what the teacher says about it."""
        return reply_alone(said, self.environment.config.agent_name)


@dataclass(frozen=True)
class Teacher:
    """The coach. It sees the customer's hidden goal, the dialogue's end and the judge's reasons."""

    voice: Voice
    environment: Environment

    async def reply(
        self,
        scenario: Scenario,
        turns: Sequence[Turn],
        tactics: Sequence[Tactic],
        seed: int,
        *,
        on_transcript: bool = False,
    ) -> str:
        """Answer the customer's last line as well as the teacher can, with the firm's tools where
        it has some; what was done stands before what is said. A reply that goes on as the customer
        is drawn again, twice at most.

        Args:
            scenario: the firm's scenario; what it expects is told.
            turns: the dialogue so far.
            tactics: what else a good agent does.
            seed: for models that take one.
            on_transcript: ask for the reply as a task about a transcript, not in the student's seat.
        """
        messages = (
            asked_on_transcript(self.environment, scenario, turns, tactics)
            if on_transcript
            else told_at_desk(self.voice.model, self.environment, scenario, turns, tactics)
        )
        options = {"seed": seed, "temperature": 0.5, "max_tokens": 160}
        if not self.environment.has_tools:
            said = ""
            for draw in range(_DRAWS):
                said = await self.voice.say(messages, **{**options, "seed": seed + 101 * draw})
                if not _AS_CUSTOMER.match(said):
                    break
            return reply_alone(said, self.environment.config.agent_name)
        async with open_toolbox(self.environment, scenario, turns) as box:
            said = await act(self.voice, box, messages, self.environment, options)
        return with_actions(
            Reply(reply_alone(said.text, self.environment.config.agent_name), said.tools)
        )

    async def describe(self, scenario: Scenario, turns: Sequence[Turn], seed: int) -> Description:
        """Describe the state that a dialogue is in, without names or numbers. One that goes on in an
        alphabet that nobody has written in is drawn again, twice at most.

        Raises:
            InvalidAnswer: where it is so each time.
            ModelFault: where the model gives no valid description in two tries.
        """
        system = desk_text(self.environment, scenario)
        page = render("teacher_describe", turns=turns)
        strange: set[str] = set()
        for draw in range(_DRAWS):
            found = await self.voice.ask(
                [SystemMessage(system), HumanMessage(page)],
                Description,
                seed=seed + 101 * draw,
                temperature=0.3,
                max_tokens=160,
            )
            said = f"{found.scenario} {found.wants} {found.feels}"
            strange = alphabets(said) - alphabets(system + page)
            if not strange:
                return found
        raise InvalidAnswer(
            f"{self.voice.spec} as {self.voice.role} describes a state in {min(strange)} letters, "
            f"which nobody has written in, in {_DRAWS} tries"
        )

    async def propose(
        self, weakness: Weakness, tactics: Sequence[Tactic], failures: Sequence[str], seed: int
    ) -> Proposal:
        """Write strategies for a weak state.

        Args:
            weakness: the state, both replies, and what was wrong.
            tactics: handbook tactics to choose from and to fit; may be empty.
            failures: what was tried before and why it was not good enough.
            seed: for models that take one.

        Raises:
            ModelFault: where the model gives no valid proposal in two tries.
        """
        system = desk_text(self.environment, weakness.scenario)
        page = render(
            "teacher_propose",
            turns=weakness.turns,
            student_reply=weakness.student_reply,
            teacher_reply=weakness.teacher_reply,
            reasons=weakness.reasons,
            goal=weakness.scenario.goal,
            expected=weakness.scenario.expected,
            rules=deciding_rules(self.environment.policy, weakness.scenario, weakness.turns),
            ending=weakness.ending,
            tactics=tactics,
            failures=failures,
        )
        return await self._drafted(system, page, tactics, seed)

    async def propose_general(
        self,
        exchanges: Sequence[Exchange],
        reasons: Sequence[str],
        tactics: Sequence[Tactic],
        seed: int,
    ) -> Proposal:
        """Write strategies for every state at the firm.

        Args:
            exchanges: weak replies to customers of different scenarios.
            reasons: what reviewers found wanting most often.
            tactics: handbook tactics to choose from; may be empty.
            seed: for models that take one.

        Raises:
            ModelFault: where the model gives no valid proposal in two tries.
        """
        page = render("teacher_general", exchanges=exchanges, reasons=reasons, tactics=tactics)
        return await self._drafted(desk_text(self.environment, None), page, tactics, seed)

    async def rewrite(
        self, advice: str, chats: Sequence[Mapping[str, str]], seed: int
    ) -> list[str]:
        """Write the one text that a student is given in every state anew, as orders.

        Args:
            advice: the text that it was given.
            chats: what came of it: `about` whom, what was `said`, what the judge `found`.
            seed: for models that take one.

        Raises:
            InvalidAnswer: where the model gives no valid answer in two tries.
        """
        page = render("teacher_evolve", advice=advice, chats=chats)
        rewritten = await self.voice.ask(
            [SystemMessage(desk_text(self.environment, None)), HumanMessage(page)],
            Rewriting,
            seed=seed,
            temperature=0.7,
            max_tokens=420,
        )
        orders = (" ".join(order.split()) for order in rewritten.orders)
        return list(dict.fromkeys(o if o.endswith((".", "!", "?")) else f"{o}." for o in orders))

    async def _drafted(
        self, system: str, page: str, tactics: Sequence[Tactic], seed: int
    ) -> Proposal:
        draft = await self.voice.ask(
            [SystemMessage(system), HumanMessage(page)],
            Draft,
            seed=seed,
            temperature=0.6,
            max_tokens=240,
        )
        chosen = dict.fromkeys(n for n in draft.advice if 1 <= n <= len(tactics))
        return Proposal(tuple(tactics[n - 1].id for n in chosen), tuple(draft.strategies))
