"""Vectors from the smoke model's weights: told apart, kept, refused where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from smoke import smoke_model
from tutelage.agents.coached import coached
from tutelage.agents.embedding_models import embedding_model
from tutelage.agents.faults import ModelFault
from tutelage.agents.local_embeddings import LONGEST, LocalEmbeddings
from tutelage.strategy_store import Entry, Index, Library, Provenance, Strategy
from typer.testing import CliRunner

from tutelage.main import app


@pytest.fixture(scope="module")
def embeddings() -> LocalEmbeddings:
    return LocalEmbeddings(smoke_model())


def test_a_text_has_one_vector_and_different_matters_differ(embeddings):
    died, mother, bag = embeddings.embed_documents(
        ["My father died last week.", "My mother passed away.", "Where is my suitcase?"]
    )
    assert died == embeddings.embed_query("My father died last week.")
    assert len({len(died), len(mother), len(bag)}) == 1

    def nearness(a, b):
        return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))

    assert nearness(died, mother) > nearness(died, bag)


def test_what_was_read_is_not_read_again(embeddings, monkeypatch):
    first = embeddings.embed_query("I waited four hours.")
    monkeypatch.setattr(embeddings, "_server", None)
    monkeypatch.setattr("tutelage.agents.local_embeddings.load", pytest.fail)
    assert embeddings.embed_query("I waited four hours.") == first


def test_a_text_beyond_the_context_is_cut(embeddings):
    for long in ("a customer who waits " * LONGEST, "顧客は待っている。" * 200):
        assert embeddings.embed_query(long) == embeddings.embed_query(long[-LONGEST:])


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
