"""What you audit is what runs: what `library show --prompt --dialogue` prints is what a recording
endpoint receives through every door, byte for byte.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import world
from endpoint import ADVICE, EXCHANGE, QUESTION, REJECTED, UNAPPROVED, fill
from langchain.agents import create_agent
from langchain_core.messages import SystemMessage, convert_to_messages
from langchain_openai import ChatOpenAI
from proxying import command, serving
from pydantic import SecretStr
from tutelage.agents.models.chat_models import chat_model
from tutelage.agents.student import desk_text
from tutelage.agents.transcript import Turn, as_messages
from tutelage.environments import load_environment
from tutelage.graphs.play.desk import open_desk
from tutelage.strategy_store import (
    Deployment,
    Entry,
    Evidence,
    Library,
    Provenance,
    Strategy,
    coach_messages,
)
from typer.testing import CliRunner

import tutelage
from tutelage.main import app
from tutelage.serving.proxy import HttpUpstream, Proxy

SYSTEM = "You serve the customers of an airline. Zürich ✈ “quoted”."
DIALOGUES = {
    "opening": [{"role": "user", "content": QUESTION}],
    "system": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
    "longer": [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Which flight was it?\nPlease tell me."},
        {"role": "user", "content": "Flight OAK 12 to Basel, cancelled, and I wait\tstill."},
    ],
    "nothing fits": [{"role": "user", "content": "The wardrobe arrived with splinters."}],
}
PLACEMENTS = ("after", "note", "system", "example")


@pytest.fixture
def library(library):
    return fill(library)


def audited(library, dialogue, placement, tmp_path, option="--placement") -> str:
    """What the command prints."""
    file = tmp_path / "dialogue.json"
    file.write_text(json.dumps(dialogue), encoding="utf-8")
    show = ["library", "show", str(library.path), "--prompt", "--dialogue", str(file), option]
    done = CliRunner().invoke(app, [*show, placement])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes.decode().removesuffix("\n")


def received(endpoint) -> str:
    """The messages of the last request, written as the command writes them."""
    (body,) = endpoint.bodies
    ordered = [{k: m[k] for k in ("role", "content", *m) if k in m} for m in body["messages"]]
    endpoint.bodies.clear()
    return json.dumps(ordered, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", DIALOGUES)
async def test_every_door_sends_what_the_command_prints(
    library, endpoint, tmp_path, name, placement
):
    dialogue = DIALOGUES[name]
    expected = audited(library, dialogue, placement, tmp_path)
    assert UNAPPROVED not in expected and REJECTED not in expected
    carried = EXCHANGE if placement == "example" else ADVICE
    assert (name == "nothing fits") is (carried not in expected)
    model = ChatOpenAI(
        model="recorder", base_url=endpoint.url, api_key=SecretStr("x"), max_retries=0
    )
    messages = convert_to_messages(dialogue)

    coached = tutelage.coached(model, library, placement=placement)
    coached.invoke(messages)
    assert received(endpoint) == expected, "coached, sync"
    await coached.ainvoke(messages)
    assert received(endpoint) == expected, "coached, async"
    list(coached.stream(messages))
    assert received(endpoint) == expected, "coached, stream"

    head = [m for m in messages if m.type == "system"]
    agent = create_agent(
        model, [], system_prompt=head[0] if head else None,
        middleware=[tutelage.StrategyMiddleware(library, placement=placement)],
    )  # fmt: skip
    talk = {"messages": messages[len(head) :]}
    agent.invoke(talk)
    assert received(endpoint) == expected, "middleware, sync"
    await agent.ainvoke(talk)
    assert received(endpoint) == expected, "middleware, async"

    docs = library.as_retriever().invoke(messages)
    model.invoke(coach_messages(messages, docs, placement))
    assert received(endpoint) == expected, "a prompt made from the retriever"
    if placement in ("after", "example") and docs:
        model.invoke([*messages, SystemMessage(tutelage.strategies_text(docs, placement))])
        assert received(endpoint) == expected, "a prompt made by hand from the retriever"

    proxy = Proxy(Deployment(library, placement=placement), "recorder", HttpUpstream(endpoint.url))
    with serving(proxy) as url:
        through = ChatOpenAI(model="recorder", base_url=url, api_key=SecretStr("x"), max_retries=0)
        through.invoke(messages)
        assert received(endpoint) == expected, "proxy"
        list(through.stream(messages))
        assert received(endpoint) == expected, "proxy, stream"


async def test_where_a_student_was_measured_to_follow_is_where_every_door_puts_it(
    library, endpoint, tmp_path
):
    dialogue = DIALOGUES["system"]
    library.set_placement(endpoint.spec, "note", "a test", "told to")
    expected = audited(library, dialogue, endpoint.spec, tmp_path, "--model")
    assert expected == audited(library, dialogue, "note", tmp_path)
    assert expected != audited(
        library, dialogue, "openai:another@http://127.0.0.1:9/v1", tmp_path, "--model"
    )
    messages = convert_to_messages(dialogue)
    model = chat_model(endpoint.spec)
    tutelage.coached(endpoint.spec, library).invoke(messages)
    assert received(endpoint) == expected, "coached"
    tutelage.coached(model, library).invoke(messages)
    assert received(endpoint) == expected, "coached, a model"
    agent = create_agent(
        model, [], system_prompt=SYSTEM, middleware=[tutelage.StrategyMiddleware(library)]
    )
    agent.invoke({"messages": messages[1:]})
    assert received(endpoint) == expected, "middleware"
    with command(library, "--model", endpoint.spec) as (_, url):
        name = endpoint.spec.partition(":")[2].partition("@")[0]
        through = ChatOpenAI(model=name, base_url=url, api_key=SecretStr("x"), max_retries=0)
        through.invoke(messages)
        assert received(endpoint) == expected, "proxy"


PROMISE = "I promise you full cash today."


@pytest.fixture
def promising(library):
    """A library with one approved strategy, whose exchange promises cash."""
    evidence = Evidence(customer="My card was charged twice.", after=PROMISE)
    origin = Provenance(source="teacher", evidence=evidence)
    told = Strategy.new("Promise the cash back today.", origin)
    library.add(Entry.new("a customer whose card was charged twice", strategies=[told]), "run x")
    library.approve([library.entries()[-1].strategies[0].id], "ann")
    return library


CHARGED = [{"role": "user", "content": "My card was charged twice for it."}]
NEVER = "Never promise cash."


@pytest.mark.parametrize("how", ["edit", "revise", "undo"])
def test_what_a_person_edited_is_not_shown_by_the_exchange_of_the_old_words(
    promising, tmp_path, how
):
    assert PROMISE in audited(promising, CHARGED, "example", tmp_path)
    entry = promising.entries()[-1]
    (old,) = entry.strategies
    if how == "revise":
        promising.revise(entry.id, "ann", texts={old.id: NEVER}, seen=entry)
        promising.approve([old.id], "ann")
    else:
        promising.edit(old.id, NEVER, "ann", approve=True)
    sent = audited(promising, CHARGED, "example", tmp_path)
    assert NEVER in sent and PROMISE not in sent
    if how == "undo":
        promising.undo("ann")
        assert PROMISE in audited(promising, CHARGED, "example", tmp_path), "no version is lost"


def test_what_is_approved_in_the_words_it_has_keeps_its_exchange(promising, tmp_path):
    (old,) = promising.entries()[-1].strategies
    promising.edit(old.id, old.text, "ann", approve=True)
    assert promising.strategy(old.id)[1] == old


def test_what_is_given_always_is_an_order_and_no_other_customer_s_exchange(promising, tmp_path):
    entry = promising.entries()[-1]
    promising.revise(entry.id, "ann", general=True)
    sent = audited(promising, CHARGED, "example", tmp_path)
    assert entry.strategies[0].text in sent and PROMISE not in sent


def test_an_exchange_that_is_too_long_for_the_budget_is_an_order(promising, tmp_path):
    entry = promising.entries()[-1]
    (old,) = entry.strategies
    kept = old.provenance.evidence.model_copy(update={"after": PROMISE + " We do." * 600})
    origin = old.provenance.model_copy(update={"evidence": kept})
    long = entry.model_copy(update={"strategies": [old.model_copy(update={"provenance": origin})]})
    promising.replace(entry.id, lambda _: long, "run x", "kept anew")
    sent = audited(promising, CHARGED, "example", tmp_path)
    assert old.text in sent and PROMISE not in sent and len(sent) < 640
    wide = Deployment(promising, token_budget=2_000, placement="example").coach_wire(CHARGED)
    assert PROMISE in wide[-1]["content"]


@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_the_student_of_the_dialogue_graph_is_sent_what_the_command_prints(
    endpoint, tmp_path, placement
):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    says = "they cancelled my train and we are stranded"
    with Library.open(tmp_path / "library.db", create=True) as library:
        fill(library)
        graph = tutelage.dialogue_graph(
            firm, student=endpoint.spec, customer=world.ScriptedCustomer(),
            judge=world.ScriptedJudge(), library=library, max_exchanges=1, placement=placement,
        )  # fmt: skip
        final = await graph.ainvoke({"scenario": "stranded_0"})
        says = final["turns"][0]["text"]
        scenario = firm.scenarios["stranded_0"]
        dialogue = [{"role": "system", "content": desk_text(firm, scenario)},
                    {"role": "user", "content": says}]  # fmt: skip
        assert received(endpoint) == audited(library, dialogue, placement, tmp_path)
        desk = open_desk(firm, student=endpoint.spec, library=library, customer=world.ScriptedCustomer(),
                         judge=world.ScriptedJudge(), teacher=world.ScriptedTeacher(),
                         placement=placement)  # fmt: skip
        turns = [Turn(speaker="customer", text=QUESTION)]
        await desk.student.reply(scenario, turns, await desk.retrieve(turns, scenario.id))
        dialogue[1]["content"] = as_messages(turns)[0].text
        sent = received(endpoint)
        assert (EXCHANGE if placement == "example" else ADVICE) in sent
        assert sent == audited(library, dialogue, placement, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"role": "user",\n "content": ]', "dialogue.json:2: is no valid JSON"),
        ("{}", "holds no messages"),
        ('[{"role": "user", "content": "a"}, {"role": "boss"}]', "message 2: role"),
        ('[{"role": "user", "content": 7}]', "message 1: content"),
        ("[1]", "message 1: role"),
        ("7" * 5000, "cannot be read: "),
    ],
)
def test_a_wrong_dialogue_says_where(library, tmp_path, text, said):
    file = tmp_path / "dialogue.json"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", "library", "show", str(library.path), "--prompt",
         "--dialogue", str(file)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


def test_the_command_prints_the_same_bytes_in_a_process_of_its_own(library, tmp_path):
    expected = audited(library, DIALOGUES["longer"], "note", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", "library", "show", str(library.path), "--prompt",
         "--dialogue", "-", "--placement", "note"],
        input=json.dumps(DIALOGUES["longer"]).encode(), capture_output=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.decode() == expected + "\n", done.stderr
    assert "Zürich ✈ “quoted”" in expected


def test_the_command_reads_a_whole_request_from_stdin(library):
    request = {"model": "x", "messages": [{"role": "user", "content": QUESTION, "name": "Ann"}]}
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", "library", "show", str(library.path), "--prompt",
         "--dialogue", "-"],
        input=json.dumps(request), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    user, system = json.loads(done.stdout)
    assert user == request["messages"][0] and system["role"] == "system"
