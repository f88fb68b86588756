"""The result table: what coaching gives, beside other ways to learn, on the test split of a firm.

For each firm: coach on the train split, learn the baselines on the same number of calls, play the test
split in six arms on the same cells, and once more with strategies written by hand (`by_hand/`) in place
of the learned ones. Every step is a command that users have; a step that was cut off goes on.

python benchmarks/coaching/run.py airline           # plays, writes result/airline.json
python benchmarks/coaching/run.py --table           # the table over all firms with a result
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from tutelage.graphs.evaluation import outcomes_of
from tutelage.graphs.experiment import Metric, Outcome, Paired, arm_figures, paired
from tutelage.graphs.run_log import RunLog
from tutelage.graphs.states import played

HERE = Path(__file__).parent
WORK = HERE.parents[1] / "build" / "coaching"
RESULTS = HERE / "result"
ARMS = ("none", "generic", "library", "playbook", "global", "teacher")
METRICS: tuple[Metric, ...] = ("csat", "rubric", "checks", "questions")
assert set(METRICS) <= set(get_args(Metric))


def tutelage(*words: object) -> str:
    """Run a command of the product as a user would; its talk goes to the screen."""
    command = ["tutelage", *map(str, words)]
    Console(stderr=True).print(f"$ {shlex.join(command)}", highlight=False, soft_wrap=True)
    done = subprocess.run(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def resumed(run: Path) -> list[str]:
    """The option that goes on with a run, where it has begun."""
    return ["--resume"] if (run / "run.db").exists() else []


def learned(firm: str, asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Coach, and learn the baselines on as many calls; what `coach --json` says."""
    teacher = ["--teacher", asked.teacher] if asked.teacher else []
    coach, told = work / "coach", work / "coach.json"
    if not told.exists():
        told.write_text(
            tutelage(
                "coach", firm, "--rounds", asked.rounds, "--dialogues", asked.dialogues, "--states",
                asked.states, "--validation", asked.validation, "--exchanges", asked.exchanges,
                "--run", coach, *resumed(coach), *teacher, "--json",
            )
        )  # fmt: skip
    for method in set(asked.arms) & {"playbook", "global"}:
        if not (out := work / f"{method}.json").exists():
            tutelage(
                "baseline", method, firm, "--like", coach, "--exchanges", asked.exchanges,
                "--out", out, "--run", work / method, *teacher,
            )  # fmt: skip
    return json.loads(told.read_text())


def evaluated(firm: str, asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The arms on the same cells; what `evaluate --json` says."""
    run = work / "evaluate"
    given = [
        word
        for arm in ("playbook", "global")
        if arm in asked.arms
        for word in (f"--{arm}", work / f"{arm}.json")
    ]
    teacher = ["--teacher", asked.teacher] if asked.teacher else []
    return json.loads(
        tutelage(
            "evaluate", firm, "--library", work / "coach" / "library.db", "--proposed", "--arms",
            ",".join(asked.arms), *given, *cells(asked), "--run", run, *resumed(run), *teacher,
            "--report", RESULTS / f"{firm}.html", "--json",
        )
    )  # fmt: skip


def by_hand(firm: str, asked: argparse.Namespace, work: Path) -> list[Outcome]:
    """The same cells with strategies that a person wrote; none where nobody wrote any."""
    source = HERE / "by_hand" / f"{firm}.yaml"
    if not source.exists():
        return []
    run, library = work / "by_hand", work / "by_hand.db"
    if not library.exists():
        tutelage("library", "import", library, source)
        tutelage("library", "approve", library, "--all", "--by", "benchmark")
    tutelage(
        "evaluate", firm, "--library", library, "--arms", "library", *cells(asked), "--run", run,
        *resumed(run), "--json",
    )  # fmt: skip
    return [one.model_copy(update={"arm": "by hand"}) for one in outcomes(run)]


def cells(asked: argparse.Namespace) -> list[object]:
    """The options that say which cells are played."""
    return ["--dialogues", asked.cases, "--repeats", asked.repeats, "--exchanges", asked.exchanges]


def outcomes(run: Path) -> list[Outcome]:
    """Every ended dialogue of an evaluation."""

    async def read() -> list[Outcome]:
        async with await RunLog.open(run, create=False) as log:
            return outcomes_of(await played(log))

    return asyncio.run(read())


def play(firm: str, asked: argparse.Namespace) -> None:
    """One firm from coaching to its result file."""
    work = WORK / firm
    work.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    coach = learned(firm, asked, work)
    hand = by_hand(firm, asked, work)
    document = evaluated(firm, asked, work)
    options = {k: v for k, v in vars(asked).items() if k not in ("firms", "table")}
    (RESULTS / f"{firm}.json").write_text(
        json.dumps(
            {
                "command": f"python benchmarks/coaching/run.py {firm}",
                "options": options,
                "coach": coach,
                "evaluate": document,
                "outcomes": [
                    one.model_dump(mode="json") for one in [*outcomes(work / "evaluate"), *hand]
                ],
            },
            indent=1,
        )
        + "\n"
    )


def pooled() -> tuple[list[str], list[Outcome]]:
    """The firms with a result, and their outcomes with the firm in the scenario's name."""
    firms: list[str] = []
    found: list[Outcome] = []
    for path in sorted(RESULTS.glob("*.json")):
        firms.append(path.stem)
        for one in json.loads(path.read_text())["outcomes"]:
            found.append(Outcome(**{**one, "scenario": f"{path.stem}/{one['scenario']}"}))
    return firms, found


def said(found: Paired) -> str:
    """A difference with its interval."""
    if found.diff is None:
        return "-"
    if found.ci95 is None:
        return f"{found.diff:+.2f}"
    return f"{found.diff:+.2f} [{found.ci95[0]:+.2f}, {found.ci95[1]:+.2f}]"


def table(firms: Sequence[str], found: Sequence[Outcome]) -> Table:
    """Every arm, and its paired differences from none."""
    shown = Table(title=f"test split of {', '.join(firms)}", box=None, title_justify="left")
    shown.add_column("arm")
    for name in ("n", "satisfaction", "against none", "by code", "against none", "win", "loss"):
        shown.add_column(name, justify="right", no_wrap=True)
    by_arm: dict[str, list[Outcome]] = {}
    for one in found:
        by_arm.setdefault(one.arm, []).append(one)
    for arm, own in by_arm.items():
        figures = arm_figures(own)
        csat, checks = (paired(by_arm["none"], own, metric) for metric in ("csat", "checks"))
        shown.add_row(
            arm, str(figures.n), f"{figures.csat.mean or 0:.2f}", said(csat),
            f"{figures.checks.mean or 0:.3f}", said(checks), f"{csat.win:.2f}", f"{csat.loss:.2f}",
        )  # fmt: skip
    return shown


def main() -> None:
    """Play the firms that are named, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("firms", nargs="*", help="airline, broadband, furniture.")
    parser.add_argument("--table", action="store_true", help="Only print what there is.")
    parser.add_argument("--teacher", help="A stronger teacher's spec.")
    parser.add_argument("--arms", type=lambda text: text.split(","), default=list(ARMS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dialogues", type=int, default=6)
    parser.add_argument("--validation", type=int, default=4)
    parser.add_argument("--states", type=int, default=3)
    parser.add_argument("--exchanges", type=int, default=3)
    parser.add_argument("--cases", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    for firm in () if asked.table else asked.firms or ("airline", "broadband", "furniture"):
        play(firm, asked)
    firms, found = pooled()
    if not found:
        raise SystemExit("no result yet: name a firm to play")
    Console(width=120).print(table(firms, found))


if __name__ == "__main__":
    main()
