"""The rounds: satisfaction by round, or by arm, with its interval, as figures, sparkline and plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar

from rich.table import Table
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Sparkline, Static
from textual_plotext import PlotextPlot
from tutelage.graphs.log.events import LibrarySettled, RoundEnded
from tutelage.graphs.log.picture import DialoguePicture, RunPicture
from tutelage.graphs.plain_text import one_line

from .cards import MOVES
from .students import arm_of

LEAST_TO_INTERVAL = 2


@dataclass(slots=True)
class Series:
    """The dialogues that stand together: of a round, or of an arm. `scores` are 1 to 5, by scenario;
    `seed` is the run's where it is an arm, None where it is a round.
    """

    label: str
    seed: int | None = None
    scores: dict[str, list[float]] = field(default_factory=dict)
    rubric: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    dialogues: int = 0
    invalid: int = 0
    ended: RoundEnded | None = None

    @property
    def means(self) -> list[float]:
        """The mean of each scenario: its repeats are not independent of each other."""
        return [fmean(scores) for scores in self.scores.values()]

    @property
    def held_out_mean(self) -> float | None:
        """The mean on dialogues never learned from; the run's own where the round is over."""
        if self.ended is not None and self.ended.validation_csat is not None:
            return self.ended.validation_csat
        return fmean(self.held_out) if self.held_out else None

    def take(self, one: DialoguePicture, held_out: bool) -> None:
        """Add a dialogue; one held out is a figure of its own."""
        if held_out:
            if one.judged is not None:
                self.held_out.append(one.judged.satisfaction)
            return
        self.dialogues += 1
        ended = one.ended
        self.invalid += ended is not None and not ended.valid and not ended.taken_over
        if one.judged is not None:
            self.scores.setdefault(one.started.scenario, []).append(one.judged.satisfaction)
            self.rubric.append(one.judged.rubric)


def series_of(picture: RunPicture) -> list[Series]:
    """The rounds of a coaching run, or the arms of any other."""
    coaching = picture.started is not None and picture.started.command == "coach"
    seed = None if coaching else _seed_of(picture)
    found: dict[str, Series] = {}
    for one in picture.dialogues.values():
        if coaching and one.started.round < 0:
            # Played to measure something else.
            continue
        label = f"{one.started.round}" if coaching else one_line(arm_of(one.started))
        held_out = coaching and one.started.purpose == "validation"
        found.setdefault(label, Series(label, seed)).take(one, held_out)
    for number, ended in picture.rounds.items():
        found.setdefault(str(number), Series(str(number))).ended = ended
    return sorted(found.values(), key=lambda s: int(s.label)) if coaching else list(found.values())


def _seed_of(picture: RunPicture) -> int:
    seed = picture.started.options.get("seed") if picture.started else None
    return seed if isinstance(seed, int) else 0


def interval(one: Series) -> tuple[float, float] | None:
    """The 95 % interval of a mean, as the run's own result has it: of an arm that of the experiment, of
    a round that of its end. Slow at its first call, which loads scipy.
    """
    if one.ended is not None:
        return one.ended.csat_ci95
    if one.seed is not None:
        from tutelage.graphs.statistics.experiment import estimate

        return estimate(one.means, one.seed).ci95
    if len(one.means) < LEAST_TO_INTERVAL:
        return None
    from tutelage.graphs.statistics.acceptance import SATISFACTION, mean_interval

    return mean_interval(one.means, SATISFACTION)


Intervals = dict[str, tuple[float, float] | None]


def intervals_of(series: Sequence[Series]) -> Intervals:
    """The interval of each series."""
    return {one.label: interval(one) for one in series}


class Rounds(VerticalScroll):
    """Shows what `show` last gave it."""

    BINDINGS: ClassVar[list[BindingType]] = MOVES

    def compose(self) -> ComposeResult:
        """Which library stays, sparkline over dialogues, plot over rounds, table."""
        yield Static("", id="settled", markup=False)
        yield Static("reckoning…", id="spark-title", markup=False)
        yield Sparkline([], summary_function=fmean, id="spark")
        with Vertical(id="plot-box"):
            yield PlotextPlot(id="plot")
        yield Static("", id="rounds-table", markup=False)

    def on_mount(self) -> None:
        """Hide the plots until there is something to plot."""
        for name in ("#settled", "#plot-box", "#spark"):
            self.query_one(name).display = False

    def show(self, picture: RunPicture, series: Sequence[Series], intervals: Intervals) -> None:
        """Draw a run's series with their intervals."""
        scores = [one.judged.satisfaction for one in picture.dialogues.values() if one.judged]
        title = self.query_one("#spark-title", Static)
        shown = [one for one in series if one.scores or one.held_out_mean is not None]
        if picture.settled is not None:
            self.query_one("#settled", Static).update(_settled(picture.settled))
        self.query_one("#settled").display = picture.settled is not None
        self.query_one("#plot-box").display = bool(shown)
        self.query_one("#spark", Sparkline).display = bool(shown)
        if not shown:
            title.update(Content.styled("no dialogue is judged yet", "$quiet"))
            self.query_one("#rounds-table", Static).update("")
            return
        title.update(Content.assemble(
            ("satisfaction, dialogue by dialogue  ", "bold"),
            (f"1 to 5, mean {fmean(scores):.2f} of {len(scores)}", "$quiet"),
        ))  # fmt: skip
        # A bar from 1 up: the lowest mark is an empty bar and not a missing one.
        self.query_one("#spark", Sparkline).data = [score - 1 for score in scores]
        self._plot(shown, intervals)
        best = str(picture.settled.round) if picture.settled else ""
        self.query_one("#rounds-table", Static).update(self._table(series, intervals, best))

    def _plot(self, series: Sequence[Series], intervals: Intervals) -> None:
        widget = self.query_one("#plot", PlotextPlot)
        plot = widget.plt
        plot.clear_figure()
        places = [float(place) for place in range(1, len(series) + 1)]
        known = [p for p, one in zip(places, series, strict=True) if one.scores]
        means = [fmean(one.means) for one in series if one.scores]
        ranges = [intervals.get(one.label) for one in series if one.scores]
        colour = Color.parse(self.app.theme_variables["judge"]).rgb
        coached = all(one.label.isdigit() for one in series)
        for place, found in zip(known, ranges, strict=True):
            if found is not None:
                plot.plot([place, place], list(found), marker="│", color=colour)
        plot.scatter(known, means, marker="┼", color=colour)
        if coached and known:
            plot.plot(known, means, marker="braille", color=colour, label="learned from")
        means_held = [(p, one.held_out_mean) for p, one in zip(places, series, strict=True)]
        held = [(p, mean) for p, mean in means_held if mean is not None]
        if held:
            where, heights = [p for p, _ in held], [mean for _, mean in held]
            held_colour = Color.parse(self.app.theme_variables["strategy"]).rgb
            plot.plot(where, heights, marker="braille", color=held_colour)
            plot.scatter(where, heights, marker="x", color=held_colour, label="held out")
        plot.ylim(1, 5)
        plot.xlim(0.5, len(series) + 0.5)
        plot.yticks([1, 2, 3, 4, 5])
        plot.xticks(places, [one_line(one.label, 12) for one in series])
        plot.title("satisfaction by round, mean and 95 % interval" if coached
                   else "satisfaction by arm, mean and 95 % interval")  # fmt: skip
        widget.refresh()

    def _table(self, series: Sequence[Series], intervals: Intervals, best: str) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("", "dialogues", "invalid", "csat", "95 %", "held out", "rubric", "kept",
                     "dropped"):  # fmt: skip
            table.add_column(name, justify="right")
        for one in series:
            found, ended = intervals.get(one.label), one.ended
            table.add_row(
                f"★ {one.label}" if one.label == best else one.label,
                str(one.dialogues), str(one.invalid), _mean(one.means),
                "-" if found is None else f"{found[0]:.2f} to {found[1]:.2f}",
                "-" if one.held_out_mean is None else f"{one.held_out_mean:.2f}", _mean(one.rubric),
                str(ended.kept) if ended else "-", str(ended.dropped) if ended else "-",
            )  # fmt: skip
        return table


def _settled(settled: LibrarySettled) -> Content:
    """Which library the run leaves, and why."""
    after = f"after round {settled.round}" if settled.round else "before the first round"
    version = f"version {settled.version}, {after}"
    # Where a person changed it meanwhile, what stays is not the best version.
    told = f"rolled back to {version}" if settled.rolled_back else f"stays; best is {version}"
    return Content.assemble(
        ("library  ", "bold $strategy"), (told, "bold"), (f": {one_line(settled.reason)}", "$quiet")
    )


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" if values else "-"
