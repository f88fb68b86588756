"""Embeddings from a spec string, as chat models are: what the libraries are searched with by meaning."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from .chat_models import unmade
from .faults import ModelFault
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
    provider, colon, name = spec.strip().partition(":")
    if not colon or not name or not provider:
        raise ModelFault(
            f"{spec!r} names no embeddings; write provider:model, such as "
            f"local:qwen2.5-coder-1.5b or openai:text-embedding-3-small.",
            exit_code=2,
        )
    if provider.lower() == "local":
        weights_path(name)
        return LocalEmbeddings(name)
    from langchain.embeddings import init_embeddings

    try:
        return init_embeddings(name, provider=provider)
    except Exception as error:
        raise unmade(provider, name, error) from error
