"""`evaluate` as it is asked for: what a run goes on with, and what its budget buys."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import world
from tutelage.agents.models.meter import Meter
from tutelage.environments import load_environment
from tutelage.graphs.baselines.baseline import Baseline
from tutelage.graphs.evaluation import (
    EvaluationFault,
    EvaluationOptions,
    compile_evaluation,
    outcomes_of,
    plan_cells,
)
from tutelage.graphs.log.run_log import RunFault
from tutelage.graphs.log.states import played
from tutelage.graphs.statistics.calibration import Figures
from tutelage.strategy_store import Entry, Library, Provenance, Strategy

from tutelage.evaluation import run as evaluate_run
from tutelage.evaluation.result import EvaluateRequest, student_result


class Deaf(world.ScriptedStudent):
    def answer(self, system, page, messages):
        return world.DULL


class Mumbling(world.ScriptedCustomer):
    """Says nothing that fits the form in one scenario."""

    def answer(self, system, page, messages):
        stranded = world.TROUBLES["stranded"][1] in system
        return "hm" if stranded else super().answer(system, page, messages)


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


@pytest.fixture
def library(tmp_path):
    """A library with the cure of every trouble, approved; its path."""
    path = tmp_path / "library.db"
    with Library.open(path, create=True) as made:
        for trouble, (cure, says) in world.TROUBLES.items():
            origin = Provenance(source="teacher", environment="world", scenario=f"{trouble}_0")
            strategy = Strategy.new(f"Speak of {cure} in the first sentence.", origin)
            made.add(Entry.new(f"a customer who says {says}", strategies=[strategy]), "t")
        made.approve(None, "a person")
    return path


@pytest.fixture
def asked(firm, library, tmp_path, monkeypatch, capsys):
    """Evaluate in the world: what `--json` says."""

    async def never(*_):
        return Figures(n=0)

    def seat(environment, *, student, library, retrieval, meter, **_):
        roles = {"student": Deaf()} if "聋" in student else {}
        desk = world.seat(environment, library, meter=meter, **roles)
        return replace(desk, retrieval=retrieval)

    monkeypatch.setattr(evaluate_run, "_judge_figures", never)
    monkeypatch.setattr(evaluate_run, "open_desk", seat)

    def evaluate(run="run", *, resume=False, **options):
        request = EvaluateRequest(
            environment=str(firm.path),
            **{"library": str(library), "exchanges": 2, "arms": ["none", "library"], **options},
        )
        evaluate_run.evaluate_run(request, tmp_path / run, resume=resume, as_json=True)
        return json.loads(capsys.readouterr().out)

    return evaluate


def test_no_two_students_share_their_dialogues(asked):
    found = asked(students=["ollama:模型", "ollama:聋"], dialogues=6)
    gains = {name: one["paired"]["library-none"]["diff"] for name, one in found["students"].items()}
    assert gains == {"ollama:模型": 4.0, "ollama:聋": 0.0}


def test_the_rubric_is_told_item_by_item(asked, firm, library, tmp_path, capsys):
    found = asked(dialogues=6)
    assert [one["id"] for one in found["items"]] == ["cured", "short"]
    assert found["items"][0]["arms"] == {"none": 0.0, "library": 1.0}
    assert found["items"][0]["difference"]["diff"] == 1.0
    request = EvaluateRequest(
        environment=str(firm.path), library=str(library), exchanges=2, arms=["none", "library"],
        dialogues=6,
    )  # fmt: skip
    page = tmp_path / "page.html"
    for by_item in (False, True):
        evaluate_run.evaluate_run(
            request, tmp_path / "run", resume=True, report=page, by_item=by_item
        )
        assert ("rubric by item" in capsys.readouterr().out) is by_item
        _, _, tail = page.read_text().partition("The rubric, item by item")
        figure, _, table = tail.partition("</figure>")
        assert "<svg" in figure and "What library gains or loses beside none" in figure
        assert "Was the trouble cured here?" in table.partition("</table>")[0]
    request = request.model_copy(update={"arms": ["none"]})
    evaluate_run.evaluate_run(request, tmp_path / "one", report=page, by_item=True)
    assert "short" in capsys.readouterr().out
    _, _, tail = page.read_text().partition("The rubric, item by item")
    assert tail and "<figure>" not in tail, "one arm is compared with nothing"


def test_as_many_entries_are_given_as_were_asked_for(asked, firm, library):
    origin = Provenance(source="person", environment="world")
    with Library.open(library) as opened:
        for trouble, (_, says) in world.TROUBLES.items():
            another = Strategy.new(f"Be kind about {trouble}.", origin)
            opened.add(Entry.new(f"somebody who says {says}", strategies=[another]), "t")
        opened.approve(None, "a person")

    def given(run, **options):
        return asked(run, dialogues=6, **options)["costs"]["library"]["texts_a_turn"]

    one, two = given("one"), given("two", top=2)
    assert 0 < one <= 1 < two
    assert given("none", threshold=1.0) == 0
    with pytest.raises(RunFault, match="was played with top 2, not None"):
        asked("two", resume=True, dialogues=6)


def test_names_that_differ_stay_as_they_were():
    assert evaluate_run._names(["local:a", "local:b"]) == {
        "local:a": "local_a",
        "local:b": "local_b",
    }


def test_a_run_does_not_go_on_with_a_library_that_gives_something_else(asked, library):
    asked(dialogues=2)
    with Library.open(library) as changed:
        version, first = changed.version, changed.entries()[0].strategies[0]
        changed.edit(first.id, "Speak of nothing at all.", "a person")
    with pytest.raises(RunFault, match="gives other strategies by now") as caught:
        asked(resume=True, dialogues=4)
    assert caught.value.exit_code == 2
    assert asked(resume=True, dialogues=4, arms=["none"])["arms"]["none"]["n"] == 4
    with Library.open(library) as changed:
        changed.rollback(version, "a person")
    assert asked(resume=True, dialogues=4)["arms"]["library"]["n"] == 4


def test_what_a_run_measured_itself_keeps_it_from_nothing(asked, library):
    asked(dialogues=4, ablate=True)
    with Library.open(library) as found:
        assert any(s.uplift for entry in found.entries() for s in entry.strategies)
    assert asked(resume=True, dialogues=6, ablate=True)["arms"]["ablated"]["n"] == 12


def test_the_ablated_arm_is_played_with_one_library(asked, library, tmp_path):
    asked(arms=["none"], dialogues=1, ablate=True)
    other = tmp_path / "other.db"
    other.write_bytes(library.read_bytes())
    with pytest.raises(RunFault, match="was played with library"):
        asked(resume=True, arms=["none"], dialogues=1, ablate=True, library=str(other))


def test_the_ablated_arm_measures_whichever_way_it_is_asked_for(asked):
    for run, how in (("a", {"ablate": True}), ("b", {"arms": ["none", "library", "ablated"]})):
        found = asked(run, dialogues=6, **how)
        assert found["arms"]["ablated"]["n"] == 12
        (uplifts,) = found["uplift"].values()
        assert uplifts and all(one["given"] and one["withheld"] for one in uplifts.values())


@pytest.mark.parametrize(
    ("arms", "told"),
    [(["none"], None), (["none", "library"], "arm library equals"), (["none", "library", "invented"],
      "arms library and invented equal none")],
)  # fmt: skip
def test_where_nothing_is_approved_it_is_said_which_arms_are_none(library, capsys, arms, told):
    with Library.open(library) as made:
        made.reject([s.id for entry in made.entries() for s in entry.strategies], "no", "a person")
    request = EvaluateRequest(environment="w", library=str(library), arms=arms)
    opened = evaluate_run._library(request)
    assert opened is not None
    opened.close()
    said = " ".join(capsys.readouterr().err.split())
    assert (told in said) if told else not said


def test_a_baseline_is_given_as_the_arm_it_is_of(tmp_path):
    path = tmp_path / "global.json"
    made = Baseline(
        method="global", environment="w", scenarios=[], models={}, texts=["Be kind."], calls=1, tokens=1
    )  # fmt: skip
    path.write_text(made.model_dump_json())
    request = EvaluateRequest(environment="w", arms=["none", "playbook"], playbook=str(path))
    with pytest.raises(EvaluationFault, match="is of the arm `global`; give it as --global"):
        request.options()


async def test_each_pair_of_arms_is_compared_once_in_whatever_order_they_are_named(firm, library):
    options = EvaluationOptions(arms=("library", "none", "generic"), dialogues=1, max_exchanges=1)
    with Library.open(library) as opened:
        desk = world.seat(firm, opened)
        await compile_evaluation(desk, options).ainvoke({})
    found = student_result("s", outcomes_of(await played(desk.log)), options, "")
    assert set(found.csat) == {"library-none", "generic-library", "generic-none"}


async def test_a_budget_buys_pairs(firm, library):
    """Not all cells of the first arm, and none of what it is compared with."""
    options = EvaluationOptions(
        arms=("none", "library"), dialogues=12, max_exchanges=2, concurrency=1
    )
    whole = world.seat(firm, None, meter=Meter())
    with Library.open(library) as opened:
        desk = replace(whole, library=opened)
        final = await compile_evaluation(desk, options).ainvoke({})
        assert final["stop"] == "all cells are played"
        half = world.seat(firm, opened, meter=Meter(budget_tokens=whole.meter.tokens // 2))
        final = await compile_evaluation(half, options).ainvoke({})
        assert final["stop"] == "the budget is spent"
        outcomes = outcomes_of(await played(half.log))
        found = student_result("s", outcomes, options, final["stop"])
        assert found.arms["none"].n < 12 and found.csat["library-none"].n >= 4
        just = world.seat(firm, opened, meter=Meter(budget_tokens=whole.meter.tokens))
        final = await compile_evaluation(just, options).ainvoke({})
    assert just.meter.spent and final["stop"] == "all cells are played", "nothing is missing"


@pytest.mark.parametrize("sequential", [True, False])
async def test_a_dialogue_that_cannot_be_played_ends_no_evaluation(firm, sequential):
    """Not even one that is a batch by itself, as the last of an odd number is."""

    def asked(seed):
        return EvaluationOptions(
            arms=("none",), dialogues=7, max_exchanges=1, sequential=sequential, seed=seed
        )

    def last(seed):
        return plan_cells(firm, asked(seed))[-1].get("scenario", "")

    options = asked(next(seed for seed in range(99) if last(seed).startswith("stranded")))
    desk = world.seat(firm, None, customer=Mumbling())
    final = await compile_evaluation(desk, options).ainvoke({})
    outcomes = outcomes_of(await played(desk.log))
    assert final["stop"] == "all cells are played" and len(outcomes) == 7
    assert any(not one.valid for one in outcomes) and any(one.valid for one in outcomes)
