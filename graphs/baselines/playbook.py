"""The playbook: a baseline whose items, once written, are all in the prompt for good."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tutelage.agents.models.faults import ModelFault
from tutelage.agents.teacher import Weakness
from tutelage.strategy_store import vet
from tutelage.strategy_store.wording import same_order

from ..log.events import Fault
from ..log.states import State, states_of
from ..play.desk import Desk
from ..play.dialogue import MAX_EXCHANGES
from ..play.rollouts import plan_round
from ..steps.trials import teachers_reply
from .baseline import (
    A_BATCH,
    MOST_LETTERS,
    Baseline,
    Used,
    begin,
)


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
    run = await begin("playbook", desk, calls, before, max_exchanges)
    items: list[str] = []
    used: list[str] = []
    number, full = 0, False
    while not run.budget.spent and not full:
        number += 1
        for one in await run.play(plan_round(desk.environment, number, A_BATCH, seed), items):
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
                if vet(text) or any(same_order(text, item) for item in items):
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
