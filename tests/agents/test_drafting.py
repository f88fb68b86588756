"""Drafting: every rule that has something to say to a customer becomes an entry, and no other."""

from __future__ import annotations

import pytest
from tutelage.agents.advice import drafting
from tutelage.agents.advice.drafting import generic_entry, policy_entries
from tutelage.agents.advice.rule_orders import of_the_policy
from tutelage.environments import load_environment
from tutelage.strategy_store import Library, LibraryFault, vet
from tutelage.strategy_store.lint import lint
from typer.testing import CliRunner

from tutelage.main import app

NO_KEY = {"status": 401, "body": {"error": {"message": "no such key"}}}


@pytest.mark.parametrize("firm", ["airline", "broadband", "furniture"])
def test_every_rule_gives_an_entry_of_its_own_words_or_is_named(firm):
    environment = load_environment(firm)
    entries, silent = policy_entries(environment)
    told = [id_ for entry in entries for id_ in entry.rules]
    assert sorted([*told, *silent]) == sorted(environment.policy.rules)
    assert len({entry.id for entry in entries}) == len(entries)
    assert not [
        one for one in lint([*entries, generic_entry()]) if "describes the same" in one.what
    ]
    for entry in entries:
        assert " under R" not in entry.scenario
        for strategy in entry.strategies:
            assert of_the_policy(strategy.text, environment.policy) and not vet(strategy.text)
            assert strategy.status == "proposed" and strategy.provenance.source == "policy"
            assert not strategy.provenance.learned_in, "it was learned in no scenario"


def test_a_draft_finds_the_rule_that_a_customer_is_about(tmp_path):
    with Library.open(tmp_path / "library.db", create=True) as library:
        library.add_all(policy_entries(load_environment("airline"))[0], "me")
        assert library.index().search("My bag is late.", top=3) == [], "nobody approved it"
        library.approve(None, "me")
        for said, rule in (("My bag is late, is it delivered home?", "R20"),
                           ("My mother died, a close relative.", "R16")):  # fmt: skip
            found = library.index().search(said, top=3)
            assert rule in {id_ for one in found for id_ in one.entry.rules}


def test_the_command_begins_a_library_and_adds_nothing_twice(tmp_path):
    path = str(tmp_path / "library.db")
    first = CliRunner().invoke(app, ["library", "draft", path, "airline", "--by", "bea"])
    assert first.exit_code == 0 and first.output.startswith("added 30 entries and 32 strategies")
    assert "nothing to say to a customer in R1, R2, R22, R31, R34" in first.output
    again = CliRunner().invoke(app, ["library", "draft", path, "airline"])
    assert again.output.startswith("added 0 entries and 0 strategies; already there: 32")
    with Library.open(path) as library:
        assert library.versions()[0].author == "bea"
        (general,) = [entry for entry in library.entries() if entry.general]
        assert [one.provenance.source for one in general.strategies] == ["generic"]
        assert {s.status for e in library.entries() for s in e.strategies} == {"proposed"}


def test_advice_for_every_customer_is_left_out_where_it_is_not_wanted(tmp_path):
    path = str(tmp_path / "library.db")
    done = CliRunner().invoke(app, ["library", "draft", path, "airline", "--no-general"])
    assert done.output.startswith("added 29 entries and 31 strategies")
    with Library.open(path) as library:
        assert not any(entry.general for entry in library.entries())


def test_a_policy_that_says_nothing_to_customers_begins_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(drafting, "orders_of", lambda *_: [])
    path = tmp_path / "library.db"
    with pytest.raises(LibraryFault, match="no rule of its policy"):
        CliRunner().invoke(app, ["library", "draft", str(path), "airline"], catch_exceptions=False)
    assert not path.exists()


def test_coaching_begins_from_a_draft_and_once(tmp_path, endpoint):
    endpoint.answers = [NO_KEY]
    run = tmp_path / "run"
    roles = [word for role in ("student", "teacher", "customer", "judge") for word in
             (f"--{role}", endpoint.spec)]  # fmt: skip
    asked = ["coach", "airline", *roles, "--run", str(run), "--top", "3"]
    environment = {"OPENAI_API_KEY": "none"}
    begun = CliRunner().invoke(app, [*asked, "--draft"], env=environment)
    assert begun.exit_code == 1 and "refused the key" in begun.output, begun.output
    assert "29 entries from the policy, and generic advice" in " ".join(begun.output.split())
    with Library.open(run / "library.db") as library:
        assert len(library.entries()) == 30
        assert {s.status for e in library.entries() for s in e.strategies} == {"proposed"}
        assert library.versions()[0].author == "run run"
        library.rollback(0, "bea")
    again = CliRunner().invoke(app, [*asked, "--draft", "--resume"], env=environment)
    assert again.exit_code == 1, again.output
    with Library.open(run / "library.db") as library:
        assert library.entries() == [], "what a person took back stays away"


def test_without_a_general_step_coaching_begins_without_generic_advice(tmp_path, endpoint):
    endpoint.answers = [NO_KEY]
    asked = ["coach", "airline", "--student", endpoint.spec, "--customer", endpoint.spec, "--judge",
             endpoint.spec, "--teacher", endpoint.spec, "--run", str(tmp_path / "run")]  # fmt: skip
    CliRunner().invoke(app, [*asked, "--draft", "--no-general"], env={"OPENAI_API_KEY": "none"})
    with Library.open(tmp_path / "run" / "library.db") as library:
        assert len(library.entries()) == 29 and not any(e.general for e in library.entries())
