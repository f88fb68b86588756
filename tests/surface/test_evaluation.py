"""The arms of an evaluation in a world with known right answers, and what it refuses to measure."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
import world
from rich.console import Console
from tutelage.agents.advice.tactics import GENERIC_ADVICE
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.graphs.evaluation import (
    EvaluationFault,
    EvaluationOptions,
    compile_evaluation,
    desk_of,
    outcomes_of,
    plan_cells,
    taken_over_cells,
)
from tutelage.graphs.log.events import DialogueStarted, RunStarted, StrategyGiven, TurnSpoken
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.graphs.log.states import Played, played
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.statistics.calibration import Figures
from tutelage.strategy_store import (
    ANY_CUSTOMER,
    Entry,
    Library,
    Provenance,
    Strategy,
    always,
    strategies_text,
)

from tutelage.evaluation import run as evaluate_run
from tutelage.evaluation.page import sides, write_evaluation
from tutelage.evaluation.result import (
    ArmCost,
    EvaluateRequest,
    Evaluation,
    arm_costs,
    as_document,
    student_result,
)
from tutelage.evaluation.run import _refuse_another
from tutelage.evaluation.tables import arms_table, cost_table, students_table
from tutelage.reports.plots import BAD, GOOD, curves, intervals
from tutelage.runs.session import under_way
from tutelage.runs.talking_log import TalkingLog

OPTIONS = EvaluationOptions(dialogues=12, max_exchanges=3, concurrency=4)


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


def taught(path, *, scenario: str = "{trouble}_0") -> Library:
    """A library with the cure of every trouble, approved."""
    library = Library.open(path, create=True)
    for trouble, (cure, says) in world.TROUBLES.items():
        origin = Provenance(
            source="teacher", environment="world", scenario=scenario.format(trouble=trouble)
        )
        strategy = Strategy.new(f"Speak of {cure} in the first sentence of the answer.", origin)
        library.add(Entry.new(scenario=f"a customer who says {says}", strategies=[strategy]), "t")
    library.approve(None, "a person")
    return library


async def evaluated(desk, options=OPTIONS, student=""):
    final = await compile_evaluation(desk, options, student=student).ainvoke({})
    return student_result("s", outcomes_of(await played(desk.log), student), options, final["stop"])


async def test_arms_differ_as_they_must(firm, tmp_path):
    with taught(tmp_path / "library.db") as library:
        found = await evaluated(world.seat(firm, library))
    means = {arm: figures.csat.mean for arm, figures in found.arms.items()}
    assert means == {"none": 1.0, "generic": 1.0, "library": 5.0, "teacher": 5.0}
    assert found.csat["library-none"].real and found.csat["library-none"].diff == 4.0
    assert found.csat["library-none"].win == 1.0
    assert "is better than" in found.csat["library-none"].verdict
    assert not found.csat["generic-none"].real and found.csat["generic-none"].tie == 1.0
    assert not found.csat["teacher-library"].real
    assert found.arms["library"].pass_k == {1: 1.0} and found.arms["none"].pass_k == {1: 0.0}
    assert found.arms["none"].tokens > found.arms["library"].tokens > 0, (
        "cured dialogues are shorter"
    )


async def test_what_the_teacher_invented_is_an_arm_beside_what_the_handbook_gave(firm, tmp_path):
    options = EvaluationOptions(arms=("none", "library", "invented"), dialogues=12, max_exchanges=2)
    with taught(tmp_path / "library.db") as library:
        for entry in library.entries()[:3]:
            (strategy,) = entry.strategies
            origin = strategy.provenance.model_copy(update={"source": "handbook"})
            changed = [strategy.model_copy(update={"provenance": origin})]
            library.replace(
                entry.id,
                lambda e, s=changed: e.model_copy(update={"strategies": s}),
                "t",
                "from a book",
            )
        found = await evaluated(world.seat(firm, library), options)
    means = {arm: figures.csat.mean for arm, figures in found.arms.items()}
    assert means == {"none": 1.0, "library": 5.0, "invented": 3.0}


async def test_every_arm_plays_the_same_cells(firm, tmp_path):
    options = EvaluationOptions(arms=("none", "library"), dialogues=14, repeats=2, max_exchanges=2)
    with taught(tmp_path / "library.db") as library:
        found = await evaluated(world.seat(firm, library), options)
    cells = {arm: sorted(o.cell for o in found.outcomes if o.arm == arm) for arm in options.arms}
    assert cells["none"] == cells["library"]
    assert len(set(cells["none"])) == 28, "12 scenarios, two of them twice, each with two seeds"
    assert {cell[0] for cell in cells["none"]} == {s.id for s in firm.split("test")}
    assert found.arms["library"].pass_k_cases == {1: 12, 2: 12, 3: 2, 4: 2}


async def test_the_teacher_plays_with_the_hindsight_that_it_coaches_with(firm):
    seated = world.seat(firm, None)
    desk = desk_of(seated, "teacher")
    scenario = next(iter(firm.scenarios.values())).model_copy(
        update={"expected": "Names the wait."}
    )
    messages = desk.student.messages(scenario, [Turn(speaker="customer", text="I wait!")], ())
    assert desk.student.voice is desk.teacher.voice
    assert messages[-1].text == strategies_text(always(["Names the wait."]))
    plain = desk_of(seated, "none").student.messages(scenario, [], ())
    assert not any("Names the wait." in message.text for message in plain)


async def test_generic_advice_is_what_the_student_of_that_arm_is_given(firm):
    heard = []

    class Listening(world.ScriptedStudent):
        def answer(self, system, page, messages):
            heard.append(" ".join(m.text for m in messages))
            return super().answer(system, page, messages)

    options = EvaluationOptions(arms=("none", "generic"), dialogues=1, max_exchanges=1)
    await evaluated(world.seat(firm, None, student=Listening()), options)
    assert [GENERIC_ADVICE in text for text in heard] == [False, True]


async def test_a_strategy_learned_in_a_scenario_of_the_evaluation_is_an_error(firm, tmp_path):
    with taught(tmp_path / "library.db", scenario="{trouble}_5") as library:
        desk = world.seat(firm, library)
        with pytest.raises(
            EvaluationFault, match="learned in scenarios of this evaluation"
        ) as said:
            compile_evaluation(desk, OPTIONS)
        assert "stranded_5" in str(said.value) or "_5" in str(said.value)
        compile_evaluation(desk, EvaluationOptions(split="validation", dialogues=6))
        compile_evaluation(desk, EvaluationOptions(arms=("none", "teacher"), dialogues=12))


@pytest.mark.parametrize(
    ("origin", "split", "told"),
    [
        ({"environment": "world", "run": "r", "round": 1}, "train", True),
        ({"environment": "world", "run": "r", "round": 1}, "test", False),
        ({"environment": "another", "run": "r", "round": 1}, "train", False),
        ({}, "train", False),
    ],
    ids=["learned here", "not in the test split", "learned elsewhere", "written by a person"],
)
async def test_what_is_given_to_every_customer_was_learned_in_all_training_scenarios(
    firm, tmp_path, origin, split, told
):
    source = "teacher" if origin else "person"
    strategy = Strategy.new("Speak of velvet first.", Provenance(source=source, **origin))
    options = EvaluationOptions(arms=("none", "library"), split=split, dialogues=6)
    with Library.open(tmp_path / "library.db", create=True) as library:
        library.add(Entry.new(ANY_CUSTOMER, general=True, strategies=[strategy]), "t")
        library.approve(None, "a person")
        if not told:
            compile_evaluation(world.seat(firm, library), options)
            return
        with pytest.raises(EvaluationFault, match="learned in all training scenarios"):
            compile_evaluation(world.seat(firm, library), options)


async def test_the_library_arm_needs_a_library_and_a_split_must_be_there(firm):
    with pytest.raises(EvaluationFault, match="needs a library"):
        compile_evaluation(world.seat(firm, None), OPTIONS)
    firm.config.splits.pop("test")
    with pytest.raises(EvaluationFault, match="no scenarios in split 'test'"):
        plan_cells(firm, OPTIONS)


async def test_sequential_stops_once_it_is_certain_and_not_before(firm, tmp_path):
    options = EvaluationOptions(
        arms=("none", "library"), dialogues=12, max_exchanges=2, concurrency=4, sequential=True
    )
    with taught(tmp_path / "library.db") as library:
        clear = await evaluated(world.seat(firm, library), options)
        assert "differ for certain" in clear.stop and 6 <= clear.arms["none"].n < 12
        null = EvaluationOptions(
            arms=("none", "generic"), dialogues=12, max_exchanges=2, sequential=True
        )
        same = await evaluated(world.seat(firm, library), null)
        assert same.stop == "all cells are played" and same.arms["none"].n == 12


async def test_a_resumed_evaluation_plays_what_failed_and_nothing_twice(firm, tmp_path):
    options = EvaluationOptions(
        arms=("none", "library"), dialogues=8, max_exchanges=2, concurrency=2
    )

    class Dies(world.ScriptedStudent):
        def answer(self, system, page, messages):
            if self.seen > 9:
                raise RuntimeError("the power is gone")
            return super().answer(system, page, messages)

    with taught(tmp_path / "library.db") as library:
        async with await RunLog.open(tmp_path / "run") as log:
            desk = world.seat(firm, library, log=log, student=Dies())
            with pytest.raises(ModelFault, match="the power is gone"):
                await compile_evaluation(desk, options).ainvoke({})
            done = {name for name, one in (await played(log)).items() if one.valid}
        assert done
        async with await RunLog.open(tmp_path / "run") as log:
            desk = world.seat(firm, library, log=log)
            found = await evaluated(desk, options)
            started = [
                e.event.dialogue for e in await log.read() if e.event.kind == "dialogue_started"
            ]
    assert found.arms["none"].n == found.arms["library"].n == 8
    assert all(started.count(name) == 1 for name in done)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({}, {"split": "validation"}, r"played with split 'test', not 'validation'"),
        ({"seed": 1}, {}, r"seed 1, not 0"),
        ({"library": "a.db"}, {"library": "b.db"}, r"library 'a.db', not 'b.db'"),
        ({"arms": ["none"]}, {"arms": ["none", "library"], "library": "b.db"}, ""),
        ({"dialogues": 4, "concurrency": 1}, {"dialogues": 8, "budget_usd": 2.0}, ""),
        ({"students": ["a"]}, {"students": ["b"]}, r"student a, not b"),
        ({}, {"students": ["a"]}, rf"student {DEFAULT_MODEL}, not a"),
        ({"students": ["a"]}, {"students": ["a", "b"]}, r"student a, not a and b"),
        ({"students": ["a", "b"]}, {"students": ["b"]}, r"students a and b, not b"),
        ({"students": ["a", "b"]}, {"students": ["b", "c"]}, ""),
        ({}, {"students": [DEFAULT_MODEL]}, ""),
    ],
)
async def test_what_was_played_otherwise_is_not_gone_on_with(tmp_path, before, now, told):
    asked = EvaluateRequest(environment="airline", **before)
    async with await RunLog.open(tmp_path) as log:
        options = asked.model_dump()
        await log.append(
            RunStarted(command="evaluate", environment="airline", models={}, options=options)
        )
    request = EvaluateRequest(environment="airline", **now)
    if not told:
        await _refuse_another(tmp_path, request)
        return
    with pytest.raises(RunFault, match=told) as caught:
        await _refuse_another(tmp_path, request)
    assert caught.value.exit_code == 2


async def test_a_run_of_another_command_is_not_gone_on_with(tmp_path):
    async with await RunLog.open(tmp_path) as log:
        await log.append(RunStarted(command="coach", environment="airline", models={}))
    with pytest.raises(RunFault, match="is a run of `tutelage coach`"):
        await _refuse_another(tmp_path, EvaluateRequest(environment="airline"))


async def test_a_resumed_run_has_what_is_left_of_its_budget(firm, tmp_path):
    asked = RunStarted(command="coach", environment="world", models={})
    for sitting, spent in ((1, False), (2, True)):
        async with await TalkingLog.open(tmp_path) as log:
            desk = world.seat(firm, None, log=log, meter=Meter(budget_tokens=1000))
            async with under_way(log, desk, asked.model_copy(update={"resumed": sitting > 1})):
                assert not desk.meter.spent
                desk.meter.of("student", "scripted").calls = 1
                desk.meter.of("student").input = 600
                assert desk.meter.spent is spent
            assert desk.meter.tokens == 600


async def test_a_run_has_one_process_at_a_time(firm, tmp_path):
    asked = RunStarted(command="coach", environment="world", models={})
    async with await TalkingLog.open(tmp_path) as log, await TalkingLog.open(tmp_path) as other:
        desk = world.seat(firm, None, log=log)
        async with under_way(log, desk, asked):
            with pytest.raises(RunFault, match="another process goes on with this run") as caught:
                async with under_way(other, world.seat(firm, None, log=other), asked):
                    raise AssertionError("two would play every dialogue twice")
        assert caught.value.exit_code == 2
        async with under_way(other, world.seat(firm, None, log=other), asked):
            pass
        begun = await log.read(kinds=("run_started",))
    assert len(begun) == 2, "what was refused has written nothing"


@pytest.mark.parametrize("usd", [None, 1.0])
async def test_a_run_with_a_budget_in_dollars_says_which_models_are_free(
    firm, tmp_path, capsys, usd
):
    models = {"student": "openai:gpt-5-mini, app:shop", "judge": "local:small"}
    asked = RunStarted(command="evaluate", environment="world", models=models)
    async with await TalkingLog.open(tmp_path) as log:
        desk = world.seat(firm, None, log=log, meter=Meter(budget_usd=usd))
        async with under_way(log, desk, asked):
            said = capsys.readouterr().err
    told = "note: no list price is known for app:shop, local:small; counted as free\n"
    assert said == (told if usd else "")


def test_what_an_arm_costs_counts_what_the_student_said_only():
    given = StrategyGiven(id="s", entry="e", scenario="", text="Name the wait.", similarity=1)
    one = Played(DialogueStarted(dialogue="d", round=0, arm="library", scenario="s", persona="p"))
    for turn, more in enumerate([{"replayed": True}, {"by": "bea"}, {"strategies": [given]}]):
        one.spoken.append(
            TurnSpoken(dialogue="d", turn=turn, speaker="student", text="Two hours.", **more)
        )
    assert arm_costs([one], {})["library"].texts_a_turn == 1.0


async def test_what_a_person_took_over_is_scored_in_no_arm(firm, tmp_path):
    options = EvaluationOptions(arms=("none", "library"), dialogues=8, max_exchanges=2)
    with taught(tmp_path / "library.db") as library:
        desk = world.seat(firm, library)
        before = await evaluated(desk, options)
        dialogues = await played(desk.log)
        (one, *_) = (one for one in dialogues.values() if one.started.arm == "none")
        started, ended = one.started, one.ended
        await desk.log.append(started)
        await desk.log.append(ended.model_copy(update={"valid": False, "taken_over": True}))
        dialogues = await played(desk.log)
        after = student_result("s", outcomes_of(dialogues), options, "", 1)
    cell = (started.scenario, started.persona, started.seed)
    assert taken_over_cells(dialogues) == {cell} and taken_over_cells(dialogues, "another") == set()
    assert len(before.outcomes) == 16 and len(after.outcomes) == 14
    assert cell not in [outcome.cell for outcome in after.outcomes]
    for arm in options.arms:
        assert (after.arms[arm].n, after.arms[arm].invalid) == (7, 0), "it broke nowhere"
    assert after.csat["library-none"].n == 7 and after.csat["library-none"].dropped == 0


async def test_two_students_share_a_log_and_not_their_figures(firm, tmp_path):
    class Deaf(world.ScriptedStudent):
        def answer(self, system, page, messages):
            return world.DULL

    options = EvaluationOptions(arms=("none", "library"), dialogues=6, max_exchanges=2)
    with taught(tmp_path / "library.db") as library:
        first = world.seat(firm, library)
        listens = await evaluated(first, options, student="listens")
        deaf = await evaluated(
            world.seat(firm, library, log=first.log, student=Deaf()), options, student="deaf"
        )
    assert listens.csat["library-none"].real
    assert not deaf.csat["library-none"].real and deaf.csat["library-none"].diff == 0.0


async def test_no_students_dialogue_stands_beside_another_ones(firm):
    options = EvaluationOptions(arms=("none", "generic"), dialogues=1, max_exchanges=1)
    desk = world.seat(firm, None)
    for student in ("one", "other"):
        await evaluated(desk, options, student=student)
    shown = sides(await played(desk.log), "none", "generic")
    assert {side.student for side in shown} == {"one", "other"} and len(shown) == 2
    for side in shown:
        for one in (side.before, side.after):
            assert one.started.dialogue.startswith(f"{side.student}.")


@pytest.mark.parametrize("usd", [None, 0.0123])
async def test_the_tables_fit_a_terminal_of_80_columns(firm, tmp_path, usd):
    with taught(tmp_path / "library.db") as library:
        result = await evaluated(world.seat(firm, library))
    arms = {arm: replace(figures, usd=usd, invalid=2 if usd else 0, tokens=12_345.0)
            for arm, figures in result.arms.items()}  # fmt: skip
    student = result.model_copy(update={"arms": arms, "student": "openai:a-model-with-a-long-name"})
    spent = ArmCost(learning_calls=12_345, texts_a_turn=3.0, tokens_a_turn=100.0)
    console = Console(width=80, file=StringIO())
    console.print(arms_table(student))
    console.print(cost_table(student, dict.fromkeys(arms, spent)))
    console.print(students_table([student, student]))
    shown = console.file.getvalue()
    assert "…" not in shown and ("0.0123" in shown) is bool(usd)
    lines = shown.splitlines()
    for arm in ("none", "generic", "library", "teacher"):
        assert sum(line.startswith(arm) for line in lines) == 2, f"each table has a row {arm}"
    for word in ("satisfaction", "pass^k", "tokens", "seconds", "12,345"):
        assert word in shown


def test_the_report_tells_how_many_repeats_were_played(firm, tmp_path, monkeypatch):
    async def never(*_):
        return Figures(n=0)

    monkeypatch.setattr(evaluate_run, "_judge_figures", never)
    monkeypatch.setattr(
        evaluate_run, "open_desk",
        lambda environment, *, library, retrieval, **_: replace(
            world.seat(environment, library), retrieval=retrieval
        ),
    )  # fmt: skip
    taught(tmp_path / "library.db").close()
    request = EvaluateRequest(
        environment=str(firm.path), library=str(tmp_path / "library.db"), arms=["none"],
        dialogues=1, exchanges=1, ablate=True,
    )  # fmt: skip
    page = tmp_path / "page.html"
    evaluate_run.evaluate_run(request, tmp_path / "run", report=page)
    assert "1 cases, 2 repeats" in page.read_text()


def test_only_a_difference_that_is_real_is_coloured():
    rows = {"a": (0.3, (0.1, 0.5)), "b": (-0.3, (-0.5, -0.1))}
    assert GOOD not in intervals(rows, "x", zero=True) and BAD not in intervals(
        rows, "x", zero=True
    )
    drawn = intervals(rows, "x", zero=True, real={"b"})
    assert BAD in drawn and GOOD not in drawn


def test_a_curve_of_few_dialogues_shows_how_little_is_certain():
    lines = {"training": {1: 2.1, 2: 2.4}}
    alone = curves(lines, "satisfaction")
    within = curves(lines, "satisfaction", within={"training": {1: (1.4, 2.9), 2: (1.6, 3.3)}})
    assert within.count("opacity: 0.6") == alone.count("opacity: 0.6") + 2
    assert ">3.0<" in within and ">3.0<" not in alone, "the axis has room for them"


async def test_report_is_one_page_without_network_and_shows_what_it_rests_on(firm, tmp_path):
    class Hostile(world.ScriptedStudent):
        def answer(self, system, page, messages):
            return super().answer(system, page, messages) + " <script>alert(1)</script>"

    with taught(tmp_path / "library.db") as library:
        desk = world.seat(firm, library, student=Hostile())
        result = await evaluated(desk)
        summary, dialogues = await summarise(desk.log)
    weak = Figures(
        n=14, pairs_right=0.6, auc=0.55, swap_consistency=0.4, position_bias=0.3, alpha=0.1
    )
    evaluation = Evaluation(
        environment="world",
        request=EvaluateRequest(environment="world", library=str(tmp_path / "library.db")),
        version="0",
        command="tutelage evaluate world",
        models=desk.models,
        students=[result],
        judge=weak,
        summary=summary,
    )
    page = tmp_path / "evaluation.html"
    write_evaluation(page, evaluation, dialogues)
    text = page.read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    assert "left out in every arm" not in text
    over = [result.model_copy(update={"taken_over": 2})]
    write_evaluation(page, evaluation.model_copy(update={"students": over}), dialogues)
    assert "2 cells (scenario, customer, seed) are left out in every arm" in page.read_text()
    plain = result.model_copy(
        update={"arms": {"none": result.arms["none"]}, "csat": {}, "rubric": {}}
    )
    write_evaluation(page, evaluation.model_copy(update={"students": [plain]}), dialogues)
    assert page.read_text().count("<svg") == 1, "one arm has nothing to be compared with"
    assert "<th>difference</th>" in text and "<th>difference</th>" not in page.read_text()
    assert "do not trust" in text and "tutelage evaluate world" in text
    assert text.count("<svg") == 2 and "Speak of candlelight" in text
    shown = sides(dialogues, "none", "library")
    assert len(shown) == 5 and shown[0].differs == 0 and shown[0].gain == 4.0
    document = json.loads(json.dumps(as_document(evaluation)))
    assert set(document["arms"]) == {"none", "generic", "library", "teacher"}
    assert document["taken_over"] == 0
    assert {"n", "csat", "rubric", "tokens", "usd"} <= set(document["arms"]["none"])
    none, coached = document["arms"]["none"], document["arms"]["library"]
    assert none["checks"]["mean"] == coached["checks"]["mean"] == 1.0, "all replies are short"
    assert none["questions"]["mean"] == 0.0 and coached["questions"]["mean"] == 1.0
    assert document["paired"]["library-none"]["checks"]["diff"] == 0.0
    assert document["paired"]["library-none"]["questions"]["diff"] == 1.0
    assert {"diff", "ci95", "p", "win", "tie", "loss"} <= set(document["paired"]["library-none"])
    assert document["judge"]["auc"] == 0.55 and document["customer"] == {
        "fidelity": 1.0,
        "invalid": 0,
    }
