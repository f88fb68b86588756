"""The coached model is the model: same calls, same answers, one run seen, only approved advice."""

from __future__ import annotations

import contextlib

import anthropic
import pytest
from endpoint import ADVICE, EXCHANGE, QUESTION, REJECTED, UNAPPROVED, fill
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr, ValidationError
from tutelage.agents.models.chat_models import chat_model, fitting_placement, measured_placement
from tutelage.strategy_store import (
    PLACEMENTS,
    Deployment,
    Entry,
    LibraryFault,
    Provenance,
    Strategy,
    on_trial,
    query_of,
    strategies_text,
)
from tutelage.strategy_store.retriever import LibraryRetriever

import tutelage

TEXT = f"How to answer this message:\n- {ADVICE}"


@pytest.fixture
def library(library):
    return fill(library)


@pytest.fixture
def plain(endpoint):
    return ChatOpenAI(
        model="recorder", base_url=endpoint.url, api_key=SecretStr("none"), max_retries=0
    )


@pytest.fixture
def model(plain, library):
    return tutelage.coached(plain, library)


class Runs(BaseCallbackHandler):
    """Counts runs, and keeps what each was told it would send."""

    def __init__(self):
        self.sent, self.ended, self.tokens = [], 0, []

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.sent.append([message.text for message in messages[0]])

    def on_llm_end(self, response, **kwargs):
        self.ended += 1

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


def last(endpoint):
    return [(message["role"], message["content"]) for message in endpoint.bodies[-1]["messages"]]


async def test_every_way_of_calling_sends_the_advice_last_and_nothing_else_changed(endpoint, model):
    expected = [("user", QUESTION), ("system", TEXT)]
    assert model.invoke(QUESTION).text == "Two hours. I am sorry."
    assert last(endpoint) == expected
    assert (await model.ainvoke([HumanMessage(QUESTION)])).text == "Two hours. I am sorry."
    assert last(endpoint) == expected
    assert "".join(c.text for c in model.stream(QUESTION)) == "Two hours. I am sorry."
    assert last(endpoint) == expected
    chunks = [chunk.text async for chunk in model.astream([("user", QUESTION)])]
    assert len([c for c in chunks if c]) == 5, "it streams rather than gives all at once"
    assert last(endpoint) == expected
    assert [m.text for m in model.batch([QUESTION, QUESTION])] == ["Two hours. I am sorry."] * 2
    assert len(await model.abatch([QUESTION] * 3)) == 3
    assert model.generate([[HumanMessage(QUESTION)]]).generations[0][0].text
    assert (await model.agenerate([[HumanMessage(QUESTION)]])).generations[0][0].text
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{q}")])
    assert (prompt | model).invoke({"q": QUESTION}).text == "Two hours. I am sorry."
    assert last(endpoint) == [("system", "Be kind."), *expected]
    events = [event async for event in model.astream_events(QUESTION, version="v2")]
    assert any(event["event"] == "on_chat_model_stream" for event in events)
    sent = [body["messages"] for body in endpoint.bodies]
    assert all(TEXT in messages[-1]["content"] for messages in sent)
    assert not [m for messages in sent for m in messages
                if UNAPPROVED in m["content"] or REJECTED in m["content"]]  # fmt: skip


def test_where_nothing_fits_the_model_is_sent_what_it_would_be_anyway(endpoint, plain, model):
    other = "The wardrobe arrived with splinters on every shelf."
    plain.invoke(other)
    model.invoke(other)
    assert endpoint.bodies[0] == endpoint.bodies[1]


def test_what_is_unapproved_later_is_gone_at_the_next_call(endpoint, model, library):
    model.invoke(QUESTION)
    library.retire([s.id for e in library.entries(("approved",)) for s in e.strategies], "me", "x")
    model.invoke(QUESTION)
    assert last(endpoint) == [("user", QUESTION)]


def test_callbacks_see_one_run_with_what_was_really_sent_and_usage_is_counted_once(model):
    runs = Runs()
    with get_usage_metadata_callback() as usage:
        model.invoke(QUESTION, {"callbacks": [runs], "tags": ["t"], "run_name": "mine"})
    assert runs.sent == [[QUESTION, TEXT]]
    assert runs.ended == 1
    assert usage.usage_metadata["recorder"]["total_tokens"] == 15
    streamed = Runs()
    list(model.stream(QUESTION, {"callbacks": [streamed]}))
    assert "".join(streamed.tokens) == "Two hours. I am sorry." and streamed.ended == 1


def test_tools_and_structured_output_are_the_models_own(endpoint, plain, model):
    def refund(booking: str) -> str:
        """Pay the money back."""
        return booking

    endpoint.answers = [("refund", {"booking": "X4"})]
    answer = model.bind_tools([refund], tool_choice="any").invoke(QUESTION)
    assert answer.tool_calls[0]["args"] == {"booking": "X4"}
    coached_body = endpoint.bodies[-1]
    plain.bind_tools([refund], tool_choice="any").invoke(
        [HumanMessage(QUESTION), SystemMessage(TEXT)]
    )
    assert endpoint.bodies[-1] == coached_body

    class Wait(BaseModel):
        hours: int

    endpoint.answers = ['{"hours": 2}']
    assert model.with_structured_output(Wait).invoke(QUESTION) == Wait(hours=2)
    assert last(endpoint)[-1] == ("system", TEXT)
    assert endpoint.bodies[-1]["response_format"]["type"] == "json_schema"
    raw = model.with_structured_output(Wait, include_raw=True).invoke(QUESTION)
    assert raw["parsed"] == Wait(hours=2) and raw["raw"].text


def test_it_is_a_chat_model_that_tells_of_itself_what_the_model_tells(plain, model):
    assert isinstance(model, BaseChatModel)
    assert model.model_name == "recorder" and model._llm_type == plain._llm_type
    assert model._get_ls_params() == plain._get_ls_params()
    with pytest.raises(AttributeError, match="nonsense"):
        model.nonsense  # noqa: B018
    assert model.bind(stop=["x"]).invoke(QUESTION).text


def test_a_runnable_stays_a_runnable(endpoint, plain, library):
    chain = tutelage.coached(plain.bind(stop=["END"]) | RunnableLambda(lambda m: m.text), library)
    assert chain.invoke(QUESTION) == "Two hours. I am sorry."
    assert last(endpoint)[-1] == ("system", TEXT) and endpoint.bodies[-1]["stop"] == ["END"]


def test_two_doors_in_a_row_advise_once(endpoint, plain, library):
    model = tutelage.coached(tutelage.coached(plain, library), library)
    agent = create_agent(model, [], middleware=[tutelage.StrategyMiddleware(library)])
    agent.invoke({"messages": [("user", QUESTION)]})
    assert last(endpoint) == [("user", QUESTION), ("system", TEXT)]


@pytest.mark.parametrize("inner", PLACEMENTS)
@pytest.mark.parametrize("outer", PLACEMENTS)
@pytest.mark.parametrize("system_prompt", [None, "Be kind."])
def test_two_doors_of_different_placements_advise_once(
    endpoint, plain, library, inner, outer, system_prompt
):
    model = tutelage.coached(plain, library, placement=inner)
    door = tutelage.StrategyMiddleware(library, placement=outer)
    agent = create_agent(model, [], system_prompt=system_prompt, middleware=[door])
    agent.invoke({"messages": [("user", QUESTION)]})
    sent = "\n".join(content for _, content in last(endpoint))
    assert (sent.count(ADVICE), sent.count(EXCHANGE)) == (
        (0, 1) if outer == "example" else (1, 0)
    ), "the door that comes first decides how"


@pytest.mark.parametrize("first", PLACEMENTS)
@pytest.mark.parametrize("second", PLACEMENTS)
@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("wire", [False, True])
def test_a_second_door_adds_only_what_the_first_did_not(library, first, second, parts, wire):
    more = Strategy.new(
        "Say when the plane leaves (or that nobody knows).", Provenance(source="person")
    )
    (entry,) = library.entries()
    library.add(entry.model_copy(update={"strategies": [more]}), "x")
    narrow = Deployment(library, placement=first, token_budget=9)
    wide = Deployment(library, placement=second)
    asked = [HumanMessage([{"type": "text", "text": QUESTION}] if parts else QUESTION)]

    def through(*doors):
        if wire:
            sent = convert_to_openai_messages(asked)
            for door in doors:
                sent = door.coach_wire(sent)
            return sent, str(sent)
        sent = asked
        for door in doors:
            sent = door.coach(sent)
        return sent, "\n".join(message.text for message in sent)

    assert more.text not in through(narrow)[1]
    library.approve([more.id], "x")
    assert more.text not in through(narrow)[1]
    sent, text = through(narrow, wide)
    assert text.count(ADVICE) + text.count(EXCHANGE) == text.count(more.text) == 1
    assert through(narrow, wide, narrow, wide)[0] == sent


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_new_turn_gets_its_strategies_though_an_older_one_keeps_its_own(library, placement):
    door = Deployment(library, placement=placement)
    first = door.coach([SystemMessage("Be kind."), HumanMessage("Thanks."), HumanMessage(QUESTION)])
    later = [*first, AIMessage("Sorry."), HumanMessage(f"Again: {QUESTION}")]
    again = door.coach(later)
    if placement == "system":
        assert again == later, "they stand where they would be put"
    else:
        added = "\n".join(m.text for m in again[len(first) + 1 :])
        assert (EXCHANGE if placement == "example" else ADVICE) in added


@pytest.mark.parametrize("parts", [False, True])
def test_the_second_door_looks_up_what_the_customer_wrote_and_not_the_note_of_the_first(
    library, parts
):
    told = Strategy.new("Say that money comes back in some days.", Provenance(source="person"))
    near = library.add(Entry.new(f"a customer who asks to {ADVICE}", strategies=[told]), "x")
    library.approve([near.strategies[0].id], "x")
    door = Deployment(library, placement="note")
    said = [HumanMessage([{"type": "text", "text": QUESTION}] if parts else QUESTION)]
    once = door.coach(said)
    assert ADVICE in once[-1].text
    assert query_of(once) == query_of(said) == query_of(once[-1].text)
    assert door.coach(once) == once
    other = Deployment(library, placement="note", threshold=0.1, top=2).coach(once)
    assert query_of(other) == query_of(said), "the notes of two libraries, too"


@pytest.mark.parametrize(
    "text", ["How to answer this message: tell me.", "(How to answer this message:\n- x) is odd"]
)
def test_what_only_looks_like_a_note_is_searched_with(text):
    assert query_of(text) == " ".join(text.split())


def test_a_simulation_may_put_other_advice_on_trial_or_none(endpoint, model):
    with on_trial(()):
        model.invoke(QUESTION)
    assert last(endpoint) == [("user", QUESTION)]
    model.invoke(QUESTION)
    assert last(endpoint)[-1] == ("system", TEXT)


@pytest.mark.parametrize("placement", ["note", "system"])
def test_other_places_keep_pictures(endpoint, plain, library, placement):
    model = tutelage.coached(plain, library, placement=placement)
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    model.invoke(
        [SystemMessage("Be kind."), HumanMessage([{"type": "text", "text": QUESTION}, picture])]
    )
    system, user = endpoint.bodies[-1]["messages"]
    assert picture in user["content"]
    if placement == "system":
        assert system["content"] == f"Be kind.\n\n{TEXT}"
    else:
        assert user["content"][-1] == {"type": "text", "text": f"({TEXT})"}


def test_where_a_provider_takes_no_late_system_message_the_advice_is_a_note(library, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    model = tutelage.coached("anthropic:claude-3-5-haiku-latest", library)
    assert model.deployment.placement == "note" == fitting_placement(model)
    sent = model.deployment.coach([SystemMessage("Be kind."), HumanMessage(QUESTION)])
    payload = model.model._get_request_payload(sent)
    assert payload["system"] == "Be kind."
    assert payload["messages"] == [{"role": "user", "content": f"{QUESTION}\n\n({TEXT})"}]


WRAPPED = {
    "retry": lambda model: model.with_retry(stop_after_attempt=1),
    "fallback": lambda model: FakeListChatModel(responses=["x"]).with_fallbacks([model]),
    "fallbacks of its own": lambda model: model.with_fallbacks([model]),
    "structured": lambda model: model.with_structured_output(SCHEMA),
    "structured, raw": lambda model: model.with_structured_output(SCHEMA, include_raw=True),
    "tools, retry": lambda model: model.bind_tools([]).with_retry(stop_after_attempt=1),
    "configurable": lambda model: model.configurable_fields(
        temperature=ConfigurableField(id="temperature")
    ),
    "a step before": lambda model: RunnableLambda(lambda m: m) | model,
}
SCHEMA = {"title": "A", "type": "object", "properties": {}}


@pytest.mark.parametrize("how", [*WRAPPED, "coached"])
def test_a_model_is_found_behind_what_is_put_around_it(library, monkeypatch, how):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    claude = chat_model(
        "anthropic:claude-3-5-haiku-latest", base_url="http://127.0.0.1:9", max_retries=0
    )
    wrapped = WRAPPED[how](claude) if how in WRAPPED else tutelage.coached(claude, library)
    assert fitting_placement(wrapped) == measured_placement(wrapped, library) == "note"
    runs = Runs()
    model = tutelage.coached(wrapped, library)
    with contextlib.suppress(anthropic.APIConnectionError):
        model.invoke([SystemMessage("Be kind."), HumanMessage(QUESTION)], {"callbacks": [runs]})
    assert runs.sent[-1] == ["Be kind.", f"{QUESTION}\n\n({TEXT})"]


def test_what_was_measured_of_a_model_holds_behind_what_is_put_around_it(library, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    gpt, claude = chat_model("openai:gpt-5-mini"), chat_model("anthropic:claude-3-5-haiku-latest")
    library.set_placement("openai:gpt-5-mini", "example", "run x", "4.1 against 3.2")
    assert measured_placement(gpt.with_retry(), library) == "example"
    assert measured_placement(gpt.bind(seed=1).with_fallbacks([gpt]), library) == "example"
    assert measured_placement(gpt.with_fallbacks([claude]), library) == "note", (
        "both can be sent it"
    )
    library.set_placement("openai:gpt-5-mini", "system", "run x", "4.1 against 3.2")
    assert measured_placement(gpt.with_fallbacks([claude]), library) == "system"


# The middleware


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_an_agent_with_tools_is_advised_at_every_call_and_its_state_is_left_alone(
    endpoint, plain, library, how
):
    def refund(booking: str) -> str:
        """Pay the money back."""
        return f"paid {booking}"

    agent = create_agent(
        plain, [refund], system_prompt="Be kind.",
        middleware=[tutelage.StrategyMiddleware(library)],
    )  # fmt: skip
    endpoint.answers = [("refund", {"booking": "X4"}), "Paid."]
    given = {"messages": [("user", QUESTION)]}
    final = agent.invoke(given) if how == "sync" else await agent.ainvoke(given)
    first, second = (body["messages"] for body in endpoint.bodies)
    assert [m["role"] for m in first] == ["system", "user", "system"]
    assert [m["role"] for m in second] == ["system", "user", "assistant", "tool", "system"]
    assert first[-1]["content"] == second[-1]["content"] == TEXT
    assert first[0]["content"] == "Be kind."
    assert [m.type for m in final["messages"]] == ["human", "ai", "tool", "ai"]
    assert not [m for m in final["messages"] if ADVICE in m.text]


@pytest.mark.parametrize("system_prompt", [None, "Be kind."])
def test_the_middleware_can_write_into_the_agents_system_prompt(
    endpoint, plain, library, system_prompt
):
    agent = create_agent(
        plain, [], system_prompt=system_prompt,
        middleware=[tutelage.StrategyMiddleware(library, placement="system")],
    )  # fmt: skip
    agent.invoke({"messages": [("user", QUESTION)]})
    system = f"{system_prompt}\n\n{TEXT}" if system_prompt else TEXT
    assert last(endpoint) == [("system", system), ("user", QUESTION)]


# The retriever


async def test_the_retriever_takes_text_or_a_dialogue_and_gives_approved_advice(library):
    retriever = library.as_retriever()
    forms = (QUESTION, [HumanMessage(QUESTION)], [("user", QUESTION)],
             [{"role": "user", "content": QUESTION}])  # fmt: skip
    for form in forms:
        (found,) = retriever.invoke(form)
        assert found.page_content == ADVICE
        assert strategies_text(await retriever.ainvoke(form)) == TEXT
    assert retriever.invoke("The wardrobe arrived with splinters.") == []
    assert [len(docs) for docs in retriever.batch([QUESTION, "Hello."])] == [1, 0]
    chain = retriever | RunnableLambda(strategies_text)
    assert chain.invoke(QUESTION) == TEXT
    tight = library.as_retriever(token_budget=2, k=5)
    assert tight.invoke(QUESTION) == []


@pytest.mark.parametrize(
    "option", [{"top": 3}, {"search_kwargs": {"k": 3}}, {"nope": 1}, {"statuses": ("proposed",)}]
)
def test_an_option_that_the_retriever_does_not_have_is_refused(library, option):
    (name,) = option
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        library.as_retriever(**option)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        LibraryRetriever(library=library, **option)


@pytest.mark.parametrize("given", ["local:qwen2.5-coder-1.5b", "openai:text-embedding-3-small", 7])
def test_embeddings_that_are_none_are_refused_before_anything_is_looked_up(library, given):
    for made in (library.as_retriever, lambda **o: LibraryRetriever(library=library, **o)):
        with pytest.raises(LibraryFault, match=r"LocalEmbeddings.*init_embeddings") as refused:
            made(embeddings=given)
        assert f"not a {type(given).__name__};" in str(refused.value)
        assert "\n" not in str(refused.value) and refused.value.exit_code == 2


def test_no_option_of_the_retriever_reaches_what_is_not_approved(library):
    meaning = DeterministicFakeEmbedding(size=8)
    wide = library.as_retriever(k=50, threshold=0.0, token_budget=100_000, embeddings=meaning)
    (found,) = wide.invoke(QUESTION)
    assert found.page_content == ADVICE


def test_what_langchain_lets_one_say_of_a_retriever_can_be_said(library):
    seen: list[tuple] = []

    class Heard(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, *, tags=None, metadata=None, **kwargs):
            seen.append((kwargs["name"], tags, metadata))

    told = library.as_retriever(name="advice", tags=["desk"], metadata={"team": "one"})
    told.invoke(QUESTION, {"callbacks": [Heard()]})
    ((name, tags, metadata),) = seen
    assert name == "advice" and tags == ["desk"] and metadata["team"] == "one"
    named = library.as_retriever().configurable_fields(k=ConfigurableField(id="k"))
    assert named.invoke(QUESTION, {"configurable": {"k": 0}}) == []
    assert len(named.invoke(QUESTION)) == 1
