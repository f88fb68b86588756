"""The map names the cause and not the symptom, and finds planted gaps and duplicates."""

from __future__ import annotations

import io
import json
from itertools import combinations
from xml.etree import ElementTree

import networkx as nx
import pytest
import world
import yaml
from commands import in_a_process as tutelage
from hypothesis import given
from hypothesis import strategies as st
from tutelage.environments import load_environment
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    RunStarted,
    StateExamined,
    StrategyDecided,
    TurnSpoken,
)
from tutelage.graphs.log.run_log import MemoryLog, RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.map.coverage import coverage, possible_meetings
from tutelage.graphs.map.scenario_map import Step, causes_of, read_map, to_teach

from tutelage.reports.map_drawing import _HEIGHT, _WIDTH, _places

GREETING = ["good morning, kindly somebody there", "morning greetings, is somebody kindly there"]
BROKEN = ["the wardrobe arrived splintered and broken", "my broken wardrobe arrived, splintered"]
LAWYER = ["then my lawyer will write to court", "court it is, my lawyer will write"]
LINES = {"G": GREETING, "A": BROKEN, "B": LAWYER}


@pytest.fixture
def firm(tmp_path):
    return load_environment(world.build_firm(tmp_path / "world"))


async def tell(
    log, name, path, *, scenario="broken_0", valid=True, purpose="train", number=1, arm="library"
):
    """Write one dialogue: a path of (node letter or line, score)."""
    await log.append(
        DialogueStarted(
            dialogue=name,
            round=number,
            purpose=purpose,
            scenario=scenario,
            persona="anyone",
            arm=arm,
        )
    )
    for turn, (node, _) in enumerate(path):
        line = LINES[node][len(name) % 2] if node in LINES else node
        await log.append(TurnSpoken(dialogue=name, turn=turn, speaker="customer", text=line))
        await log.append(TurnSpoken(dialogue=name, turn=turn, speaker="student", text="Hm."))
    scores = [score for _, score in path]
    await log.append(
        DialogueJudged(dialogue=name, satisfaction=scores[-1], rubric=0.5, turn_scores=scores)
    )
    await log.append(
        DialogueEnded(dialogue=name, reason="turn_limit", turns=2 * len(path), valid=valid)
    )


def node_with(drawn, word):
    (found,) = [node for node in drawn.nodes if word in node.label]
    return found


async def test_the_cause_is_named_and_not_the_symptom(firm):
    log = MemoryLog()
    for number in range(6):
        await tell(log, "d" * (number + 1), [("G", 4.5), ("A", 2.0), ("B", 1.2)])
    drawn = await read_map(log, firm)
    assert len(drawn.nodes) == 3
    cause, symptom = node_with(drawn, "wardrobe"), node_with(drawn, "lawyer")
    assert symptom.loss > cause.loss, "the symptom looks worse, or the test is easy"
    assert drawn.nodes[0] == cause
    assert cause.upstream > 1.4
    assert symptom.upstream < 0.6
    edges = {(edge.start, edge.end): edge for edge in drawn.edges}
    fall = edges[cause.id, symptom.id]
    assert (fall.count, round(fall.change, 2)) == (6, -0.8)
    assert len(edges) == 2


async def test_a_good_reply_that_only_came_before_is_not_blamed(firm):
    log = MemoryLog()
    for number in range(4):
        await tell(log, "d" * (number + 1), [("A", 4.8), ("B", 1.2)])
    drawn = await read_map(log, firm)
    assert "lawyer" in drawn.nodes[0].label
    assert node_with(drawn, "wardrobe").share < 0.1


async def test_blame_follows_the_dialogues_in_which_it_went_wrong(firm):
    """A is weak in half of the dialogues and B is weak only there: A is the cause, though A is good
    on the whole and B comes after it always.
    """
    log = MemoryLog()
    for number in range(8):
        path = [("A", 1.5), ("B", 1.0)] if number % 2 else [("A", 5.0), ("B", 5.0)]
        await tell(log, "d" * (number + 1), path)
    assert "wardrobe" in (await read_map(log, firm)).nodes[0].label


@given(
    st.lists(st.lists(st.builds(Step, st.integers(0, 5), st.floats(0, 1)), max_size=7), max_size=8)
)
def test_causes_are_the_losses_moved(paths):
    causes = causes_of(paths)
    steps = [step for path in paths for step in path]
    assert set(causes) == {step.node for step in steps}
    assert all(cause >= -1e-9 for cause in causes.values())
    mean = sum(step.weakness for step in steps) / max(len(steps), 1)
    assert sum(causes.values()) == pytest.approx(mean, abs=1e-9)
    for node, cause in causes.items():
        if all(step.weakness == 0 for step in steps if step.node == node):
            assert cause == pytest.approx(0, abs=1e-12), (
                "a node without a weak reply causes nothing"
            )


async def test_invalid_dialogues_and_held_out_ones_are_not_taught_from(firm):
    log = MemoryLog()
    await tell(log, "one", [("A", 2.0)])
    await tell(log, "two", [("B", 1.0)], valid=False)
    await tell(log, "three", [("G", 1.0)], purpose="validation")
    (node,) = (await read_map(log, firm)).nodes
    assert "wardrobe" in node.label and node.visits == 1


async def test_the_teachers_sentence_names_a_node(firm):
    log = MemoryLog()
    await tell(log, "one", [("A", 2.0)])
    sentence = "a customer whose wardrobe arrived broken"
    await log.append(
        StateExamined(
            dialogue="one", turn=0, round=1, scenario=sentence, customer_says="", student_reply="",
            teacher_reply="", preference=0.9, weak=True,
        )
    )  # fmt: skip
    (node,) = (await read_map(log, firm)).nodes
    assert node.label == sentence


async def test_what_is_taught_first_is_the_cause(firm):
    log = MemoryLog()
    for number in range(5):
        await tell(log, "d" * (number + 1), [("G", 4.5), ("A", 2.0), ("B", 1.2)])
    await tell(log, "elsewhere", [("my cake is mouldy and grey inside", 2.5)], number=2)
    dialogues = list((await played(log)).values())
    chosen = to_teach(dialogues, dialogues, firm, 3)
    assert [state.turn for state in chosen] == [1, 1, 1]
    everything = to_teach(dialogues, dialogues, firm, 20)
    assert len(everything) == 6, "of each dialogue one state"
    (only,) = to_teach(dialogues, dialogues[-1:], firm, 3)
    assert only.dialogue == "elsewhere", "only states of the round are taught"


def planted(folder):
    """The world firm with a policy of three rules, topics, a second persona, and two plants: a
    scenario that is another in other words, and one that is far from all.
    """
    (folder / "policy.md").write_text(
        "# One\n- R1: Answer within the hour.\n# Two\n- R2: Broken wardrobes are replaced.\n"
        "# Three\n- R3: Parrots travel free of charge.\n"
    )
    persona = yaml.safe_load((folder / "personas" / "anyone.yaml").read_text()) | {"name": "rude"}
    (folder / "personas" / "rude.yaml").write_text(yaml.safe_dump(persona))
    for path in (folder / "scenarios").glob("*.yaml"):
        path.unlink()
    scenarios = {
        "wardrobe": ("The wardrobe arrived broken, with splinters on every shelf", ["R2"], "goods"),
        "wardrobe_again": (
            "A wardrobe arrived broken with splinters on each shelf",
            ["R2"],
            "goods",
        ),
        "late": ("The order did not come today although promised", ["R1"], "delivery"),
        "parrot": ("A green parrot shall fly along to Lisbon", [], "animals"),
    }
    for id_, (situation, rules, topic) in scenarios.items():
        value = {"id": id_, "title": id_, "situation": situation, "goal": "have it settled",
                 "rules": rules, "topic": topic}  # fmt: skip
        (folder / "scenarios" / f"{id_}.yaml").write_text(yaml.safe_dump(value))
    head = yaml.safe_load((folder / "environment.yaml").read_text())
    head["splits"] = {"train": list(scenarios)}
    (folder / "environment.yaml").write_text(yaml.safe_dump(head))
    return load_environment(folder)


async def test_planted_gaps_and_duplicates_are_found(tmp_path):
    firm = planted(world.build_firm(tmp_path / "world"))
    log = MemoryLog()
    await tell(log, "one", [("A", 2.0)], scenario="wardrobe")
    await tell(log, "two", [("B", 2.0)], scenario="late")
    for proposal, sentence in (
        ("p1", "a customer whose wardrobe arrived broken and who wants a new one"),
        ("p2", "a customer who wants a new one since the wardrobe arrived broken"),
        ("p3", "a customer who was charged twice"),
        ("r1.topic.cancelled", "a customer whose matter is cancelled"),
        ("r1.topic.cancellation", "a customer whose matter is cancellation"),
    ):
        await log.append(
            StrategyDecided(
                proposal=proposal, verdict="kept", reason="",
                dialogue=proposal if "topic" in proposal else "one", turn=0,
                scenario=sentence, texts=[],
            )
        )  # fmt: skip
    drawn = await read_map(log, firm)
    found = drawn.coverage
    assert [gap.id for gap in found.rule_gaps] == ["R3"]
    assert found.rule_gaps[0].scenarios == []
    cells = {(gap.persona, gap.topic): gap.scenarios for gap in found.cell_gaps}
    assert cells.keys() == {("anyone", "animals"), ("rude", "animals"), ("rude", "delivery"),
                            ("rude", "goods")}  # fmt: skip
    assert cells["rude", "delivery"] == ["late"]
    assert {corner.id for corner in found.corners[:2]} == {"parrot", "R3"}
    assert found.corners[0].distance > 0.9
    assert (found.rules_met, found.rules, found.cells_met, found.cells) == (2, 3, 2, 6)
    pairs = {(o.kind, *sorted((o.first, o.second))) for o in drawn.overlaps}
    assert ("scenario", "wardrobe", "wardrobe_again") in pairs
    entries = [pair for pair in pairs if pair[0] == "entry"]
    assert len(entries) == 1 and "charged" not in str(entries)
    all_met = coverage(firm, possible_meetings(firm, firm.split("train")))
    assert (all_met.rules_met, all_met.cells_met) == (2, 6)


async def test_hostile_lines_leave_a_readable_graphml(firm):
    log = MemoryLog()
    line = "<b>&\x00\x1b[31m \u202e ]]> </graphml> \ud83d wardrobe".encode(
        "utf-8", "replace"
    ).decode()
    await tell(log, "one", [(line, 1.0), ("[bold]x[/bold] " * 400, 1.0)])
    drawn = await read_map(log, firm)
    back = nx.read_graphml(io.StringIO(drawn.graphml()))
    assert sorted(back) == [node.id for node in drawn.nodes] != []
    assert all(len(data["label"]) <= 112 for _, data in back.nodes(data=True))
    assert all(c.isprintable() for _, data in back.nodes(data=True) for c in data["label"])
    json.dumps(drawn.document())


async def test_a_log_without_dialogues_gives_an_empty_map(firm, tmp_path):
    async with await RunLog.open(tmp_path / "run") as log:
        drawn = await read_map(log, firm)
    assert drawn.nodes == [] and drawn.edges == []
    assert drawn.coverage.rules_met == 0
    assert nx.read_graphml(io.StringIO(drawn.graphml())).number_of_nodes() == 0


async def run_of(firm, folder):
    """A finished run on disk, with hostile lines among others."""
    async with await RunLog.open(folder) as log:
        await log.append(
            RunStarted(command="coach", environment="world", models={},
                       options={"environment": str(firm.path)})
        )  # fmt: skip
        for number in range(4):
            await tell(log, "d" * (number + 1), [("G", 4.5), ("A", 2.0), ("B", 1.2), ("G", 3.0)])
        hostile = r"$\frac{1 & <script>alert(1)</script> [red]wardrobe[/red] ]]> ${x"
        await tell(log, "hostile", [(hostile, 2.0), (hostile + " lawyer court write judge", 2.0)])
    return folder


async def test_the_command_prints_draws_and_exports(firm, tmp_path):
    folder = await run_of(firm, tmp_path / "run")
    svg, graphml = tmp_path / "m.svg", tmp_path / "m.graphml"
    done = tutelage("map", folder, "--svg", svg, "--graphml", graphml)
    assert done.returncode == 0, done.stderr
    assert "What to teach first" in done.stdout and "S1 comes first" in done.stdout
    assert "wardrobe arrived" in done.stdout.split("S2")[0]
    root = ElementTree.fromstring(svg.read_text())
    assert root.tag.endswith("svg")
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    words = "".join(root.itertext())
    assert "S1" in words and r"\frac" in words
    assert nx.read_graphml(graphml).number_of_edges() >= 3
    told = json.loads(tutelage("map", folder, "--json").stdout)
    assert told["nodes"][0]["upstream"] > 1
    assert {"rule_gaps", "cell_gaps", "corners"} <= told["coverage"].keys()


async def test_what_a_firm_or_a_model_wrote_obeys_no_escape(firm, tmp_path):
    code = "\x1b]0;owned\x07\x1b[31m"
    for path in (firm.path / "scenarios").glob("*.yaml"):
        value = yaml.safe_load(path.read_text())
        value |= {"title": f"{code}title", "topic": f"{code}topic"}
        path.write_text(yaml.safe_dump(value))
    head = yaml.safe_load((firm.path / "environment.yaml").read_text()) | {"title": f"{code}World"}
    (firm.path / "environment.yaml").write_text(yaml.safe_dump(head))
    (firm.path / "policy.md").write_text(
        f"# Policy\n- R1: Answer {code.replace(chr(7), '')} soon.\n"
    )
    folder = await run_of(load_environment(firm.path), tmp_path / "run")
    async with await RunLog.open(folder) as log:
        for number in range(2):
            await log.append(
                StrategyDecided(
                    proposal=f"p{number}", verdict="kept", reason="", dialogue="d", turn=0,
                    scenario=f"a customer {code}whose wardrobe arrived broken{'!' * number}", texts=[],
                )
            )  # fmt: skip
    done = tutelage("map", folder, "--svg", tmp_path / "m.svg")
    assert done.returncode == 0, done.stderr
    assert "whose wardrobe arrived broken" in done.stdout and "title" in done.stdout
    assert "topic" in done.stdout and "R1" in done.stdout
    told = done.stdout + done.stderr + (tmp_path / "m.svg").read_text()
    assert not [c for c in told if not c.isprintable() and c != "\n"]
    ElementTree.parse(tmp_path / "m.svg")


async def test_arms_are_not_mixed_on_one_map(firm, tmp_path):
    """Without advice the wardrobe goes wrong, with it only what the lawyer hears."""
    folder = tmp_path / "run"
    async with await RunLog.open(folder) as log:
        await log.append(
            RunStarted(command="evaluate", environment="world", models={},
                       options={"environment": str(firm.path)})
        )  # fmt: skip
        for number in range(4):
            await tell(log, f"none.{number}", [("A", 1.0), ("B", 5.0)], purpose="test", arm="none")
            await tell(log, f"lib.{number}", [("A", 5.0), ("B", 1.0)], purpose="test")
        first = await read_map(log, firm)
    assert "wardrobe" in first.nodes[0].label and first.nodes[0].visits == 4
    done = tutelage("map", folder, "--json")
    assert json.loads(done.stdout)["nodes"] == [node.model_dump() for node in first.nodes]
    assert "the arm none alone; --arm shows another: library" in done.stderr
    other = json.loads(tutelage("map", folder, "--json", "--arm", "library").stdout)
    assert "lawyer" in other["nodes"][0]["label"] and other["nodes"][0]["visits"] == 4
    wrong = tutelage("map", folder, "--arm", "libary")
    assert wrong.returncode == 2 and "did you mean 'library'?" in wrong.stderr


async def test_a_run_whose_firm_has_gone_says_what_to_do(firm, tmp_path):
    folder = await run_of(firm, tmp_path / "run")
    firm.path.rename(tmp_path / "moved")
    done = tutelage("map", folder)
    assert done.returncode == 2 and "--env ENV" in done.stderr and "Traceback" not in done.stderr
    assert tutelage("map", folder, "--env", tmp_path / "moved").returncode == 0
    assert tutelage("map", tmp_path / "nowhere").returncode == 2
    refused = tutelage(
        "map", folder, "--env", tmp_path / "moved", "--svg", tmp_path / "no" / "x.svg"
    )
    assert refused.returncode == 1 and "x.svg" in refused.stderr


async def test_boxes_never_overlap(firm, tmp_path):
    folder = await run_of(firm, tmp_path / "run")
    async with await RunLog.open(folder) as log:
        drawn = await read_map(log, firm)
    corners = list(_places(drawn.nodes, drawn.edges).values())
    assert len(corners) == len(drawn.nodes) >= 4
    for (x1, y1), (x2, y2) in combinations(corners, 2):
        assert abs(x1 - x2) >= _WIDTH or abs(y1 - y2) >= _HEIGHT
