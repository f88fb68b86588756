"""Usage and faults: calls, tokens, their rate and money by role, then what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from tutelage.graphs.log.picture import RunPicture
from tutelage.graphs.plain_text import clean, one_line

from .headline import clock

_BAR = 24


def usage(picture: RunPicture, style: Callable[[str], str]) -> RenderableType:
    """What each role has used, a bar for its share of all tokens, and the faults, newest first.

    Args:
        picture: the run.
        style: turns a style in our names for colours (`$student`) into one that rich knows.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name in ("role", "model", "calls", "input", "cached", "output", "tok/s", "US$", "share"):
        table.add_column(name, justify="left" if name in ("role", "model", "share") else "right")
    now = time.time()
    total = picture.tokens or 1
    for role, used in sorted(picture.usage.items()):
        rate = picture.rates.get(role)
        speed = rate.at(now) if rate and picture.ended is None else None
        share = round((used.input + used.output) / total * _BAR)
        table.add_row(
            Text(one_line(role, 10), style(f"bold ${role}")), Text(one_line(used.model, 30)),
            f"{used.calls:,}", f"{used.input:,}", f"{used.cached:,}", f"{used.output:,}",
            "-" if speed is None else f"{speed:.1f}", f"{used.usd:.4f}",
            Text("━" * share, style(f"${role}")),
        )  # fmt: skip
    parts: list[RenderableType] = [
        table if picture.usage else Text("nothing was used yet", style("$quiet")),
        Text(""),
        Text(_faults(picture), style("bold $bad" if picture.fault_count else "$quiet")),
    ]
    for seen in reversed(picture.faults):
        at = clock(picture.worked(seen.at))
        where = one_line(seen.fault.dialogue or seen.fault.where, 60)
        parts.append(
            Text.assemble((f"{at}  ", style("$quiet")), (f"{where}  ", style("bold")),
                          clean(seen.fault.message))
        )  # fmt: skip
    return Group(*parts)


def _faults(picture: RunPicture) -> str:
    listed = len(picture.faults)
    newest = f", the newest {listed} of them" if listed < picture.fault_count else ""
    return f"faults: {picture.fault_count}{newest}"
