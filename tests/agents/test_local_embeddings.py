"""Vectors from the smoke model's weights: told apart, kept, refused where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from smoke import smoke_model
from tutelage.agents.coached import coached
from tutelage.agents.models import local_server
from tutelage.agents.models.embedding_models import embedding_model
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.local_embeddings import CONTEXT, LONGEST, LocalEmbeddings
from tutelage.agents.models.weights import weights_path
from tutelage.strategy_store import Entry, Index, Library, Provenance, Strategy
from typer.testing import CliRunner

from tutelage.main import app


@pytest.fixture(scope="module")
def embeddings() -> LocalEmbeddings:
    return LocalEmbeddings(smoke_model())


@pytest.mark.weights
def test_a_text_has_one_vector_and_different_matters_differ(embeddings):
    died, mother, bag = embeddings.embed_documents(
        ["My father died last week.", "My mother passed away.", "Where is my suitcase?"]
    )
    assert died == embeddings.embed_query("My father died last week.")
    assert len({len(died), len(mother), len(bag)}) == 1

    def nearness(a, b):
        return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))

    assert nearness(died, mother) > nearness(died, bag)


@pytest.mark.weights
def test_what_was_read_is_not_read_again(embeddings, monkeypatch):
    first = embeddings.embed_query("I waited four hours.")
    monkeypatch.setattr("tutelage.agents.models.local_embeddings.vector_server", pytest.fail)
    assert embeddings.embed_query("I waited four hours.") == first


@pytest.mark.weights
def test_the_weights_are_loaded_once_for_all_and_sized_as_the_user_asked(embeddings, monkeypatch):
    weights = weights_path(smoke_model())
    embeddings.embed_query("Hello")
    sizes = []
    load = local_server._load
    monkeypatch.setattr(
        local_server,
        "_load",
        lambda path, size, **given: sizes.append(size) or load(path, size, **given),
    )
    LocalEmbeddings(smoke_model()).embed_query("Something else.")
    assert not sizes, "another object uses the server that is there"
    monkeypatch.setenv("TUTELAGE_LOCAL_THREADS", "1")
    local_server.unload(weights)
    LocalEmbeddings(smoke_model()).embed_query("Something else.")
    assert [(size.threads, size.slots, size.context) for size in sizes] == [(1, 1, CONTEXT)]
    local_server.unload(weights)


@pytest.mark.weights
def test_a_text_beyond_the_context_is_cut(embeddings):
    for long in ("a customer who waits " * LONGEST, "顧客は待っている。" * 200):
        assert embeddings.embed_query(long) == embeddings.embed_query(long[-LONGEST:])


@pytest.mark.weights
def test_an_index_finds_by_meaning(embeddings):
    entries = [
        Entry.new(
            scenario, strategies=[Strategy.new("Offer two ways.", Provenance(source="person"))]
        )
        for scenario in ("a customer who lost a relative", "a customer whose suitcase is missing")
    ]
    found = Index(entries, embeddings).search("My bag never arrived", top=1, threshold=0.0)
    assert found[0].entry == entries[1] and found[0].dense is not None


def test_weights_that_are_not_there_are_named():
    with pytest.raises(ModelFault, match=r"did you mean 'qwen2\.5-coder-1\.5b'"):
        LocalEmbeddings("qwen2.5-coder-15b").embed_query("hello")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("qwen", "'qwen' names no embeddings"),
        ("local:smol", "'smol' is no local model"),
        ("opena:x", "'opena' is no provider of models; did you mean 'openai'"),
        ("openai:text-embedding-3-small", "set the environment variable OPENAI_API_KEY"),
    ],
)
def test_embeddings_that_cannot_be_had_are_one_sentence(monkeypatch, spec, said):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelFault) as fault:
        embedding_model(spec)
    assert said in str(fault.value) and "\n" not in str(fault.value)
    shown = CliRunner().invoke(app, ["simulate", "airline", "--embeddings", spec])
    assert isinstance(shown.exception, ModelFault) and said in str(shown.exception)


def test_a_provider_that_fails_in_the_middle_is_one_sentence(monkeypatch):
    class Down(Embeddings):
        def embed_query(self, text):
            raise ConnectionRefusedError("refused")

        def embed_documents(self, texts):
            raise ConnectionRefusedError("refused")

    monkeypatch.setattr("langchain.embeddings.init_embeddings", lambda name, provider: Down())
    down = embedding_model("openai:text-embedding-3-small")
    assert down is not None
    for ask in (lambda: down.embed_query("hello"), lambda: down.embed_documents(["hello"])):
        with pytest.raises(ModelFault, match="openai:text-embedding-3-small cannot be reached"):
            ask()


@pytest.mark.weights
def test_a_model_is_coached_by_meaning_from_a_spec(tmp_path):
    smoke = f"local:{smoke_model()}"
    with Library.open(tmp_path / "l.db", create=True) as library:
        for scenario, text in (
            ("a customer who lost a relative", "Condole in one line."),
            ("a customer whose suitcase is missing", "Promise no day."),
        ):
            origin = Provenance(source="person")
            library.add(Entry.new(scenario, strategies=[Strategy.new(text, origin)]), "me")
        library.approve(None, "me")
        door = coached(smoke, library, embeddings=smoke, threshold=0.1)
        (found,) = door.deployment.retrieve("My bag never arrived")
        assert found.entry.scenario == "a customer whose suitcase is missing" and found.dense
