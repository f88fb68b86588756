"""Scenarios are generated where the gaps are; what is impossible, old, too hard or too easy is not."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest
import world
import yaml
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.meter import Meter
from tutelage.environments import EnvironmentFault, load_environment
from tutelage.environments.firm_folder import add_scenarios
from tutelage.graphs.generation import (
    GenerationOptions,
    gaps_to_fill,
    generate,
    train_coverage,
    with_scenarios,
)
from tutelage.graphs.log.events import ScenarioGenerated

from tutelage.console import result_table
from tutelage.runs import generate as generate_run
from tutelage.runs.session import Stopped

SAYS = world.TROUBLES["broken"][1]
WORDS = ("umbrella violin harbour candle lizard marble tunnel pepper saddle window blanket orchard "
         "ribbon engine glacier")  # fmt: skip


def draft(rule, **changed):
    words = " ".join(f"{'abcdefghijk'[int(rule[1:])]}{word}" for word in WORDS.split())
    value = {
        "title": f"Case of {rule}", "what_happened": f"Beside {words} and {rule}, {SAYS}.",
        "wants": "have it mended before the orchard festival", "customer_knows": [],
        "screen_shows": [], "first_words": f"Hello, {SAYS}, please.", "rules": [rule],
        "good_agent": "Speaks of sawdust at once.",
    }  # fmt: skip
    return {**value, **changed}


class Author(world.ScriptedTeacher):
    """Writes for the rule it is asked for: R9 is right, all others go wrong, each in its own way."""

    def answer(self, system, page, messages):
        if "You write training cases" in page:
            rule = re.findall(r"^- (R\d+): ", page.partition("Write a new one")[2], re.MULTILINE)[0]
            wrong = {
                "R2": {"rules": ["R77"]},
                "R3": {"what_happened": f"By letter: {SAYS}", "wants": "have it cured"},
                "R4": {"title": "Contradiction"},
                "R5": {"first_words": f"My code QX77Z is refused, {SAYS}."},
                "R6": {"title": "Too easy"},
                "R7": {"title": "Too hard"},
                "R10": {"title": "\x00 \x07 "},
                "R8": {"customer_knows": [{"name": "code", "value": "AB12C"}],
                       "screen_shows": [{"name": "ZZ99Z", "value": "all well"}]},
            }  # fmt: skip
            mended = "Written before and refused" in page and rule == "R2"
            return json.dumps(draft(rule, **({} if mended else wrong.get(rule, {}))))
        if "Which rules of the policy decide" in page:
            rule = re.findall(r"and (R\d+), my|and (R\d+), the", page)[0]
            broken = "it cannot be both" if "R4" in rule else ""
            return json.dumps({"rules": [r for r in rule if r], "contradiction": broken})
        return super().answer(system, page, messages)


class Wavering(world.ScriptedStudent):
    """Knows the cure on every second seed; always where it is easy, never where it is hard."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        object.__setattr__(self, "_odd", bool(kwargs.get("seed", 0) // 131 % 2))
        return super()._generate(messages, stop, run_manager, **kwargs)

    def answer(self, system, page, messages):
        easy, hard = "easy" in system, "hard" in system
        return f"{world.DULL} {'sawdust' if easy or (self._odd and not hard) else ''}".strip()


@pytest.fixture
def firm(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    rules = "\n".join(f"- R{n}: Rule number {n} about matter {n}." for n in range(1, 11))
    (folder / "policy.md").write_text(f"# Policy\n{rules}\n")
    for path in (folder / "scenarios").glob("*.yaml"):
        value = yaml.safe_load(path.read_text()) | {"rules": ["R1"], "topic": "cures"}
        path.write_text(yaml.safe_dump(value))
    return load_environment(folder)


OPTIONS = GenerationOptions(number=20, tries=2, plays=4, pass_from=0.7, max_exchanges=2)


async def outcomes(desk):
    logged = await desk.log.read(kinds=("scenario_generated",))
    return [one.event for one in logged if isinstance(one.event, ScenarioGenerated)]


async def test_only_possible_new_and_fitting_scenarios_are_taken(firm):
    found = train_coverage(firm)
    gaps = gaps_to_fill(firm, found)
    assert sorted(gap.why for gap in gaps) == sorted(f"rule R{n}" for n in range(2, 11))
    assert all(
        one.id in {s.id for s in firm.split("train")} for g in gaps for one in g.wanted.examples
    )
    desk = world.seat(firm, None, teacher=Author(), student=Wavering())
    desk.student = Hinting(desk.student)
    taken = [one async for one in generate(desk, gaps, OPTIONS)]
    told = await outcomes(desk)
    reasons = {event.gap[5:]: event.reason for event in told}
    assert {rule for one in taken for rule in one.rules} == {"R2", "R9"}, reasons
    assert [e.reason[:22] for e in told if e.gap == "rule R2"] == ["it does not name the r", ""]
    assert "is not new" in reasons["R3"]
    assert "it cannot be both" in reasons["R4"]
    assert "QX77Z" in reasons["R5"]
    assert "always passes" in reasons["R6"] and "never passes" in reasons["R7"]
    assert "leads to what the screen shows" in reasons["R8"]
    assert "it is no scenario" in reasons["R10"]
    for scenario in taken:
        assert scenario.source == "generated"
        assert re.search(
            r"generated by .* for rule R\d; 2 of 4 plays passed, distance 0\.\d", scenario.origin
        )
    after = train_coverage(with_scenarios(firm, taken))
    assert (found.rules_met, after.rules_met) == (1, 3)


async def test_a_scenario_covers_only_the_rules_that_the_second_look_finds(firm):
    class Boastful(Author):
        """Names rules that nothing in the case is about."""

        names: tuple[str, ...] = ()

        def answer(self, system, page, messages):
            if "You write training cases" in page:
                return json.dumps(draft("R9", rules=self.names))
            return super().answer(system, page, messages)

    before = train_coverage(firm)
    (gap,) = [gap for gap in gaps_to_fill(firm, before) if gap.why == "rule R9"]
    desk = world.seat(firm, None, teacher=Boastful(names=("R9", "R3", "R4")), student=Wavering())
    (taken,) = [one async for one in generate(desk, [gap], OPTIONS)]
    assert taken.rules == ["R9"]
    after = train_coverage(with_scenarios(firm, [taken]))
    assert after.rules_met == before.rules_met + 1
    wanted = replace(gap.wanted, rules=[firm.policy.rules[id_] for id_ in ("R3", "R9")])
    desk = world.seat(firm, None, teacher=Boastful(names=("R3",)), student=Wavering())
    gap = replace(gap, wanted=wanted)
    assert not [one async for one in generate(desk, [gap], replace(OPTIONS, tries=1))]
    (told,) = await outcomes(desk)
    assert told.reason == "R9 would decide it, not R3"


class Hinting:
    """The student, told through its system text how easy the scenario's author meant it to be."""

    def __init__(self, student):
        self.student, self.voice = student, student.voice

    async def reply(self, scenario, turns, retrieved=(), seed=0, hear=None):
        return await self.student.reply(
            scenario.model_copy(update={"records": {"note": scenario.title}}),
            turns,
            retrieved,
            seed,
            hear,
        )


async def test_a_spent_budget_ends_it_and_keeps_what_was_taken(firm):
    gaps = gaps_to_fill(firm, train_coverage(firm))
    desk = world.seat(
        firm, None, teacher=Author(), student=Wavering(), meter=Meter(budget_tokens=200)
    )
    assert len([one async for one in generate(desk, gaps, OPTIONS)]) <= 1
    assert len(await outcomes(desk)) < 4


async def test_scenarios_are_added_to_split_train_and_comments_stay(firm, tmp_path):
    gaps = [gap for gap in gaps_to_fill(firm, train_coverage(firm)) if gap.why == "rule R9"]
    desk = world.seat(firm, None, teacher=Author(), student=Wavering())
    taken = [one async for one in generate(desk, gaps, OPTIONS)]
    (scenario,) = taken
    head = firm.path / "environment.yaml"
    head.write_text("# mine\n" + head.read_text() + "# the end\n")
    add_scenarios(firm.path, tmp_path / "plus", taken)
    plus = load_environment(tmp_path / "plus")
    assert plus.split_of(scenario.id) == "train" and plus.scenarios[scenario.id] == scenario
    text = (tmp_path / "plus" / "environment.yaml").read_text()
    assert text.startswith("# mine\n") and text.endswith("# the end\n")
    assert len(text.splitlines()) == len(head.read_text().splitlines()) + 1
    with pytest.raises(EnvironmentFault, match="already"):
        add_scenarios(firm.path, tmp_path / "plus", taken)
    add_scenarios(firm.path, firm.path, taken)
    assert scenario.id in load_environment(firm.path).scenarios
    with pytest.raises(EnvironmentFault):
        add_scenarios(firm.path, firm.path, taken)
    load_environment(firm.path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("form", ["flow", "without train", "bundled"])
async def test_every_form_of_a_split_list_takes_scenarios(firm, tmp_path, form, airline):
    source = firm.path
    head = source / "environment.yaml"
    value = yaml.safe_load(head.read_text())
    if form == "flow":
        splits = value.pop("splits")
        flow = "".join(f"  {k}: [{', '.join(v)}]  # {k}\n" for k, v in splits.items())
        head.write_text(yaml.safe_dump(value) + "splits:\n" + flow)
    elif form == "without train":
        value["splits"] = {"test": [id_ for ids in value["splits"].values() for id_ in ids]}
        head.write_text(yaml.safe_dump(value))
    else:
        source = tmp_path / "airline"
        shutil.copytree(airline.path, source)
    before = load_environment(source)
    some = next(iter(before.scenarios.values()))
    new = [some.model_copy(update={"id": f"gen_{n}", "source": "generated"}) for n in (1, 2)]
    add_scenarios(source, tmp_path / "plus", new)
    after = load_environment(tmp_path / "plus")
    train = [one.id for one in before.split("train")]
    assert [one.id for one in after.split("train")] == [*train, "gen_1", "gen_2"]
    assert after.config.rubric == before.config.rubric
    assert after.split("test") == before.split("test")


def test_cells_are_filled_each_persona_and_topic_in_turn(tmp_path, airline):
    gaps = gaps_to_fill(airline, train_coverage(airline), most=12)
    assert {gap.why for gap in gaps[:3]} == {"rule R12", "rule R26", "rule R27"}
    cells = [gap.wanted for gap in gaps[3:]]
    assert len({cell.persona.name for cell in cells}) >= 7
    assert all(cell.rules and cell.examples for cell in cells)


def test_more_gaps_are_tried_than_scenarios_may_be_asked_for(airline):
    """Of each gap comes one scenario at most, and most drafts are refused."""
    assert len(gaps_to_fill(airline, train_coverage(airline))) > 50


@pytest.mark.parametrize("tokens", [None, 1])
def test_where_nothing_was_written_no_reasons_are_said_to_be_above(
    firm, tmp_path, monkeypatch, capsys, tokens
):
    seated(firm, monkeypatch, meter=Meter(budget_tokens=tokens and 0))
    if tokens is None:
        monkeypatch.setattr(generate_run, "gaps_to_fill", lambda *_: [])
    request = generate_run.GenerateRequest(environment=str(firm.path), number=1)
    generate_run.generate_run(request, tmp_path / "plus", tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert "reasons are above" not in said
    assert ("budget was spent before the first" in said) is (tokens is not None)


@pytest.mark.parametrize("as_json", [True, False])
def test_where_no_gap_is_left_nobody_is_seated(firm, tmp_path, monkeypatch, capsys, as_json):
    def seat(*_, **__):
        raise AssertionError("a model was to be had")

    monkeypatch.setattr(generate_run, "open_desk", seat)
    monkeypatch.setattr(generate_run, "gaps_to_fill", lambda *_: [])
    request = generate_run.GenerateRequest(environment=str(firm.path), student="openai:x")
    generate_run.generate_run(request, None, tmp_path / "run", as_json=as_json)
    said = capsys.readouterr()
    assert "there is nothing to write" in " ".join(said.err.split())
    assert not (tmp_path / "run").exists()
    if as_json:
        told = json.loads(said.out)
        assert (told["run"], told["scenarios"], told["pass_from"]) == (None, [], 0.7)
        assert told["coverage"]["before"] == told["coverage"]["after"]


def seated(firm, monkeypatch, **roles):
    monkeypatch.setattr(
        generate_run, "open_desk", lambda environment, **_: world.seat(environment, None, **roles)
    )


def test_the_command_writes_a_firm_and_reports_coverage(firm, tmp_path, monkeypatch, capsys):
    seated(firm, monkeypatch, teacher=Author(), student=Wavering())
    request = generate_run.GenerateRequest(
        environment=str(firm.path), number=1, exchanges=2, tries=1
    )
    generate_run.generate_run(request, tmp_path / "plus", tmp_path / "run", as_json=True)
    told = json.loads(capsys.readouterr().out)
    plus = load_environment(tmp_path / "plus")
    (id_,) = told["scenarios"]
    assert plus.scenarios[id_].source == "generated" and plus.split_of(id_) == "train"
    assert told["coverage"]["before"]["rules_met"] + 1 == told["coverage"]["after"]["rules_met"]
    assert [event["taken"] for event in told["outcomes"]].count(True) == 1
    assert all(event["reason"] for event in told["outcomes"] if not event["taken"])
    with pytest.raises(EnvironmentFault, match="already"):
        generate_run.generate_run(request, tmp_path / "plus", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_what_was_taken_is_kept_where_a_model_fails(firm, tmp_path, monkeypatch):
    class Failing(Author):
        def answer(self, system, page, messages):
            if "You write training cases" in page and self.seen > 12:
                raise RuntimeError("the endpoint has gone")
            return super().answer(system, page, messages)

    seated(firm, monkeypatch, teacher=Failing(), student=Wavering())
    request = generate_run.GenerateRequest(environment=str(firm.path), number=9, exchanges=2)
    with pytest.raises(ModelFault, match="the endpoint has gone"):
        generate_run.generate_run(request, tmp_path / "plus", tmp_path / "run")
    plus = load_environment(tmp_path / "plus")
    assert ["R2"] in [one.rules for one in plus.scenarios.values() if one.source == "generated"]


def test_each_scenario_is_written_as_it_is_taken(firm, tmp_path, monkeypatch):
    some = firm.split("train")[0]
    target = tmp_path / "plus"
    found = []

    async def taking(*_):
        for number in range(3):
            yield some.model_copy(update={"id": f"gen_{number}", "source": "generated"})
            found.append([one.id for one in load_environment(target).split("train")][-1])
        (target / "environment.yaml").unlink()
        yield some.model_copy(update={"id": "gen_3", "source": "generated"})

    seated(firm, monkeypatch)
    monkeypatch.setattr(generate_run, "generate", taking)
    request = generate_run.GenerateRequest(environment=str(firm.path))
    with pytest.raises(EnvironmentFault):
        generate_run.generate_run(request, target, tmp_path / "run")
    assert found == ["gen_0", "gen_1", "gen_2"]
    assert (target / "scenarios" / "gen_2.yaml").is_file(), "one that fails takes none with it"


def test_what_the_teacher_wrote_obeys_no_escape(capsys):
    outcome = ScenarioGenerated(
        scenario="", title="\x1b[31mtitle", gap="persona \x1b[31mrude", taken=False,
        reason="\x1b]0;owned\x07 it is not new",
    )  # fmt: skip
    result_table(generate_run._table([outcome]))
    shown = capsys.readouterr().out
    assert "title" in shown and "it is not new" in shown
    assert "\x1b" not in shown and "\x07" not in shown


def test_who_stops_it_is_not_told_of_what_may_not_be_there(firm, tmp_path, monkeypatch):
    async def stopped(*_):
        raise KeyboardInterrupt
        yield

    seated(firm, monkeypatch)
    monkeypatch.setattr(generate_run, "generate", stopped)
    request = generate_run.GenerateRequest(environment=str(firm.path))
    with pytest.raises(Stopped, match="if anything"):
        generate_run.generate_run(request, tmp_path / "plus", tmp_path / "run")
    assert not (tmp_path / "plus").exists()
