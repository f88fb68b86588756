"""What an import cannot take over is said, and a file that means two things is refused."""

from __future__ import annotations

import re

import pytest
from commands import tutelage
from tutelage.strategy_store import Entry, Library, LibraryFault, Provenance, Strategy
from tutelage.strategy_store.exchange import export_text, import_text

ORIGIN = Provenance(source="person")
WAITS, GRIEVES = "a customer who waits", "a customer in grief"


def entry(scenario, *texts, **words):
    made = [Strategy.new(text, ORIGIN) for text in texts]
    return Entry.new(scenario, strategies=made, **words)


@pytest.fixture
def exported(tmp_path):
    """A library of two entries, its export, and how a person edits that and brings it in again."""
    path, file = tmp_path / "l.db", tmp_path / "l.yaml"
    with Library.open(path, create=True) as library:
        library.add_all(
            [
                entry(WAITS, "Say when.", cues=["how long"], wants="to go"),
                entry(GRIEVES, "Condole once.", cues=["my mother died"]),
            ],
            "me",
        )
    text = export_text(Library.open(path).entries(), "yaml")

    def bring_in(*edits, approved=False):
        if approved:
            with Library.open(path) as library:
                library.approve(None, "me")
        edited = text
        for old, new in edits:
            assert old in edited
            edited = edited.replace(old, new)
        file.write_text(edited)
        done = tutelage("library", "import", path, file)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return path, bring_in


@pytest.mark.parametrize("approved", [False, True])
def test_words_that_were_edited_in_a_file_and_do_not_come_in_are_named(exported, approved):
    path, bring_in = exported
    waits, grieves = Library.open(path).entries()
    said = bring_in((GRIEVES, "a customer whose child is ill"), ("my mother died", "my child is ill"),
                    approved=approved)  # fmt: skip
    assert said.startswith("added 0 entries and 0 strategies; already there: 2 strategies")
    assert f"\n1 entry reads otherwise in the file ({grieves.id}: scenario, cues); " in said
    assert said.endswith(f"words stay: change them by `tutelage review {path}`\n")
    assert waits.id not in said
    now = Library.open(path).entry(grieves.id)
    assert now.scenario == GRIEVES and "my mother died" in now.cues
    assert ("my child is ill" in now.cues) is not approved
    both = bring_in((GRIEVES, "a customer whose child is ill"), ("to go", "to stay"))
    assert f"\n2 entries read otherwise in the file ({waits.id}: wants; {grieves.id}: sc" in both


def test_what_a_file_does_not_say_or_says_in_another_order_is_no_edit(exported):
    path, bring_in = exported
    assert "otherwise" not in bring_in()
    assert "otherwise" not in bring_in(("  wants: to go\n", ""), ("  cues:\n  - how long\n", ""))
    cues = "  cues:\n  - how long\n"
    assert "otherwise" not in bring_in((cues, "  cues: [since 4711 hours, how long]\n"))
    assert Library.open(path).entries()[0].cues == ["how long", "since (number) hours"]
    assert "otherwise" not in bring_in((cues, "  cues: [since 12 hours, how long]\n"))


def test_a_text_in_other_letters_is_there_already_and_named(exported):
    path, bring_in = exported
    (strategy,) = Library.open(path).entries()[0].strategies
    assert f"{strategy.id})" in bring_in(("Say when.", "SAY when."))


def test_one_id_under_two_scenarios_is_refused_with_both_lines():
    held = (
        "tutelage_library: 1\nentries:\n"
        f"- {{id: e1, scenario: {WAITS}, strategies: [Say when.]}}\n"
        f"- {{id: e2, scenario: {GRIEVES}}}\n"
        f"- {{id: e1, scenario: {GRIEVES}, strategies: [Condole once.]}}\n"
    )
    with pytest.raises(
        LibraryFault, match=r"^x:5: entry: id: 'e1' .*two scenarios.* line 3;"
    ) as fault:
        import_text(held, "x")
    assert "\n" not in str(fault.value)
    one, other = export_text([entry(WAITS)], "markdown"), export_text([entry(GRIEVES)], "markdown")
    other = re.sub(r"id: \w+", f"id: {entry(WAITS).id}", other[other.index("## ") :])
    with pytest.raises(LibraryFault, match=r"^x:15: .*line 8;"):
        import_text(f"{one}\n{other}", "x")
    again = held.replace(GRIEVES, f"'{WAITS.upper()}  '").replace("e2", "e1")
    assert len(import_text(again, "x")) == 3, "the same scenario twice is one entry"


@pytest.mark.parametrize("there", [False, True])
def test_a_text_that_a_file_holds_twice_comes_in_once(library, there):
    if there:
        library.add(entry(WAITS), "me")
    twice = entry(WAITS, "Say when.").model_copy(
        update={
            "strategies": [
                Strategy(id=id_, text=text, provenance=ORIGIN)
                for id_, text in (("s1", "Say when."), ("s2", "SAY when."), ("s3", "Say so."))
            ]
        }
    )
    added = library.add_all([twice], "me")
    assert [s.id for s in library.entries()[0].strategies] == ["s1", "s3"]
    assert (added.strategies, added.there) == (2, 1)


@pytest.mark.parametrize("form", ["yaml", "markdown"])
def test_the_export_of_an_empty_library_comes_in(form):
    assert import_text(export_text([], form), "x") == []


@pytest.mark.parametrize("cue", [
    "It says:\ntutelage_library is missing", "tutelage_library: 1", "why " * 25 + "tutelage_library so",
])  # fmt: skip
def test_a_line_that_begins_as_a_library_does_makes_no_yaml_of_markdown(cue):
    held = [entry(WAITS, "Say when.", cues=[cue]), entry(f"tutelage_library {GRIEVES}")]
    for form in ("markdown", "yaml"):
        assert import_text(export_text(held, form), "x") == held
