"""The report of a coaching run: a table for the terminal and one self-contained HTML page."""

from __future__ import annotations

import difflib
import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import tutelage
from tutelage.console import write_file
from tutelage.graphs.log.events import StrategyDecided
from tutelage.graphs.log.states import Played
from tutelage.graphs.log.summary import RunSummary
from tutelage.reports.plots import curves
from tutelage.strategy_store import Entry
from tutelage.strategy_store.plain_text import clean


def coach_table(
    summary: RunSummary,
    dialogues: Mapping[str, Played],
    folder: Path,
    library: Path,
    report: Path,
    strategies: int,
) -> str:
    """What the terminal shows at the end of a run, as plain text of 100 columns."""
    parts: list[Any] = [
        Text(f"\nCoaching {summary.environment}: {summary.stop or 'done'}", style="bold"),
        _rounds(summary),
        _tokens(summary),
        Text(_verdict(summary)),
    ]
    if summary.settled is not None:
        did = "rolled back" if summary.settled.rolled_back else "kept as it is"
        parts.append(Text(f"library {did}: {summary.settled.reason}"))
    if example := _example(summary):
        title = f"{'kept' if example.verdict == 'kept' else 'dropped'}: {example.scenario}"
        body = Text()
        for text in example.texts:
            body.append(f"strategy  {text}\n", style="yellow")
        body.append("customer  ", style="bold").append(f"{example.customer_says}\n")
        body.append("before    ", style="bold").append(f"{example.before}\n")
        body.append("after     ", style="bold").append(f"{example.after}\n")
        preference = "-" if example.preference is None else f"{example.preference:.2f}"
        body.append(f"preference {preference} over {example.pairs} pairs: {example.reason}", "dim")
        parts.append(Panel(body, title=Text(title[:90]), border_style="dim"))
    invalid = sum(one.ended is not None and not one.valid for one in dialogues.values())
    parts.append(
        Text(
            f"customer: {summary.rejected_turns} of {summary.customer_turns + summary.rejected_turns}"
            f" lines drawn again, {invalid} dialogues invalid\n"
            f"library:  {library} ({strategies} strategies)\n"
            f"report:   {report}\n"
            f"time:     {summary.seconds / 60:.1f} min\n\n"
            "next:\n"
            + "".join(f"  {line}\n" for line in _next(summary, folder, library, strategies)),
            # A command that is broken in two cannot be copied.
            no_wrap=True,
            overflow="ignore",
        )
    )
    console = Console(file=io.StringIO(), width=100, highlight=False, color_system=None)
    console.print(Group(*parts), crop=False)
    assert isinstance(console.file, io.StringIO)
    return clean(console.file.getvalue())


def _next(summary: RunSummary, folder: Path, library: Path, strategies: int) -> list[str]:
    """The commands worth trying after this run."""
    if not strategies:
        return [
            f"tutelage watch {folder}",
            f"tutelage coach {summary.environment} --teacher openai:NAME   # a stronger teacher",
            f"tutelage simulate {summary.environment} --split test",
        ]
    # What was learned was tried as it was looked up; played otherwise it may do something else.
    looked_up = "".join(
        f" --{name} {shlex.quote(str(value))}"
        for name in ("top", "threshold", "embeddings")
        if (value := summary.options.get(name)) is not None
    )
    return [
        f"tutelage watch {folder}",
        f"tutelage library show {library}",
        f"tutelage library approve {library} --all",
        f"tutelage simulate {summary.environment} --split test --library {library}{looked_up}",
    ]


def write_report(
    path: Path, summary: RunSummary, dialogues: Mapping[str, Played], entries: Sequence[Entry]
) -> None:
    """Write the HTML page; it needs no network, and every text from a model is escaped in it."""
    write_page(
        path,
        "report.html.jinja",
        summary=summary,
        dialogues=list(dialogues.values()),
        entries=entries,
        version=tutelage.__version__,
        marked=marked,
        verdict=_verdict(summary),
        curve=_curve(summary),
    )


def _curve(summary: RunSummary) -> Markup | None:
    """Satisfaction by round, in training and on the validation dialogues; the library that stays has
    a ring.
    """
    held_out = {} if summary.baseline_csat is None else {0: summary.baseline_csat}
    # Where a round kept nothing the library is the one before, and nothing was played anew.
    held_out |= {
        e.round: e.validation_csat for e in summary.rounds if e.validation_csat is not None
    }
    training = {e.round: e.csat for e in summary.rounds if e.csat is not None}
    lines = {name: line for name, line in (("held out", held_out), ("training", training)) if line}
    if not any(len(line) > 1 for line in lines.values()):
        return None
    marked = summary.settled.round if summary.settled else None
    # Few dialogues of other scenarios each round: without its interval a rise would look like one.
    within = {e.round: e.csat_ci95 for e in summary.rounds if e.csat_ci95 is not None}
    drawn = curves(lines, "satisfaction, 1 to 5", within={"training": within}, marked=marked)
    return Markup(drawn)  # noqa: S704


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template of this folder, escaping every value, and put it in place in one step."""
    templates = Templates(
        loader=PackageLoader("tutelage.reports", "."), autoescape=True, undefined=StrictUndefined
    )
    page = templates.get_template(template).render(**values)
    write_file(path, page)


def marked(before: str, after: str) -> list[tuple[str, bool]]:
    """The words of `after` in runs, each with whether it is new against `before`."""
    old, new = before.split(), after.split()
    runs: list[tuple[str, bool]] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for operation, _, _, start, end in matcher.get_opcodes():
        if start < end:
            runs.append((" ".join(new[start:end]), operation != "equal"))
    return runs


def _rounds(summary: RunSummary) -> Table:
    table = Table(title=None, box=None, pad_edge=False)
    for name in ("round", "dialogues", "invalid"):
        table.add_column(name, justify="right")
    table.add_column("satisfaction 1-5", justify="right", no_wrap=True)
    for name in ("rubric", "by code", "by judge", "held out", "kept", "dropped"):
        table.add_column(name, justify="right")
    if summary.baseline_csat is not None:
        table.add_row("before", *[""] * 6, f"{summary.baseline_csat:.2f}", "", "")
    for event in summary.rounds:
        interval = ""
        if event.csat_ci95 is not None:
            interval = f" [{event.csat_ci95[0]:.2f}, {event.csat_ci95[1]:.2f}]"
        table.add_row(
            str(event.round),
            str(event.dialogues),
            str(event.invalid),
            _figure(event.csat) + interval,
            _figure(event.rubric),
            _figure(event.checks),
            _figure(event.questions),
            _figure(event.validation_csat),
            str(event.kept),
            str(event.dropped),
        )
    return table


def _tokens(summary: RunSummary) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("role")
    table.add_column("model")
    for name in ("calls", "input", "cached", "output", "repaired", "US$"):
        table.add_column(name, justify="right")
    for role, used in sorted(summary.usage.items()):
        table.add_row(
            role,
            used.model,
            f"{used.calls:,}",
            f"{used.input:,}",
            f"{used.cached:,}",
            f"{used.output:,}",
            str(used.repaired),
            f"{used.usd:.4f}",
        )
    return table


def _verdict(summary: RunSummary) -> str:
    """What the run shows, no more than it shows."""
    kept, dropped = len(summary.kept), len(summary.dropped)
    if not summary.decided:
        return "No strategy was proposed: no reply was found weak beside the teacher's."
    text = f"{kept} of {kept + dropped} proposals were kept, {dropped} dropped."
    if not kept:
        return f"{text} Nothing helped beyond chance, so the library gained nothing in this run."
    last = next((e for e in reversed(summary.rounds) if e.validation_csat is not None), None)
    if last is None or last.validation_csat is None or summary.baseline_csat is None:
        return f"{text} There are no validation dialogues to tell whether they help elsewhere."
    return (
        f"{text} On the validation dialogues satisfaction went from {summary.baseline_csat:.2f} to "
        f"{last.validation_csat:.2f}; so few dialogues are no proof."
    )


def _example(summary: RunSummary) -> StrategyDecided | None:
    tried = [event for event in summary.decided if event.before]
    kept = [event for event in tried if event.verdict == "kept"]
    best = sorted(kept or tried, key=lambda event: -(event.preference or 0))
    return best[0] if best else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
