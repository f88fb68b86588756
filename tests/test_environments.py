"""A firm's folder: every error names file, line and field; the bundled firms hold what they must."""

from __future__ import annotations

import json
import shutil
import time

import jsonschema
import pytest
import yaml
from tutelage.environments import (
    EnvironmentFault,
    Question,
    bundled_names,
    check_mean,
    load_environment,
)
from tutelage.environments.json_schema import KINDS, committed_text, schema_text
from tutelage.environments.rubric import Contains, Excludes, Regex, Words, passes
from tutelage.environments.scaffold import new_environment, new_persona
from tutelage.environments.tau2 import import_tau2


def problems(folder) -> str:
    with pytest.raises(EnvironmentFault) as caught:
        load_environment(folder)
    return str(caught.value)


BREAKAGES = [
    ("environment.yaml", "sells:", "selles:", r"environment.yaml:4: selles:", "mean 'sells'"),
    ("environment.yaml", "[late_parcel]", "[late_parcl]", "splits.train.0", "'late_parcel'"),
    ("environment.yaml", "kind: words", "kind: wrds", "rubric.2", "'words'"),
    ("environment.yaml", "at_most: 90", "at_most: many", "rubric.2.words.at_most", "'many'"),
    ("environment.yaml", "at_most: 90", "at_mst: 90", "rubric.2.words.at_mst", "mean 'at_most'"),
    (
        "environment.yaml",
        "question: Does the c",
        "qestion: Does the c",
        "rubric.1",
        "mean 'question'",
    ),
    ("personas/hurried.yaml", "patience: 5", "patience: 50", "hurried.yaml:11: patience", "20"),
    ("personas/hurried.yaml", "discloses: when_asked", "discloses: asked", "discloses", "when_a"),
    ("personas/hurried.yaml", "goal: wants", "goal: [wants", "is broken YAML", "hurried.yaml:"),
    ("scenarios/late_parcel.yaml", "[R1, R2]", "[R1, R22]", "rules.1", "mean 'R2'"),
    ("scenarios/late_parcel.yaml", "id: late_parcel", "id: lost_parcel", "in no split", "lost_"),
    ("policy.md", "R2:", "R1:", "policy.md:5: R1", "twice"),
    ("handbook/tactics.md", "Source: field practice", "Src: x", "tactics.md:8", "'Source'"),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "hint"), BREAKAGES)
def test_an_error_names_file_line_field_and_the_nearest_name(bakery, file, old, new, where, hint):
    path = bakery / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    said = problems(bakery)
    assert where in said and hint in said, said


LATE = "scenarios/late_parcel.yaml"
ITEM = "rubric: [{{id: x, kind: {}}}]\n"


@pytest.mark.parametrize(
    ("items", "where", "hint"),
    [
        (
            "rubric:\n- {id: x, kind: contains, any_of: [a]}\n- {id: x, kind: contains, any_of: [b]}\n",
            r"late_parcel.yaml:{end}: rubric.1.id: ", "'x' stands twice",
        ),
        (ITEM.format("words, at_least: 150"), ":{end}: rubric.0.words: ",
         "at_least 150 is more than at_most 120"),
        (ITEM.format('excludes, none_of: [bro, " "]'), ":{end}: rubric.0.excludes.none_of.1: ",
         "is empty"),
        (ITEM.format('contains, any_of: [""]'), ":{end}: rubric.0.contains.any_of.0: ", "is empty"),
    ],
)  # fmt: skip
def test_an_item_that_would_mean_something_else_than_written_is_named(bakery, items, where, hint):
    text = (bakery / LATE).read_text() + items
    (bakery / LATE).write_text(text)
    said = problems(bakery)
    assert where.format(end=len(text.splitlines())) in said and hint in said, said


def test_spaces_of_phrases_and_patterns_are_kept_and_the_end_of_a_block_is_not(bakery):
    with (bakery / LATE).open("a") as file:
        file.write(
            "rubric:\n- {id: a, kind: excludes, none_of: [' bro ']}\n"
            "- {id: b, kind: regex, pattern: ' pin '}\n- {id: c, kind: contains, any_of: [' Hi']}\n"
            "- id: d\n  kind: regex\n  pattern: |\n    pin$\n"
        )
    bro, pin, hi, end = load_environment(bakery).scenarios["late_parcel"].rubric
    assert passes(bro, "Your broadband works.") and not passes(bro, "Well, bro , no.")
    assert passes(pin, "your pin please") and not passes(pin, "keep shipping")
    assert passes(hi, "Oh, hi!") and not passes(hi, "this")
    assert passes(end, "your pin")


def test_what_hangs_on_a_broken_file_is_not_a_problem_of_its_own(bakery):
    for file, old in (("scenarios/late_parcel.yaml", "title:"), ("personas/hurried.yaml", "goal:")):
        path = bakery / file
        path.write_text(path.read_text().replace(old, "wrong:", 1))
    scenario = bakery / "scenarios" / "wrong_size.yaml"
    scenario.write_text(scenario.read_text() + "personas: [hurried]\n")
    said = problems(bakery)
    assert "is no scenario" not in said and "is no persona" not in said
    assert said.count("wrong: is no field") == 2 and said.count("is missing") == 2


def test_a_missing_policy_is_one_problem_and_not_one_a_rule(bakery):
    scenario = bakery / "scenarios" / "late_parcel.yaml"
    scenario.write_text(scenario.read_text() + "\nrules: [R1]\n")
    (bakery / "policy.md").unlink()
    said = problems(bakery)
    assert "policy.md: is missing" in said and "no rule" not in said


def test_missing_and_unreadable_files_are_named(bakery):
    (bakery / "policy.md").unlink()
    (bakery / "personas" / "hurried.yaml").write_bytes(b"name: \xff\xfe")
    said = problems(bakery)
    assert "policy.md: is missing" in said
    assert "hurried.yaml: is not UTF-8" in said


def test_an_unknown_firm_offers_the_nearest_and_is_wrong_use():
    with pytest.raises(EnvironmentFault, match="did you mean 'airline'") as caught:
        load_environment("airlin")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_firm_is_worth_a_real_desk(name):
    firm = load_environment(name)
    assert len(firm.policy.rules) >= 30
    assert len(firm.personas) >= 12
    assert len(firm.scenarios) >= 40
    assert len(firm.handbook) >= 25
    assert all(len(tactic.do.split()) <= 25 for tactic in firm.handbook.values())
    kinds = {isinstance(item, Question) for item in firm.config.rubric}
    assert kinds == {True, False}
    assert all(firm.split(split) for split in ("train", "validation", "test"))
    used = {p for s in firm.scenarios.values() for p in s.personas}
    assert used == set(firm.personas)
    at_stake = {rule for s in firm.scenarios.values() for rule in s.rules}
    assert at_stake == set(firm.policy.rules)
    assert all(scenario.opening for scenario in firm.scenarios.values())


def test_there_is_a_bundled_firm():
    assert "airline" in bundled_names()


def test_scaffolds_are_valid_and_never_overwrite(tmp_path):
    folder = new_environment("corner_shop", tmp_path / "shop")
    new_persona(folder, "night_shift")
    firm = load_environment(folder)
    assert firm.name == "corner_shop" and "night_shift" in firm.personas
    for again in (
        lambda: new_environment("corner_shop", tmp_path / "shop"),
        lambda: new_persona(folder, "night_shift"),
    ):
        with pytest.raises(EnvironmentFault, match="there already"):
            again()
    with pytest.raises(EnvironmentFault, match="is no name") as caught:
        new_environment("../evil", tmp_path / "x")
    assert caught.value.exit_code == 2


def test_a_full_disk_is_said_and_leaves_no_half_firm(tmp_path, monkeypatch):
    def copytree(source, folder):
        folder.mkdir()
        raise shutil.Error([(str(source), str(folder), "[Errno 28] No space left on device")])

    monkeypatch.setattr(shutil, "copytree", copytree)
    with pytest.raises(EnvironmentFault, match=r"cannot be written: .*No space left"):
        new_environment("bakery", tmp_path / "bakery")
    assert not (tmp_path / "bakery").exists()


def test_checks_by_code_have_known_answers():
    assert passes(Contains(id="a", kind="contains", any_of=["Refund"]), "a full REFUND")
    assert not passes(Excludes(id="a", kind="excludes", none_of=["as an ai"]), "As an AI, no")
    assert passes(Regex(id="a", kind="regex", pattern=r"\b240\b"), "240 euros")
    assert not passes(Regex(id="a", kind="regex", pattern=r"\b240\b", absent=True), "240 euros")
    assert not passes(Words(id="a", kind="words", at_least=2, at_most=3), "one")
    items = [
        Words(id="a", kind="words", at_most=2, weight=3),
        Contains(id="b", kind="contains", any_of=["x"]),
        Contains(id="c", kind="contains", any_of=["y"], scope="dialogue"),
    ]
    assert check_mean(items, "one two") == pytest.approx(0.6)
    assert check_mean(items, "one two", ["y was said"]) == pytest.approx(0.8)
    assert check_mean(items, "x y") == 1.0
    assert check_mean([], "x") is None


def test_tau2_airline_comes_in_whole(tau2_airline, tmp_path):
    tasks = json.loads((tau2_airline / "tasks.json").read_text())
    splits = json.loads((tau2_airline / "split_tasks.json").read_text())
    made, notes = import_tau2(tau2_airline, tmp_path / "firm")
    firm = load_environment(made)
    assert len(firm.scenarios) == len(tasks) == 50
    assert {s.id.removeprefix("task_") for s in firm.split("train")} == set(splits["train"])
    assert {s.id.removeprefix("task_") for s in firm.split("test")} == set(splits["test"])
    assert any("base" in note for note in notes)
    for task in tasks:
        criteria = task["evaluation_criteria"]
        rubric = firm.scenarios[f"task_{task['id']}"].rubric
        asked = [item for item in rubric if isinstance(item, Question)]
        assert len(asked) == len(criteria["nl_assertions"])
        assert all(
            a.strip() in q.question for a, q in zip(criteria["nl_assertions"], asked, strict=True)
        )
        checks = [item for item in rubric if not isinstance(item, Question)]
        assert len(checks) == len(criteria["communicate_info"])
        for fact, check in zip(criteria["communicate_info"], checks, strict=True):
            assert passes(check, f"That makes {fact} in all.")
            assert not passes(check, "That makes nothing.")


SCHEMA_OF = {"environment.yaml": "environment", "personas": "persona", "scenarios": "scenario"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_the_one_the_models_give(kind):
    # As values: pydantic 2.10 writes 10 where 2.14 writes 10.0.
    assert json.loads(committed_text(kind)) == json.loads(schema_text(kind)), (
        f"tutelage env schema {kind} > ..."
    )


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_files_fit_the_schemas_and_broken_ones_do_not(name):
    folder = load_environment(name).path
    for file in [folder / "environment.yaml", *folder.glob("*/*.yaml")]:
        kind = SCHEMA_OF[file.name if file.parent == folder else file.parent.name]
        validator = jsonschema.Draft202012Validator(json.loads(committed_text(kind)))
        data = yaml.safe_load(file.read_text())
        validator.validate(data)
        assert not validator.is_valid({**data, "surprise": 1}), file
        del data[next(iter(data))]
        assert not validator.is_valid(data), file


def test_hostile_files_are_refused_at_once(bakery):
    persona = bakery / "personas" / "hurried.yaml"
    bomb = "a: &a [x]\n" + "".join(
        f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}, *a, *a]\n" for n in range(40)
    )
    persona.write_text(bomb)
    assert "hurried.yaml:2" in problems(bakery) and "aliases" in problems(bakery)
    persona.write_text("name: hurried\nname: other\n")
    assert "hurried.yaml:2" in problems(bakery) and "stands twice" in problems(bakery)


@pytest.mark.parametrize(
    "value", ["2026-02-30", "!!int abc", "!!timestamp soon", "!!bool soon", "9" * 5000, "!!int ''"]
)
def test_a_value_that_yaml_cannot_make_is_named_with_its_line(bakery, value):
    head = bakery / "environment.yaml"
    head.write_text(head.read_text().replace("sells:", f"origin: {value}\nsells:", 1))
    assert "environment.yaml:4: is broken YAML: " in problems(bakery)


def test_a_pattern_that_never_ends_is_named():
    item = Regex(id="slow", kind="regex", pattern=r"^(\w|\w\w)+$")
    began = time.monotonic()
    with pytest.raises(EnvironmentFault, match=r"slow: the pattern .* searches longer"):
        passes(item, "a" * 60 + "!")
    assert time.monotonic() - began < 5


def _domain(folder, tasks, **files):
    folder.mkdir()
    (folder / "tasks.json").write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
    (folder / "policy.md").write_text("# Rules\n- Be kind.\n")
    for name, text in files.items():
        (folder / f"{name}.json").write_text(json.dumps(text))
    return folder


def test_other_tau2_domains_come_in_as_well(tmp_path):
    tasks = [
        {
            "id": "[mobile]x|y",
            "user_scenario": {"persona": "An easy customer", "instructions": "Your phone is dead."},
        },
        {
            "id": 7,
            "description": "Second",
            "user_scenario": {"instructions": {"reason_for_call": "You want to pay 1628 dollars"}},
            "evaluation_criteria": {"communicate_info": ["1628"], "nl_assertions": None},
        },
    ]
    made, notes = import_tau2(_domain(tmp_path / "telecom", tasks), tmp_path / "out")
    firm = load_environment(made)
    assert set(firm.scenarios) == {"task_mobile_x_y", "task_7"}
    assert any("no split" in note for note in notes)
    (check,) = firm.scenarios["task_7"].rubric
    assert passes(check, "It is $1,628 in all") and not passes(check, "11628")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("[{", "tasks.json:1: is broken JSON"),
        (f"[{'7' * 5000}]", r"tasks.json: cannot be read: .*4300"),
        ([], "holds no tasks"),
        ([3], r"\[0\]"),
        ([{"id": "a", "user_scenario": []}], r"\[0\].user_scenario: is a list"),
        ([{"id": "a"}], "says too little"),
        ([{"id": x, "user_scenario": {"instructions": "long enough text"}} for x in "aa"], "twice"),
    ],
)
def test_broken_tasks_are_named_and_leave_nothing_behind(tmp_path, tasks, said):
    source = _domain(tmp_path / "shop", tasks)
    with pytest.raises(EnvironmentFault, match=said):
        import_tau2(source, tmp_path / "out" / "firm")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def tau2_folder(folder, *actions, told="I am pat_7 and want booking AB12 cancelled."):
    """A tau2 domain of our own with one task that expects these actions."""
    folder.mkdir()
    criteria = {"actions": [{"name": name, "arguments": given} for name, given in actions],
                "nl_assertions": ["The agent says what was done."], "communicate_info": []}  # fmt: skip
    task = {"id": "1", "description": {"purpose": "A plain wish."},
            "user_scenario": {"persona": None, "instructions": {"reason_for_call": told}},
            "evaluation_criteria": criteria}  # fmt: skip
    (folder / "tasks.json").write_text(json.dumps([task]))
    (folder / "policy.md").write_text("# Policy\n- R1: Be kind to every caller.\n")
    return folder


async def noted(firm, *uses):
    """The state checks of the only task after these tool calls."""
    from tutelage.agents.toolbox import open_toolbox
    from tutelage.environments import StateCheck, state_score

    scenario = next(iter(firm.scenarios.values()))
    async with open_toolbox(firm, scenario) as box:
        for name, given in uses:
            use = await box.use(name, given)
            assert not use.error, use.result
        state = await box.read()
    checks = [item for item in scenario.rubric if isinstance(item, StateCheck)]
    return [state_score(check, state) for check in checks]


async def test_tau2_actions_become_tools_and_what_the_customer_can_name_is_checked(tmp_path):
    cancel = ("cancel_booking", {"booking": "AB12", "refund_to": "card_991", "bags": 2})
    folder = tau2_folder(tmp_path / "in", ("get_user", {"user": "pat_7"}), cancel)
    made, notes = import_tau2(folder, tmp_path / "firm", tools=True)
    firm = load_environment(made)
    assert [tool.name for tool in firm.tools] == ["cancel_booking"]
    assert any("1 of 1 expected changes" in note for note in notes)
    # The card is in nobody's hands but the database's: any will do.
    assert await noted(firm, ("cancel_booking", {**cancel[1], "refund_to": "any"})) == [1.0]
    assert await noted(firm, ("cancel_booking", {**cancel[1], "booking": "ZZ99"})) == [0.0]
    assert await noted(firm) == [0.0]


async def test_a_tau2_task_without_a_change_holds_that_nothing_is_done(tmp_path):
    folder = tau2_folder(tmp_path / "in", ("get_user", {"user": "pat_7"}))
    with pytest.raises(EnvironmentFault, match="names no action that changes anything"):
        import_tau2(folder, tmp_path / "firm", tools=True)
    tasks = json.loads((folder / "tasks.json").read_text())
    other = json.loads(json.dumps(tasks[0])) | {"id": "2"}
    other["evaluation_criteria"]["actions"] = [
        {"name": "cancel_booking", "arguments": {"b": "X1", "why": "ill"}},
        {"name": "cancel_booking", "arguments": {"b": "X2"}},
    ]
    (folder / "tasks.json").write_text(json.dumps([*tasks, other]))
    made, _ = import_tau2(folder, tmp_path / "firm", tools=True)
    firm = load_environment(made)
    assert await noted(firm) == [1.0]
    assert await noted(firm, ("cancel_booking", {"b": "X1"})) == [0.0]


@pytest.mark.parametrize(
    "action",
    [
        ("x(): pass\nimport os\ndef f", {}),
        ("cancel", {'a: str = __import__("os").system("touch /tmp/x")': 1}),
        ("class", {}),
        ("cancel", {"lambda": 1}),
    ],
)
def test_hostile_tau2_names_never_become_code(tmp_path, action):
    folder = tau2_folder(tmp_path / "in", action, ("cancel_booking", {"booking": "AB12"}))
    made, _ = import_tau2(folder, tmp_path / "firm", tools=True)
    assert [tool.name for tool in load_environment(made).tools] == ["cancel_booking"]
    text = (made / "tools.py").read_text()
    assert "os" not in text.replace("reason", "").split() and "__import__" not in text


async def test_tau2_airline_with_tools(tau2_airline, tmp_path):
    made, notes = import_tau2(tau2_airline, tmp_path / "firm", tools=True)
    firm = load_environment(made)
    assert len(firm.scenarios) == 50 and "cancel_reservation" in {t.name for t in firm.tools}
    assert any("of 49 expected changes are checked by code" in note for note in notes)
    quiet = [s for s in firm.scenarios.values() if any(i.id == "nothing_done" for i in s.rubric)]
    assert len(quiet) == 24


async def test_a_tau2_argument_called_state_is_noted_beside_the_state(tmp_path):
    move = ("move_house", {"user": "pat_7", "state": "Ohio", "state_": "old"})
    folder = tau2_folder(tmp_path / "in", move, told="I am pat_7 and move to Ohio.")
    made, _ = import_tau2(folder, tmp_path / "firm", tools=True)
    firm = load_environment(made)
    given = {"user": "pat_7", "state__": "Ohio", "state_": "old"}
    assert await noted(firm, ("move_house", given)) == [1.0, 1.0]
    assert await noted(firm, ("move_house", {**given, "state__": "Iowa"})) == [1.0, 0.0]


def _asks(*ids):
    return [{"id": id_, "user_scenario": {"instructions": f"I ask {n} things"}}
            for n, id_ in enumerate(ids)]  # fmt: skip


def test_tau2_ids_that_differ_only_late_or_in_signs_are_different_tasks(tmp_path):
    ids = ["x" * 60 + "a", "x" * 60 + "b", "[a]b", "a|b", "你好", None, None]
    made, _ = import_tau2(_domain(tmp_path / "telecom", _asks(*ids)), tmp_path / "out")
    scenarios = load_environment(made).scenarios
    assert len(scenarios) == len({s.situation for s in scenarios.values()}) == len(ids)
    again, _ = import_tau2(tmp_path / "telecom", tmp_path / "again")
    assert set(load_environment(again).scenarios) == set(scenarios)


def test_a_tau2_split_that_is_no_list_is_named(tmp_path):
    folder = _domain(tmp_path / "telecom", _asks("one"))
    (folder / "split_tasks.json").write_text('{"train": 3}')
    with pytest.raises(EnvironmentFault, match=r"split_tasks\.json: .*train: is a int"):
        import_tau2(folder, tmp_path / "out")


def test_a_large_tau2_file_comes_in(tmp_path):
    tasks = [*_asks("one"), {**_asks("two")[0], "padding": "x" * 3_000_000}]
    made, _ = import_tau2(_domain(tmp_path / "telecom", tasks), tmp_path / "out")
    assert len(load_environment(made).scenarios) == 2


def test_what_an_import_finds_wrong_is_said_of_the_folder_that_was_asked_for(tmp_path):
    tasks = [{"id": "1", "user_scenario": {"instructions": "x" * 20}, "description": "?"}]
    with pytest.raises(EnvironmentFault) as caught:
        import_tau2(_domain(tmp_path / "shop", tasks), tmp_path / "out" / "firm")
    place = tmp_path / "out" / "firm" / "scenarios" / "task_1.yaml"
    assert str(caught.value).startswith(f"{place}:2: title: ")
