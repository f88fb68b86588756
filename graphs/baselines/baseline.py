"""Baselines: what another way to learn came to on a budget of calls, and the run that it learns in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from tutelage.strategy_store import ANY_CUSTOMER, always
from tutelage.strategy_store.vetting import hostile

from ..log.events import StrategyProposed
from ..log.run_log import Log, MemoryLog
from ..log.states import Played, played
from ..play.desk import Desk, fitting_concurrency
from ..play.dialogue import DialogueRequest, compile_dialogue
from ..play.rollouts import play

Method = Literal["playbook", "global"]
METHODS: tuple[Method, ...] = ("playbook", "global")
MOST_LETTERS = 4000
"""Of all that a baseline puts into a prompt: a longer evolved prompt is refused, a full playbook learns
no more. A student reads all of it at every turn."""
A_BATCH = 4
"""Dialogues that are played before a baseline learns from them."""


class BaselineFault(Exception):
    """A baseline cannot be learned or read; str() says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


class Baseline(BaseModel):
    """What a baseline learned: texts that are always in the prompt, and what it cost to learn."""

    method: Method
    environment: str
    scenarios: list[str] = Field(description="What it was learned from.")
    models: dict[str, str]
    texts: list[str]
    calls: int
    tokens: int
    stop: str = Field(default="", description="Why it learned no more.")

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a file that `tutelage baseline` wrote.

        Raises:
            BaselineFault: where it cannot be read, is none, or holds what may not enter a prompt.
        """
        try:
            found = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BaselineFault(f"{path}: cannot be read: {error}", 2) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise BaselineFault(f"{path}: is no baseline: {where}: {first['msg']}", 2) from error
        for text in found.texts:
            if reasons := hostile(" ".join(text.split())):
                raise BaselineFault(f"{path}: {text[:60]!r} may not enter a prompt: {reasons[0]}")
        return found


@dataclass(frozen=True, slots=True)
class Used:
    """What a run has used already: model calls of all roles, and their tokens, in and out."""

    calls: int = 0
    tokens: int = 0


@dataclass
class Budget:
    """Counts model calls against a budget. Of a run that goes on, the calls made `before` count in equal
    shares for the dialogues that its log holds, each as it comes up again.
    """

    desk: Desk
    calls: int
    before: Used
    logged: set[str]
    again: set[str] = field(default_factory=set)

    @property
    def now(self) -> int:
        """Model calls of this process."""
        return sum(usage.calls for usage in self.desk.meter.roles.values())

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        share = len(self.again) / len(self.logged) if self.logged else 1.0
        return self.now + share * self.before.calls >= self.calls or self.desk.meter.spent


@dataclass
class BaselineRun:
    """What a baseline learns from, all of it in the log: what was played or written before is not made
    again, so a run that was cut off goes on where it ended.
    """

    method: Method
    desk: Desk
    log: Log
    budget: Budget
    written: dict[str, list[str]]
    max_exchanges: int

    async def play(
        self, plan: Sequence[DialogueRequest], texts: Sequence[str], prefix: str = ""
    ) -> list[Played]:
        """The valid dialogues of a plan, played with texts that are given at every turn."""
        own = replace(self.desk, library=None, fixed=always(texts))
        names = [prefix + request.get("dialogue", "") for request in plan]
        # By name, since gepa fills its last batch up with requests that are in it already.
        named: dict[str, DialogueRequest] = {
            name: {**request, "dialogue": name, "arm": self.method}
            for name, request in zip(names, plan, strict=True)
        }
        self.budget.again.update(self.budget.logged.intersection(names))
        graph = compile_dialogue(own, self.max_exchanges)
        await play(own, graph, named.values(), fitting_concurrency(own))
        found = await played(self.log)
        return [found[name] for name in names if name in found and found[name].valid]

    async def write(
        self, name: str, writing: Callable[[], Awaitable[Sequence[str]]], **where: Any
    ) -> list[str]:
        """What the teacher writes under a name, once."""
        if name not in self.written:
            self.written[name] = list(await writing())
            await self.desk.record(
                StrategyProposed(
                    proposal=name, texts=self.written[name], source="teacher",
                    **{"dialogue": "", "turn": 0, "attempt": 0, "scenario": ANY_CUSTOMER, **where},
                )
            )  # fmt: skip
        return self.written[name]

    def learned(
        self, scenarios: Iterable[str], texts: list[str], full: bool = False, told: str = ""
    ) -> Baseline:
        """The baseline that came of it; `told` is said of it beside why it ended."""
        before = self.budget.before
        calls = before.calls + self.budget.now
        spent = "the budget is spent" if self.desk.meter.spent else f"{calls} calls are used"
        ended = "it is full" if full else spent
        return Baseline(
            method=self.method, environment=self.desk.environment.name,
            scenarios=list(dict.fromkeys(scenarios)), models=self.desk.models, texts=texts,
            calls=calls, tokens=before.tokens + self.desk.meter.tokens,
            stop=f"{ended}; {told}" if told else ended,
        )  # fmt: skip


async def begin(
    method: Method, desk: Desk, calls: int, before: Used | None, max_exchanges: int
) -> BaselineRun:
    """The run that a baseline learns in; with the log of an earlier one, where that ended.

    Args:
        method: which baseline.
        desk: the agents, and the log.
        calls: model calls to spend, of all roles together.
        before: what the run that goes on has used already.
        max_exchanges: of a dialogue.
    """
    log = desk.log or MemoryLog()
    desk = replace(desk, log=log)
    logged = {id_ for id_, one in (await played(log)).items() if one.ended is not None}
    written = {
        one.event.proposal: one.event.texts
        for one in await log.read(kinds=("strategy_proposed",))
        if isinstance(one.event, StrategyProposed)
    }
    budget = Budget(desk, calls, before or Used(), logged)
    return BaselineRun(method, desk, log, budget, written, max_exchanges)
