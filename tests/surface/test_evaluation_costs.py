"""What an arm costs: the calls to learn it where they are known, and what each student was given."""

from __future__ import annotations

import json
import shutil
from io import StringIO

import pytest
import world
from rich.console import Console
from tutelage.environments import load_environment
from tutelage.graphs.evaluation import EvaluationOptions, compile_evaluation, outcomes_of
from tutelage.graphs.log.events import (
    BudgetUsed,
    DialogueStarted,
    RunStarted,
    StrategyGiven,
    TurnSpoken,
)
from tutelage.graphs.log.run_log import FILE_NAME, RunLog
from tutelage.graphs.log.states import Played, played
from tutelage.graphs.log.summary import RunSummary
from tutelage.graphs.statistics.calibration import Figures
from tutelage.graphs.statistics.uplift import ABLATED
from tutelage.strategy_store import Entry, Library, Provenance, Strategy, Uplift

from tutelage.evaluation.page import write_evaluation
from tutelage.evaluation.result import (
    EvaluateRequest,
    Evaluation,
    arm_costs,
    as_document,
    learning_calls,
    student_result,
)
from tutelage.evaluation.tables import cost_table


async def coached(folder, *, run="coached", source="teacher"):
    """The library that a coaching run of 42 calls left in its folder."""
    async with await RunLog.open(folder) as log:
        await log.append(RunStarted(command="coach", environment="world", models={}))
        for role, calls in (("student", 30), ("judge", 12)):
            used = {"model": "m", "calls": calls, "input": 1, "output": 1, "cached": 0, "usd": 0}
            await log.append(BudgetUsed(role=role, **used))
    path = folder / "library.db"
    with Library.open(path, create=True) as library:
        add(library, "Name the wait.", run, source)
    return path


def add(library, text, run, source="teacher"):
    origin = Provenance(source=source, run=run)
    library.add(Entry.new(f"a customer, {text}", strategies=[Strategy.new(text, origin)]), "t")


async def calls_of_library(path):
    with Library.open(path) as library:
        return await learning_calls(library)


async def test_the_calls_that_a_library_was_learned_on_are_those_of_the_run_it_lies_in(tmp_path):
    path = await coached(tmp_path / "coached")
    with Library.open(path) as library:
        add(library, "Offer two ways.", "", "person")
    assert await calls_of_library(path) == 42


@pytest.mark.parametrize("case", ["moved", "of two runs", "of another run", "by hand", "no log"])
async def test_where_nobody_knows_what_a_library_took_to_learn_nothing_is_said(tmp_path, case):
    run = {"of another run": "before", "by hand": ""}.get(case, "coached")
    path = await coached(tmp_path / "coached", run=run)
    if case == "moved":
        (tmp_path / "shelf").mkdir()
        path = shutil.move(path, tmp_path / "shelf" / "library.db")
    elif case == "of two runs":
        with Library.open(path) as library:
            add(library, "Offer two ways.", "again")
    elif case == "no log":
        (path.parent / FILE_NAME).write_bytes(b"nothing of use")
    assert await calls_of_library(path) is None


def replied(arm, student, *texts):
    """A dialogue of one student in which a reply was given these texts."""
    name = f"{student}.{arm}.s.p.0"
    given = [StrategyGiven(id="s", entry="e", scenario="", text=t, similarity=1) for t in texts]
    one = Played(DialogueStarted(dialogue=name, round=0, arm=arm, scenario="s", persona="p"))
    one.spoken.append(
        TurnSpoken(dialogue=name, turn=0, speaker="student", text="Yes.", strategies=given)
    )
    return one


def test_what_was_sent_is_counted_and_what_was_sent_bare_before_is_counted_so():
    text, sent = "Name the wait.", "If the customer's matter is a wait, name the wait."
    bare = replied("library", "a", text)
    of_matter = {"scenario": "a customer whose matter is a wait"}
    (turn,) = bare.spoken
    given = turn.strategies[0].model_copy(update=of_matter)
    bare.spoken[:] = [turn.model_copy(update={"strategies": [given]})]
    under = given.model_copy(update={"sent": sent})
    now = replied("library", "b", text)
    now.spoken[:] = [turn.model_copy(update={"strategies": [under]})]
    costs = [arm_costs([bare, now], {}, None, student)["library"] for student in ("a", "b")]
    assert [cost.tokens_a_turn * 4 for cost in costs] == [len(text), len(sent)]


def test_each_student_has_costs_of_its_own():
    short, long = "Name the wait.", "Name the wait before anything else is said."
    dialogues = [
        *(replied(arm, "a", short) for arm in ("library", "invented", ABLATED)),
        replied("none", "a"),
        replied("library", "ab", long, short),
    ]
    both = arm_costs(dialogues, {}, 1234)
    first, second = (arm_costs(dialogues, {}, 1234, student) for student in ("a", "ab"))
    assert both["library"].texts_a_turn == 1.5
    assert first["library"].texts_a_turn == 1 and second["library"].texts_a_turn == 2
    assert first["library"].tokens_a_turn < second["library"].tokens_a_turn
    assert second.keys() == {"library"}
    for arm in ("library", "invented", ABLATED):
        assert first[arm].learning_calls == 1234
    assert first["none"].learning_calls == 0
    assert arm_costs(dialogues, {})["library"].learning_calls is None


@pytest.fixture
async def evaluation(tmp_path):
    """An evaluation of two students, of which the second was measured for uplift, and its dialogues."""
    options = EvaluationOptions(arms=("none", "library"), dialogues=6, max_exchanges=2)
    firm = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        for cure, says in world.TROUBLES.values():
            add(library, f"Speak of {cure} first when & after {says}.", "coached")
        library.approve(None, "a person")
        desk = world.seat(firm, library)
        final = await compile_evaluation(desk, options).ainvoke({})
        ids = [s.id for entry in library.entries() for s in entry.strategies]
    dialogues = await played(desk.log)
    costs = arm_costs(dialogues.values(), {}, 1234)
    first = student_result("listens", outcomes_of(dialogues), options, final["stop"], costs=costs)
    more = costs | {"library": costs["library"].model_copy(update={"tokens_a_turn": 987.0})}
    uplift = Uplift(
        csat=0.61, csat_ci95=(0.21, 0.91), rubric=0.2, rubric_ci95=(0.1, 0.3), given=20,
        withheld=18, scenarios=12,
    )  # fmt: skip
    request = EvaluateRequest(
        environment="world", arms=["none", "library"], library=str(tmp_path / "library.db")
    )
    found = Evaluation(
        environment="world", request=request, version="0", command="tutelage evaluate world",
        models=desk.models, judge=Figures(n=0), summary=RunSummary(),
        students=[first, first.model_copy(update={"student": "deaf", "costs": more})],
        uplifts={"deaf": {ids[0]: uplift, "s_gone": uplift}},
    )  # fmt: skip
    return found, dialogues


async def test_the_table_and_the_document_show_each_students_costs(evaluation):
    found, _ = evaluation
    document = json.loads(json.dumps(as_document(found)))
    own = [document["students"][name]["costs"]["library"] for name in ("listens", "deaf")]
    assert own[0]["tokens_a_turn"] != own[1]["tokens_a_turn"] == 987.0
    assert document["costs"] == document["students"]["listens"]["costs"]
    console = Console(width=80, file=StringIO())
    console.print(cost_table(found.students[1], found.students[1].costs))
    assert "1,234" in console.file.getvalue() and "987" in console.file.getvalue()


async def test_the_report_shows_costs_and_the_uplift_of_single_strategies(evaluation, tmp_path):
    found, dialogues = evaluation
    page = tmp_path / "evaluation.html"
    write_evaluation(page, found, dialogues)
    text = page.read_text()
    assert text.count("<th>calls to learn</th>") == 2, "a table for each student"
    assert text.count("<td>1,234</td>") == 2 and text.count("<td>987</td>") == 1
    head, _, tail = text.partition("Uplift of single strategies")
    assert tail and "<h2>deaf</h2>" in head, "it stands with the student that it was measured for"
    row = tail.partition("</table>")[0]
    assert "0.61" in row and "[0.21, 0.91]" in row and "helps" in row
    assert "first when &amp; after" in row and "s_gone" in row
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    write_evaluation(page, found.model_copy(update={"uplifts": {}}), dialogues)
    assert "Uplift" not in page.read_text(), "without --ablate nothing was measured"
