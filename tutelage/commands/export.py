"""`tutelage export`: what a run brought about, as files that other tools load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")]
Firm = Annotated[
    str | None, typer.Option("--env", metavar="ENV", help="The run's firm, where it has moved.")
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Else stdout.")]
MinTurn = Annotated[
    float, typer.Option(min=1, max=5, help="The judge's 1-5 from which a reply counts as good.")
]
MinPreference = Annotated[
    float,
    typer.Option(min=0.5, max=1, help="Probability from which an accepted reply counts as better."),
]


@app.command()
def dataset(
    run: RunArgument,
    of: Annotated[
        str, typer.Option(help="replies (one example a state) or dialogues.")
    ] = "replies",
    env: Firm = None,
    out: Out = None,
    min_turn: MinTurn = 4.0,
    min_preference: MinPreference = 0.6,
) -> None:
    """Write a run as a dataset of LangSmith examples (JSONL: inputs, outputs, metadata, split).

    A reply's `outputs` are the best one known: accepted in coaching, else the teacher's that the
    judge preferred, else the student's own where it was good; none where nothing was.

    Example: `tutelage export dataset runs/x --out replies.jsonl`, then in Python
    `client.create_examples(dataset_id=..., examples=[json.loads(line) for line in file])`
    """
    from tutelage.runs.export import export_dataset

    if of not in ("replies", "dialogues"):
        raise typer.BadParameter(f"{of!r} is neither replies nor dialogues", param_hint="--of")
    export_dataset(run, env, out, of, min_turn, min_preference)


@app.command()
def finetune(
    run: RunArgument,
    env: Firm = None,
    out: Out = None,
    min_csat: Annotated[
        float, typer.Option(min=1, max=5, help="Satisfaction from which a dialogue is taken.")
    ] = 4.0,
    min_turn: MinTurn = 4.0,
    min_preference: MinPreference = 0.6,
) -> None:
    """Write training examples for supervised fine-tuning (OpenAI's chat format, JSONL).

    Taken are replies that strategies were kept for, and dialogues that satisfied the customer and
    passed every check by code; of the training split only. Weak replies within them have weight 0.

    Example: `tutelage export finetune runs/x --out train.jsonl`
    """
    from tutelage.runs.export import export_finetuning

    export_finetuning(run, env, out, min_csat, min_turn, min_preference)
