"""Embeddings from a spec string, as chat models are: what the libraries are searched with by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.embeddings import Embeddings

from .chat_models import fault_of, parts_of, unmade
from .local_embeddings import LocalEmbeddings
from .weights import weights_path


def embedding_model(spec: str | Embeddings | None) -> Embeddings | None:
    """Embeddings from a spec string.

    - `local:qwen2.5-coder-1.5b` or `local:/path/to/weights.gguf`: in this process, see
      `LocalEmbeddings`.
    - `openai:text-embedding-3-small`, `ollama:...`: any provider of LangChain's `init_embeddings`.

    Args:
        spec: the spec; embeddings and None are given back as they are.

    Raises:
        ModelFault: where the provider is unknown, its package or key is missing, or the local
            model is unknown or not pulled.
    """
    if not isinstance(spec, str):
        return spec
    provider, name = parts_of(spec, "embeddings", "openai:text-embedding-3-small")
    if provider == "local":
        weights_path(name)
        return LocalEmbeddings(name)
    from langchain.embeddings import init_embeddings

    try:
        made = init_embeddings(name, provider=provider)
    except Exception as error:
        raise unmade(provider, name, error) from error
    return _Told(made, f"{provider}:{name}")


class _Told(Embeddings):
    """A provider's embeddings whose failures are one sentence, as those of chat models are."""

    def __init__(self, inner: Embeddings, spec: str) -> None:
        self.inner = inner
        self.spec = spec

    def embed_query(self, text: str) -> list[float]:
        with self._named():
            return self.inner.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._named():
            return self.inner.embed_documents(texts)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise fault_of(error, self.spec) from error
