"""Each student is given strategies where it was measured to follow them, and the library knows where."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import world
from tutelage.agents.models.chat_models import chat_model, model_name
from tutelage.environments import load_environment
from tutelage.graphs.placing import FEWEST, Placed, Placing, measure_placements
from tutelage.graphs.statistics.convergence import step_between
from tutelage.graphs.steps.rounds import validation_scores
from tutelage.strategy_store import Entry, Library, Provenance, Strategy
from typer.testing import CliRunner

import tutelage
from tutelage.main import app
from tutelage.runs.place import PlaceRequest, place_run


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path / "library.db", create=True) as opened:
        for cure, says in world.TROUBLES.values():
            text = f"Speak of {cure} in the first sentence of the answer."
            strategy = Strategy.new(text, Provenance(source="person"))
            opened.add(Entry.new(f"a customer who says {says}", strategies=[strategy]), "t")
        yield opened


class ReadsNotes(world.ScriptedStudent):
    """Follows what stands in the customer's message, and no late system message."""

    def answer(self, system, page, messages):
        words = [
            c for c, _ in world.TROUBLES.values() if c in page and messages[-1].type == "human"
        ]
        return f"{world.DULL} {' '.join(words)}".strip()


async def measured(tmp_path, library, student, dialogues=6):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    desk = world.seat(firm, library, student=student)
    placing = await measure_placements(
        desk, ["note", "system", "example"], dialogues=dialogues, max_exchanges=2, concurrency=4
    )
    return desk, placing


async def test_a_student_that_reads_notes_only_gets_notes(tmp_path, library):
    desk, placing = await measured(tmp_path, library, ReadsNotes())
    csat = {one.placement: one.csat for one in placing.tried}
    assert csat["note"] == 5.0 and csat["after"] == 1.0 and placing.best == "note"
    library.set_placement(desk.student.voice.spec, placing.best, "run x", placing.measured)
    again = world.seat(desk.environment, library, student=ReadsNotes())
    assert again.student.placement == "note", "a desk with this library and student uses it"
    other = world.seat(desk.environment, library, student=world.ScriptedCustomer())
    assert other.student.placement == "after", "another student is not concerned"
    assert await validation_scores(desk.log) == {}, "they are no round of coaching"


async def test_where_nothing_is_better_strategies_stay_after_the_transcript(tmp_path, library):
    _, placing = await measured(tmp_path, library, world.ScriptedStudent())
    assert placing.best == "after"
    assert replace(placing, tried=placing.tried[:1]).measured.endswith("after 5.00")


@pytest.mark.parametrize("dialogues", [2, FEWEST - 1])
async def test_too_few_dialogues_are_told_and_displace_nothing(tmp_path, library, dialogues):
    _, placing = await measured(tmp_path, library, ReadsNotes(), dialogues)
    csat = {one.placement: one.csat for one in placing.tried}
    assert (csat["note"], csat["after"]) == (5.0, 1.0)
    assert placing.complete and not placing.tells and placing.best == "after"


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_never_paired_has_no_error(tmp_path, monkeypatch, capsys, as_json):
    tried = [
        Placed("after", 4.0, 3, step_between({}, {})),
        Placed("note", 3.0, 2, step_between({"a": 4.0, "b": 3.0}, {"a": 3.0, "b": 3.0})),
    ]

    def measured_so(work, *_):
        work.close()
        return "openai:x", Placing(tried, "after", complete=True)

    monkeypatch.setattr("tutelage.runs.place.run_until_done", measured_so)
    place_run(PlaceRequest(library="l", environment="airline"), tmp_path / "r", as_json=as_json)
    said = capsys.readouterr().out
    assert "inf" not in said.casefold()
    if as_json:
        assert [one["error"] for one in json.loads(said)["tried"]] == [None, 0.5]


def test_an_unknown_placement_is_named_with_the_nearest():
    with pytest.raises(Exception, match="did you mean 'note'") as caught:
        PlaceRequest(library="l", environment="e", placements=["notes"]).checked()
    assert caught.value.exit_code == 2


SERVER = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("spec", "base", "known"),
    [
        ("openai:gpt-5-mini", "", "openai:gpt-5-mini"),
        ("openai:gpt-5-mini", SERVER, f"openai:gpt-5-mini@{SERVER}"),
        (f"openai:gpt-5-mini@{SERVER}", "", f"openai:gpt-5-mini@{SERVER}"),
        ("azure_openai:gpt-5-mini", "", "azure:gpt-5-mini"),
        ("local:{weights}", "", "local:w.gguf"),
    ],
)
def test_every_door_finds_what_was_measured_of_a_model_however_it_was_named(
    tmp_path, library, monkeypatch, spec, base, known
):
    for name, value in {
        "OPENAI_API_KEY": "k", "AZURE_OPENAI_API_KEY": "k", "OPENAI_API_VERSION": "2024-10-21",
        "AZURE_OPENAI_ENDPOINT": "https://x.example", "OPENAI_API_BASE": base,
    }.items():  # fmt: skip
        if value:
            monkeypatch.setenv(name, value)
    weights = tmp_path / "w.gguf"
    weights.write_bytes(b"GGUF")
    spec = spec.format(weights=weights)
    firm = load_environment(world.build_firm(tmp_path / "world"))

    def placements() -> set[str]:
        model = chat_model(spec)
        seats = [world.seat(firm, library, student=student) for student in (spec, model)]
        return {
            *(tutelage.coached(one, library).deployment.placement for one in (spec, model)),
            *(seat.student.placement for seat in seats),
        }

    library.set_placement(spec, "system", "an older release", "4.1 against 3.2")
    assert tutelage.coached(spec, library).deployment.placement == "system"
    assert world.seat(firm, library, student=spec).student.placement == "system"
    student = world.seat(firm, library, student=spec).student.voice.spec
    assert student == known
    library.set_placement(student, "example", "run x", "4.1 against 3.2")
    assert placements() == {"example"}


@pytest.fixture
def seated(monkeypatch):
    """What a desk of scripted agents was asked for, by the command."""
    asked = {}

    def seat(environment, *, library, meter, **options):
        asked.update(options)
        return world.seat(environment, library, meter=meter, student=ReadsNotes())

    monkeypatch.setattr("tutelage.runs.place.open_desk", seat)
    return asked


def placed(library, tmp_path, *options):
    firm = world.build_firm(tmp_path / "world")
    return CliRunner().invoke(
        app,
        ["library", "place", str(library.path), str(firm), "--dialogues", "2", "--exchanges", "2",
         "--run", str(tmp_path / "run"), *options],
    )  # fmt: skip


# A call counts 15 tokens.
@pytest.mark.parametrize("budget", ["--budget-usd=0", "--budget-tokens=1", "--budget-tokens=400"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_measurement_that_was_cut_off_sets_nothing(library, seated, tmp_path, budget, as_json):
    spec = model_name(ReadsNotes())
    library.set_placement(spec, "example", "run y", "satisfaction on 8 dialogues: example 4.00")
    version = library.version
    done = placed(library, tmp_path, budget, *(["--json"] if as_json else []))
    assert done.exit_code == 0, done.output
    assert library.placement_for(spec) == "example" and library.version == version
    assert "nothing was set" in " ".join(done.stderr.split())
    assert "from now on" not in done.output
    if as_json:
        assert json.loads(done.stdout)["placement"] is None


@pytest.mark.parametrize("as_json", [True, False])
def test_a_measurement_of_too_few_dialogues_is_reported_and_sets_nothing(
    library, seated, tmp_path, as_json
):
    spec = model_name(ReadsNotes())
    library.set_placement(spec, "example", "run y", "satisfaction on 8 dialogues: example 4.00")
    done = placed(library, tmp_path, *(["--json"] if as_json else []))
    assert done.exit_code == 0, done.output
    assert f"fewer than {FEWEST} dialogues of a placement count" in " ".join(done.stderr.split())
    assert library.placement_for(spec) == "example" and "from now on" not in done.output
    if as_json:
        told = json.loads(done.stdout)
        assert told["placement"] is None
        assert {one["placement"]: one["csat"] for one in told["tried"]}["note"] == 5.0
    else:
        assert "5.00" in done.stdout


def test_a_measurement_that_is_whole_sets_what_is_best(library, seated, tmp_path):
    done = placed(library, tmp_path, "--dialogues", "6", "--embeddings", "openai:meaning")
    assert "gets strategies as `note` from now on" in " ".join(done.stdout.split()), done.output
    assert library.placement_for(model_name(ReadsNotes())) == "note"
    assert seated["embeddings"] == "openai:meaning"
