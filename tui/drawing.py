"""Drawing: the parts of a run's picture as rich text; what models wrote is never markup."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from tutelage.graphs.events import (
    StateExamined,
    StrategyDecided,
    StrategyProposed,
    StrategyTried,
    TurnRejected,
    TurnSpoken,
)
from tutelage.graphs.picture import DialoguePicture, RunPicture

BARS = "▁▂▃▄▅▆▇█"


def clean(text: str) -> str:
    """Text without control characters, which a terminal might obey."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def transcript(one: DialoguePicture) -> RenderableType:
    """A dialogue in bubbles, the strategies given under each reply, the judgement at the end."""
    parts: list[RenderableType] = []
    for line in one.lines:
        if isinstance(line, TurnRejected):
            reasons = clean(", ".join(line.reasons))
            parts.append(Text(f"  drawn again ({reasons}): {clean(line.text)}", style="dim italic"))
        else:
            parts.append(_bubble(line))
    if one.judged is not None:
        parts.append(_judgement(one))
    if one.ended is not None:
        parts.append(Text(f"ended: {one.state}", style="dim"))
    return Group(*parts) if parts else Text("waiting for the first words...", style="dim")


def _bubble(line: TurnSpoken) -> RenderableType:
    customer = line.speaker == "customer"
    style = "cyan" if customer else "green"
    title = f"customer, {line.feeling}" if customer and line.feeling else line.speaker
    bubble = Panel(
        Text(clean(line.text)), title=Text(title, style=style), title_align="left",
        border_style=style, padding=(0, 1),
    )  # fmt: skip
    padded = Padding(bubble, (0, 6, 0, 0) if customer else (0, 0, 0, 6))
    if not line.strategies:
        return padded
    given = [
        Text(f"        {s.similarity:.2f}  {clean(s.text)}", style="yellow")
        for s in line.strategies
    ]
    return Group(padded, Text("      strategies given", style="dim"), *given)


def _judgement(one: DialoguePicture) -> RenderableType:
    judged = one.judged
    assert judged is not None
    said = Text(
        f"satisfaction {judged.satisfaction:.2f} of 5   rubric {judged.rubric:.2f}\n", "bold"
    )
    for title, items in (("by code", judged.checks), ("by the judge", judged.questions)):
        said.append(f"{title}\n", "dim")
        for name, score in items.items():
            tick, style = ("✓", "green") if score >= 0.5 else ("✗", "red")
            said.append(f"  {tick} ", style).append(f"{clean(name)} {score:.2f}\n")
    said.rstrip()
    return Panel(said, title=Text("judge"), title_align="left", border_style="magenta")


def workshop(picture: RunPicture) -> RenderableType:
    """The strategy step as it happens, newest first."""
    if not picture.workshop:
        return Text("no weak reply was examined yet", style="dim")
    return Group(*[_workshop_line(event) for event in reversed(picture.workshop[-60:])])


def _workshop_line(
    event: StateExamined | StrategyProposed | StrategyTried | StrategyDecided,
) -> RenderableType:
    match event:
        case StateExamined():
            text = Text("state   ", "magenta").append(clean(event.scenario) + "\n", "bold")
            text.append(f"  customer  {clean(event.customer_says)}\n", "cyan")
            text.append(f"  student   {clean(event.student_reply)}\n", "green")
            text.append(f"  teacher   {clean(event.teacher_reply)}\n")
            verdict = "weak" if event.weak else "good enough"
            return text.append(f"  {verdict}: teacher preferred {event.preference:.2f}\n", "dim")
        case StrategyProposed():
            text = Text(f"{event.proposal}  written ({event.source})\n", "yellow")
            for said in event.texts:
                text.append(f"  - {clean(said)}\n")
            for said in event.refused:
                text.append(f"  refused: {clean(said)}\n", "red")
            return text
        case StrategyTried():
            return Text(
                f"{event.proposal}  {event.phase}: preference {event.preference:.2f}", style="dim"
            )
        case StrategyDecided():
            style = "bold green" if event.verdict == "kept" else "red"
            text = Text(f"{event.proposal}  {event.verdict}: {clean(event.reason)}\n", style)
            if event.after:
                text.append(f"  customer {clean(event.customer_says)}\n", "cyan")
                text.append(f"  before   {clean(event.before)}\n", "dim")
                text.append(f"  after    {clean(event.after)}\n")
            return text


def rounds(picture: RunPicture) -> RenderableType:
    """Rounds as a table with a sparkline of satisfaction."""
    if not picture.rounds:
        return Text("no round is over yet", style="dim")
    table = Table(box=None, pad_edge=False)
    for name in ("round", "dialogues", "invalid", "csat", "held out", "rubric", "kept", "dropped"):
        table.add_column(name, justify="right")
    for event in picture.rounds:
        table.add_row(
            str(event.round), str(event.dialogues), str(event.invalid), _figure(event.csat),
            _figure(event.validation_csat), _figure(event.rubric), str(event.kept),
            str(event.dropped),
        )  # fmt: skip
    values = [event.csat for event in picture.rounds if event.csat is not None]
    spark = "".join(BARS[min(7, int((value - 1) / 4 * 8))] for value in values)
    return Group(Text(f"satisfaction 1 to 5  {spark}\n"), table)


def usage(picture: RunPicture) -> RenderableType:
    """Calls, tokens and money by role, then the faults."""
    table = Table(box=None, pad_edge=False)
    for name in ("role", "calls", "input", "cached", "output", "US$"):
        table.add_column(name, justify="left" if name == "role" else "right")
    for role, used in sorted(picture.usage.items()):
        table.add_row(
            role, f"{used.calls:,}", f"{used.input:,}", f"{used.cached:,}", f"{used.output:,}",
            f"{used.usd:.4f}",
        )  # fmt: skip
    faults = [Text(f"fault: {clean(fault)}", style="red") for fault in picture.faults[-20:]]
    if not picture.usage and not faults:
        return Text("nothing was used yet", style="dim")
    return Group(table, Text(""), *faults)


def headline(picture: RunPicture) -> str:
    """The run in one line."""
    if picture.started is None:
        return "waiting for the run to begin..."
    over = sum(one.ended is not None for one in picture.dialogues.values())
    state = f"over: {picture.ended.reason}" if picture.ended else "going on"
    kept = sum(isinstance(e, StrategyDecided) and e.verdict == "kept" for e in picture.workshop)
    return clean(
        f"{picture.started.command} {picture.started.environment} - {state} - "
        f"{over}/{len(picture.dialogues)} dialogues over, {kept} kept"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
