"""Calibrating a judge from the command line, and remembering what came of it."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from platformdirs import user_data_path
from pydantic import BaseModel, ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tutelage.agents.judge import Judge
from tutelage.agents.models.chat_models import DEFAULT_MODEL, runs_here
from tutelage.agents.models.machine_size import slots_for_machine
from tutelage.agents.models.meter import Meter
from tutelage.console import result, result_json, result_table, talk, write_file
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import (
    CalibrationItem,
    calibrated_firms,
    calibration_set,
)
from tutelage.graphs.play.desk import REMOTE_CONCURRENCY, voice_of
from tutelage.graphs.statistics.calibration import (
    TRUSTED_PAIRS,
    Calibration,
    Figures,
    Reading,
    calibrate,
    warnings_of,
)
from tutelage.reports.plots import bars
from tutelage.runs.session import run_until_done

_COLUMNS = ("pairs right", "AUC", "swap", "position", "length", "alpha")


class JudgeFault(Exception):
    """A calibration that cannot be done; one sentence."""

    exit_code = 2


def judge_calibrate(
    spec: str | None,
    firms: Sequence[str],
    count: int | None,
    *,
    plot: Path | None = None,
    human: Path | None = None,
    as_json: bool = False,
) -> None:
    """Calibrate a judge, print its figures, and remember them for the reports to come.

    Args:
        spec: the judge's model; the embedded one where None.
        firms: whose items; all where empty.
        count: items in all, spread over flaws and levels; all where None.
        plot: where to write the figures by flaw as SVG.
        human: CSV of people's verdicts (columns `id` and `better`: good or bad), to compare with.
        as_json: prints one JSON document.

    Raises:
        ModelFault, EnvironmentFault, JudgeFault: one clear sentence each.
    """
    name = spec or DEFAULT_MODEL
    items = chosen_items(firms or calibrated_firms(), count)
    people = read_verdicts(human, items) if human else {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=talk(), disable=as_json and not talk().is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(f"calibrating {name}", total=len(items))
        found = run_until_done(
            calibrated(name, items, lambda _: progress.advance(task)),
            "nothing was remembered of this calibration",
        )
    if count is None and not firms:
        remember(found)
    if plot is not None:
        rows = {flaw: figures.pairs_right for flaw, figures in found.by_flaw.items()}
        write_file(plot, bars(rows, "share of pairs told right", least=TRUSTED_PAIRS))
        talk().print(f"drawn: {plot}", soft_wrap=True)
    agreement = human_agreement(found.readings, people) if people else None
    if as_json:
        document = found.model_dump() | {"warnings": found.warnings}
        result_json(document | ({"human": agreement} if agreement else {}))
        return
    result_table(figures_table(found))
    if agreement:
        result(
            f"people: the judge agrees on {agreement['agree']:.2f} of {agreement['n']:.0f} pairs, "
            f"Krippendorff's alpha {agreement['alpha']:.2f}"
        )
    for warning in found.warnings:
        result(warning)


async def calibrated(
    spec: str,
    items: Sequence[tuple[str, CalibrationItem]],
    on_reading=lambda _: None,
    meter: Meter | None = None,
) -> Calibration:
    """Put items, each with its firm's name, to the judge of a spec; the meter counts what that uses."""
    voice = await asyncio.to_thread(voice_of, "judge", spec, meter or Meter())
    judges = {
        firm: Judge(voice, await asyncio.to_thread(load_environment, firm))
        for firm in {firm for firm, _ in items}
    }
    return await calibrate(
        [(judges[firm], item) for firm, item in items],
        slots_for_machine() if runs_here(voice.spec) else REMOTE_CONCURRENCY,
        on_reading,
    )


def chosen_items(firms: Sequence[str], count: int | None) -> list[tuple[str, CalibrationItem]]:
    """Items of the firms; where a count is given, an even spread over flaws, the same every time."""
    items = [(firm, item) for firm in firms for item in calibration_set(firm)]
    if count is None or count >= len(items):
        return items
    by_flaw: dict[str, list[tuple[str, CalibrationItem]]] = {}
    for pair in items:
        by_flaw.setdefault(pair[1].flaw, []).append(pair)
    spread = [
        found[place]
        for place in range(max(map(len, by_flaw.values())))
        for found in by_flaw.values()
        if place < len(found)
    ]
    picked = {id(pair) for pair in spread[:count]}
    # Items of one firm stay together, so that an endpoint's prompt cache serves them.
    return [pair for pair in items if id(pair) in picked]


_WAY = (
    "judge.py", "reading/reply_faults.py", "reading/facts.py", "prompts/judge.md",
    "prompts/judge_transcript.md", "prompts/transcript.md",
)  # fmt: skip


class _Remembered(BaseModel):
    judged_by: str
    figures: Figures


def remember(found: Calibration, sample: str = "") -> None:
    """Keep a judge's figures for the reports to come, with the way of judging they hold for; says so
    where they cannot be kept.

    Args:
        found: the calibration.
        sample: which items it was made of; "" for all of them.
    """
    path = _place(found.judge, sample)
    kept = _Remembered(judged_by=_judged_by(), figures=found.figures)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kept.model_dump_json(indent=2), encoding="utf-8")
    except OSError as error:
        # What they were found for goes on: they are only found anew next time.
        told = f"note: the judge's figures are not remembered: {path}: {error.strerror or error}"
        talk().print(told, soft_wrap=True)


def remembered(spec: str, sample: str = "") -> Figures | None:
    """The figures of a judge as last calibrated; None where there are none of today's way of judging.

    Args:
        spec: the judge's model.
        sample: a sample whose figures will do where there are none of the whole calibration.
    """
    for part in dict.fromkeys(("", sample)):
        try:
            text = _place(spec, part).read_text(encoding="utf-8")
            kept = _Remembered.model_validate_json(text)
        except (OSError, ValidationError):
            continue
        if kept.judged_by == _judged_by():
            return kept.figures
    return None


def read_verdicts(path: Path, items: Sequence[tuple[str, CalibrationItem]]) -> dict[str, bool]:
    """People's verdicts by item id: whether they preferred the good reply.

    Raises:
        JudgeFault: names file and line of what cannot be read.
    """
    known = {item.id for _, item in items}
    verdicts: dict[str, bool] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if not {"id", "better"} <= set(reader.fieldnames or ()):
                raise JudgeFault(f"{path}:1: needs the columns id and better")
            for row in reader:
                if row["id"] not in known:
                    raise JudgeFault(f"{path}:{reader.line_num}: {row['id']!r} is no item")
                if row["better"] not in ("good", "bad"):
                    raise JudgeFault(f"{path}:{reader.line_num}: better must be good or bad")
                verdicts[row["id"]] = row["better"] == "good"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JudgeFault(f"{path}: cannot be read: {error}") from error
    return verdicts


def human_agreement(readings: Sequence[Reading], people: dict[str, bool]) -> dict[str, float]:
    """How the judge's verdicts compare with people's: n, agree (0-1), Krippendorff's alpha."""
    import krippendorff

    shared = [reading for reading in readings if reading.id in people]
    judge = [float(reading.prefers_good > 0.5) for reading in shared]
    human = [float(people[reading.id]) for reading in shared]
    agree = sum(a == b for a, b in zip(judge, human, strict=True)) / len(shared) if shared else 0.0
    if len(set(judge + human)) < 2:
        alpha = 1.0 if shared else 0.0
    else:
        alpha = float(krippendorff.alpha([judge, human], level_of_measurement="nominal"))
    return {"n": float(len(shared)), "agree": agree, "alpha": alpha}


def figures_table(found: Calibration) -> Table:
    """The figures as a table: all, each half, each flaw, each level."""
    table = Table(box=None, pad_edge=False, title=f"judge {found.judge}", title_justify="left")
    table.add_column("")
    table.add_column("n", justify="right")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    rows = {
        "all": found.figures,
        "development half": found.development,
        "held-out half": found.held_out,
        **{flaw.replace("_", " "): figures for flaw, figures in found.by_flaw.items()},
        **found.by_level,
    }
    for name, figures in rows.items():
        table.add_row(name, str(figures.n), *_cells(figures))
    return table


def _cells(figures: Figures) -> list[str]:
    values = (
        figures.pairs_right, figures.auc, figures.swap_consistency, figures.position_bias,
        figures.length_bias, figures.alpha,
    )  # fmt: skip
    return ["-" if value is None else f"{value:.2f}" for value in values]


def trust_line(figures: Figures | None) -> str:
    """One line on a judge for tables and reports, with its warnings."""
    if figures is None or not figures.n:
        return "judge: never calibrated; run `tutelage judge calibrate`"
    said = (
        f"judge: {figures.pairs_right:.2f} of {figures.n} pairs right, AUC {figures.auc:.2f}, swap "
        f"consistency {figures.swap_consistency:.2f}"
    )
    return "; ".join([said, *warnings_of(figures)])


def _place(spec: str, sample: str) -> Path:
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", spec)
    digest = hashlib.sha256(f"{spec}{sample}".encode()).hexdigest()[:8]
    return user_data_path("tutelage") / "judges" / f"{slug[:60]}-{digest}.json"


def _judged_by() -> str:
    """A digest of the way of judging: what a judge is told, and the faults that code finds beside it."""
    folder = resources.files("tutelage.agents")
    texts = [folder.joinpath(*name.split("/")).read_text(encoding="utf-8") for name in _WAY]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
