"""Chat models by name: one spec for every provider, and one sentence for whatever goes wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from pydantic_core import to_jsonable_python
from rapidfuzz import fuzz, process
from tutelage.environments.surrogates import mended
from tutelage.strategy_store import Library, Placement

from .catalogue import DEFAULT_MODEL
from .faults import ModelFault, chain_of, status_of
from .local_chat import ChatLocal
from .weights import weights_path

__all__ = [
    "DEFAULT_MODEL",
    "as_taken",
    "chat_model",
    "fault_of",
    "fitting_placement",
    "measured_placement",
    "model_name",
    "supports_logprobs",
    "token_logprobs",
]

_EXTRAS = {"openai", "anthropic", "ollama"}
"""Providers whose package comes with an extra of the same name."""

_KEYLESS = {"ollama", "local"}
_LEADING_SYSTEM_ONLY = {
    "ChatAnthropic",
    "ChatGoogleGenerativeAI",
    "ChatMistralAI",
    "ChatVertexAI",
}
_OLLAMA_FIELDS = {
    "seed": "seed",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "num_predict",
}
_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
_SECRET_SHAPE = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|hf|key)[-_][\w*.-]{6,}|(?i:bearer)\s+\S+|\b[A-Za-z0-9_-]{32,}\b"
)
_URL = re.compile(r"https?://[^\s'\"<>)\]]+")


def chat_model(spec: str | BaseChatModel, **options: Any) -> BaseChatModel:
    """A chat model from a spec.

    - `local:qwen2.5-coder-1.5b` or `local:/path/to/weights.gguf`: in this process.
    - `openai:gpt-4o-mini`, `anthropic:...`, `ollama:...`: any provider of `init_chat_model`.
    - `openai:NAME@http://host:8000/v1`: any OpenAI-compatible server (vLLM, llama.cpp, LM Studio);
      OPENAI_API_KEY is sent to it where it is set, as every OpenAI client does.

    Args:
        spec: the spec, or a model object, which is given back as it is.
        **options: fields of the model, such as temperature or max_tokens.

    Returns:
        A chat model that is ready to be called; no local weights are loaded yet.

    Raises:
        ModelFault: where the provider is unknown, its package or key is missing, the local model is
            unknown or not pulled, or an address holds a password or a query.
    """
    if isinstance(spec, BaseChatModel):
        return spec
    provider, name = parts_of(spec, "model", "openai:gpt-4o-mini")
    if provider == "local":
        # Both complain about what is not there now rather than in the middle of a run.
        weights_path(name)
        return ChatLocal(model=name, **options)
    name, address = named_at(name)
    if address:
        options["base_url"] = address
        if provider == "openai" and not os.environ.get("OPENAI_API_KEY"):
            # The client insists on a key; servers of one's own mostly do not.
            options.setdefault("api_key", "none")
    try:
        return init_chat_model(name, model_provider=provider, **options)
    except Exception as error:
        raise unmade(provider, name, error) from error


def parts_of(spec: str, kind: str, example: str) -> tuple[str, str]:
    """Provider and name of a spec.

    Args:
        spec: `provider:name`.
        kind: what it should name, in one word, for the fault.
        example: a spec of a provider that is not this process, for the fault.

    Raises:
        ModelFault: where it has not both.
    """
    provider, _, name = spec.strip().partition(":")
    if not name or not provider:
        raise ModelFault(
            f"{spec!r} names no {kind}; write provider:model, such as {DEFAULT_MODEL} or {example}.",
            exit_code=2,
        )
    return provider.lower().replace("-", "_"), name


def named_at(name: str) -> tuple[str, str]:
    """The name and the address of `NAME@http://host/path`; the address is "" where none is given.

    Raises:
        ModelFault: where the address holds a user, a password or a query: a spec stands in run logs,
            reports and lists of processes.
    """
    name, at, rest = name.partition("@http")
    if not at:
        return name, ""
    address = f"http{rest}"
    if "?" in rest or "#" in rest or "@" in rest.split("://", 1)[-1].split("/", 1)[0]:
        raise ModelFault(
            f"{name}@{clean_url(address)}: its address may hold no user, password or query, for a spec "
            "is written into logs; set the whole address in the environment instead (OPENAI_API_BASE, "
            "ANTHROPIC_BASE_URL) and name the model alone.",
            exit_code=2,
        )
    return name, address


def runs_here(spec: str) -> bool:
    """Whether a spec names a model that runs in this process."""
    return spec.startswith("local:")


def model_name(model: BaseChatModel) -> str:
    """A model's name for logs and reports, free of keys, passwords and query strings.

    Args:
        model: any chat model.

    Returns:
        `provider:name`, with `@http://host:port/path` where the server is not the provider's own.
    """
    if isinstance(model, ChatLocal):
        return "local:" + re.split(r"[/\\]", model.model)[-1]
    known: dict[str, Any] = dict(model._get_ls_params())
    provider = known.get("ls_provider") or model._llm_type
    name = known.get("ls_model_name") or getattr(model, "model_name", None) or model._llm_type
    base = next(
        (
            str(value)
            for field in ("openai_api_base", "base_url", "anthropic_api_url")
            if (value := getattr(model, field, None))
        ),
        "",
    )
    default = type(model).model_fields.get("anthropic_api_url")
    if default is not None and "anthropic.com" in base:
        base = ""
    return redacted(f"{provider}:{name}") + (f"@{clean_url(base)}" if base else "")


def as_taken(model: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A chat model and a call's options as the client of its provider takes them: Anthropic's knows
    no seed, Ollama's takes how to sample from the model's fields alone.

    Args:
        model: a chat model; also one with tools or a format bound, or one that is coached.
        options: of the call, by OpenAI's names: seed, temperature, top_p, max_tokens, stop.

    Returns:
        What to call, and the options to call it with: without those that are bound, for what a person
        bound stands. The model given is not changed.
    """
    if isinstance(model, RunnableBinding):
        options = {name: value for name, value in options.items() if name not in model.kwargs}
    for holder in ("bound", "model"):
        if isinstance(inner := getattr(model, holder, None), Runnable):
            fitted, left = as_taken(inner, options)
            same = fitted is inner
            return model if same else model.model_copy(update={holder: fitted}), left
    names = {kind.__name__ for kind in type(model).__mro__}
    left = dict(options)
    if "ChatAnthropic" in names:
        left.pop("seed", None)
    if "ChatOllama" in names:
        fields = {
            _OLLAMA_FIELDS[name]: left.pop(name) for name in options if name in _OLLAMA_FIELDS
        }
        # Its `options` keyword would replace what the model was made with, such as num_ctx.
        model = model.model_copy(update=fields) if fields else model
    return model, left


def supports_logprobs(model: BaseChatModel) -> bool:
    """Whether a model can tell the log-probabilities of the tokens it chose among.

    Args:
        model: any chat model.

    Returns:
        True where it has fields for them. A server behind it may still give none: callers must
        be ready for an answer without.
    """
    fields = type(model).model_fields
    return "logprobs" in fields and "top_logprobs" in fields


def token_logprobs(message: AIMessage) -> list[dict[str, Any]]:
    """The tokens of an answer with what a provider tells of each: `token`, `logprob`, `top_logprobs`.

    Args:
        message: the answer.

    Returns:
        The tokens in order, as OpenAI's `content`; none where the provider tells nothing.
    """
    told = message.response_metadata.get("logprobs") or {}
    # Ollama gives the list alone, of objects of its client.
    return to_jsonable_python((told.get("content") if isinstance(told, dict) else told) or [])


def fitting_placement(model: object) -> Placement:
    """Where strategies stand best in what a model is sent: behind the transcript, where all before
    them can be cached, unless the model's provider takes a system message at the start only.

    Args:
        model: a chat model, or a Runnable with one in it (retries, fallbacks, tools, a format);
            anything else is taken for one that lets late system messages pass.
    """
    return "note" if any(map(_leads_only, _models(model))) else "after"


def _leads_only(model: BaseChatModel) -> bool:
    """Whether a model's provider takes system messages at the start only."""
    names = {kind.__name__ for kind in type(model).__mro__}
    profile = model.profile or {}
    return bool(
        names & _LEADING_SYSTEM_ONLY and not profile.get("mid_conversation_system_messages")
    )


def measured_placement(model: object, library: Library | None, spec: str = "") -> Placement:
    """Where strategies stand in what a model is sent: as the library has it measured for this model
    (`library place`), else as `fitting_placement` has it.

    Args:
        model: a chat model, or a Runnable with one in it; of anything else nothing can have been
            measured.
        library: where the measurement is kept, by what `model_name` makes of the model.
        spec: the model's spec, where it is known: older releases kept measurements by that.
    """
    fitting = fitting_placement(model)
    if library is None:
        return fitting
    models = _models(model)
    placement = library.placement_for(spec, fitting)
    for one in models[:1]:
        placement = library.placement_for(model_name(one), placement)
    if fitting == "note" and len(models) > 1 and placement in ("after", "example"):
        # It was measured for the first; those that stand in for it must be able to take it, too.
        return fitting
    return placement


def _models(model: object) -> list[BaseChatModel]:
    """The chat models that get the messages which something around them is given: the first that
    is asked, then those that stand in for it.
    """
    if isinstance(model, RunnableSequence):
        return next((found for step in model.steps if (found := _models(step))), [])
    if isinstance(model, RunnableWithFallbacks):
        inner = list(model.runnables)
    elif isinstance(model, RunnableParallel):
        inner = list(model.steps__.values())
    else:
        held = (getattr(model, name, None) for name in ("bound", "model", "default"))
        # The first alone: what is around a model gives the model's own fields as its own.
        inner = [one for one in held if isinstance(one, Runnable)][:1]
    if inner:
        return [found for one in inner for found in _models(one)]
    return [model] if isinstance(model, BaseChatModel) else []


def fault_of(error: BaseException, spec: str | BaseChatModel) -> ModelFault:
    """Turn whatever a provider raised into one sentence that says what to do.

    Args:
        error: the exception.
        spec: the model it came from.

    Returns:
        A fault without keys; `retryable` where the same call may succeed later.
    """
    chain = list(chain_of(error))
    for link in chain:
        if isinstance(link, ModelFault):
            return link
    shown = redacted(spec) if isinstance(spec, str) else model_name(spec)
    provider = shown.partition(":")[0]
    status = status_of(error)
    names = " ".join(type(link).__name__ for link in chain)
    said = _first_line(chain[0])
    everything = " ".join(str(link) for link in chain).lower()

    if status in (401, 403):
        return ModelFault(f"{shown} refused the key ({status}); check {_key_of(provider)}.")
    if "context" in everything and any(w in everything for w in ("length", "maximum", "exceed")):
        return ModelFault(f"The prompt is too long for {shown}: {said}")
    if status == 404:
        return ModelFault(f"{shown} is not there (404); check the model's name and the address.")
    if status == 429:
        if "quota" in everything or "credit" in everything or "billing" in everything:
            return ModelFault(f"The account behind {shown} has no credit left (429).")
        return ModelFault(
            f"{shown} takes no more calls for now (429); lower --concurrency or wait.",
            retryable=True,
        )
    if status == 504:
        return ModelFault(f"{shown} did not answer in time; try again.", retryable=True)
    if status is not None and status >= 500:
        return ModelFault(f"The server of {shown} failed ({status}); try again.", retryable=True)
    if status is not None:
        return ModelFault(f"{shown} refused the request ({status}): {said}")
    if "Connect" in names or any(isinstance(link, ConnectionError) for link in chain):
        return ModelFault(
            f"{shown} cannot be reached; check that its server runs and that the address is right.",
            retryable=True,
        )
    if any(word in everything for word in ("api_key", "api key", "credentials")):
        return ModelFault(f"{shown} has no key; set {_key_of(provider)}.", status_code=401)
    return ModelFault(f"{shown} failed: {type(chain[0]).__name__}: {said}")


def _first_line(error: BaseException) -> str:
    """What an exception says, in at most 200 characters of one line, with no secrets."""
    text = redacted(mended(" ".join(str(error).split())))
    return text if len(text) <= 200 else text[:197] + "..."


def redacted(text: str) -> str:
    """A text without the keys of the environment, anything shaped like a key, or URL passwords."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    # Only what stands outside addresses can be a key; a path may hold long words.
    parts, end = [], 0
    for found in _URL.finditer(text):
        parts += [_SECRET_SHAPE.sub("***", text[end : found.start()]), clean_url(found.group())]
        end = found.end()
    return "".join([*parts, _SECRET_SHAPE.sub("***", text[end:])])


def clean_url(url: str) -> str:
    """Scheme, host, port and path of a URL, without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return "***"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _key_of(provider: str) -> str:
    if provider in ("azure", "azure_openai"):
        return "AZURE_OPENAI_API_KEY"
    if provider.startswith("google"):
        return "GOOGLE_API_KEY"
    return f"{'MISTRAL' if provider == 'mistralai' else provider.upper()}_API_KEY"


def unmade(provider: str, name: str, error: Exception) -> ModelFault:
    """Why a provider's model cannot even be made, in one sentence: no such provider, a package or a
    key that is missing.

    Args:
        provider, name: the two parts of its spec.
        error: what LangChain or the provider's package raised.
    """
    if isinstance(error, ImportError):
        return _missing_package(provider, error)
    unknown = ("Unsupported provider", "Unsupported model_provider", "is not supported")
    if isinstance(error, ValueError) and any(words in str(error) for words in unknown):
        return _unknown_provider(provider, str(error))
    return _unusable(provider, name, error)


def _missing_package(provider: str, error: ImportError) -> ModelFault:
    found = re.search(r"pip install (?:-\S+ )*([\w-]+)", str(error))
    package = found.group(1) if found else f"langchain-{provider.replace('_', '-')}"
    extra = f" (or `pip install 'tutelage[{provider}]'`)" if provider in _EXTRAS else ""
    return ModelFault(f"{provider}: models need one more package: `pip install {package}`{extra}.")


def _unknown_provider(provider: str, message: str) -> ModelFault:
    # LangChain's own list stands at the end of its message; it grows with LangChain.
    _, _, listed = message.partition("are: ")
    bulleted = re.findall(r"^\s*- (\w+):", message, re.MULTILINE)
    listed_names = bulleted or [n.strip() for n in listed.split(",") if n.strip()]
    names = sorted({"local", *listed_names} | _EXTRAS)
    close = process.extractOne(provider, names, scorer=fuzz.ratio, score_cutoff=60)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ModelFault(
        f"{provider!r} is no provider of models; {hint}There are {', '.join(names)}.", exit_code=2
    )


def _unusable(provider: str, name: str, error: Exception) -> ModelFault:
    """A model that cannot even be made: nearly always a key that is missing."""
    text = str(error).lower()
    if provider not in _KEYLESS and any(
        word in text for word in ("api_key", "api key", "credential", "token")
    ):
        return ModelFault(
            f"{provider}:{name} needs a key: set the environment variable {_key_of(provider)}."
        )
    return ModelFault(f"{provider}:{name} cannot be used: {_first_line(error)}", exit_code=2)
