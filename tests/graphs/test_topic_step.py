"""The topic step: what does good in all scenarios of a topic is learned once and found by each."""

from __future__ import annotations

import json
from dataclasses import replace

import hard_world
import numpy as np
import pytest
import world
import yaml
from tutelage.agents.models.meter import Meter
from tutelage.agents.teacher import Description
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.evaluation import leaks
from tutelage.graphs.log.events import StateClosed
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import openings, played
from tutelage.graphs.log.summary import summarise
from tutelage.graphs.steps.selection import complementary, plain_replies, wins
from tutelage.graphs.steps.topic_step import MOST_OF_TOPIC, topics_to_teach
from tutelage.graphs.steps.trials import Candidate, Weak, general_entry
from tutelage.strategy_store import Entry, Index, Provenance, Strategy

from tutelage.reports.report import write_report

POLICY = (
    "- R1: A late parcel that tracking promised for Monday earns a ribbon.\n"
    "- R2: A late parcel with a ruined birthday surprise earns an anchor.\n"
    "- R3: Damp cellar walls earn a lantern.\n"
    "- R4: Whoever finds the same lamp cheaper gets a voucher."
)
TOPICS = {"late": "parcels", "gift": "parcels", "damp": "walls", "price": "prices"}
ORDERS = {
    "ribbon": "Say that a late parcel that tracking promised for Monday earns a ribbon.",
    "anchor": "Say that a late parcel with a ruined birthday surprise earns an anchor.",
    "lantern": "Say that damp cellar walls earn a lantern.",
}
OPTIONS = CoachingOptions(
    rounds=1, dialogues=8, validation_dialogues=0, states_per_round=4, max_exchanges=2,
    general=False, topics=3,
)  # fmt: skip


class Judge(hard_world.Judge):
    """Likes the cure; the neighbour's cure beside it does no harm here."""

    def quality(self, transcript, reply):
        return world.ScriptedJudge.quality(self, transcript, reply)


class Silent(hard_world.Teacher):
    """Writes for weak states what nobody can use, so that all that is learned is the topics'."""

    def answer(self, system, page, messages):
        if "You coach the agent" in page:
            return '{"advice": [], "strategies": ["Say that all will be well with it in the end."]}'
        return super().answer(system, page, messages)


def build(folder, change=None):
    """The hard world with topics, rules, openings and a check by code for each cure."""
    hard_world.build_firm(folder)
    (folder / "policy.md").write_text(f"# Policy\n{POLICY}\n")
    for number, (kind, (cure, says)) in enumerate(hard_world.KINDS.items(), 1):
        for path in sorted((folder / "scenarios").glob(f"{kind}_*.yaml")):
            scenario = yaml.safe_load(path.read_text())
            check = {"id": "cure", "kind": "contains", "any_of": [cure], "scope": "reply"}
            scenario |= {
                "topic": TOPICS[kind], "rules": [f"R{number}"], "opening": f"Hello, {says}, please.",
                "rubric": [check],
            }  # fmt: skip
            path.write_text(yaml.safe_dump((change or (lambda kind, one: one))(kind, scenario)))
    return load_environment(folder)


def soft_firm(folder, **more):
    """The same, whose rubric asks for velvet as well."""
    build(folder)
    config = folder / "environment.yaml"
    told = yaml.safe_load(config.read_text())
    told["rubric"].append({"id": "soft", "kind": "contains", "any_of": ["velvet"], **more})
    config.write_text(yaml.safe_dump(told))
    return load_environment(folder)


class Kind(hard_world.Student):
    """Says velvet where it is told to."""

    def answer(self, system, page, messages):
        late = [m.text for m in messages[1:] if m.type == "system"]
        velvet = " velvet" * ("velvet" in "".join(late[-1:]))
        return super().answer(system, page, messages) + velvet


def seats(**replaced):
    roles = {"student": hard_world.Student(), "judge": Judge(), "teacher": Silent()}
    return {**roles, **replaced}


async def coached(environment, library, options=OPTIONS, log=None, **replaced):
    desk = hard_world.seat(environment, library, log=log, **seats(**replaced))
    await compile_coaching(desk, options).ainvoke({})
    return desk


def of_topic(library, topic) -> Entry | None:
    wanted = f"a customer whose matter is {topic}"
    return next((entry for entry in library.entries() if entry.scenario == wanted), None)


async def decisions(desk) -> dict[str, tuple[str, str]]:
    return {
        logged.event.proposal: (logged.event.verdict, logged.event.reason)
        for logged in await desk.log.read(kinds=("strategy_decided",))
    }


async def test_a_topic_is_learned_from_all_its_scenarios_and_found_by_each(tmp_path, library):
    environment = build(tmp_path / "world")
    desk = await coached(environment, library)
    entry = of_topic(library, "parcels")
    assert entry is not None
    assert {s.text for s in entry.strategies} == {ORDERS["ribbon"], ORDERS["anchor"]}
    assert set(entry.rules) == {"R1", "R2"}
    first = entry.strategies[0]
    assert first.status == "proposed" and first.provenance.source == "policy"
    trained = [s.id for s in environment.split("train")]
    parcels = {id_ for id_ in trained if TOPICS[id_.split("_")[0]] == "parcels"}
    assert first.provenance.learned_in == parcels and len(parcels) == 8
    assert first.provenance.evidence.pairs >= 4
    index = Index(library.entries())

    def given(line: str) -> str:
        found = index.search(line, top=1)
        return found[0].entry.scenario if found else ""

    for kind, (_, says) in hard_world.KINDS.items():
        if kind != "price":
            assert given(f"Hello, {says}, please.") == f"a customer whose matter is {TOPICS[kind]}"
    assert given("her birthday surprise is late, the parcel never came").endswith("parcels")
    assert given("the cellar walls are damp") == "a customer whose matter is walls"
    summary, _ = await summarise(desk.log)
    write_report(tmp_path / "page.html", summary, await played(desk.log), library.entries())
    page = (tmp_path / "page.html").read_text()
    assert "whose matter is walls" in page and "learned in r1.topic" not in page
    held = [one for one in decisions_kept(await decisions(desk)) if ".topic." in one]
    assert set(held) >= {"r1.topic.parcels", "r1.topic.walls"}


async def test_what_an_author_gives_the_reason_for_is_not_for_the_whole_topic(tmp_path, library):
    told = (
        "Says that lantern light is warm, and explains that it is free because it broke on Monday."
    )
    environment = build(
        tmp_path / "world",
        lambda kind, scenario: scenario | ({"expected": told} if kind == "damp" else {}),
    )
    desk = await coached(environment, library)
    (proposed,) = [
        logged.event
        for logged in await desk.log.read(kinds=("strategy_proposed",))
        if logged.event.proposal == "r1.topic.walls"
    ]
    assert "Say that lantern light is warm." in proposed.texts
    assert not any("Monday" in text for text in [*proposed.texts, *proposed.refused])


def decisions_kept(found: dict[str, tuple[str, str]]) -> list[str]:
    return [proposal for proposal, (verdict, _) in found.items() if verdict == "kept"]


def without_the_neighbours(kind, scenario):
    """A reply with the cure of the neighbour fails a check."""
    if kind in hard_world.HARMS:
        never = {"id": "none", "kind": "excludes", "none_of": [hard_world.HARMS[kind]]}
        scenario["rubric"].append(never)
    return scenario


@pytest.mark.parametrize("seed", [0, 1])
async def test_an_entry_is_kept_from_the_sibling_that_it_harms(tmp_path, library, seed):
    """With one seed the first test is passed by most scenarios, with the other it has to be made anew
    without the one that loses.
    """

    build(tmp_path / "world", without_the_neighbours)
    config = tmp_path / "world" / "environment.yaml"
    told = yaml.safe_load(config.read_text())
    moved = ["gift_1", "gift_2", "gift_3"]
    told["splits"]["train"] = [id_ for id_ in told["splits"]["train"] if id_ not in moved]
    told["splits"]["test"] += moved
    config.write_text(yaml.safe_dump(told))
    environment = load_environment(tmp_path / "world")
    options = replace(OPTIONS, seed=seed)
    await coached(environment, library, options, judge=hard_world.Judge())
    entry = of_topic(library, "parcels")
    assert entry is not None and [s.text for s in entry.strategies] == [ORDERS["ribbon"]]
    index = Index([entry])
    assert index.search(environment.scenarios["late_5"].opening)
    assert index.search(environment.scenarios["gift_5"].opening) == []
    assert entry.strategies[0].provenance.learned_in == {f"late_{number}" for number in range(4)}


async def test_of_a_student_that_ignores_advice_no_topic_is_learned(tmp_path, library):
    desk = await coached(build(tmp_path / "world"), library, student=hard_world.Deaf())
    assert library.entries() == []
    told = {k: v for k, v in (await decisions(desk)).items() if ".topic." in k}
    assert set(told.values()) == {("dropped", "no orders were better")}


async def test_without_checks_the_judge_chooses(tmp_path, library):
    def change(kind, scenario):
        return scenario | {"rubric": []}

    environment = build(tmp_path / "world", change)
    config = tmp_path / "world" / "environment.yaml"
    told = yaml.safe_load(config.read_text())
    told["rubric"] = told["rubric"][:1]
    config.write_text(yaml.safe_dump(told))
    environment = load_environment(tmp_path / "world")
    desk = await coached(environment, library)
    entry = of_topic(library, "walls")
    assert entry is not None and [s.text for s in entry.strategies] == [ORDERS["lantern"]]
    chosen = [e.event for e in await desk.log.read(kinds=("strategy_tried",))]
    assert any(e.phase == "choose" and e.proposal == "r1.topic.walls" for e in chosen)


async def test_a_topic_is_tried_once_a_run(tmp_path, library):
    environment = build(tmp_path / "world")
    async with await RunLog.open(tmp_path / "run") as log:
        for rounds in (1, 1, 2):
            options = replace(OPTIONS, rounds=rounds, topics=2)
            await coached(environment, library, options, log=log, student=hard_world.Deaf())
        proposed = [e.event.proposal for e in await log.read(kinds=("strategy_proposed",))]
    topics = sorted(name for name in proposed if ".topic." in name)
    assert [name.split(".")[0] for name in topics] == ["r1", "r1", "r2"]
    assert {name.split(".")[2] for name in topics} == {"parcels", "walls", "prices"}


async def test_a_topic_that_the_library_holds_is_left_alone_and_takes_no_others_place(
    tmp_path, library
):
    environment = build(tmp_path / "world")
    told = Strategy.new("Say that it comes on foot.", Provenance(source="person"))
    held = library.add(Entry.new("a customer whose matter is parcels", strategies=[told]), "me")
    tried = await decisions(await coached(environment, library, replace(OPTIONS, topics=1)))
    assert of_topic(library, "parcels") == held
    topics = [name for name in tried if ".topic." in name]
    assert len(topics) == 1 and "r1.topic.parcels" not in topics


async def test_the_step_can_be_left_out(tmp_path, library):
    desk = await coached(build(tmp_path / "world"), library, replace(OPTIONS, topics=0))
    assert not [name for name in await decisions(desk) if ".topic." in name]


async def test_a_long_topic_leaves_room_for_what_is_given_in_every_state(tmp_path, library):
    words = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "ivory"]

    def change(kind, scenario):
        if kind == "damp":
            scenario["expected"] = " ".join(
                f"Says that {word} {word[1:]}wood {word[2:]}stone is free." for word in words
            )
            scenario["rubric"] = [
                {"id": word, "kind": "contains", "any_of": [word]} for word in words
            ]
        return scenario

    class Echo(hard_world.Student):
        def answer(self, system, page, messages):
            late = [m.text for m in messages[1:] if m.type == "system"]
            said = [word for word in words if word in "".join(late[-1:])]
            return " ".join([super().answer(system, page, messages), *said])

    await coached(build(tmp_path / "world", change), library, student=Echo())
    entry = of_topic(library, "walls")
    assert entry is not None and len(entry.strategies) == MOST_OF_TOPIC
    assert {s.provenance.source for s in entry.strategies} == {"scenario"}


async def test_what_the_teacher_writes_for_a_weak_state_competes(tmp_path, library):
    build(tmp_path / "world", lambda kind, scenario: scenario | {"rules": []})
    (tmp_path / "world" / "policy.md").write_text("# Policy\n- R1: Answer within the hour.\n")
    environment = load_environment(tmp_path / "world")

    class Writer(hard_world.Teacher):
        """Cures damp walls, in the same words each time."""

        worded: int = -1

        def answer(self, system, page, messages):
            self.worded = -1
            return super().answer(system, page, messages)

    await coached(environment, library, teacher=Writer())
    entry = of_topic(library, "walls")
    assert entry is not None and [s.text for s in entry.strategies] == [hard_world.WORDINGS[0]]
    assert entry.strategies[0].provenance.source == "teacher"


def weak_in(environment, *scenarios: str) -> list[Weak]:
    states = {state.scenario: state for state in openings(environment, ())}
    described = Description(scenario="a customer who waits", wants="a cure", feels="annoyed")
    return [Weak(states[id_], described, "Better.", ()) for id_ in scenarios]


def test_weak_topics_come_first_then_large_ones_and_none_that_was_tried(tmp_path):
    environment = build(tmp_path / "world")
    known = openings(environment, ())

    def chosen(*weak: str, names=(), most=9) -> list[str]:
        return topics_to_teach(environment, weak_in(environment, *weak), known, names, (), most)

    assert chosen() == ["parcels", "walls", "prices"]
    assert chosen("price_0", "damp_1")[:2] == ["prices", "walls"]
    assert chosen("price_0", most=1) == ["prices"] and chosen(most=0) == []
    assert chosen("price_0", names={"r1.topic.prices", "r1.general"}) == ["parcels", "walls"]


def test_scenarios_without_topic_and_rules_are_of_no_topic(tmp_path):
    environment = build(tmp_path / "world", lambda kind, one: {**one, "topic": "", "rules": []})
    assert topics_to_teach(environment, [], openings(environment, ()), (), (), 9) == []


def test_what_was_learned_in_several_scenarios_is_left_out_and_named_in_each(tmp_path, library):
    environment = build(tmp_path / "world")
    origin = Provenance(source="policy", environment="world", scenarios=["damp_0", "damp_1"])
    strategy = Strategy.new(ORDERS["lantern"], origin)
    library.add(Entry.new("a customer with damp walls", strategies=[strategy]), "me")
    index = Index(library.entries())
    assert index.search("damp walls") and index.search("damp walls", exclude_scenarios=["late_0"])
    assert index.search("damp walls", exclude_scenarios=["damp_1"]) == []
    (leak,) = leaks(library, ("proposed",), environment, {"damp_1"})
    assert "learned in damp_0, damp_1" in leak
    assert leaks(library, ("proposed",), environment, {"late_0"}) == []


def best_of(rows: list[list[float]], most: int = 4, room: int = 99) -> list[int]:
    return complementary(np.array(rows, dtype=float), [10] * len(rows), room, most)


def test_the_second_is_chosen_for_what_the_first_does_not_win():
    assert best_of([[1, 1, 0], [1, 0, 0], [0, 0, 1]]) == [0, 2], "the same check is won once"
    assert best_of([[1, 1, 0], [0, 0, 1]], most=1) == [0]
    assert best_of([[1, 1, 0], [0, 0, 1]], room=15) == [0]
    assert best_of([[1, 0, -1], [0, 2, 0]]) == [1], "what it loses counts against what it wins"
    assert best_of([[0, 0, -1], [-1, 0, 0]]) == [] and best_of([[0, 0, 0]]) == []
    assert best_of([[2, 0, -1], [0, 3, -1]]) == [1, 0], "a loss that is there already counts once"


async def test_code_decides_where_it_sees_a_difference_and_the_judge_where_not(tmp_path, library):
    environment = build(tmp_path / "world")
    for scenario, asked in (("damp_0", 0), ("price_0", 2)):
        judge = Judge()
        desk = hard_world.seat(environment, library, **seats(judge=judge))
        (state,) = [one for one in openings(environment, ()) if one.scenario == scenario]
        plain = await plain_replies(desk, [state], 0)
        texts = (ORDERS["lantern"], "Say that all will be well.")
        orders = [Candidate((text,), "teacher", ()) for text in texts]
        won = await wins(desk, "try", orders, general_entry, plain)
        assert len(won.values) == 2 and won.scenarios == [scenario] * won.values.shape[1]
        tried = await desk.log.read(kinds=("strategy_tried",))
        assert len(tried) == asked, (
            "two orders, neither of which shows a check at the other trouble"
        )
        found = [one.texts[0] for one in won.best({scenario}, 4, 999)]
        assert found == ([ORDERS["lantern"]] if scenario == "damp_0" else [])
        assert won.best({"another"}, 4, 999) == []


async def test_where_the_best_would_break_a_rule_the_next_best_is_tested(tmp_path, library):
    """The teacher's order wins two checks, and the judge reads a breach in it; the rule's wins one."""
    environment = soft_firm(tmp_path / "world")

    class Soft(hard_world.Teacher):
        def answer(self, system, page, messages):
            if "You coach the agent" in page:
                told = " ".join(m.text for m in messages[1:])
                said = f"Speak of velvet and {self.cure_of(told)} here."
                return json.dumps({"advice": [], "strategies": [said]})
            return super().answer(system, page, messages)

    class Strict(Judge):
        def answer(self, system, page, messages):
            if "Answer Keep or Break" in page:
                return "Break" if "velvet" in page else "Keep"
            return super().answer(system, page, messages)

    await coached(environment, library, student=Kind(), teacher=Soft(), judge=Strict())
    entry = of_topic(library, "walls")
    assert entry is not None and [s.text for s in entry.strategies] == [ORDERS["lantern"]]


async def test_where_every_candidate_loses_a_check_none_is_left(tmp_path, library):
    class Spoiled(hard_world.Student):
        """Shows the cure by itself, and loses it to whatever it is told."""

        def answer(self, system, page, messages):
            told = [m for m in messages[1:] if m.type == "system"]
            return world.DULL if told else f"{world.DULL} {self.cure_of(page)}"

    desk = hard_world.seat(build(tmp_path / "world"), library, **seats(student=Spoiled()))
    (state,) = [one for one in openings(desk.environment, ()) if one.scenario == "damp_0"]
    plain = await plain_replies(desk, [state], 0)
    orders = [Candidate((text,), "teacher", ()) for text in ORDERS.values()]
    won = await wins(desk, "try", orders, general_entry, plain)
    assert won.ranked() == [] and won.best({"damp_0"}, 4, 999) == []
    assert not await desk.log.read(kinds=("strategy_tried",)), "the judge need not be asked"


async def test_what_is_compared_ends_with_the_budget(tmp_path, library):
    meter = Meter(budget_tokens=15 * 6)
    desk = hard_world.seat(build(tmp_path / "world"), library, meter=meter, **seats())
    desk.at_once = 1
    (state,) = [one for one in openings(desk.environment, ()) if one.scenario == "damp_0"]
    plain = await plain_replies(desk, [state], 0)
    orders = [Candidate((f"Speak of {word}.",), "teacher", ()) for word in map(str, range(20))]
    won = await wins(desk, "try", orders, general_entry, plain)
    assert meter.spent and won.ranked() == [] and won.best({"damp_0"}, 4, 999) == []
    assert sum(usage.calls for usage in meter.roles.values()) == 6


async def test_a_round_that_goes_on_takes_no_more_topics_than_it_may(tmp_path, library):
    environment = build(tmp_path / "world")
    async with await RunLog.open(tmp_path / "run") as log:
        await log.append(StateClosed(dialogue="r1.topic.parcels", turn=0, round=1))
        await coached(environment, library, replace(OPTIONS, topics=2), log=log)
        proposed = [e.event.proposal for e in await log.read(kinds=("strategy_proposed",))]
    topics = {name for name in proposed if ".topic." in name}
    assert len(topics) == 1 and "r1.topic.parcels" not in topics


async def test_what_every_reply_misses_stands_beside_what_decides_the_topic(tmp_path, library):
    environment = soft_firm(tmp_path / "world", note="shows some velvet")
    await coached(environment, library, student=Kind())
    entry = of_topic(library, "walls")
    assert entry is not None
    sources = {s.text: s.provenance.source for s in entry.strategies}
    assert sources == {ORDERS["lantern"]: "policy", "Show some velvet.": "rubric"}


async def test_a_teacher_that_writes_nonsense_costs_its_own_strategies_alone(tmp_path, library):
    class Broken(hard_world.Teacher):
        def answer(self, system, page, messages):
            if "You coach the agent" in page:
                return "no JSON at all"
            return super().answer(system, page, messages)

    environment = build(tmp_path / "world")
    desk = hard_world.seat(environment, library, **seats(teacher=Broken()))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    entry = of_topic(library, "walls")
    assert entry is not None and [s.text for s in entry.strategies] == [ORDERS["lantern"]]
    faults = [one.event.message for one in await desk.log.read(kinds=("fault",))]
    assert faults and all("no valid" in message for message in faults)
    proposed = {name for name in await decisions(desk) if "topic" not in name}
    assert proposed, "the rules of weak states are tried without it as well"


async def test_rules_that_harm_alone_are_given_together_where_the_student_then_tells_them_apart(
    tmp_path, library
):
    class Chooser(hard_world.Student):
        """Does the one order that it gets, and of several the one that fits."""

        def answer(self, system, page, messages):
            said = super().answer(system, page, messages)
            told = " ".join(m.text for m in messages if m.type == "human")
            words = [word for word, _ in hard_world.KINDS.values() if word in said]
            fits = self.cure_of(told)
            return f"{world.DULL} {fits}" if len(words) > 1 and fits in words else said

    environment = build(tmp_path / "world", without_the_neighbours)
    await coached(environment, library, student=Chooser(), judge=hard_world.Judge())
    entry = of_topic(library, "parcels")
    assert entry is not None
    assert {s.text for s in entry.strategies} == {ORDERS["ribbon"], ORDERS["anchor"]}
