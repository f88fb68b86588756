"""Baselines that learn otherwise on the same budget of calls: a growing playbook, one evolved prompt."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field, ValidationError
from tutelage.agents.faults import ModelFault
from tutelage.agents.teacher import Weakness
from tutelage.strategy_store import always, vet
from tutelage.strategy_store.vetting import hostile
from tutelage.strategy_store.wording import same_words

from .desk import Desk, fitting_concurrency
from .dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .evaluation import GENERIC_ADVICE
from .events import Fault, StrategyProposed
from .rollouts import plan_round, plan_validation, play
from .run_log import Log, MemoryLog
from .states import Played, State, played, states_of
from .trials import teachers_reply

T = TypeVar("T")
Method = Literal["playbook", "global"]
METHODS: tuple[Method, ...] = ("playbook", "global")
MOST_LETTERS = 4000
"""Of all that a baseline puts into a prompt: a longer evolved prompt is refused, a full playbook learns
no more. A student reads all of it at every turn."""
_A_BATCH = 4


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
class _Budget:
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
class _Run:
    """What a baseline learns from, all of it in the log: what was played or written before is not made
    again, so a run that was cut off goes on where it ended.
    """

    method: Method
    desk: Desk
    log: Log
    budget: _Budget
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
                    **{"dialogue": "", "turn": 0, "attempt": 0, "scenario": "any customer", **where},
                )
            )  # fmt: skip
        return self.written[name]

    def learned(self, scenarios: Iterable[str], texts: list[str], full: bool = False) -> Baseline:
        """The baseline that came of it."""
        before = self.budget.before
        calls = before.calls + self.budget.now
        spent = "the budget is spent" if self.desk.meter.spent else f"{calls} calls are used"
        return Baseline(
            method=self.method, environment=self.desk.environment.name,
            scenarios=list(dict.fromkeys(scenarios)), models=self.desk.models, texts=texts,
            calls=calls, tokens=before.tokens + self.desk.meter.tokens,
            stop="it is full" if full else spent,
        )  # fmt: skip


async def _begin(
    method: Method, desk: Desk, calls: int, before: Used | None, max_exchanges: int
) -> _Run:
    log = desk.log or MemoryLog()
    desk = replace(desk, log=log)
    logged = {id_ for id_, one in (await played(log)).items() if one.ended is not None}
    written = {
        one.event.proposal: one.event.texts
        for one in await log.read(kinds=("strategy_proposed",))
        if isinstance(one.event, StrategyProposed)
    }
    budget = _Budget(desk, calls, before or Used(), logged)
    return _Run(method, desk, log, budget, written, max_exchanges)


async def grow_playbook(
    desk: Desk,
    calls: int,
    *,
    before: Used | None = None,
    seed: int = 0,
    max_exchanges: int = MAX_EXCHANGES,
) -> Baseline:
    """A playbook in the manner of ACE (Zhang and others 2025, "Agentic Context Engineering", arXiv
    2510.04618): the student plays with all items in its prompt, the teacher reflects on the weakest
    reply of each dialogue and adds items, near-duplicates are left out. Items are never tested, only
    added; that is the difference to the library. At MOST_LETTERS it is full.

    Args:
        desk: the agents. With the log of an earlier run that run goes on.
        calls: model calls to spend, of all roles together; a batch of dialogues is played to its end.
        before: what the run that goes on has used already.
        seed: chooses dialogues and draws.
        max_exchanges: of a dialogue.
    """
    run = await _begin("playbook", desk, calls, before, max_exchanges)
    items: list[str] = []
    used: list[str] = []
    number, full = 0, False
    while not run.budget.spent and not full:
        number += 1
        for one in await run.play(plan_round(desk.environment, number, _A_BATCH, seed), items):
            used.append(one.started.scenario)
            states = states_of(one, desk.environment)
            name = one.started.dialogue
            if not states or full or (run.budget.spent and name not in run.written):
                continue
            weak = min(states, key=lambda state: state.score)
            try:
                texts = await run.write(
                    name, partial(_reflected, run.desk, weak, seed + number),
                    dialogue=name, turn=weak.turn, scenario=one.started.title,
                )  # fmt: skip
            except ModelFault as error:
                # One reflection that comes to nothing is not worth a run.
                await run.desk.record(Fault(where="baseline", message=str(error), dialogue=name))
                continue
            for text in (" ".join(text.split()) for text in texts):
                if vet(text) or any(same_words(text, item) for item in items):
                    continue
                if full := sum(map(len, [*items, text])) > MOST_LETTERS:
                    break
                items.append(text)
    return run.learned(used, items, full)


async def _reflected(desk: Desk, weak: State, seed: int) -> Sequence[str]:
    """What the teacher writes for the weakest reply of a dialogue."""
    scenario = desk.environment.scenarios[weak.scenario]
    better = await teachers_reply(desk, weak, (), seed)
    weakness = Weakness(scenario, weak.turns, weak.reply, better, weak.reasons, weak.ending)
    return (await desk.teacher.propose(weakness, (), [], seed)).strategies


async def evolve_prompt(
    desk: Desk,
    calls: int,
    *,
    before: Used | None = None,
    seed: int = 0,
    max_exchanges: int = MAX_EXCHANGES,
) -> Baseline:
    """One global prompt evolved by GEPA (Agrawal and others 2025, arXiv 2507.19457), through the
    adapter of the `gepa` package: training dialogues for reflection, the validation split for
    selection, satisfaction and rubric in equal parts as the score, the teacher as reflection model.

    Args:
        desk: the agents. With the log of an earlier run that run goes on: gepa begins anew with the
            same seed, and what it asks for is in the log.
        calls: model calls to spend, of all roles together; what is under way is finished.
        before: what the run that goes on has used already.
        seed: chooses dialogues and draws.
        max_exchanges: of a dialogue.

    Raises:
        BaselineFault: where the package is not installed.
    """
    try:
        from gepa.api import optimize
    except ImportError:
        raise BaselineFault(
            "the arm `global` is evolved by the package gepa: pip install 'tutelage[gepa]'", 2
        ) from None
    run = await _begin("global", desk, calls, before, max_exchanges)
    train = plan_round(desk.environment, 1, 2 * _A_BATCH, seed)
    validation = plan_validation(desk.environment, 0, _A_BATCH, seed) or train[:_A_BATCH]
    bridge = _Bridge(asyncio.get_running_loop())
    asked: Counter[str] = Counter()

    def reflect(prompt: str | list[dict[str, Any]]) -> str:
        text = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        asked[digest] += 1
        number = asked.total()

        async def said() -> list[str]:
            options = {"seed": seed + number, "temperature": 0.7, "max_tokens": 400}
            return [await desk.teacher.voice.say([HumanMessage(text)], **options)]

        # By what was asked, and how often: gepa may ask the same anew and wants another answer.
        return bridge.wait(run.write(f"{digest}.{asked[digest]}", said, turn=number))[0]

    def stop(gepa_state: object) -> bool:
        return run.budget.spent or bridge.fault is not None

    working = asyncio.ensure_future(
        asyncio.to_thread(
            optimize,
            seed_candidate={"advice": GENERIC_ADVICE},
            trainset=train,
            valset=validation,
            adapter=_adapter(run, bridge),
            reflection_lm=reflect,
            reflection_minibatch_size=3,
            stop_callbacks=stop,
            # Ends it where nothing is spent any more.
            max_metric_calls=calls,
            logger=_Silent(),
            seed=seed,
        )
    )
    try:
        found: Any = await asyncio.shield(working)
    except asyncio.CancelledError:
        bridge.close()
        await asyncio.wait([working])
        raise
    finally:
        if bridge.fault is not None:
            raise bridge.fault
    scenarios = (request.get("scenario", "") for request in [*train, *validation])
    text = " ".join(found.best_candidate["advice"].split())
    return run.learned(scenarios, [text])


class _Bridge:
    """What gepa's thread asks of the run's event loop. gepa takes an Exception for a poor proposal and
    asks again, so a fault is kept here for whoever can say it; a cancelled run raises what gepa lets by.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.fault: Exception | None = None
        self._loop = loop
        self._closed = False
        self._waited: Future[Any] | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, from gepa's thread."""
        if self.fault is not None:
            work.close()
            raise self.fault
        waited = self._waited = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._closed:
            waited.cancel()
        try:
            return waited.result()
        except CancelledError:
            raise asyncio.CancelledError from None
        except Exception as error:
            self.fault = error
            raise

    def close(self) -> None:
        """End what is waited for, and let nothing more begin."""
        self._closed = True
        if self._waited is not None:
            self._waited.cancel()


class _Silent:
    """gepa's logger; what it tells is in the result."""

    def log(self, message: str) -> None:
        """Say nothing."""


def _adapter(run: _Run, bridge: _Bridge) -> Any:
    """Gepa's adapter: plays dialogues with the prompt always given, on the event loop of the run."""
    from gepa.core.adapter import EvaluationBatch, GEPAAdapter

    class Dialogues(GEPAAdapter):
        """Scores a prompt by dialogues."""

        propose_new_texts = None

        def evaluate(
            self,
            batch: list[DialogueRequest],
            candidate: dict[str, str],
            capture_traces: bool = False,
        ) -> Any:
            """Play each dialogue; a prompt that may not enter a prompt scores nothing."""
            text = " ".join(candidate["advice"].split())
            if hostile(text) or len(text) > MOST_LETTERS:
                empty = ["refused: it may not enter a prompt"] * len(batch)
                return EvaluationBatch(empty, [0.0] * len(batch), [None] * len(batch))
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            found = bridge.wait(run.play(batch, [text], f"{digest}."))
            by_cell = {(one.started.scenario, one.started.seed): one for one in found}
            traces = [by_cell.get((r.get("scenario", ""), r.get("seed", 0))) for r in batch]
            scores = [_score(one) for one in traces]
            return EvaluationBatch([str(score) for score in scores], scores, traces)

        def make_reflective_dataset(
            self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
        ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
            """The dialogues as texts, with what the judge found."""
            rows = [
                _reflection(run.desk, one, score)
                for one, score in zip(
                    eval_batch.trajectories or [], eval_batch.scores, strict=False
                )
                if one is not None
            ]
            return dict.fromkeys(components_to_update, rows)

    return Dialogues()


def _score(one: Played | None) -> float:
    """Satisfaction and rubric in equal parts, 0 to 1; nothing for a dialogue that broke."""
    if one is None or not one.valid or one.judged is None:
        return 0.0
    return ((one.judged.satisfaction - 1) / 4 + one.judged.rubric) / 2


def _reflection(desk: Desk, one: Played, score: float) -> dict[str, str]:
    said = "\n".join(f"{turn.speaker.upper()}: {turn.text}" for turn in one.turns)
    states = states_of(one, desk.environment)
    reasons = "; ".join(states[0].reasons) if states else "the dialogue broke"
    return {
        "Inputs": desk.environment.scenarios[one.started.scenario].title,
        "Generated Outputs": said,
        "Feedback": f"score {score:.2f} of 1; {reasons}",
    }


LEARNERS: dict[Method, Callable[..., Any]] = {"playbook": grow_playbook, "global": evolve_prompt}
