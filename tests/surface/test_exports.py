"""What leaves a run: fine-tuning data, datasets, the static prompt; and evaluators for others' runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langsmith import Client, evaluate
from scripted_tools import Acts, Lines, Says, calls
from tutelage.agents.toolbox import tool_schemas
from tutelage.agents.transcript import ToolUse, Turn
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    RunStarted,
    StateExamined,
    StrategyDecided,
    StrategyTried,
    TurnSpoken,
)
from tutelage.graphs.log.run_examples import (
    Choice,
    accepted_replies,
    dialogue_records,
    finetuning_records,
    reply_records,
)
from tutelage.graphs.log.run_log import MemoryLog, RunLog
from tutelage.graphs.play.desk import open_desk
from tutelage.graphs.play.dialogue import compile_dialogue
from tutelage.strategy_store import Entry, Library, Provenance, Strategy
from typer.testing import CliRunner
from world import build_firm, seat

from tutelage import evaluators
from tutelage.main import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "firm_with_tools"


def dialogue(id_, *, purpose="train", csat=4.5, turn_scores=(4.6, 2.0), checks=1.0, valid=True):
    """The events of a dialogue of two exchanges at the bundled airline."""
    said = [("customer", "My flight is gone."), ("student", "I am sorry, I will rebook you."),
            ("customer", "When do I fly?"), ("student", "No idea."),
            ("customer", "Thanks then.")]  # fmt: skip
    started = DialogueStarted(
        dialogue=id_, round=1, purpose=purpose, scenario="cancelled_waited", persona="rude"
    )
    turns = [
        TurnSpoken(dialogue=id_, turn=place // 2, speaker=speaker, text=f"{text} ({id_})")
        for place, (speaker, text) in enumerate(said)
    ]
    judged = DialogueJudged(
        dialogue=id_, satisfaction=csat, rubric=0.8, checks={"short": checks},
        questions={"kind": 0.9}, turn_scores=list(turn_scores),
    )  # fmt: skip
    ended = DialogueEnded(dialogue=id_, reason="goal_met", turns=5, valid=valid)
    return [started, *turns, judged, ended]


def tried(proposal, id_, *, turn=0, phase="accept", preference=0.8, after="Better.", checks=1.0,
          says=None):  # fmt: skip
    return StrategyTried(
        proposal=proposal, phase=phase, dialogue=id_, turn=turn, seed=1, before="Plain.",
        after=after, preference=preference, checks_before=1.0, checks_after=checks,
        customer_says=says or f"My flight is gone. ({id_})",
    )  # fmt: skip


def decided(proposal, verdict, id_="d"):
    return StrategyDecided(
        proposal=proposal, verdict=verdict, reason="-", dialogue=id_, turn=0, scenario="s", texts=[]
    )


async def log_of(*events):
    log = MemoryLog()
    for event in events:
        await log.append(event)
    return log


async def test_only_good_dialogues_of_the_training_split_are_learned_from(airline):
    log = await log_of(
        *dialogue("good"),
        *dialogue("held", purpose="test"),
        *dialogue("validation", purpose="validation"),
        *dialogue("sad", csat=3.9),
        *dialogue("failed", checks=0.5),
        *dialogue("broken", valid=False),
        *dialogue("weak", turn_scores=(3.0, 3.0)),
    )
    records, counts = await finetuning_records(log, airline, Choice())
    assert counts == {"good dialogues": 1} and len(records) == 1
    messages = records[0]["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[0]["content"].startswith("# ") and "(good)" in messages[1]["content"]
    # The weak reply is context; what the customer said last answers to nobody and is left out.
    assert [m.get("weight") for m in messages] == [None, None, 1, None, 0]


async def test_what_was_spoken_before_the_dialogue_is_never_learned_from(airline):
    events = [
        event.model_copy(update={"replayed": True})
        if isinstance(event, TurnSpoken) and event.turn == 0
        else event
        for event in dialogue("d", turn_scores=[4.8])
    ]
    records, _ = await finetuning_records(await log_of(*events), airline, Choice())
    weights = {m["content"]: m["weight"] for m in records[0]["messages"] if "weight" in m}
    assert weights == {"I am sorry, I will rebook you. (d)": 0, "No idea. (d)": 1}


async def test_a_scenario_that_the_firm_has_no_more_is_left_out(airline):
    events = [
        DialogueStarted(dialogue="r1.x", round=1, scenario="renamed_since", persona="rude"),
        TurnSpoken(dialogue="r1.x", turn=0, speaker="customer", text="My flight is gone."),
        TurnSpoken(dialogue="r1.x", turn=0, speaker="student", text="Sorry."),
        StrategyTried(
            proposal="q.0", phase="accept", dialogue="r1.x", turn=0, seed=0, preference=0.9,
            customer_says="My flight is gone.", before="Sorry.", after="You fly at noon.",
        ),
        StrategyDecided(
            proposal="q.0", dialogue="r1.x", turn=0, scenario="s", customer_says="", texts=["t"],
            verdict="kept", reason="", before="", after="", pairs=1,
        ),
    ]  # fmt: skip
    log = await log_of(*events)
    assert await accepted_replies(log, Choice())
    assert await finetuning_records(log, airline, Choice()) == ([], {})


async def test_accepted_replies_are_those_of_kept_strategies_on_their_own_states(airline):
    reworded = "They cancelled on me, what now?"
    log = await log_of(
        *dialogue("d", csat=2.0),
        tried("kept", "d", after="Best.", preference=0.9),
        tried("kept", "d", after="Second best.", preference=0.7),
        tried("kept", "d", after="Chosen on.", phase="choose", preference=1.0),
        tried("kept", "d", after="No better.", preference=0.55, says="Other words."),
        tried("kept", "d", after="Check fell.", preference=0.9, checks=0.5, says="Yet others."),
        tried("kept", "d", after="Reworded.", says=reworded),
        tried("kept", "d", after="Later.", turn=1, says="When do I fly? (d)"),
        tried("lost", "d", after="Dropped."),
        decided("kept", "kept"),
        decided("lost", "dropped"),
    )
    found = {one.reply.text: one for one in await accepted_replies(log, Choice())}
    assert set(found) == {"Best.", "Reworded.", "Later."}
    assert [t.text for t in found["Reworded."].turns] == [reworded]
    assert [t.speaker for t in found["Later."].turns] == ["customer", "student", "customer"]
    records, counts = await finetuning_records(log, airline, Choice())
    assert counts == {"accepted replies": 3}
    later = next(r for r in records if r["messages"][-1]["content"] == "Later.")
    assert [m.get("weight") for m in later["messages"]] == [None, None, 0, None, 1]
    assert "How to answer this message" not in json.dumps(records)


async def test_a_dataset_has_the_best_known_reply_as_reference(airline):
    def examined(id_, turn, weak):
        return StateExamined(
            dialogue=id_, turn=turn, round=1, scenario="s", customer_says="-", student_reply="-",
            teacher_reply=f"The teacher's ({id_}).", preference=0.9, weak=weak,
        )  # fmt: skip

    log = await log_of(
        *dialogue("a"), *dialogue("b"), *dialogue("c", purpose="test"),
        examined("a", 0, True), examined("b", 0, True), examined("c", 0, False),
        tried("kept", "a", after="Accepted."), decided("kept", "kept"),
    )  # fmt: skip
    records = await reply_records(log, airline, Choice())
    assert len(records) == 6
    found = {(r["metadata"]["dialogue"], r["metadata"]["turn"]): r for r in records}
    said = {
        key: r.get("outputs", {}).get("messages", [{}])[0].get("content")
        for key, r in found.items()
    }
    assert said == {
        ("a", 0): "Accepted.", ("b", 0): "The teacher's (b).",
        ("c", 0): "I am sorry, I will rebook you. (c)",
        ("a", 1): None, ("b", 1): None, ("c", 1): None,
    }  # fmt: skip
    assert found["a", 0]["metadata"]["reference"] == "accepted"
    assert found["c", 0]["split"] == "test" and found["c", 0]["inputs"]["scenario"]
    assert [m["role"] for m in found["a", 1]["inputs"]["messages"]] == ["user", "assistant", "user"]
    whole = await dialogue_records(log, airline)
    assert [r["metadata"]["satisfaction"] for r in whole] == [4.5, 4.5, 4.5]
    assert len(whole[0]["outputs"]["messages"]) == 5


async def test_records_are_examples_as_langsmith_takes_them(airline):
    from langsmith.schemas import ExampleCreate

    records = await reply_records(await log_of(*dialogue("a")), airline, Choice())
    for record in records:
        made = ExampleCreate(**record)
        assert made.inputs and made.split == "train" and json.dumps(record)


async def test_a_coached_run_in_the_scripted_world_gives_only_cures(tmp_path):
    firm = load_environment(build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = seat(firm, library)
        options = CoachingOptions(rounds=2, dialogues=6, states_per_round=6, max_exchanges=3,
                                  general=False)  # fmt: skip
        await compile_coaching(desk, options).ainvoke({})
        records, counts = await finetuning_records(desk.log, firm, Choice())
    assert counts["accepted replies"] >= 3
    for record in records:
        learned = [m["content"] for m in record["messages"] if m.get("weight") == 1]
        assert learned and not [text for text in learned if "thunder" in text]


async def test_tool_calls_are_in_the_examples_as_openai_has_them(tmp_path):
    firm = load_environment(EXAMPLE)
    move = calls(("move_slot", {"order_number": "OK58299", "day": "2026-10-16"}))
    desk = open_desk(
        firm, student=Acts(says=[move, AIMessage("I have moved it to the 16th for you.")]), judge=Says(),
        customer=Lines(lines=["On the 16th, please.", "Lovely, many thanks."]), teacher=Says(),
        log=MemoryLog(),
    )  # fmt: skip
    await compile_dialogue(desk, 2).ainvoke({"scenario": "slot_in_time", "dialogue": "d"})
    records, _ = await finetuning_records(desk.log, firm, Choice(), await tool_schemas(firm))
    messages = records[0]["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "assistant"]
    call = messages[2]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"])["day"] == "2026-10-16"
    assert messages[3]["tool_call_id"] == call["id"] and messages[2]["weight"] == 1
    tools = {tool["function"]["name"]: tool["function"] for tool in records[0]["tools"]}
    assert set(tools) == {"find_order", "move_slot", "cancel_order"}
    properties = tools["move_slot"]["parameters"]["properties"]
    assert "state" not in properties and "YYYY-MM-DD" in properties["day"]["description"]


async def run_folder(folder: Path, firm: str = "airline", **options: str) -> Path:
    async with await RunLog.open(folder) as log:
        models = {"student": "x"}
        await log.append(
            RunStarted(command="coach", environment=firm, models=models, options=options)
        )
        for event in dialogue("a"):
            await log.append(event)
    return folder


def test_export_commands(tmp_path):
    run = asyncio.run(run_folder(tmp_path / "run"))
    out = tmp_path / "train.jsonl"
    done = CliRunner().invoke(app, ["export", "finetune", str(run), "--out", str(out)])
    assert done.exit_code == 0 and done.stdout.strip() == str(out), done.output
    assert "1 examples: 1 from good dialogues" in done.stderr
    assert [json.loads(line)["messages"][0]["role"] for line in out.read_text().splitlines()] == [
        "system"
    ]
    shown = CliRunner().invoke(app, ["export", "dataset", str(run)])
    assert [json.loads(line)["split"] for line in shown.stdout.splitlines()] == ["train", "train"]
    assert "2 examples of replies, 1 with a reference reply" in shown.stderr
    whole = CliRunner().invoke(app, ["export", "dataset", str(run), "--of", "dialogues"])
    assert len(whole.stdout.splitlines()) == 1
    nothing = CliRunner().invoke(app, ["export", "finetune", str(run), "--min-csat", "5"])
    assert nothing.exit_code == 0 and nothing.stdout == "" and "lower --min-csat" in nothing.stderr


def test_export_faults_are_one_sentence(tmp_path):
    def fault(*arguments):
        done = CliRunner().invoke(app, ["export", *arguments])
        return done, str(done.exception)

    done, said = fault("finetune", str(tmp_path / "none"))
    assert done.exception.exit_code == 2 and "is no run" in said
    gone = asyncio.run(run_folder(tmp_path / "gone", "moved_away"))
    done, said = fault("dataset", str(gone))
    assert done.exception.exit_code == 2 and "name it with --env" in said
    done = CliRunner().invoke(app, ["export", "dataset", str(gone), "--env", "airline"])
    assert done.exit_code == 0
    assert CliRunner().invoke(app, ["export", "dataset", str(gone), "--of", "turns"]).exit_code == 2
    moved = str(tmp_path / "firms" / "airline")
    other = asyncio.run(run_folder(tmp_path / "other", "airline", environment=moved))
    for of in ("dataset", "finetune"):
        done, said = fault(of, str(other))
        assert done.exception.exit_code == 2 and moved in said and "name it with --env" in said
        assert done.stdout == "", "the bundled firm of that name is another one"


@pytest.mark.parametrize(
    ("words", "home"),
    [
        (("simulate",), "tutelage.runs.simulate.simulate_run"),
        (("library", "place", "l.db"), "tutelage.runs.place.place_run"),
        (("env", "generate"), "tutelage.runs.generate.generate_run"),
    ],
)
def test_a_runs_log_names_its_firm_for_whoever_reads_it_from_elsewhere(
    tmp_path, monkeypatch, words, home
):
    asked = []
    monkeypatch.setattr(home, lambda request, *_, **__: asked.append(request.environment))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "airline").mkdir()
    (tmp_path / "l.db").touch()
    for env in ("airline", "insurance"):
        done = CliRunner().invoke(app, [*words, env])
        assert done.exit_code == 0, done.output
    assert asked == [str(tmp_path / "airline"), "insurance"]


def test_the_static_prompt_holds_what_is_approved_and_nothing_else(tmp_path):
    where = Provenance(source="person")
    made = [Strategy.new(text, where) for text in ("Say sorry first.", "Name  the next step.")]
    path = tmp_path / "library.db"
    with Library.open(path, create=True) as library:
        library.add(Entry.new("a customer who waits.", strategies=made), by="me")
        library.add(
            Entry.new(
                "a customer who left", strategies=[Strategy.new("Never seen by anybody.", where)]
            ),
            by="me",
        )
        ids = [s.id for s in library.entries()[0].strategies]
        library.approve(ids, "me")
    export = ["library", "export", str(path), "--format"]
    done = CliRunner().invoke(app, [*export, "static"])
    assert done.stdout == (
        "How to answer, by situation. Follow only what fits the customer's last message.\n\n"
        "In the situation of a customer who waits:\n- Say sorry first.\n- Name the next step.\n"
    )
    assert CliRunner().invoke(app, [*export, "stat"]).exit_code == 2
    for form in ("yaml", "markdown"):
        assert "Never seen by anybody." in CliRunner().invoke(app, [*export, form]).stdout


CHAT = {
    "scenario": "slot_in_time",
    "messages": [{"role": "user", "content": "On the 16th, please."}],
}
REPLY = {"messages": [AIMessage("It comes on the 16th, free of charge for you.")]}


async def test_evaluators_say_key_score_and_comment():
    firm = load_environment(EXAMPLE)
    judge = Says(text="Yes")
    assert await evaluators.satisfaction(firm, judge)(inputs=CHAT, outputs=REPLY) == {
        "key": "satisfaction", "score": 4.0, "comment": "1 to 5, the judge's expected value"
    }  # fmt: skip
    assert "AGENT: It comes on the 16th" in judge.pages[-1]
    found = await evaluators.rubric(firm, judge)(inputs=CHAT, outputs=REPLY)
    assert "moved 0.00" in found["comment"] and "outcome_told 1.00" in found["comment"]
    assert found["score"] == pytest.approx((1 + 1 + 2 + 1) / 8)
    acted = {"messages": [calls(("move_slot", {"order_number": "OK58299", "day": "2026-10-16"})),
             {"role": "tool", "tool_call_id": "c0",
              "content": "moved to 2026-10-16, 0 euros charged"}, *REPLY["messages"]]}  # fmt: skip
    assert (await evaluators.rubric(firm, judge)(inputs=CHAT, outputs=acted))["score"] == 1
    kept = await evaluators.policy(firm, judge)(inputs=CHAT, outputs=REPLY)
    assert kept == {"key": "policy", "score": 1.0, "comment": "rules at stake: R1, R2"}
    long = {"reply": "word " * 200}
    assert (await evaluators.checks(firm)(inputs=CHAT, outputs=long))["score"] == 0
    assert (await evaluators.checks(firm)(inputs=CHAT, outputs=REPLY))["score"] == 1
    # A judge that always says A prefers neither: both orders are asked. What code checks counts.
    both = evaluators.preference(firm, Says(text="A"))
    alike = {"reply": f"{REPLY['messages'][0].text} Good day!"}
    found = await both(inputs=CHAT, outputs=REPLY, reference_outputs=alike)
    assert found["score"] == pytest.approx(0.5)
    assert (await both(inputs=CHAT, outputs=REPLY, reference_outputs=long))["score"] > 0.9


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (
            {"messages": [HumanMessage("Hello")]},
            {"messages": [HumanMessage("Hello"), AIMessage("Hi")]},
        ),
        ({"messages": [SystemMessage("s"), HumanMessage("Hello")]}, AIMessage("Hi")),
        ([("user", "Hello")], "Hi"),
        ("Hello", {"reply": "Hi"}),
    ],
)
async def test_a_dialogue_is_read_from_whatever_apps_give(inputs, outputs):
    judge = Says()
    await evaluators.satisfaction(load_environment(EXAMPLE), judge)(inputs=inputs, outputs=outputs)
    assert "TRANSCRIPT\nCUSTOMER: Hello\nAGENT: Hi\n" in judge.pages[-1]


async def test_evaluators_refuse_what_they_cannot_judge():
    firm = load_environment(EXAMPLE)
    with pytest.raises(ValueError, match="'nowhere' is no scenario of firm_with_tools"):
        await evaluators.checks(firm)(inputs={"scenario": "nowhere"}, outputs=REPLY)
    with pytest.raises(ValueError, match="outputs hold no reply"):
        await evaluators.checks(firm)(inputs=CHAT, outputs={})


def test_turns_of_messages_keep_the_tools():
    turns = evaluators.turns_of(
        [("system", "s"), ("user", "u"), calls(("t", {"a": 1})),
         {"role": "tool", "tool_call_id": "c0", "content": "r"}, ("assistant", "x")]
    )  # fmt: skip
    assert turns == [
        Turn(speaker="customer", text="u"),
        Turn(
            speaker="student",
            text="x",
            tools=[ToolUse(own=True, name="t", arguments={"a": 1}, result="r")],
        ),
    ]


def test_langsmith_itself_runs_a_blocking_evaluator_on_an_exported_dataset(airline):
    from uuid import uuid4

    from langsmith.schemas import Example
    from urllib3 import Retry

    async def records():
        return await reply_records(await log_of(*dialogue("a")), airline, Choice())

    examples = [
        Example(id=uuid4(), dataset_id=uuid4(), inputs=r["inputs"], outputs=r.get("outputs"))
        for r in asyncio.run(records())
    ]
    judge = Says()
    results = evaluate(
        lambda inputs: {"reply": f"Let me help with that: {inputs['messages'][-1]['content']}"},
        data=examples,
        evaluators=[evaluators.blocking(evaluators.policy(airline, judge)),
                    evaluators.blocking(evaluators.checks(airline))],
        upload_results=False,
        # Its traces go nowhere, at the first try: it waits six seconds for each it would send again.
        client=Client("http://127.0.0.1:9", api_key="none", auto_batch_tracing=False,
                      retry_config=Retry(0)),
    )  # fmt: skip
    found = [{r.key: r.score for r in one["evaluation_results"]["results"]} for one in results]
    assert len(found) == 2
    assert all(scores["policy"] == 1 and 0 < scores["checks"] <= 1 for scores in found)
