"""`tutelage serve`: an OpenAI-compatible endpoint that coaches whatever passes through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def serve(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library's file.")],
    model: Annotated[str, typer.Option(metavar=o.SPEC, help=f"What answers: {o.SPEC_HELP}")],
    host: Annotated[str, typer.Option(help="Where to listen; this machine only, by default.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8377,
    placement: o.Placement = None,
    top: o.Top = None,
    threshold: o.Threshold = None,
    embeddings: o.Embeddings = None,
) -> None:
    """Serve a model, coached, to apps in any language: they change their base URL.

    Approved strategies that fit are added to each request; all else passes as it is. An `openai:`
    model is forwarded to, with OPENAI_API_KEY where it is set and with the client's own key
    otherwise; any other provider's model is called from here. Clients must send the key in
    TUTELAGE_SERVE_KEY where that is set; listening beyond this machine demands it.

    Example: `tutelage serve runs/x/library.db --model openai:gpt-5-mini`

    Then: `OPENAI_BASE_URL=http://127.0.0.1:8377/v1 node app.js`
    """
    from tutelage.serving.serve import serve_run

    serve_run(
        library, model, host, port, placement, top=top, threshold=threshold, embeddings=embeddings
    )
