"""The general step: what helps every customer is learned once, and given in every state."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import hard_world
import pytest
import world
import yaml
from tutelage.agents.advice.tactics import GENERIC_ADVICE
from tutelage.agents.transcript import Turn
from tutelage.environments import Tactic, load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.steps.general_step import MOST_GENERAL, general_name
from tutelage.strategy_store import ANY_CUSTOMER, Entry, Index, Provenance, Strategy

OPTIONS = CoachingOptions(
    rounds=1, dialogues=8, validation_dialogues=0, states_per_round=4, max_exchanges=2
)
KIND = "Begin with velvet in the first words of the answer."
VELVET = {"velvet": "velvet"}
HARM = f"Bring up {world.HARM} in every answer."


class Teacher(hard_world.Teacher):
    """Writes `general` for every customer, and the cures for their troubles."""

    general: tuple[str, ...] = (HARM, KIND)
    asked: int = 0

    def answer(self, system, page, messages):
        if "You coach the agent for every customer" in page:
            self.asked += 1
            return json.dumps({"advice": [], "strategies": self.general})
        return super().answer(system, page, messages)


class Student(hard_world.Student):
    """Knows words besides the cures; says what it is told first, then these."""

    words: dict[str, str] = VELVET
    """What it is told to what it says then."""

    def answer(self, system, page, messages):
        late = "".join([m.text for m in messages[1:] if m.type == "system"][-1:])
        said = [word for told, word in self.words.items() if told in late]
        return " ".join([super().answer(system, page, messages), *said])


class Judge(hard_world.Judge):
    """Likes velvet whatever the trouble is, and the cure better."""

    def quality(self, transcript, reply):
        return super().quality(transcript, reply) + ("velvet" in reply)


@pytest.fixture
def firm(tmp_path):
    return load_environment(hard_world.build_firm(tmp_path / "world"))


def seats(teacher=None):
    return {"student": Student(), "judge": Judge(), "teacher": teacher or Teacher()}


def general_of(library) -> list[str]:
    return [s.text for entry in library.entries() if entry.general for s in entry.strategies]


def firm_that_asks_for(folder, *checks, heard=1.0):
    """The hard world, whose rubric has checks for words as well, each with its weight; `heard` is that
    of the check it has.
    """
    hard_world.build_firm(folder)
    config = folder / "environment.yaml"
    told = yaml.safe_load(config.read_text())
    told["rubric"][1]["weight"] = heard
    for words, weight in checks:
        check = {"id": words[0], "kind": "contains", "any_of": words, "weight": weight}
        told["rubric"].append(check | {"note": f"brings {words[0]} into the reply"})
    config.write_text(yaml.safe_dump(told))
    return load_environment(folder)


async def decided(desk) -> dict[str, str]:
    return {
        logged.event.proposal: logged.event.verdict
        for logged in await desk.log.read(kinds=("strategy_decided",))
    }


async def test_what_helps_every_customer_is_kept_once_and_given_beside_the_cure(firm, library):
    desk = hard_world.seat(firm, library, **seats())
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert general_of(library) == [KIND], "the harm written beside it is not kept"
    assert (await decided(desk))[general_name(1)] == "kept"
    assert hard_world.words_of(library).keys() & {"ribbon", "anchor", "lantern"}, (
        "the cures are still better with it in place"
    )
    tried = [e.event for e in await desk.log.read(kinds=("strategy_tried",))]
    assert {e.checks for e in tried} == {1.0}, "the world's rubric has one check by code"
    own = [e for e in tried if e.proposal != general_name(1) and e.phase == "accept"]
    assert own and all("velvet" in e.before and "velvet" in e.after for e in own)
    late = Turn(speaker="customer", text=hard_world.KINDS["damp"][1])
    given = [one.entry for one in await desk.retrieve([late], "damp_0")]
    assert [entry.general for entry in given] == [False, True]
    other = Turn(speaker="customer", text="Do you sell umbrellas?")
    assert [one.entry.scenario for one in await desk.retrieve([other], "damp_0")] == [ANY_CUSTOMER]
    (strategy,) = next(entry for entry in library.entries() if entry.general).strategies
    assert strategy.status == "proposed" and strategy.provenance.scenario == ""
    assert strategy.provenance.evidence.pairs >= 4


async def test_what_helps_some_customers_and_harms_others_is_not_for_all(firm, library):
    teacher = Teacher(general=("Speak of ribbon in the first sentence of the answer.",))
    desk = hard_world.seat(firm, library, **seats(teacher))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert teacher.asked and (await decided(desk))[general_name(1)] == "dropped"
    assert general_of(library) == []


async def test_what_a_missed_check_says_of_a_good_reply_competes(tmp_path, library):
    checked = firm_that_asks_for(tmp_path / "world", (["velvet"], 1.0))
    desk = hard_world.seat(checked, library, **seats(Teacher(general=(HARM,))))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert general_of(library) == ["Bring velvet into the reply."]
    (strategy,) = next(entry for entry in library.entries() if entry.general).strategies
    assert strategy.provenance.source == "rubric"


async def test_generic_advice_competes_with_what_the_teacher_writes(firm, library):
    obliging = Student(words={GENERIC_ADVICE: "velvet"})
    seated = seats(Teacher(general=(HARM,))) | {"student": obliging}
    desk = hard_world.seat(firm, library, **seated)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert general_of(library) == [GENERIC_ADVICE]
    (strategy,) = next(entry for entry in library.entries() if entry.general).strategies
    assert strategy.provenance.source == "generic"


async def test_what_the_teacher_took_from_the_handbook_is_the_handbooks(firm, library):
    """The teacher names no tactic that it used."""
    firm.handbook["T1"] = Tactic("T1", "Begin well", "", KIND, "", "")
    desk = hard_world.seat(firm, library, **seats())
    await compile_coaching(desk, OPTIONS).ainvoke({})
    (strategy,) = next(entry for entry in library.entries() if entry.general).strategies
    assert strategy.text == KIND
    assert (strategy.provenance.source, strategy.provenance.tactics) == ("handbook", ["T1"])
    (proposed,) = [
        e.event
        for e in await desk.log.read(kinds=("strategy_proposed",))
        if e.event.proposal == general_name(1)
    ]
    assert proposed.tactics == ["T1"]


async def test_where_the_best_fails_its_test_the_next_best_has_one(tmp_path, library):
    """Silk wins two checks by code, and no judge can stand it; velvet wins one of them, and no other."""

    class Severe(Judge):
        def quality(self, transcript, reply):
            return super().quality(transcript, reply) - 6 * ("silk" in reply)

    silken = Student(words=VELVET | {"silk": "silk"})
    wordy = (["velvet", "silk"], 1.0), (["silk"], 0.2)
    checked = firm_that_asks_for(tmp_path / "world", *wordy, heard=6.0)
    seated = seats(Teacher(general=(HARM,))) | {"student": silken, "judge": Severe()}
    desk = hard_world.seat(checked, library, **seated)
    await compile_coaching(desk, OPTIONS).ainvoke({})
    own = [
        (e.event.verdict, e.event.texts)
        for e in await desk.log.read(kinds=("strategy_decided",))
        if e.event.proposal == general_name(1)
    ]
    assert own == [
        ("dropped", ["Bring silk into the reply."]), ("kept", ["Bring velvet into the reply."])
    ]  # fmt: skip
    assert general_of(library) == ["Bring velvet into the reply."]


async def test_what_helps_everybody_a_little_is_tested_longer_than_what_helps_one(firm, library):
    """Velvet is liked seven times in ten: 24 pairs, which other strategies have, would not tell."""

    class Fickle(Judge):
        def quality(self, transcript, reply):
            liked = zlib.crc32(f"2{reply}".encode()) % 10 < 7
            return super().quality(transcript, reply) - 2 * ("velvet" in reply and not liked)

    desk = hard_world.seat(firm, library, **seats() | {"judge": Fickle()})
    await compile_coaching(desk, OPTIONS).ainvoke({})
    (event,) = [
        e.event
        for e in await desk.log.read(kinds=("strategy_decided",))
        if e.event.proposal == general_name(1)
    ]
    assert (event.verdict, event.texts) == ("kept", [KIND])
    assert OPTIONS.step.accept_pairs < event.pairs < 3 * OPTIONS.step.accept_pairs


@pytest.mark.parametrize("fitted", [False, True], ids=["invented", "a tactic, fitted"])
async def test_what_takes_up_one_customers_words_is_not_for_all(tmp_path, library, fitted):
    """Each customer has a word of its own; one order names them all, so that it is about each shown."""
    folder = hard_world.build_firm(tmp_path / "world")
    own = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "ivory", "jade",
           "kelp", "lotus", "maple", "nectar", "olive", "pearl"]  # fmt: skip
    trained = [s.id for s in load_environment(folder).split("train")]
    for id_, word in zip(trained, own, strict=True):
        path = folder / "scenarios" / f"{id_}.yaml"
        scenario = yaml.safe_load(path.read_text())
        says = hard_world.KINDS[id_.split("_")[0]][1]
        path.write_text(yaml.safe_dump(scenario | {"opening": f"Hello, {says}, by the {word}."}))
    teacher = Teacher(general=(f"Say velvet with {' '.join(own)}.",))
    firm = load_environment(folder)
    if fitted:
        do = f"Say velvet with {' '.join(own[:-1])}."
        firm.handbook["T1"] = Tactic("T1", "Begin well", "", do, "", "")
    desk = hard_world.seat(firm, library, **seats(teacher))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert teacher.asked and general_of(library) == []
    (proposed,) = [
        e.event
        for e in await desk.log.read(kinds=("strategy_proposed",))
        if e.event.proposal == general_name(1)
    ]
    assert any("is for one customer" in why for why in proposed.refused)


async def test_what_one_rule_gives_is_not_for_all(tmp_path, library):
    folder = hard_world.build_firm(tmp_path / "world")
    policy = folder / "policy.md"
    rule = "- R3: The velvet team takes an injury seriously and answers within two days.\n"
    policy.write_text(policy.read_text() + rule)
    said = "Say that you take the injury seriously and that the velvet team answers."
    desk = hard_world.seat(load_environment(folder), library, **seats(Teacher(general=(said,))))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert general_of(library) == []
    refused = [
        w for e in await desk.log.read(kinds=("strategy_proposed",)) for w in e.event.refused
    ]
    assert f"{said!r}: is for whom one rule is" in refused


async def test_a_round_learns_it_once_and_the_next_one_nothing_that_is_held(
    firm, library, tmp_path
):
    async with await RunLog.open(tmp_path / "run") as log:
        for rounds, asked in ((1, True), (1, False), (2, True)):
            teacher = Teacher()
            desk = hard_world.seat(firm, library, log=log, **seats(teacher))
            await compile_coaching(desk, replace(OPTIONS, rounds=rounds)).ainvoke({})
            assert bool(teacher.asked) is asked and general_of(library) == [KIND]


async def test_what_a_person_rejected_is_not_for_all_either(firm, library):
    await compile_coaching(hard_world.seat(firm, library, **seats()), OPTIONS).ainvoke({})
    (entry,) = [one for one in library.entries() if one.general]
    library.reject([strategy.id for strategy in entry.strategies], "me", "not our tone")
    desk = hard_world.seat(firm, library, **seats())
    await compile_coaching(desk, OPTIONS).ainvoke({})
    proposed = [one.event for one in await desk.log.read(kinds=("strategy_proposed",))]
    (event,) = [one for one in proposed if one.proposal == general_name(1)]
    assert KIND not in event.texts and any("was rejected" in why for why in event.refused)
    assert (await decided(desk)).get(general_name(1)) != "kept"


async def test_a_full_library_is_asked_for_no_more(firm, library):
    texts = [f"Begin with word{number} in the answer." for number in range(MOST_GENERAL)]
    library.add(entry(ANY_CUSTOMER, *texts), "me")
    teacher = Teacher()
    desk = hard_world.seat(firm, library, **seats(teacher))
    await compile_coaching(desk, OPTIONS).ainvoke({})
    assert not teacher.asked and general_of(library) == texts


async def test_of_few_scenarios_nothing_is_said_of_every_customer(firm, library):
    teacher = Teacher()
    desk = hard_world.seat(firm, library, **seats(teacher))
    await compile_coaching(desk, replace(OPTIONS, dialogues=3)).ainvoke({})
    assert not teacher.asked and not general_of(library)


def entry(scenario: str, *texts: str, **fields) -> Entry:
    made = [Strategy.new(text, Provenance(source="teacher", **fields)) for text in texts]
    return Entry.new(scenario, general=scenario == ANY_CUSTOMER, strategies=made)


def test_a_general_entry_comes_last_within_the_budget_and_counts_for_none():
    index = Index([entry(ANY_CUSTOMER, "Be kind."), entry("a parcel that is late", "Say when.")])

    def given(query: str, **options) -> list[str]:
        return [s.text for one in index.search(query, **options) for s in one.strategies]

    assert given("my parcel is late", top=1) == ["Say when.", "Be kind."]
    assert given("umbrellas", top=1) == ["Be kind."]
    assert given("my parcel is late", top=0) == []
    assert given("my parcel is late", token_budget=3) == ["Say when."]
    assert given("my parcel is late", exclude_sources=["teacher"]) == []


def test_what_is_tried_is_given_as_the_nearest_or_last_of_the_general_ones():
    held = [
        entry(ANY_CUSTOMER, "Be kind."), entry("a parcel that is late", "Say when."),
        entry("a late parcel, and a gift", "Say sorry."),
    ]  # fmt: skip
    index, new = Index(held), entry("umbrellas", "Say why.")

    def given(trying: Entry, **options) -> list[str]:
        found = index.search("my parcel is late", trying=trying, threshold=0.1, **options)
        return [s.text for one in found for s in one.strategies]

    assert given(new, top=1) == ["Say why.", "Be kind."]
    assert given(new, top=2) == ["Say why.", "Say when.", "Be kind."]
    assert given(new, top=3) == ["Say why.", "Say when.", "Say sorry.", "Be kind."]
    assert given(new, top=0) == []
    assert given(held[1], top=3) == ["Say when.", "Say sorry.", "Be kind."], "once"
    general = entry(ANY_CUSTOMER, "Be brief.")
    assert given(general, top=1) == ["Say when.", "Be kind.", "Be brief."]
    assert given(general, top=1, token_budget=5) == ["Say when.", "Be kind."], "in what is left"
    assert given(new, top=2, token_budget=4) == ["Say why.", "Be kind."]
    assert given(new, top=2, exclude_sources=["teacher"]) == []
    assert given(entry("umbrellas"), top=2) == ["Say when.", "Be kind."], "the place is taken"


def test_nothing_is_looked_for_where_what_is_tried_takes_the_only_place():
    class Embeddings:
        def embed_documents(self, texts):
            return [[1.0, float(number)] for number, _ in enumerate(texts)]

        def embed_query(self, text):
            raise AssertionError("no vector is needed")

    index = Index([entry("a parcel that is late", "Say when.")], Embeddings())
    (found,) = index.search("my parcel is late", top=1, trying=entry("umbrellas", "Say why."))
    assert [s.text for s in found.strategies] == ["Say why."]
