"""The loop learns what it should and rejects what harms, in a world with known right answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import world
import yaml
from tutelage.agents.models.faults import InvalidAnswer, ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.graphs.coaching import (
    CoachingOptions,
    compile_coaching,
)
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueStarted,
    NullCompared,
    RunStarted,
    StrategyTried,
)
from tutelage.graphs.log.run_log import MemoryLog, RunFault, RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.play.dialogue import DialogueRequest, compile_dialogue
from tutelage.graphs.play.rollouts import gather, plan_round, play
from tutelage.graphs.statistics.acceptance import Decision
from tutelage.graphs.steps.rounds import decided_in, no_use, null_pairs
from tutelage.graphs.steps.trials import Null
from tutelage.strategy_store import Library

from tutelage.runs.coach import CoachRequest, resumed_request

OPTIONS = CoachingOptions(
    rounds=4, dialogues=6, validation_dialogues=6, states_per_round=6, concurrency=4,
    max_exchanges=3, general=False,
)  # fmt: skip


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


async def held_out(environment, library) -> float:
    """Mean satisfaction on the test split."""
    desk = world.seat(environment, library)
    plan = [
        DialogueRequest(scenario=s.id, seed=n, purpose="test", dialogue=f"t.{s.id}")
        for n, s in enumerate(environment.split("test"))
    ]
    await play(desk, compile_dialogue(desk, 3), plan, 4)
    judged = [one.judged for one in (await played(desk.log)).values()]
    assert all(judged) and len(judged) == 12
    return sum(event.satisfaction for event in judged) / len(judged)


async def test_the_loop_finds_the_cures_and_keeps_no_harm(firm, tmp_path):
    with Library.open(tmp_path / "library.db", create=True) as library:
        before = await held_out(firm, library)
        desk = world.seat(firm, library)
        final = await compile_coaching(desk, OPTIONS, run="world").ainvoke({})
        texts = [s.text for entry in library.entries() for s in entry.strategies]
        cures = {cure for cure, _ in world.TROUBLES.values() if any(cure in t for t in texts)}
        assert len(cures) >= 5
        assert not [text for text in texts if world.HARM in text]
        after = await held_out(firm, library)
        assert before < 2
        assert after > 4
        assert final["kept"] >= 5
        library.rollback(0, "test")
        assert await held_out(firm, library) < 2, "with the library emptied the gain must vanish"
        summary, _ = await summarise(desk.log)
        written = [e.event for e in await desk.log.read(kinds=("strategy_proposed",))]
        harmful = [e for e in written if any(world.HARM in text for text in e.texts)]
        assert harmful, "the teacher must have been wrong at least once"
        kept = [text for event in summary.kept for text in event.texts]
        assert kept and not [text for text in kept if world.HARM in text]
        assert summary.baseline_csat < 2 < summary.rounds[-1].validation_csat


@pytest.mark.parametrize("few", [1, 2])
async def test_too_few_validation_dialogues_end_no_run(firm, tmp_path, few):
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library)
        options = replace(OPTIONS, rounds=6, validation_dialogues=few)
        final = await compile_coaching(desk, options).ainvoke({})
        rounds = (await summarise(desk.log))[0].rounds
    assert {one.improved for one in rounds} == {None}
    assert "improved nothing" not in final["stop"], [one.validation_csat for one in rounds]
    assert final["stop"] == "converged: 2 rounds in a row kept nothing" or final["round"] == 6


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (2, 3)])
async def test_what_is_tried_side_by_side_keeps_to_the_concurrency(firm, tmp_path, at_once, most):
    under_way, seen = set(), []

    class Counted:
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            call = object()
            under_way.add(call)
            seen.append(len(under_way))
            await asyncio.sleep(0.001)
            under_way.remove(call)
            return self._generate(messages, stop, run_manager, **kwargs)

    def counted(kind):
        return type(kind.__name__, (Counted, kind), {"__module__": __name__})()

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(
            firm, library, student=counted(world.ScriptedStudent),
            customer=counted(world.ScriptedCustomer), judge=counted(world.ScriptedJudge),
            teacher=counted(world.ScriptedTeacher),
        )  # fmt: skip
        options = replace(OPTIONS, rounds=1, validation_dialogues=0, concurrency=at_once)
        await compile_coaching(desk, options).ainvoke({})
    assert 1 <= max(seen) <= most


def test_a_desk_works_side_by_side_in_one_loop_after_another(firm):
    desk = world.seat(firm, None)
    desk.at_once = 1
    under_way = []

    async def work(item):
        under_way.append(item)
        await asyncio.sleep(0.001)
        assert under_way == [item]
        return under_way.pop()

    for _ in range(2):
        assert asyncio.run(desk.side_by_side([1, 2, 3], work)) == [1, 2, 3]


async def test_kept_strategies_say_where_they_come_from(firm, tmp_path):
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library)
        await compile_coaching(desk, OPTIONS, run="world").ainvoke({})
        for entry in library.entries():
            for strategy in entry.strategies:
                origin = strategy.provenance
                assert strategy.status == "proposed"
                assert origin.run == "world" and origin.environment == "world"
                assert firm.split_of(origin.scenario) == "train"
                assert 6 <= origin.evidence.pairs <= OPTIONS.step.accept_pairs
                assert origin.evidence.gain > origin.evidence.gain_threshold
                assert origin.evidence.p <= 0.05
        assert library.index().search("anything") == [], "nothing unapproved is found in production"


async def test_a_student_that_ignores_advice_teaches_the_loop_nothing(firm, tmp_path):
    class Deaf(world.ScriptedStudent):
        def answer(self, system, page, messages):
            return world.DULL

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, student=Deaf())
        final = await compile_coaching(desk, OPTIONS).ainvoke({})
        assert final["kept"] == 0 and library.counts()["strategies"] == 0
        assert "coaching does not help this student" in final["stop"]


async def test_a_poisoned_teacher_gets_nothing_in(firm, tmp_path):
    class Poisoned(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            text = super().answer(system, page, messages)
            for cure, _ in world.TROUBLES.values():
                if "You coach the agent" in page:
                    text = text.replace(cure, world.HARM)
            return text

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, teacher=Poisoned())
        await compile_coaching(desk, OPTIONS).ainvoke({})
        assert library.counts()["strategies"] == 0


async def test_the_budget_ends_the_run(firm, tmp_path):
    meter = Meter(budget_tokens=600)
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, meter=meter)
        final = await compile_coaching(desk, OPTIONS).ainvoke({})
    assert meter.spent
    assert final.get("round", 0) <= 1


@pytest.mark.parametrize("budget", [0, 1, 200, 600, 1500])
async def test_a_run_that_its_budget_ended_before_a_round_was_closed_says_so(
    firm, tmp_path, budget
):
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            meter = Meter(budget_tokens=budget)
            desk = world.seat(firm, library, log=log, meter=meter)
            final = await compile_coaching(desk, OPTIONS).ainvoke({})
            assert not await log.read(kinds=("round_ended",))
            # As where a run goes on whose budget was spent before.
            again = await compile_coaching(desk, OPTIONS).ainvoke({})
    for state in (final, again):
        assert (state["stop"], state["kept"]) == ("the budget is spent", 0)
        assert state["round"] in (0, 1)


async def test_a_killed_run_resumes_without_losing_or_repeating_a_dialogue(firm, tmp_path):
    run = tmp_path / "run"

    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(run) as log:
            student = world.ScriptedStudent()
            desk = world.seat(firm, library, log=log, student=student)
            task = asyncio.create_task(compile_coaching(desk, OPTIONS).ainvoke({}))
            while student.seen < 25:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with await RunLog.open(run) as log:
            first = {d for d, one in (await played(log)).items() if one.ended}
            assert first
            desk = world.seat(firm, library, log=log)
            await compile_coaching(desk, OPTIONS).ainvoke({})
            ended = [e.event.dialogue for e in await log.read(kinds=("dialogue_ended",))]
            assert first <= set(ended)
            assert len(ended) == len(set(ended)), "no dialogue is done twice"
            planned = {r["dialogue"] for r in plan_round(firm, 1, OPTIONS.dialogues, OPTIONS.seed)}
            assert planned <= set(ended)
    assert library.path.exists()


async def test_a_run_goes_on_though_a_scenario_that_it_played_has_left_the_firm(firm, tmp_path):
    options = replace(OPTIONS, rounds=1, validation_dialogues=1, topics=0)
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            await compile_coaching(world.seat(firm, library, log=log), options).ainvoke({})
            started = [one.started for one in (await played(log)).values()]
            gone = next(one.scenario for one in started if one.purpose == "train")
            path = firm.path / "environment.yaml"
            config = yaml.safe_load(path.read_text())
            config["splits"]["train"].remove(gone)
            path.write_text(yaml.safe_dump(config))
            (firm.path / "scenarios" / f"{gone}.yaml").unlink()
            desk = world.seat(load_environment(firm.path), library, log=log)
            await compile_coaching(desk, replace(options, rounds=2)).ainvoke({})
            assert len(await log.read(kinds=("round_ended",))) == 2


@pytest.mark.parametrize("budget", [1500, 3000, 6000])
async def test_a_round_that_the_budget_cut_off_goes_on_where_it_ended(firm, tmp_path, budget):
    options = replace(OPTIONS, rounds=1)
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            meter = Meter(budget_tokens=budget)
            desk = world.seat(firm, library, log=log, meter=meter)
            final = await compile_coaching(desk, options).ainvoke({})
            assert meter.spent and final["stop"] == "the budget is spent"
            assert final["kept"] == sum(e.verdict == "kept" for e in await decided_in(log, 1))
            assert not await log.read(kinds=("round_ended",)), "what is half done is not closed"
            desk = world.seat(firm, library, log=log)
            final = await compile_coaching(desk, options).ainvoke({})
            planned = {r["dialogue"] for r in plan_round(firm, 1, OPTIONS.dialogues, OPTIONS.seed)}
            ended = [one.event.dialogue for one in await log.read(kinds=("dialogue_ended",))]
            assert planned <= set(ended) and len(ended) == len(set(ended))
            assert len(await log.read(kinds=("round_ended",))) == 1 and final["kept"] >= 2


async def test_a_round_whose_validation_the_budget_cut_off_is_not_closed(firm, tmp_path):
    """Judged by two dialogues of six, the round would stand in the curve as if it were measured."""

    options = replace(OPTIONS, rounds=1, concurrency=1)
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            meter = Meter(budget_tokens=10**9)
            desk = world.seat(firm, library, log=log, meter=meter)

            async def spend() -> None:
                while sum(id_.startswith("v1.") for id_ in await played(log)) < 3:
                    await asyncio.sleep(0)
                meter.budget_tokens = 1

            spending = asyncio.create_task(spend())
            final = await compile_coaching(desk, options).ainvoke({})
            await spending
            assert final["stop"] == "the budget is spent"
            first = [one for id_, one in (await played(log)).items() if id_.startswith("v1.")]
            assert 0 < sum(one.valid for one in first) < 6
            assert not await log.read(kinds=("round_ended", "library_settled"))
            desk = world.seat(firm, library, log=log)
            final = await compile_coaching(desk, options).ainvoke({})
            last = [one for id_, one in (await played(log)).items() if id_.startswith("v1.")]
            assert sum(one.valid for one in last) == 6
            assert len(await log.read(kinds=("round_ended",))) == 1


@pytest.mark.parametrize(
    ("asked", "now", "rounds"), [(1, None, 1), (None, None, None), (1, 4, 4), (5, 2, 2)]
)
async def test_a_run_goes_on_for_as_many_rounds_as_it_was_begun_with(tmp_path, asked, now, rounds):
    begun = CoachRequest(environment="airline", rounds=asked)
    async with await RunLog.open(tmp_path) as log:
        await log.append(
            RunStarted(
                command="coach", environment="airline", models={}, options=begun.model_dump()
            )
        )
    request = CoachRequest(environment="airline", rounds=now, budget_usd=2.0)
    found = await asyncio.to_thread(resumed_request, tmp_path, request)
    assert found.rounds == rounds and found.budget_usd == 2.0
    assert found.options().rounds == (rounds or 3)


async def test_of_a_run_that_goes_on_it_is_said_what_is_not_changed(tmp_path, capsys):
    begun = CoachRequest(environment="airline", pairs=12, teacher="openai:a")
    async with await RunLog.open(tmp_path) as log:
        await log.append(
            RunStarted(
                command="coach", environment="airline", models={}, options=begun.model_dump()
            )
        )

    def resumed(**now):
        request = CoachRequest(environment="airline", **now)
        return asyncio.to_thread(resumed_request, tmp_path, request)

    assert (await resumed(rounds=4, pairs=12)).pairs == 12
    assert (await resumed()).teacher == "openai:a"
    assert not capsys.readouterr().err
    found = await resumed(teacher="openai:b", general=False, budget_usd=1.0)
    assert (found.teacher, found.general, found.budget_usd) == ("openai:a", True, 1.0)
    assert "goes on as it was begun: --teacher, --no-general change" in capsys.readouterr().err


async def test_a_run_does_not_go_on_with_another_firm(tmp_path):
    begun = CoachRequest(environment="airline").model_dump()
    async with await RunLog.open(tmp_path) as log:
        await log.append(
            RunStarted(command="coach", environment="airline", models={}, options=begun)
        )
    with pytest.raises(RunFault, match="coaches a student of airline, not of furniture"):
        await asyncio.to_thread(resumed_request, tmp_path, CoachRequest(environment="furniture"))


async def test_a_teacher_that_cannot_be_reached_is_a_fault_and_no_convergence(firm, tmp_path):
    class Gone(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            raise ConnectionRefusedError("connection refused")

    async with await RunLog.open(tmp_path / "run") as log:
        desk = world.seat(firm, None, log=log, teacher=Gone())
        with pytest.raises(ModelFault, match="cannot be reached"):
            await compile_coaching(desk, OPTIONS).ainvoke({})
        assert not await log.read(kinds=("round_ended",))


async def test_what_was_not_played_before_the_teaching_is_not_played_after_it(firm, tmp_path):
    options = replace(OPTIONS, rounds=1)
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            await compile_coaching(world.seat(firm, library, log=log), options).ainvoke({})
            first = next(id_ for id_ in await played(log) if id_.startswith("v0."))
            await log.append(DialogueEnded(dialogue=first, reason="fault", turns=0, valid=False))
            desk = world.seat(firm, library, log=log)
            await compile_coaching(desk, replace(options, rounds=2)).ainvoke({})
            begun = [one.event.dialogue for one in await log.read(kinds=("dialogue_started",))]
            assert begun.count(first) == 1


async def test_a_second_try_is_tested_on_pairs_that_its_teacher_has_not_seen(firm, monkeypatch):
    def never(pairs, *_, **__):
        return Decision(False, "not better") if len(pairs) == 3 else None

    monkeypatch.setattr("tutelage.graphs.steps.selection.decide", never)
    desk = world.seat(firm, None)
    options = replace(OPTIONS, rounds=1, step=replace(OPTIONS.step, refinements=2))
    await compile_coaching(desk, options).ainvoke({})
    seen: dict[tuple[str, int], dict[str, set]] = {}
    for logged in await desk.log.read(kinds=("strategy_tried",)):
        event = logged.event
        if event.phase == "accept":
            state, attempt = event.proposal.split(".")
            seen.setdefault(state, {}).setdefault(attempt, set()).add(event.seed)
    twice = [attempts for attempts in seen.values() if len(attempts) > 1]
    assert twice, "some state must be tested twice, or this shows nothing"
    for attempts in twice:
        assert len(set.union(*attempts.values())) == sum(map(len, attempts.values()))


class Mumbling(world.ScriptedCustomer):
    """Says nothing that fits the form about one trouble."""

    def answer(self, system, page, messages):
        return (
            "hm" if world.TROUBLES["grief"][1] in system else super().answer(system, page, messages)
        )


async def test_a_dialogue_that_cannot_be_played_keeps_no_run_from_going_on(firm, tmp_path):
    plan = [
        DialogueRequest(scenario=f"{trouble}_0", seed=0, dialogue=f"r1.{trouble}")
        for trouble in ("grief", "stranded")
    ]
    async with await RunLog.open(tmp_path / "run") as log:
        for _ in range(2):
            desk = world.seat(firm, None, log=log, customer=Mumbling())
            await play(desk, compile_dialogue(desk, 1), plan, 2)
        ended = {one.event.dialogue: one.event for one in await log.read(kinds=("dialogue_ended",))}
        assert ended["r1.grief"].reason == "fault" and ended["r1.stranded"].reason != "fault"
        # Nor where it is all that is left to play, as in a batch of one.
        other: DialogueRequest = {**plan[0], "dialogue": "r2.grief"}
        await play(desk, compile_dialogue(desk, 1), [other], 2)


async def test_a_dialogue_that_is_all_there_is_to_play_ends_a_run_once(firm, tmp_path):
    plan = [DialogueRequest(scenario="grief_0", seed=0, dialogue="r1.grief")]
    async with await RunLog.open(tmp_path / "run") as log:
        desk = world.seat(firm, None, log=log, customer=Mumbling())
        with pytest.raises(ModelFault, match="no valid"):
            await play(desk, compile_dialogue(desk, 1), plan, 2)
        await play(desk, compile_dialogue(desk, 1), plan, 2)


@pytest.mark.parametrize(
    ("before", "fault", "raised"),
    [
        (0, InvalidAnswer("no valid Draft"), True),
        (1, InvalidAnswer("no valid Draft"), False),
        (1, ModelFault("cannot be reached"), True),
    ],
)
async def test_what_failed_alone_of_many_ends_a_run_where_nothing_can_be_reached(
    firm, before, fault, raised
):
    async def fails(_: int) -> None:
        raise fault

    desk = world.seat(firm, None)
    with pytest.raises(type(fault)) if raised else nullcontext():
        assert await gather([1], fails, 1, desk, before=before) == []


async def test_an_invalid_proposal_costs_one_try_and_not_what_code_finds(firm, tmp_path):
    class Wavering(world.ScriptedTeacher):
        """Every second draft fits no form, and neither does what it says when asked again."""

        drafts: int = 0

        def answer(self, system, page, messages):
            said = super().answer(system, page, messages)
            if "You coach the agent" not in " ".join(m.text for m in messages):
                return said
            self.drafts += 1
            return said if self.drafts % 3 == 1 else "no JSON at all"

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, teacher=Wavering())
        await compile_coaching(desk, replace(OPTIONS, rounds=1, states_per_round=1)).ainvoke({})
        proposed = await desk.log.read(kinds=("strategy_proposed",))
        assert [one for one in proposed if one.event.texts]
        assert await desk.log.read(kinds=("fault",)) and await desk.log.read(kinds=("round_ended",))


async def test_nothing_is_taught_once_a_round_is_being_measured(firm, tmp_path):
    options = replace(OPTIONS, rounds=1)
    with Library.open(tmp_path / "library.db", create=True) as library:
        async with await RunLog.open(tmp_path / "run") as log:
            await log.append(
                DialogueStarted(
                    dialogue="v1.grief_4.anyone.0", scenario="grief_4", persona="anyone", seed=0,
                    round=1, purpose="validation",
                )
            )  # fmt: skip
            await compile_coaching(world.seat(firm, library, log=log), options).ainvoke({})
            assert await log.read(kinds=("round_ended",))
            assert not await log.read(kinds=("strategy_proposed",)) and not library.entries()


async def test_what_a_person_rejected_is_not_kept_again(firm, tmp_path):
    options = replace(OPTIONS, rounds=1)
    with Library.open(tmp_path / "library.db", create=True) as library:
        await compile_coaching(world.seat(firm, library), options).ainvoke({})
        learned = [s for entry in library.entries() for s in entry.strategies]
        library.reject([s.id for s in learned], "me", "not our tone")
        version = library.version
        desk = world.seat(firm, library)
        await compile_coaching(desk, options).ainvoke({})
        decided = [one.event for one in await desk.log.read(kinds=("strategy_decided",))]
        texts = {s.text for s in learned}
        assert learned and not [e for e in decided if e.verdict == "kept" and {*e.texts} & texts]
        refused = [one.event.refused for one in await desk.log.read(kinds=("strategy_proposed",))]
        assert any("was rejected or retired" in why for one in refused for why in one)
        held = {s.text for entry in library.entries(("proposed",)) for s in entry.strategies}
        assert not held & texts and library.version >= version


async def test_what_was_done_twice_for_a_cut_off_counts_once(tmp_path):
    tried = StrategyTried(
        proposal="p.0", phase="accept", dialogue="r1.a", turn=0, seed=1, preference=0.5,
        before="It is late.", after="It is late.",
    )  # fmt: skip
    chance = NullCompared(dialogue="r1.a", turn=0, seed=1, preference=0.6)
    log = MemoryLog()
    for event in [tried, chance] * 2 + [chance.model_copy(update={"seed": None})] * 2:
        await log.append(event)
    assert len(await null_pairs(log)) == 3, "logs of before tell no seeds"
    desk = world.seat(load_environment("airline"), None)
    once, twice = MemoryLog(), MemoryLog()
    for number in range(30):
        event = tried.model_copy(update={"seed": number})
        await once.append(event)
        for _ in range(2):
            await twice.append(event)
    assert await no_use(desk, once, Null()) == await no_use(desk, twice, Null())


def test_further_laps_through_the_scenarios_meet_other_customers():
    for name in ("airline", "broadband", "furniture"):
        firm = load_environment(name)
        train = firm.split("train")
        met: dict[str, set[str]] = {}
        for number in range(1, 5):
            for request in plan_round(firm, number, len(train), 0):
                met.setdefault(request["scenario"], set()).add(request["persona"])
        for scenario in train:
            assert len(met[scenario.id]) == min(4, len(firm.personas_for(scenario)))


async def test_a_failing_endpoint_ends_in_one_fault(firm, tmp_path):
    class Refuses(world.ScriptedStudent):
        def answer(self, system, page, messages):
            raise ConnectionRefusedError("connection refused")

    desk = world.seat(firm, None, student=Refuses())
    with pytest.raises(ModelFault) as caught:
        await compile_coaching(desk, OPTIONS).ainvoke({})
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_both_graphs_draw_themselves_and_nest(firm):
    desk = world.seat(firm, None)
    coaching = compile_coaching(desk, OPTIONS)
    assert "strategy_step" in coaching.get_graph().draw_mermaid()
    assert "customer" in compile_dialogue(desk).get_graph().draw_mermaid()


@pytest.mark.parametrize("checked", [True, False])
async def test_what_code_sees_of_a_whole_dialogue_is_learned_from_a_judge_that_sees_nothing(
    tmp_path, checked
):
    class Blind(world.ScriptedJudge):
        def answer(self, system, page, messages):
            if "Answer Keep or Break" in page:
                return "Keep"
            return "A" if "Reply A:" in page else "No" if "Answer Yes or No" in page else "3"

    folder = world.build_firm(tmp_path / "world")
    for file in (folder / "scenarios").glob("*.yaml") if checked else ():
        scenario = yaml.safe_load(file.read_text())
        cure = world.TROUBLES[scenario["id"].rsplit("_", 1)[0]][0]
        said = {"id": "cure", "kind": "contains", "any_of": [cure], "scope": "dialogue"}
        file.write_text(yaml.safe_dump({**scenario, "rubric": [said]}))
    firm = load_environment(folder)
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, judge=Blind())
        await compile_coaching(desk, OPTIONS, run="world").ainvoke({})
        texts = [s.text for entry in library.entries() for s in entry.strategies]
    cures = {cure for cure, _ in world.TROUBLES.values() if any(cure in t for t in texts)}
    assert (len(cures) >= 5) is checked, texts
    assert not [text for text in texts if world.HARM in text]


async def test_a_cure_goes_in_without_the_harm_that_was_written_beside_it(firm, tmp_path):
    class Mixed(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            if "You coach the agent" not in page:
                return super().answer(system, page, messages)
            told = " ".join(m.text for m in messages[1:])
            words = (world.HARM, self.cure_of(told))
            texts = [f"Speak of {word} in the first sentence of the answer." for word in words]
            return json.dumps({"advice": [], "strategies": texts})

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, teacher=Mixed())
        await compile_coaching(desk, OPTIONS).ainvoke({})
        texts = [s.text for entry in library.entries() for s in entry.strategies]
        assert len(texts) >= 5 and not [text for text in texts if world.HARM in text]


async def test_two_strategies_that_add_up_go_in_together(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    config = yaml.safe_load((folder / "environment.yaml").read_text())
    config["rubric"] += [
        {"id": f"says_{word}", "kind": "contains", "any_of": [word]} for word in ("bright", "warm")
    ]
    (folder / "environment.yaml").write_text(yaml.safe_dump(config))
    firm = load_environment(folder)

    class Obedient(world.ScriptedStudent):
        def answer(self, system, page, messages):
            late = [m.text for m in messages[1:] if m.type == "system"]
            words = [word for word in ("bright", "warm") if late and word in late[-1]]
            return " ".join([world.DULL, *words])

    class Halves(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            if "You coach the agent" not in page:
                return super().answer(system, page, messages)
            texts = [f"Say something {word} in the first sentence." for word in ("bright", "warm")]
            return json.dumps({"advice": [], "strategies": texts})

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, student=Obedient(), teacher=Halves())
        await compile_coaching(desk, replace(OPTIONS, rounds=1)).ainvoke({})
        assert library.entries()
        for entry in library.entries():
            assert len(entry.strategies) == 2, "one half alone leaves a check unmet"


async def test_a_teacher_that_goes_on_as_the_customer_is_asked_again(firm):
    class Lost(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            return "CUSTOMER: Thanks, bye." if self.seen < 3 else "AGENT: I am on it."

    desk = world.seat(firm, None, teacher=Lost())
    scenario = firm.split("train")[0]
    turns = [Turn(speaker="customer", text="Hello?")]
    assert await desk.teacher.reply(scenario, turns, (), 0) == "I am on it."


async def test_where_the_best_would_break_a_rule_the_next_best_is_tried(firm, tmp_path):
    class Careless(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            if "You coach the agent" not in page:
                return super().answer(system, page, messages)
            cure = self.cure_of(" ".join(m.text for m in messages[1:]))
            texts = [f"Speak of {cure} {how} in the message." for how in ("at any price", "first")]
            return json.dumps({"advice": [], "strategies": texts})

    class Strict(world.ScriptedJudge):
        def answer(self, system, page, messages):
            if "Answer Keep or Break" in page:
                return "Break" if "at any price" in page else "Keep"
            return super().answer(system, page, messages)

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, teacher=Careless(), judge=Strict())
        await compile_coaching(desk, OPTIONS).ainvoke({})
        texts = [s.text for entry in library.entries() for s in entry.strategies]
        assert len(texts) >= 5 and not [text for text in texts if "at any price" in text]
