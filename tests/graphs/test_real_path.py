"""The real path with real weights: the 135M model says nothing of use, but every joint must hold."""

from __future__ import annotations

import shutil

import pytest
from smoke import smoke_model
from tutelage.agents.teacher import Draft
from tutelage.environments import load_environment
from tutelage.environments.importing.tau2 import import_tau2
from tutelage.graphs.coaching import COACHING_STATUSES
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.log.states import played, states_of
from tutelage.graphs.play.desk import Retrieval, open_desk
from tutelage.graphs.play.dialogue import DialogueRequest, compile_dialogue
from tutelage.graphs.play.rollouts import play
from tutelage.graphs.steps.strategy_step import Null, StepOptions, Weak, strategy_step
from tutelage.strategy_store import Library

pytestmark = pytest.mark.weights


def seat(environment, library=None):
    spec = f"local:{smoke_model()}"
    return open_desk(
        environment, student=spec, customer=spec, judge=spec, teacher=spec, library=library,
        log=MemoryLog(), retrieval=Retrieval(statuses=COACHING_STATUSES),
    )  # fmt: skip


async def test_one_dialogue_and_one_strategy_step(bakery, tmp_path):
    firm = load_environment(bakery)
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = seat(firm, library)
        asked = DialogueRequest(scenario="late_parcel", persona="hurried", seed=0, dialogue="d")
        # Two exchanges are enough: that dialogues go on is shown in the scripted world.
        await play(desk, compile_dialogue(desk, 2), [asked], 1)
        dialogues = await played(desk.log)
        assert set(dialogues) == {"d"} and dialogues["d"].ended
        states = states_of(dialogues["d"], firm)
        assert states, "the dialogue must be valid, or the check is too strict"
        description = await desk.teacher.describe(
            firm.scenarios["late_parcel"], states[0].turns, seed=1
        )
        assert len(description.scenario) >= 10
        weak = Weak(states[0], description, "Sorry for the wait.", ())
        options = StepOptions(0, alternatives=1, choose_pairs=1, accept_pairs=2, fresh_states=1)
        await strategy_step(desk, weak, states, Null(), options, round_number=1)
        decided = await desk.log.read(kinds=("strategy_decided",))
        assert len(decided) == 1
        proposed = (await desk.log.read(kinds=("strategy_proposed",)))[0].event
        assert proposed.texts
        for text in proposed.texts:
            assert Draft(strategies=[text]).strategies
        for role in ("student", "customer", "judge", "teacher"):
            used = desk.meter.roles[role]
            assert used.calls > 0 and used.input > 0 and used.output > 0, role


async def test_one_dialogue_on_imported_tau2_tasks(tau2_airline, tmp_path):
    domain = shutil.copytree(tau2_airline, tmp_path / "domain", copy_function=shutil.copyfile)
    domain.chmod(0o700)
    # Every token of the policy is read several times, and its beginning is read as all of it is.
    policy = domain / "policy.md"
    policy.write_text(policy.read_text(encoding="utf-8")[:800], encoding="utf-8")
    made, _ = import_tau2(domain, tmp_path / "firm")
    firm = load_environment(made)
    desk = seat(firm)
    graph = compile_dialogue(desk, 1)
    final = await graph.ainvoke({"scenario": firm.split("test")[0].id, "seed": 3})
    assert final["reason"] is not None
    assert [turn["speaker"] for turn in final["turns"][:1]] in (["customer"], [])
