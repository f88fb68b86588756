"""Dialogues played for a test: the app under test answers, and the test asserts on the result."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tutelage.agents.models.faults import ModelFault
from tutelage.agents.transcript import Turn
from tutelage.blocking import run_blocking
from tutelage.environments import Environment, Scenario, nearest
from tutelage.graphs.play.desk import Desk, fitting_concurrency, open_desk
from tutelage.graphs.play.dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from tutelage.graphs.play.rollouts import gather
from tutelage.strategy_store.plain_text import clean

TRIES = 3
"""Draws of one dialogue whose customer breaks character, after which it counts as not played."""


class NotPlayed(Exception):
    """No dialogue came about: every simulated customer broke character. The app is not to blame."""


@dataclass(frozen=True, slots=True)
class PlayedOnce:
    """One dialogue with its scores: satisfaction 1-5, rubric, items and policy 0-1."""

    scenario: Scenario
    persona: str
    seed: int
    reason: str
    turns: list[Turn]
    satisfaction: float
    rubric: float
    items: dict[str, float]
    policy: float

    def __str__(self) -> str:
        """The transcript, then what was found of it."""
        names = {"customer": "CUSTOMER", "student": "APP"}
        lines = [f"{self.scenario.title} ({self.scenario.id}), {self.persona}, seed {self.seed}"]
        for turn in self.turns:
            lines += [f"  {'tool':>8}: {use.line}" for use in turn.tools]
            lines.append(f"  {names[turn.speaker]:>8}: {' '.join(turn.text.split())}")
        lines.append(f"  ended: {self.reason.replace('_', ' ')}")
        lines.append(
            f"  satisfaction {self.satisfaction:.2f} of 5, rubric {self.rubric:.2f}, "
            f"policy {self.policy:.2f}"
        )
        lines += [
            f"    {'ok ' if score >= 0.5 else 'LOW'} {score:.2f} {name}"
            for name, score in self.items.items()
        ]
        return clean("\n".join(lines))


@dataclass(frozen=True)
class Simulated:
    """The dialogues of one call. The asserts compare means over them."""

    dialogues: list[PlayedOnce]

    @property
    def satisfaction(self) -> float:
        """Mean satisfaction, 1 to 5."""
        return fmean(one.satisfaction for one in self.dialogues)

    @property
    def rubric(self) -> float:
        """Mean rubric score, 0 to 1."""
        return fmean(one.rubric for one in self.dialogues)

    @property
    def policy(self) -> float:
        """Mean probability that the app kept to the policy, 0 to 1."""
        return fmean(one.policy for one in self.dialogues)

    def item(self, id_: str) -> float:
        """Mean of one rubric item, 0 to 1.

        Raises:
            KeyError: where no dialogue was judged by such an item.
        """
        __tracebackhide__ = True
        found = [one.items[id_] for one in self.dialogues if id_ in one.items]
        if not found:
            there = list(dict.fromkeys(name for one in self.dialogues for name in one.items))
            close = nearest(id_, there)
            hint = f"did you mean {close!r}? " if close else ""
            raise KeyError(
                f"no dialogue was judged by a rubric item {id_!r}; {hint}There are {', '.join(there)}"
            )
        return fmean(found)

    def assert_score(self, at_least: float = 3.0) -> None:
        """Fail, with the transcript, where mean satisfaction (1-5) is lower."""
        __tracebackhide__ = True
        self._hold("satisfaction", self.satisfaction, at_least)

    def assert_rubric(self, at_least: float = 0.6, item: str | None = None) -> None:
        """Fail, with the transcript, where the mean rubric score (0-1), or one item's, is lower."""
        __tracebackhide__ = True
        if item is None:
            self._hold("rubric", self.rubric, at_least)
        else:
            self._hold(f"rubric item {item!r}", self.item(item), at_least)

    def assert_policy(self, at_least: float = 0.5) -> None:
        """Fail, with the transcript, where the app seems less likely to keep to the policy (0-1)."""
        __tracebackhide__ = True
        rules = ", ".join(dict.fromkeys(r for one in self.dialogues for r in one.scenario.rules))
        self._hold(f"policy ({rules})" if rules else "policy", self.policy, at_least)

    def _hold(self, what: str, found: float, at_least: float) -> None:
        __tracebackhide__ = True
        if found < at_least:
            means = f"mean of {len(self.dialogues)} dialogues, " if len(self.dialogues) > 1 else ""
            raise AssertionError(
                f"{what} is {found:.2f}, {means}expected at least {at_least:g}\n\n{self}"
            )

    def __str__(self) -> str:
        """Every transcript, the worst first."""
        worst_first = sorted(self.dialogues, key=lambda one: (one.policy, one.satisfaction))
        return "\n\n".join(map(str, worst_first))


@dataclass(frozen=True, repr=False)
class Simulate:
    """What the fixture `tutelage_simulate` gives: call it with an app."""

    environment: Environment
    customer: Any
    judge: Any

    def __call__(
        self,
        app: Any,
        scenario: str,
        *,
        persona: str | None = None,
        dialogues: int = 1,
        exchanges: int = MAX_EXCHANGES,
        seed: int = 0,
    ) -> Simulated:
        """Let simulated customers talk with an app, and judge what comes of it.

        Args:
            app: the app under test: a chat model, or whatever else can be a student.
            scenario: the id of one of the firm's.
            persona: a customer of the firm; those that fit, in turn, where not given.
            dialogues: how many; more cost more, and tell more.
            exchanges: after how many a dialogue is ended.
            seed: of the first dialogue.

        Raises:
            NotPlayed: where every customer broke character.
            ModelFault: where a model or the app cannot be had or fails.
        """
        desk = open_desk(
            self.environment,
            student=app,
            customer=self.customer,
            judge=self.judge,
            teacher=self.judge,
        )
        plan = [(seed + number, persona) for number in range(dialogues)]
        try:
            return run_blocking(_play(desk, scenario, plan, exchanges))
        except (ModelFault, NotPlayed) as fault:
            # The way through the graph tells a test's reader nothing; the cause, which may be the
            # app's own error, stays.
            raise fault.with_traceback(None)  # noqa: B904


async def _play(
    desk: Desk, scenario_id: str, plan: list[tuple[int, str | None]], exchanges: int
) -> Simulated:
    graph = compile_dialogue(desk, exchanges)
    scenario = desk.environment.scenarios[scenario_id]

    async def one(asked: tuple[int, str | None]) -> PlayedOnce | ModelFault | None:
        try:
            return await play_once(asked)
        except ModelFault as fault:
            return fault

    async def play_once(asked: tuple[int, str | None]) -> PlayedOnce | None:
        for attempt in range(TRIES):
            seed = asked[0] + attempt * len(plan)
            request = DialogueRequest(scenario=scenario_id, seed=seed)
            if asked[1]:
                request["persona"] = asked[1]
            final = await graph.ainvoke(request)
            if final["valid"]:
                break
        else:
            return None
        turns = [Turn.model_validate(turn) for turn in final["turns"]]
        judged = final["judgement"]
        return PlayedOnce(
            scenario=scenario, persona=final["persona"], seed=seed,
            reason=final["reason"] or "turn_limit", turns=turns,
            satisfaction=judged["satisfaction"], rubric=judged["rubric"],
            items=judged["checks"] | judged["questions"],
            policy=await desk.judge.keeps_policy(scenario, turns),
        )  # fmt: skip

    found = await gather(plan, one, fitting_concurrency(desk), desk)
    for fault in found:
        if isinstance(fault, ModelFault):
            raise fault
    played = [one for one in found if isinstance(one, PlayedOnce)]
    if not played:
        raise NotPlayed(
            f"{scenario_id}: the simulated customer broke character in all of "
            f"{len(plan) * TRIES} dialogues; name a stronger model with --tutelage-customer"
        )
    return Simulated(played)
