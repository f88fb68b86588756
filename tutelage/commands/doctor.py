"""`tutelage doctor`: what is installed, which models answer, what is missing and how to get it."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

_KEYS = {
    "openai": ("langchain_openai", "OPENAI_API_KEY"),
    "anthropic": ("langchain_anthropic", "ANTHROPIC_API_KEY"),
    "ollama": ("langchain_ollama", None),
}
_EXTRAS = {
    "serve": ("starlette", "uvicorn", "textual_serve"),
    "mcp": ("langchain_mcp_adapters",),
    "chats": ("presidio_analyzer", "faker"),
    "gepa": ("gepa",),
}
"""What else needs packages of its own, by the modules it imports."""


def doctor(
    model: Annotated[
        list[str] | None,
        typer.Option(metavar=o.SPEC, help="Also ask this model for one word; may be repeated."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Look at this installation; exit code 1 where something that was asked for does not work.

    Example: `tutelage doctor --model openai:gpt-5-mini`
    """
    import os
    import platform
    from importlib import metadata
    from importlib.util import find_spec

    from tutelage.agents.models.catalogue import CATALOGUE
    from tutelage.agents.models.chat_models import redacted
    from tutelage.agents.models.weights import is_pulled
    from tutelage.console import result, result_json

    rows: list[dict[str, object]] = [
        {"what": "python", "ok": True, "says": platform.python_version(), "do": ""}
    ]
    for package in ("tutelage", "langgraph", "langchain-core", "textual", "xllamacpp"):
        try:
            says, ok = metadata.version(package), True
        except metadata.PackageNotFoundError:
            says, ok = "not installed", False
        rows.append(
            {"what": package, "ok": ok, "says": says, "do": "" if ok else f"pip install {package}"}
        )
    for entry in CATALOGUE.values():
        pulled = is_pulled(entry)
        rows.append(
            {
                "what": f"local:{entry.name}",
                "ok": pulled,
                "says": "pulled" if pulled else "not pulled",
                "do": "" if pulled else f"tutelage models pull {entry.name}",
            }
        )
    for provider, (module, key) in _KEYS.items():
        installed = find_spec(module) is not None
        keyed = key is None or bool(os.environ.get(key))
        says = "not installed" if not installed else "ready" if keyed else f"{key} is not set"
        do = "" if installed else f"pip install 'tutelage[{provider}]'"
        rows.append({"what": f"{provider}:...", "ok": installed and keyed, "says": says, "do": do})
    for extra, modules in _EXTRAS.items():
        absent = [module for module in modules if find_spec(module) is None]
        says = f"no {', '.join(absent)}" if absent else "ready"
        do = f"pip install 'tutelage[{extra}]'" if absent else ""
        rows.append({"what": f"extra {extra}", "ok": not absent, "says": says, "do": do})
    failed = False
    for spec in model or []:
        says, ok = _answer(spec)
        failed = failed or not ok
        rows.append({"what": redacted(spec), "ok": ok, "says": says, "do": ""})
    if json:
        result_json(rows)
    else:
        for row in rows:
            sign = "ok     " if row["ok"] else "missing"
            do = f"   -> {row['do']}" if row["do"] else ""
            result(f"{sign}  {row['what']!s:<28} {row['says']}{do}")
    if failed:
        raise typer.Exit(1)


def _answer(spec: str) -> tuple[str, bool]:
    """Ask a model for one word; what it said, or what went wrong, and whether it answered."""
    from tutelage.agents.models.chat_models import chat_model, fault_of
    from tutelage.agents.models.faults import ModelFault

    try:
        said = chat_model(spec).invoke("Answer with the one word: ready").text
    except ModelFault as fault:
        return str(fault), False
    except Exception as error:
        return str(fault_of(error, spec)), False
    return f"answers: {' '.join(said.split())[:40]}", True
