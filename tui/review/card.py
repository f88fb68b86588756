"""The card: one entry whole, with the strategy under the cursor and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static
from tutelage.graphs.plain_text import clean, one_line
from tutelage.graphs.review import Entry, Evidence, Rule, Strategy, Uplift

from .rows import MARKS, Row

TONES = {"proposed": "$strategy", "approved": "$good", "rejected": "$bad", "retired": "$quiet"}
GAUGE = 24
SPAN = 0.25
"""The share of a scale that an uplift's gauge shows to either side of none."""


class Card(VerticalScroll):
    """Shows a row; its parts are made once and filled anew, so that moving about is quick."""

    DEFAULT_CSS = """
    Card { padding: 0 1; background: $background; scrollbar-size-vertical: 1; }
    Card Static, Card Vertical, Card Horizontal { height: auto; }
    Card #about { margin-bottom: 1; }
    Card .part { border: round $panel; border-title-color: $quiet; padding: 0 1; }
    Card:focus .part { border: round $border; }
    Card #scenario { text-style: bold; }
    Card #looked { border: round $warning; border-title-color: $warning; }
    Card #before, Card #after { width: 1fr; }
    Card #before { border: round $quiet; }
    Card #after { border: round $good; border-title-color: $good; }
    Card #customer { border: round $customer; border-title-color: $customer; }
    .-narrow Card #replies { layout: vertical; }
    Card #nothing { color: $quiet; text-align: center; margin-top: 2; }
    """
    can_focus = True

    def compose(self) -> ComposeResult:
        """Every part that a card may have."""
        yield Static("", id="nothing", markup=False)
        yield Static("", id="scenario", markup=False)
        yield Static("", id="about", markup=False)
        yield _part("looked", "to look at")
        yield _part("strategies", "strategies")
        with Vertical(id="evidence"):
            yield _part("customer", "the customer says")
            with Horizontal(id="replies"):
                yield _part("before", "without it")
                yield _part("after", "with it")
            yield _part("figures", "how sure")
        yield _part("uplift", "its own uplift, measured by withholding it at random")
        yield _part("rules", "policy rules it rests on")
        yield _part("origin", "where it comes from")
        yield _part("cues", "customer lines of such states")
        yield _part("limits", "where it is not given")

    def show(self, row: Row | None, nothing: str = "") -> None:
        """Fill the card.

        Args:
            row: what to show; None for nothing.
            nothing: said where there is nothing to show.
        """
        for part in self.children:
            part.display = row is not None
        self._fill("nothing", Content(nothing) if row is None else Content(""))
        if row is None:
            return
        entry, strategy = row.entry, row.strategy
        self._fill("scenario", Content(clean(entry.scenario)))
        self._fill("about", _about(entry))
        self._fill("looked", _findings(row))
        self._fill("strategies", _strategies(entry, strategy))
        evidence = strategy.provenance.evidence if strategy else None
        self.query_one("#evidence").display = evidence is not None
        if evidence is not None:
            self._fill("customer", Content(clean(evidence.customer)))
            self._fill("before", Content(clean(evidence.before) or "(nothing kept)"))
            self._fill("after", Content(clean(evidence.after) or "(nothing kept)"))
            self._fill("figures", _figures(evidence))
        uplift = strategy.uplift if strategy else None
        self._fill("uplift", _uplift(uplift) if uplift else Content(""))
        self._fill("origin", _origin(strategy) if strategy else Content(""))
        self._fill("cues", _lines(entry.cues))
        self._fill("limits", _limits(entry))

    def show_rules(self, rules: list[tuple[str, Rule | None]], why: str) -> None:
        """Fill in the policy rules, which are read from the firm a moment later."""
        lines: list[Content] = []
        for id_, rule in rules:
            if rule is None:
                lines.append(
                    Content.assemble((one_line(id_), "bold"), (" (text unknown)", "$quiet"))
                )
                continue
            section = f"  {one_line(rule.section)}" if rule.section else ""
            lines.append(Content.assemble((one_line(id_), "bold"), (section, "$quiet")))
            lines.append(Content(clean(rule.text)))
        if rules and why:
            lines.append(Content.styled(clean(why), "$quiet"))
        self._fill("rules", Content("\n").join(lines))

    def _fill(self, part: str, content: Content) -> None:
        found = self.query_one(f"#{part}", Static)
        found.update(content)
        found.display = bool(content.plain)


def _part(name: str, title: str) -> Static:
    part = Static("", id=name, classes="part", markup=False)
    part.border_title = title
    return part


def _lines(said: Sequence[str]) -> Content:
    return Content("\n").join(Content(f"“{one_line(line)}”") for line in said)


def _limits(entry: Entry) -> Content:
    if entry.threshold is None:
        return _lines(entry.unless)
    least = Content.styled(f"below a similarity of {entry.threshold:.2f}", "$quiet")
    return Content("\n").join([_lines(entry.unless), least]) if entry.unless else least


def _about(entry: Entry) -> Content:
    parts: list[tuple[str, str]] = []
    if entry.general:
        parts.append(("given in every state   ", "$accent"))
    for name, value in (("wants", entry.wants), ("feels", entry.feels)):
        if value:
            parts += [(f"{name} ", "$quiet"), (f"{one_line(value)}   ", "")]
    parts.append((entry.id, "$quiet"))
    return Content.assemble(*parts)


def _findings(row: Row) -> Content:
    return Content("\n").join(
        Content.assemble(("⚑ ", "$warning"), clean(f.what), (f"  → {clean(f.proposal)}", "$quiet"))
        for f in row.findings
    )


def _strategies(entry: Entry, current: Strategy | None) -> Content:
    lines: list[Content] = []
    for strategy in entry.strategies:
        here = current is not None and strategy.id == current.id
        mark, tone = MARKS[strategy.status], TONES[strategy.status]
        line = Content.assemble(
            ("▸ " if here else "  ", "$accent"), (f"{mark} ", tone),
            (clean(strategy.text), "bold" if here else ""),
            (f"  {strategy.status}", tone),
        )  # fmt: skip
        if strategy.reason:
            line = Content.assemble(line, (f"\n    because {one_line(strategy.reason)}", "$quiet"))
        lines.append(line)
    return Content("\n").join(lines)


def _figures(evidence: Evidence) -> Content:
    low, high = evidence.ci95
    lines = [
        Content.assemble(
            ("preferred ", "$quiet"), (f"{evidence.preference:.2f} ", "bold"),
            (gauge(evidence.preference, low, high, evidence.null_threshold), "$accent"),
            (f" {low:.2f} to {high:.2f}", "$quiet"),
        ),
        Content.assemble(
            ("over ", "$quiet"), f"{evidence.pairs} pairs, {evidence.states} states",
            ("   chance gives ", "$quiet"), f"{evidence.null_threshold:.2f}",
            *([("   p ", "$quiet"), f"{evidence.p:.3f}"] if evidence.p is not None else []),
        ),
    ]  # fmt: skip
    if evidence.checks_before is not None and evidence.checks_after is not None:
        change = evidence.checks_after - evidence.checks_before
        tone = "$good" if change > 0 else "$bad" if change < 0 else "$quiet"
        lines.append(
            Content.assemble(
                ("checks by code ", "$quiet"),
                f"{evidence.checks_before:.2f} → {evidence.checks_after:.2f} ",
                (f"({change:+.2f})", tone),
            )
        )
    return Content("\n").join(lines)


def _uplift(uplift: Uplift) -> Content:
    tone = {True: "$good", False: "$bad", None: "$quiet"}[uplift.helps]
    lines: list[Content] = []
    for name, scale, value, ci95 in (
        ("satisfaction", 4.0, uplift.csat, uplift.csat_ci95),
        ("rubric      ", 1.0, uplift.rubric, uplift.rubric_ci95),
    ):
        line = Content.assemble((f"{name} ", "$quiet"), (f"{value:+.2f} ", "bold"))
        if ci95 is not None:
            # From so much worse to so much better, none in the middle.
            mean, low, high = ((end / scale / SPAN + 1) / 2 for end in (value, *ci95))
            told = f" {ci95[0]:+.2f} to {ci95[1]:+.2f}"
            line += Content.assemble((gauge(mean, low, high, 0.5), "$accent"), (told, "$quiet"))
        else:
            line += Content.styled("no interval from so few scenarios", "$quiet")
        lines.append(line)
    counts = (
        f" over {uplift.scenarios} scenarios, given in {uplift.given} dialogues, withheld in "
        f"{uplift.withheld}"
    )
    origin = "".join(
        f"   {name} {one_line(value)}"
        for name, value in (("student", uplift.student), ("run", uplift.run))
        if value
    )
    lines.append(Content.assemble((uplift.verdict, f"bold {tone}"), counts, (origin, "$quiet")))
    return Content("\n").join(lines)


def gauge(mean: float, low: float, high: float, chance: float, width: int = GAUGE) -> str:
    """A line from 0 to 1 with the interval thick, the mean as a dot, and chance as a stroke."""

    def place(value: float) -> int:
        return round(min(1.0, max(0.0, value)) * (width - 1))

    cells = ["━" if place(low) <= cell <= place(high) else "─" for cell in range(width)]
    cells[place(chance)] = "┃"
    cells[place(mean)] = "●"
    return "".join(cells)


def _origin(strategy: Strategy) -> Content:
    origin = strategy.provenance
    parts: list[tuple[str, str]] = [("id ", "$quiet"), (strategy.id, "")]
    for name, value in (
        ("source", origin.source),
        ("tactics", ", ".join(origin.tactics)), ("firm", origin.environment), ("run", origin.run),
        ("round", str(origin.round or "")), ("scenario", ", ".join(sorted(origin.learned_in))),
        ("persona", origin.persona), ("dialogue", origin.dialogue),
        ("turn", str(origin.turn + 1) if origin.dialogue else ""), ("student", origin.student),
        ("teacher", origin.teacher), ("judge", origin.judge), ("made", strategy.created_at),
    ):  # fmt: skip
        if value:
            parts += [(f"   {name} ", "$quiet"), (one_line(value), "")]
    return Content.assemble(*parts)
