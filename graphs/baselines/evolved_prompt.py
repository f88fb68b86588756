"""The evolved prompt: a baseline that is one text for all states, found by the package gepa."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from tutelage.agents.advice.tactics import GENERIC_ADVICE
from tutelage.agents.models.faults import InvalidAnswer
from tutelage.strategy_store.vetting import hostile

from ..log.events import Fault
from ..log.states import Played, states_of
from ..play.desk import Desk
from ..play.dialogue import MAX_EXCHANGES, DialogueRequest
from ..play.rollouts import plan_round, plan_validation
from .baseline import (
    A_BATCH,
    MOST_LETTERS,
    Baseline,
    BaselineFault,
    BaselineRun,
    Used,
    begin,
)

T = TypeVar("T")
NOTHING_BETTER = "nothing that was written did better than the generic advice that it began with"


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
    selection, satisfaction and rubric in equal parts as the score. The teacher reflects as in coaching,
    with the firm's policy and in a form, and on a prompt of ours: gepa's own asks for "a new
    instruction", and what repeats that may enter no prompt.

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
    run = await begin("global", desk, calls, before, max_exchanges)
    train = plan_round(desk.environment, 1, 4 * A_BATCH, seed)
    validation = plan_validation(desk.environment, 0, 2 * A_BATCH, seed) or train[: 2 * A_BATCH]
    bridge = _Bridge(asyncio.get_running_loop())

    def stop(gepa_state: object) -> bool:
        return run.budget.spent or bridge.fault is not None

    working = asyncio.ensure_future(
        asyncio.to_thread(
            optimize,
            seed_candidate={"advice": GENERIC_ADVICE},
            trainset=train,
            valset=validation,
            adapter=_adapter(run, bridge),
            custom_candidate_proposer=_rewriting(run, bridge, seed),
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
    text = found.best_candidate["advice"]
    return run.learned(scenarios, [text], told=NOTHING_BETTER if text == GENERIC_ADVICE else "")


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
        except InvalidAnswer:
            # A poor proposal, and gepa's to go on from.
            raise
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


def _adapter(run: BaselineRun, bridge: _Bridge) -> Any:
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
            text = candidate["advice"]
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


def _rewriting(run: BaselineRun, bridge: _Bridge, seed: int) -> Callable[..., dict[str, str]]:
    """What gepa asks for the next text: the teacher, on the event loop of the run."""
    asked: Counter[str] = Counter()

    def rewriting(
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        advice, chats = candidate["advice"], reflective_dataset["advice"]
        page = "\n".join([advice, *(str(chat["said"]) for chat in chats)])
        digest = hashlib.sha256(page.encode()).hexdigest()[:12]
        asked[digest] += 1
        number = asked.total()

        async def rewritten() -> list[str]:
            try:
                return await run.desk.teacher.rewrite(advice, chats, seed + number)
            except InvalidAnswer as error:
                await run.desk.record(Fault(where="baseline", message=str(error)))
                raise

        # By what was asked, and how often: gepa may ask the same anew and wants another answer.
        name = f"{digest}.{asked[digest]}"
        return {"advice": " ".join(bridge.wait(run.write(name, rewritten, turn=number)))}

    return rewriting


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
        "about": desk.environment.scenarios[one.started.scenario].title,
        "said": said,
        "found": f"score {score:.2f} of 1; {reasons}",
    }
