"""`library find`: what a text, and each scenario of a firm, is given, and how near the rest is."""

from __future__ import annotations

import json

import pytest
from commands import tutelage
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import SPOKEN
from tutelage.environments import load_environment
from tutelage.graphs.map.lookup import VERDICTS, look_up, topics_of
from tutelage.strategy_store import ANY_CUSTOMER, Entry, Index, Library, Provenance, Strategy

BAG = "a customer whose bag did not come"
CANCELLED = "a customer whose flight was cancelled"
WORDS = ["bag", "flight", "cancelled", "seat", "dog", "money", "late", "ticket"]


def entry(scenario, text="Say when it comes.", learned="", **changed):
    origin = Provenance(source="teacher" if learned else "person", scenario=learned)
    made = Entry.new(scenario, strategies=[Strategy.new(text, origin)])
    return made.model_copy(update=changed)


@pytest.fixture
def library(tmp_path):
    """Two entries approved, one for everybody, one only proposed."""
    path = tmp_path / "l.db"
    with Library.open(path, create=True) as opened:
        opened.add(entry(BAG, learned="bag_late_wedding"), "test")
        opened.add(entry(CANCELLED, "Offer two ways.", learned="cancelled_waited"), "test")
        opened.add(entry(ANY_CUSTOMER, "Be kind.", general=True), "test")
        opened.approve(None, "ann")
        opened.add(entry("a customer with a dog", "Ask how heavy it is."), "test")
    return path


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(texts, st.lists(texts, max_size=2), st.sampled_from([None, 0.4, 0.9])),
        min_size=1, max_size=6, unique_by=lambda one: one[0],
    ),
    texts,
    st.sampled_from([None, 0.0, 0.3, 0.8]),
)  # fmt: skip
def test_what_is_near_and_not_kept_out_is_what_a_search_gives(shelf, query, threshold):
    index = Index([entry(s, unless=unless, threshold=least) for s, unless, least in shelf])
    near = index.near(query, threshold)
    assert [one.similarity for one in near] == sorted((n.similarity for n in near), reverse=True)
    assert {one.entry.id for one in near} == {one.id for one in index.entries}
    found = index.search(query, top=9, threshold=threshold, token_budget=2000)
    fits = [(one.entry.id, one.similarity) for one in near if not one.kept_out]
    assert [(one.entry.id, one.similarity) for one in found] == fits


def test_an_entry_says_why_it_is_kept_out():
    far = entry("a customer whose bag is late", threshold=0.85)
    apart = entry("a customer whose bag and flight are late", unless=["my bag is late"])
    other = entry("a customer with a dog")
    near = {one.entry.id: one for one in Index([far, apart, other]).near("my bag is late")}
    assert near[far.id].kept_out == ""
    assert near[apart.id].kept_out == "1.00 like a line that it is kept away from"
    assert near[other.id].kept_out == "below 0.50"
    strict = Index([far]).near("my bag, my flight and my dog are all late")[0]
    assert strict.kept_out == "below 0.85"


def test_a_scenario_is_told_whether_it_is_given_what_was_learned_for_its_topic():
    env = load_environment("airline")
    assert env.scenarios["bag_damage_in_care"].topic == "bags"
    asked = [env.scenarios["bag_damage_in_care"]]

    def verdict(*entries):
        (found,) = look_up(env, Index(entries), asked)
        return found.verdict, found.given and found.given.entry.id, found.own and found.own.entry.id

    near = env.scenarios["bag_damage_in_care"].opening or ""
    own = entry(BAG, learned="bag_late_wedding", cues=[near])
    unheard = entry("a customer who wonders", learned="bag_late_wedding")
    other = entry(CANCELLED, learned="cancelled_waited", cues=[near])
    by_hand = entry("a customer with a torn case", cues=[near])
    assert verdict(own, unheard) == ("fits", own.id, own.id)
    assert verdict(unheard, other) == ("another", other.id, unheard.id)
    assert verdict(other) == ("other", other.id, None)
    assert verdict(unheard) == ("missed", None, unheard.id)
    assert verdict(entry("a customer who wonders", learned="cancelled_waited"))[0] == "nothing"
    assert verdict(by_hand, unheard)[0] == "unknown"
    assert topics_of(env, by_hand) == []
    assert topics_of(env, entry(BAG, learned="no_scenario_of_this_firm")) == []


def test_a_text_is_told_what_it_is_given_and_what_is_near(library):
    told = tutelage("library", "find", library, "my bag did not come")
    assert told.returncode == 0
    (first,) = [line for line in told.stdout.splitlines() if BAG in line]
    assert first.rstrip().endswith("given")
    assert any(CANCELLED in line and "below 0.50" in line for line in told.stdout.splitlines())
    assert "- Say when it comes." in told.stdout and "to every customer:\n- Be kind." in told.stdout
    found = json.loads(tutelage("library", "find", library, "my bag did not come", "--json").stdout)
    assert found["strategies"] == ["Say when it comes.", "Be kind."]
    assert [one["scenario"] for one in found["near"]] == [BAG, CANCELLED]
    assert found["near"][0]["entry"] == found["given"][0]
    assert found["near"][0]["meaning"] is None


def test_nothing_that_nobody_approved_is_found_unless_asked_for(library):
    dog = ("library", "find", library, "may I bring a dog")
    assert "dog" not in tutelage(*dog).stdout
    assert "- Ask how heavy it is." in tutelage(*dog, "--proposed").stdout
    fresh = library.with_name("fresh.db")
    with Library.open(fresh, create=True) as opened:
        opened.add(entry(BAG), "test")
    told = tutelage("library", "find", fresh, "my bag")
    assert (told.returncode, told.stdout) == (2, "")
    assert (
        "holds nothing that may be given; approve some, or look in all with --proposed"
        in told.stderr
    )


def test_a_firm_is_told_scenario_by_scenario(library):
    told = tutelage("library", "find", library, "--env", "airline", "--split", "test")
    lines = told.stdout.splitlines()
    tests = [one.id for one in load_environment("airline").split("test")]
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in tests] == tests
    assert "note: by words alone" in told.stderr
    table = lines[: lines.index(f"of {len(tests)} scenarios:")]
    assert max(len(line.rstrip()) for line in table) <= 80
    found = json.loads(
        tutelage("library", "find", library, "--env", "airline", "--split", "test", "--json").stdout
    )
    assert [one["scenario"] for one in found["scenarios"]] == tests
    assert {one["split"] for one in found["scenarios"]} == {"test"}
    assert sum(found["counts"].values()) == len(tests) and found["counts"].keys() <= VERDICTS.keys()
    every = json.loads(tutelage("library", "find", library, "--env", "airline", "--json").stdout)
    assert len(every["scenarios"]) == len(load_environment("airline").scenarios)
    by_name = {one["scenario"]: one for one in every["scenarios"]}
    assert by_name["bag_damage_in_care"]["verdict"] in ("fits", "missed")
    assert by_name["bag_damage_in_care"]["own"]["scenario"] == BAG


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a text or --env, not both"),
        (("my bag", "--env", "airline"), "give a text or --env, not both"),
        ((" ",), "the text says nothing"),
        (("my bag", "--split", "test"), "--split goes with --env"),
        (("--env", "airline", "--top", "2"), "--top goes with a text"),
        (("--env", "airlin"), "did you mean"),
        (("my bag", "--embeddings", "local:none"), "none"),
    ],
)
def test_what_cannot_be_looked_up_is_one_sentence(library, words, said):
    told = tutelage("library", "find", library, *words)
    assert told.returncode == 2 and told.stdout == ""
    assert said in " ".join(told.stderr.split()) and "Traceback" not in told.stderr


def test_what_others_wrote_commands_no_terminal(tmp_path):
    path = tmp_path / "l.db"
    with Library.open(path, create=True) as opened:
        opened.add(entry("a customer [bold]whose[/] [/x] bag is late", learned=""), "test")
        opened.approve(None, "ann")
    told = tutelage("library", "find", path, f"my bag is late {SPOKEN}")
    assert told.returncode == 0 and "[bold]whose[/] [/x] bag" in told.stdout
    assert "\x1b" not in told.stdout and "\u202e" not in told.stdout
