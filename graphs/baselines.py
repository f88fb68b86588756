"""Baselines that learn otherwise on the same budget of calls: a growing playbook, one evolved prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field, ValidationError
from tutelage.agents.teacher import Weakness
from tutelage.strategy_store import always, vet
from tutelage.strategy_store.vetting import hostile
from tutelage.strategy_store.wording import same_words

from .desk import Desk, fitting_concurrency
from .dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .evaluation import GENERIC_ADVICE
from .rollouts import plan_round, play
from .run_log import Log, MemoryLog
from .states import Played, played, states_of
from .trials import teachers_reply

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


@dataclass
class Spent:
    """Counts the calls of a desk against a budget."""

    desk: Desk
    budget: int

    @property
    def calls(self) -> int:
        """Model calls of all roles so far."""
        return sum(usage.calls for usage in self.desk.meter.roles.values())

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        return self.calls >= self.budget or self.desk.meter.spent


async def grow_playbook(
    desk: Desk, calls: int, *, seed: int = 0, max_exchanges: int = MAX_EXCHANGES
) -> Baseline:
    """A playbook in the manner of ACE (Zhang and others 2025, "Agentic Context Engineering", arXiv
    2510.04618): the student plays with all items in its prompt, the teacher reflects on the weakest
    reply of each dialogue and adds items, near-duplicates are left out. Items are never tested, only
    added; that is the difference to the library. At MOST_LETTERS it is full.

    Args:
        desk: the agents.
        calls: model calls to spend, of all roles together; a batch of dialogues is played to its end.
        seed: chooses dialogues and draws.
        max_exchanges: of a dialogue.
    """
    spent = Spent(desk, calls)
    items: list[str] = []
    used: dict[str, None] = {}
    number, full = 0, False
    while not spent.done and not full:
        number += 1
        plan = plan_round(desk.environment, number, _A_BATCH, seed)
        own = replace(desk, library=None, fixed=always(items), log=MemoryLog())
        for one in await _played(own, plan, max_exchanges):
            used[one.started.scenario] = None
            states = states_of(one, desk.environment)
            if not states or spent.done or full:
                continue
            weak = min(states, key=lambda state: state.score)
            scenario = desk.environment.scenarios[weak.scenario]
            better = await teachers_reply(desk, weak, (), seed + number)
            weakness = Weakness(scenario, weak.turns, weak.reply, better, weak.reasons, weak.ending)
            proposal = await desk.teacher.propose(weakness, (), [], seed + number)
            for text in (" ".join(text.split()) for text in proposal.strategies):
                if vet(text) or any(same_words(text, item) for item in items):
                    continue
                if full := sum(map(len, [*items, text])) > MOST_LETTERS:
                    break
                items.append(text)
    return _learned("playbook", desk, list(used), items, spent)


async def evolve_prompt(
    desk: Desk, calls: int, *, seed: int = 0, max_exchanges: int = MAX_EXCHANGES
) -> Baseline:
    """One global prompt evolved by GEPA (Agrawal and others 2025, arXiv 2507.19457), through the
    adapter of the `gepa` package: training dialogues for reflection, the validation split for
    selection, satisfaction and rubric in equal parts as the score, the teacher as reflection model.

    Args:
        desk: the agents.
        calls: model calls to spend, of all roles together; what is under way is finished.
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
    spent = Spent(desk, calls)
    environment = desk.environment
    train = plan_round(environment, 1, 2 * _A_BATCH, seed)
    held = [s.id for s in environment.split("validation")][:_A_BATCH] or [
        request.get("scenario", "") for request in train[:_A_BATCH]
    ]
    validation = [
        DialogueRequest(
            scenario=id_, seed=seed + n, purpose="validation", round=0,
            persona=environment.personas_for(environment.scenarios[id_])[0].name,
        )
        for n, id_ in enumerate(held)
    ]  # fmt: skip
    loop = asyncio.get_running_loop()
    adapter = _adapter(desk, loop, max_exchanges)

    def reflect(prompt: str | list[dict[str, Any]]) -> str:
        text = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
        saying = desk.teacher.voice.say(
            [HumanMessage(text)], seed=seed + spent.calls, temperature=0.7, max_tokens=400
        )
        return asyncio.run_coroutine_threadsafe(saying, loop).result()

    def stop(gepa_state: object) -> bool:
        return spent.done

    found: Any = await asyncio.to_thread(
        optimize,
        seed_candidate={"advice": GENERIC_ADVICE},
        trainset=train,
        valset=validation,
        adapter=adapter,
        reflection_lm=reflect,
        reflection_minibatch_size=3,
        stop_callbacks=stop,
        # No dialogue takes less than a call: ends it where nothing is spent any more.
        max_metric_calls=calls,
        logger=_Silent(),
        seed=seed,
    )
    scenarios = dict.fromkeys(r.get("scenario", "") for r in [*train, *validation])
    text = " ".join(found.best_candidate["advice"].split())
    return _learned("global", desk, list(scenarios), [text], spent)


class _Silent:
    """gepa's logger; what it tells is in the result."""

    def log(self, message: str) -> None:
        """Say nothing."""


def _adapter(desk: Desk, loop: asyncio.AbstractEventLoop, max_exchanges: int) -> Any:
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
            own = replace(desk, library=None, fixed=always([text]), log=MemoryLog())
            playing = _played(own, batch, max_exchanges)
            found = asyncio.run_coroutine_threadsafe(playing, loop).result()
            by_scenario = {(one.started.scenario, one.started.seed): one for one in found}
            traces = [
                by_scenario.get((request.get("scenario", ""), request.get("seed", 0)))
                for request in batch
            ]
            scores = [_score(one) for one in traces]
            return EvaluationBatch([str(score) for score in scores], scores, traces)

        def make_reflective_dataset(
            self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
        ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
            """The dialogues as texts, with what the judge found."""
            rows = [
                _reflection(desk, one, score)
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


async def _played(desk: Desk, plan: Sequence[DialogueRequest], max_exchanges: int) -> list[Played]:
    """Play a plan on a log of its own."""
    log: Log = desk.log or MemoryLog()
    desk.log = log
    named: list[DialogueRequest] = [
        {**request, "dialogue": f"b.{place}.{request.get('scenario')}.{request.get('seed')}"}
        for place, request in enumerate(plan)
    ]
    await play(desk, compile_dialogue(desk, max_exchanges), named, fitting_concurrency(desk))
    return [one for one in (await played(log)).values() if one.valid]


def _learned(
    method: Method, desk: Desk, scenarios: list[str], texts: list[str], spent: Spent
) -> Baseline:
    return Baseline(
        method=method, environment=desk.environment.name, scenarios=scenarios, models=desk.models,
        texts=texts, calls=spent.calls, tokens=desk.meter.tokens,
    )  # fmt: skip


LEARNERS: dict[Method, Callable[..., Any]] = {"playbook": grow_playbook, "global": evolve_prompt}
