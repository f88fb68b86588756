"""`tutelage map`: where dialogues go wrong first, what was never met, what stands twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def map_(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, live or finished.")],
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="The firm, if it is not where the run found it."),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of an evaluation: the arm to map, else its first."),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the map into this file.")
    ] = None,
    graphml: Annotated[
        Path | None,
        typer.Option(metavar="FILE.graphml", help="Write the graph for Gephi, yEd, Cytoscape."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the table.")] = 10,
    json: o.Json = False,
) -> None:
    """Map a run: what to teach first, what was never met, what stands twice.

    A node is a kind of state that dialogues went through. Nodes are ranked by how much of what went
    wrong *began* there: frequency x weakness x upstream cause. A weak reply that only follows from an
    earlier weak one counts for the earlier.

    Example: `tutelage map runs/20260512-140000-airline --svg map.svg`
    """
    from tutelage.reports.map_report import show_map

    show_map(run, firm=env, arm=arm, svg=svg, graphml=graphml, top=top, as_json=json)
