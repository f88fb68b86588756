"""Plots as SVG text, drawn with matplotlib, for reports and files."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any

INK, SOFT, GOOD, BAD = "#3b4656", "#9aa4b1", "#2a8c5f", "#c0503f"


def intervals(
    rows: Mapping[str, tuple[float | None, tuple[float, float] | None]],
    label: str,
    *,
    limits: tuple[float, float] | None = None,
    zero: bool = False,
    real: Collection[str] = (),
) -> str:
    """Means with their intervals, one row each, from the top in the order given.

    Args:
        rows: name to mean and interval; either may be missing.
        label: of the horizontal axis, with its unit.
        limits: of that axis; from the data where None.
        zero: draws a line at zero.
        real: rows that are coloured, by their sign.

    Returns:
        An <svg> element.
    """
    figure, axes = _figure(len(rows))
    for position, (name, (mean, interval)) in enumerate(rows.items()):
        if mean is None:
            continue
        colour = INK if name not in real else GOOD if mean > 0 else BAD
        if interval is not None:
            axes.plot(interval, (position, position), color=colour, linewidth=2)
        axes.plot((mean,), (position,), "o", color=colour, markersize=6, clip_on=False)
        axes.annotate(
            f"{mean:.2f}", (mean, position), textcoords="offset points", xytext=(0, 7),
            ha="center", color=colour, fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.7)
    if zero:
        axes.axvline(0, color=SOFT, linewidth=1, linestyle="--")
    if limits is not None:
        axes.set_xlim(*limits)
    axes.set_xlabel(label)
    return as_svg(figure)


def curves(
    lines: Mapping[str, Mapping[int, float]],
    label: str,
    *,
    within: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
    marked: int | None = None,
) -> str:
    """Values by round, one line a name; rounds that have no value are passed over.

    Args:
        lines: name to round (0: before the first) to value.
        label: of the vertical axis, with its unit.
        within: name to round to the interval of the value, where there is one.
        marked: a round that gets a ring on every line that has it, such as the one that was kept.

    Returns:
        An <svg> element.
    """
    figure, axes = _figure(4)
    for (name, values), colour in zip(lines.items(), (GOOD, SOFT, INK, BAD), strict=False):
        rounds = sorted(values)
        axes.plot(rounds, [values[r] for r in rounds], "o-", color=colour, label=name, markersize=4)
        for at, interval in (within or {}).get(name, {}).items():
            axes.plot((at, at), interval, color=colour, linewidth=1, alpha=0.6)
        if marked is not None and marked in values:
            axes.plot(
                (marked,), (values[marked],), "o", color=colour, markersize=11, fillstyle="none"
            )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("round (0: before anything was taught)")
    axes.set_ylabel(label, color=INK)
    axes.legend(frameon=False, fontsize=8)
    return as_svg(figure)


def bars(rows: Mapping[str, float | None], label: str, *, least: float | None = None) -> str:
    """Shares between 0 and 1 as bars; those under `least` in another colour.

    Returns:
        An <svg> element.
    """
    figure, axes = _figure(len(rows))
    values = [value or 0.0 for value in rows.values()]
    colours = [BAD if least is not None and value < least else GOOD for value in values]
    axes.barh(range(len(rows)), values, color=colours, height=0.6)
    for position, value in enumerate(rows.values()):
        shown = "no data" if value is None else f"{value:.2f}"
        axes.annotate(
            shown, (value or 0.0, position), textcoords="offset points", xytext=(4, -3),
            color=INK, fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.08)
    if least is not None:
        axes.axvline(least, color=SOFT, linewidth=1, linestyle="--")
    axes.set_xlabel(label)
    return as_svg(figure)


def _figure(rows: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.9 + 0.42 * max(rows, 1)), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False, colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    return figure, axes


def as_svg(figure: Any) -> str:
    """A figure as an <svg> element; the same figure gives the same text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # A fixed salt and no metadata: the same figures give the same file, which names no address.
    with mpl.rc_context({"svg.hashsalt": "tutelage", "svg.fonttype": "none"}):
        figure.savefig(
            buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = buffer.getvalue()
    return text[text.index("<svg") :]
