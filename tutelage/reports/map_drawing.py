"""The scenario map as a drawing: time runs to the right, red is weak, a thick frame is a cause."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tutelage.graphs.map.scenario_map import MapEdge, MapNode, ScenarioMap
from tutelage.reports.plots import BAD, GOOD, INK, SOFT, as_svg

MOST_NODES = 18
MOST_EDGES = 30
_WRAP, _LINES = 34, 3
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 2.7, 0.98, 1.35, 0.3
"""Inches: a node's box, and the space between boxes."""
_LABEL = (0.62, 0.17)
"""Inches: an edge's label."""
_EVEN = 0.25
"""Change of score (points of 5) up to which an edge counts as neither fall nor rise."""

_MIDDLE = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
_NEAR_START = (0.25, 0.32, 0.4, 0.5, 0.6, 0.75)
_NEAR_END = (0.75, 0.68, 0.6, 0.5, 0.4, 0.25)
"""Shares of a curve at which its label may stand, in order of liking."""

Box = tuple[float, float, float, float]


def map_svg(drawn: ScenarioMap, title: str) -> str:
    """Draw a map.

    Args:
        drawn: the map; its `MOST_NODES` highest ranks are shown, with the edges between them.
        title: stands above.

    Returns:
        An <svg> element.
    """
    from matplotlib.figure import Figure

    nodes = drawn.nodes[:MOST_NODES]
    at = _places(nodes, drawn.edges)
    shown = {node.id for node in nodes}
    edges = [e for e in drawn.edges if e.start in shown and e.end in shown][:MOST_EDGES]
    wide = max((x for x, _ in at.values()), default=0.0) + _WIDTH
    if any(at[e.end][0] <= at[e.start][0] for e in edges):
        wide += _GAP_X  # Room for the curves that come back from the right.
    low = min((y for _, y in at.values()), default=0.0)
    figure = Figure(figsize=(max(wide, 7.5) + 0.8, 1.75 - low + _HEIGHT))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.4, max(wide, 7.5) + 0.4)
    axes.set_ylim(low - 0.55, _HEIGHT + 1.2)
    axes.axis("off")
    axes.text(0, _HEIGHT + 0.95, _plain(title), fontsize=12, color=INK, weight="bold", va="center")
    axes.text(
        0, _HEIGHT + 0.68,
        "Left to right: turns of the dialogue. The redder, the weaker the reply; the thicker the frame, "
        "the more of the loss began there.",
        fontsize=8, color=SOFT, va="center",
    )  # fmt: skip
    for column, x in sorted({_column(node): at[node.id][0] for node in nodes}.items()):
        axes.text(x, _HEIGHT + 0.3, f"around turn {column + 1}", fontsize=8, color=SOFT)
    taken: list[Box] = [(x, y, x + _WIDTH, y + _HEIGHT) for x, y in at.values()]
    again = {edge.start: edge.count for edge in edges if edge.start == edge.end}
    ways = [edge for edge in edges if edge.start != edge.end]
    for edge in ways:
        # The label stands at the end where fewer edges meet.
        leaving = sum(other.start == edge.start for other in ways)
        coming = sum(other.end == edge.end for other in ways)
        shares = _NEAR_START if coming > leaving else _NEAR_END if leaving > coming else _MIDDLE
        _draw_edge(axes, edge, at, max(e.count for e in edges), shares, taken)
    for node in nodes:
        _draw_node(axes, node, at[node.id], again.get(node.id, 0))
    left_out = len(drawn.nodes) - len(nodes)
    note = f"{left_out} nodes of lower rank are not drawn. " if left_out else ""
    axes.text(
        0, low - 0.35,
        f"{note}On an edge: how many dialogues went that way, and the mean change of the score.",
        fontsize=8, color=SOFT, va="center",
    )  # fmt: skip
    return as_svg(figure)


def signed(change: float) -> str:
    """A change with its sign and one digit; none at all is 0.0."""
    return f"{change:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


def _plain(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _column(node: MapNode) -> int:
    return round(node.depth)


def _places(nodes: Sequence[MapNode], edges: Sequence[MapEdge]) -> dict[str, tuple[float, float]]:
    """The lower left corner of each box: a column a turn, a node near those it is reached from."""
    columns: dict[int, list[MapNode]] = defaultdict(list)
    for node in nodes:
        columns[_column(node)].append(node)
    row_of: dict[str, float] = {}
    at: dict[str, tuple[float, float]] = {}
    for place, column in enumerate(sorted(columns)):
        came = {
            node.id: [row_of[e.start] for e in edges if e.end == node.id and e.start in row_of]
            for node in columns[column]
        }
        order = sorted(
            enumerate(columns[column]),
            key=lambda pair: (
                sum(came[pair[1].id]) / len(came[pair[1].id]) if came[pair[1].id] else pair[0],
                pair[0],
            ),
        )
        for row, (_, node) in enumerate(order):
            row_of[node.id] = row
            at[node.id] = (place * (_WIDTH + _GAP_X), -row * (_HEIGHT + _GAP_Y))
    return at


def _draw_node(axes: Any, node: MapNode, place: tuple[float, float], again: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    # White where all is well, to a red that black text is still read on.
    fade = 1 - 0.45 * node.weakness
    axes.add_patch(
        FancyBboxPatch(
            (x, y), _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=(1.0, fade, fade), edgecolor=INK, linewidth=0.8 + 5 * node.share, zorder=3,
        )
    )  # fmt: skip
    lines = textwrap.wrap(_plain(node.label), _WRAP, max_lines=_LINES, placeholder="...")
    axes.text(
        x + 0.1, y + _HEIGHT - 0.1, "\n".join(lines), fontsize=8, color="#1d2430", va="top",
        linespacing=1.15, zorder=4,
    )  # fmt: skip
    repeats = f", again {again}x" if again else ""
    axes.text(
        x + 0.1, y + 0.1,
        f"{node.id}   score {node.score:.1f}, {node.visits} visits{repeats}, cause of {node.share:.0%}",
        fontsize=7, color=INK, va="bottom", weight="bold", zorder=4,
    )  # fmt: skip


def _draw_edge(
    axes: Any,
    edge: MapEdge,
    at: dict[str, tuple[float, float]],
    most: int,
    shares: Sequence[float],
    taken: list[Box],
) -> None:
    """A curve from box to box, under them, with its label where nothing else stands."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x1, y1), (x2, y2) = at[edge.start], at[edge.end]
    middle1, middle2 = y1 + _HEIGHT / 2, y2 + _HEIGHT / 2
    if x2 > x1:
        start, end, bend = (x1 + _WIDTH, middle1), (x2, middle2), _GAP_X * 0.6
        points = [start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end]
    else:
        # Back in time, or within a column: out to the right and in again from the right.
        start, end = (x1 + _WIDTH, middle1 - 0.15), (x2 + _WIDTH, middle2 + 0.15)
        out = max(start[0], end[0]) + _GAP_X * 0.75
        points = [start, (out, start[1]), (out, end[1]), end]
    colour = BAD if edge.change < -_EVEN else GOOD if edge.change > _EVEN else SOFT
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, codes), arrowstyle="-|>,head_length=5,head_width=2.5", color=colour,
            linewidth=0.8 + 2.2 * edge.count / most, fill=False, zorder=1, alpha=0.85,
        )
    )  # fmt: skip
    for share in shares:
        x, y = _on_curve(points, share)
        box = (x - _LABEL[0] / 2, y - _LABEL[1] / 2, x + _LABEL[0] / 2, y + _LABEL[1] / 2)
        if not any(_meet(box, other) for other in taken):
            taken.append(box)
            axes.text(
                x, y, f"{edge.count}x {signed(edge.change)}", fontsize=7, color=colour, ha="center",
                va="center", zorder=2,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.9},
            )  # fmt: skip
            return


def _on_curve(points: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    """The point at share `t` of a cubic Bezier curve."""
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return (
        sum(w * x for w, (x, _) in zip(weights, points, strict=True)),
        sum(w * y for w, (_, y) in zip(weights, points, strict=True)),
    )


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
