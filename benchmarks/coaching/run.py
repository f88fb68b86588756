"""The result table: what coaching gives, beside other ways to learn, on the test split of a firm.

For each firm, stage by stage: play the test split without strategies; coach on the train split; play
the same cells with what was learned, and with what of it no handbook gave; play them with generic
advice, by the teacher, with strategies that a person wrote (`by_hand/`), which show what student,
retrieval and judge make of good advice, and with the policy itself, rule by rule; coach from there, and
play what came of it; learn each baseline on as many calls as coaching took, and play it. Libraries are
retrieved from by meaning as well as by words, and what was written by hand once more by words alone.
Every step is a command that users have. A stage that was cut off goes on, and the result file grows
with each: one that is in it already is not played again, so that a table of many hours can be made in
several sittings with the same options. The logs of its runs are kept beside the results, also of what
was cut off: a fresh checkout goes on with them, and a reader can watch them (`tutelage watch` on the
folder that an archive holds).

python benchmarks/coaching/run.py airline           # plays, writes result/airline.json
python benchmarks/coaching/run.py --table           # the table over all firms with a result
python benchmarks/coaching/run.py broadband --table # of one
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from tutelage.graphs.evaluation import outcomes_of
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.statistics.experiment import Metric, Outcome, Paired, arm_figures, paired

from tutelage.runs.baseline import calls_of

HERE = Path(__file__).resolve().parent
WORK = Path(os.path.relpath(HERE.parents[1] / "build" / "coaching"))
"""As seen from where it is called: the results tell the commands, and a reader has other folders."""
RESULTS = Path(os.path.relpath(HERE / "result"))
PLAYS = ("agents", "environments", "graphs", "strategy_store", "tutelage")
"""Folders that a result depends on."""
RUNS = RESULTS / "runs"
SIDE_BY_SIDE = ("none", "library", "invented", "generic", "teacher")
EMBEDDINGS = "local:qwen2.5-coder-1.5b"
BASELINES = ("playbook", "global")
SEVERAL = ("--top", 3)
"""What a draft is given with: a case mostly rests on several rules."""
OTHERS = {
    "hand": "by hand", "words": "by hand, by words", "draft": "drafted", "further": "drafted, coached"
}  # fmt: skip
"""Stages that play the arm library with another one than was coached from nothing, by their name in the
table.
"""
COACHED = {"library": "coach", "invented": "coach", "further": "coach_draft"}
"""The stage that coached what a stage plays."""
LEARNED = (*COACHED, *COACHED.values(), *BASELINES)
OF_PLAY = ("exchanges", "cases", "repeats")
OF_COACHING = ("rounds", "dialogues", "topics", "states", "validation", "pairs", "refinements")
FIRMS = ("airline", "broadband", "furniture")
Stages = dict[str, Any]
"""What the result file holds of each stage: what its commands told, and the outcomes."""
Stage = tuple[dict[str, Any], list[Outcome]]


def tutelage(*words: object) -> str:
    """Run a command of the product as a user would; its talk goes to the screen."""
    command = ["tutelage", *map(str, words)]
    Console(stderr=True).print(f"$ {shlex.join(command)}", highlight=False, soft_wrap=True)
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        # It has said why; the stage goes on where it ended when this is run again.
        raise SystemExit(done.returncode)
    return done.stdout


def resumed(run: Path) -> list[str]:
    """The option that goes on with a run, where it has begun."""
    return ["--resume"] if (run / "run.db").exists() else []


def teacher(asked: argparse.Namespace) -> list[str]:
    """The option that names another teacher."""
    return ["--teacher", asked.teacher] if asked.teacher else []


def evaluated(
    firm: str, asked: argparse.Namespace, run: Path, arms: Sequence[str], *given: object
) -> dict[str, Any]:
    """The arms on the test split's cells; what `evaluate --json` says."""
    return json.loads(
        tutelage(
            "evaluate", firm, "--arms", ",".join(arms), *given,
            "--dialogues", asked.cases, "--repeats", asked.repeats, "--exchanges", asked.exchanges,
            "--run", run, *resumed(run), *teacher(asked), "--json",
        )
    )  # fmt: skip


def approved(library: Path, how: str, source: object) -> Path:
    """A library that a command makes of a source, all of it approved."""
    if not library.exists():
        tutelage("library", how, library, source)
        tutelage("library", "approve", library, "--all", "--by", "benchmark")
    return library


def by_hand(firm: str, work: Path) -> Path:
    """The library that a person wrote for a firm."""
    return approved(work / "by_hand.db", "import", HERE / "by_hand" / f"{firm}.yaml")


def arm(name: str, firm: str, asked: argparse.Namespace, work: Path, before: Stages) -> Stage:
    """An arm in the run that the report is made of, beside those that were played in it before.

    A fresh checkout has only the results of those; its report is one more then, and replaces none.
    """
    run = work / "evaluate"
    there = {one.arm for one in outcomes(run)} | {name} if resumed(run) else {name}
    page = f"{firm}.html" if there >= before.keys() & set(SIDE_BY_SIDE) else f"{firm}.{name}.html"
    given: list[object] = []
    if there & {"library", "invented"}:
        library = learned("coach", firm, work)
        given = ["--library", library, "--proposed", "--embeddings", EMBEDDINGS]
    arms = [one for one in SIDE_BY_SIDE if one in there]
    told = evaluated(firm, asked, run, arms, *given, "--report", RESULTS / page)
    return told, [one for one in outcomes(run) if one.arm == name]


def coach(
    name: str, given: Sequence[object], firm: str, asked: argparse.Namespace, work: Path, _: Stages
) -> Stage:
    """Coach on the train split; what was learned is written down beside the result."""
    run = work / name
    told = tutelage(
        "coach", firm, "--rounds", asked.rounds, "--dialogues", asked.dialogues, "--topics",
        asked.topics, "--states", asked.states, "--validation", asked.validation, "--exchanges",
        asked.exchanges,
        "--pairs", asked.pairs, "--refinements", asked.refinements,
        "--embeddings", EMBEDDINGS, *given, "--run", run, *resumed(run), *teacher(asked), "--json",
    )  # fmt: skip
    tutelage("library", "export", run / "library.db", "--out", learned_file(name, firm))
    return {"calls": asyncio.run(calls_of(run)), "coach": json.loads(told)}, []


def learned_file(name: str, firm: str) -> Path:
    """Where what a stage of coaching left is written down, so that a fresh checkout goes on with it."""
    return RESULTS / f"{firm}.{name.replace('coach', 'library')}.yaml"


def learned(name: str, firm: str, work: Path) -> Path:
    """The library that a stage of coaching left."""
    library = work / f"learned.{name}.db"
    if not library.exists():
        tutelage("library", "import", library, learned_file(name, firm))
    return library


def baseline(
    method: str, firm: str, asked: argparse.Namespace, work: Path, before: Stages
) -> Stage:
    """The same cells with what another method learned on at most the calls that coaching took."""
    run, found = work / f"evaluate_{method}", RESULTS / f"{firm}.{method}.json"
    if not found.exists():
        tutelage(
            "baseline", method, firm, "--calls", before["coach"]["told"]["calls"],
            "--exchanges", asked.exchanges, "--out", found, "--run", work / method,
            *resumed(work / method), *teacher(asked),
        )  # fmt: skip
    return evaluated(firm, asked, run, [method], f"--{method}", found), outcomes(run)


def drafted(firm: str, work: Path) -> Path:
    """The library of what a firm's policy gives, rule by rule."""
    return approved(work / "draft.db", "draft", firm)


def written(
    name: str, library: Callable[[str, Path], Path], given: Sequence[object],
    firm: str, asked: argparse.Namespace, work: Path, _: Stages,
) -> Stage:  # fmt: skip
    """What a person or the policy wrote, or was coached from there: what student, retrieval and judge
    make of such advice.
    """
    run = work / f"evaluate_{name}"
    told = evaluated(firm, asked, run, ["library"], "--library", library(firm, work), *given)
    return told, [one.model_copy(update={"arm": OTHERS[name]}) for one in outcomes(run)]


STAGES = {
    "none": partial(arm, "none"), "coach": partial(coach, "coach", ()),
    **{name: partial(arm, name) for name in ("library", "invented", "generic", "teacher")},
    "hand": partial(written, "hand", by_hand, ("--embeddings", EMBEDDINGS)),
    "draft": partial(written, "draft", drafted, (*SEVERAL, "--embeddings", EMBEDDINGS)),
    "coach_draft": partial(coach, "coach_draft", ("--draft", *SEVERAL)),
    "further": partial(
        written, "further", partial(learned, "coach_draft"),
        ("--proposed", *SEVERAL, "--embeddings", EMBEDDINGS),
    ),
    **{name: partial(baseline, name) for name in BASELINES},
    "words": partial(written, "words", by_hand, ()),
}  # fmt: skip


def outcomes(run: Path) -> list[Outcome]:
    """Every ended dialogue of an evaluation."""

    async def read() -> list[Outcome]:
        async with await RunLog.open(run, create=False) as log:
            return outcomes_of(await played(log))

    return asyncio.run(read())


def play(firm: str, asked: argparse.Namespace) -> None:
    """One firm's stages, those that its result file does not hold yet."""
    work = WORK / firm
    work.mkdir(parents=True, exist_ok=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{firm}.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    if other := [name for name, stage in done.items() if stage["options"] != options(name, asked)]:
        raise SystemExit(
            f"{path}: {', '.join(other)} was made with other options than these; give the same ones, or "
            f"move {RESULTS} and {WORK} away"
        )
    for name in asked.stages:
        if name not in done:
            with kept(firm, work):
                told, found = STAGES[name](firm, asked, work, done)
            cells = [one.model_dump(mode="json") for one in found]
            done[name] = {
                "options": options(name, asked), "version": version(), "told": told, "outcomes": cells
            }  # fmt: skip
            path.write_text(json.dumps(done, indent=1) + "\n")


@contextmanager
def kept(firm: str, work: Path) -> Iterator[None]:
    """The runs of a firm as earlier sittings left them; what this one adds is kept, however it ends."""
    for archive in RUNS.glob(f"{firm}.*.tar.xz"):
        run = work / archive.name.removeprefix(f"{firm}.").removesuffix(".tar.xz")
        if not run.exists():
            shutil.unpack_archive(archive, run, filter="data")
    before = {log: log.stat().st_mtime_ns for log in work.glob("*/run.db")}
    try:
        yield
    finally:
        for log in work.glob("*/run.db"):
            if log.stat().st_mtime_ns != before.get(log):
                shutil.make_archive(str(RUNS / f"{firm}.{log.parent.name}"), "xztar", log.parent)


def version() -> str:
    """The last commit that changed what plays, "" where this is no checkout."""
    git = ["git", "-C", str(HERE.parents[1])]
    named = subprocess.run(
        [*git, "log", "-1", "--format=%h", "--", *PLAYS], capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *PLAYS], capture_output=True)
    return f"{named}-dirty" if named and changed.returncode else named


def options(stage: str, asked: argparse.Namespace) -> dict[str, Any]:
    """The options that a stage's result depends on."""
    names = [*OF_PLAY, *(OF_COACHING if stage in LEARNED else ())]
    names += ["teacher"] if stage in (*LEARNED, "teacher") else []
    return {name: getattr(asked, name) for name in names}


def documents(firms: Sequence[str]) -> dict[str, Stages]:
    """The stages of those firms that have a result."""
    paths = {firm: RESULTS / f"{firm}.json" for firm in firms}
    return {firm: json.loads(path.read_text()) for firm, path in paths.items() if path.exists()}


def pooled(firms: Mapping[str, Stages]) -> list[Outcome]:
    """The firms' outcomes, with the firm in the scenario's name."""
    return [
        Outcome(**{**one, "scenario": f"{firm}/{one['scenario']}"})
        for firm, stages in firms.items()
        for stage in stages.values()
        for one in stage["outcomes"]
    ]


def costs(firms: Mapping[str, Stages]) -> dict[str, tuple[str, str]]:
    """What each arm cost: model calls to learn it, of all firms together, and tokens added a turn."""
    found: dict[str, tuple[str, str]] = {}
    for name in STAGES:
        played_in = [stages for stages in firms.values() if name in stages]
        if not played_in or name in COACHED.values():
            continue
        arm = "library" if name in OTHERS else name
        own = [stages[name]["told"]["costs"][arm] for stages in played_in]
        calls = [one["learning_calls"] for one in own]
        if coached := COACHED.get(name):
            calls = [stages[coached]["told"]["calls"] for stages in played_in]
        learned = {"hand": "by a person", "words": "by a person", "draft": "0"}.get(name)
        tokens = fmean(one["tokens_a_turn"] for one in own)
        found[OTHERS.get(name, name)] = learned or f"{sum(calls):,}", f"{tokens:.0f}"
    return found


def said(found: Paired) -> str:
    """A difference with its interval."""
    if found.diff is None:
        return "-"
    if found.ci95 is None:
        return f"{found.diff:+.2f}"
    return f"{found.diff:+.2f} [{found.ci95[0]:+.2f}, {found.ci95[1]:+.2f}]"


def table(firms: Mapping[str, Stages], found: Sequence[Outcome]) -> Table:
    """Every arm with its cost, its paired differences from none, and how much of the way from none to
    the teacher it goes.
    """
    shown = Table(title=f"test split of {', '.join(firms)}", box=None, title_justify="left")
    shown.add_column("arm")
    for name in ("n", "calls to learn", "tokens/turn", "satisfaction", "against none", "of gap",
                 "by code", "against none", "of gap", "win", "loss"):  # fmt: skip
        shown.add_column(name, justify="right", no_wrap=True)
    by_arm: dict[str, list[Outcome]] = {}
    for one in found:
        by_arm.setdefault(one.arm, []).append(one)
    cost, none = costs(firms), by_arm["none"]
    for arm, own in by_arm.items():
        figures = arm_figures(own)
        csat, checks = (paired(none, own, metric) for metric in ("csat", "checks"))
        shown.add_row(
            arm, str(figures.n), *cost[arm], f"{figures.csat.mean or 0:.2f}", said(csat),
            closed(by_arm, arm, "csat"), f"{figures.checks.mean or 0:.3f}", said(checks),
            closed(by_arm, arm, "checks"),
            f"{csat.win:.2f}", f"{csat.loss:.2f}",
        )  # fmt: skip
    return shown


def closed(by_arm: Mapping[str, list[Outcome]], arm: str, metric: Metric) -> str:
    """How much of the gap between none and teacher an arm closes by a metric, over the scenarios that
    all three have played; nothing where the teacher is not clearly better.
    """
    own, teacher = by_arm[arm], by_arm.get("teacher", [])
    both = {one.scenario for one in own} & {one.scenario for one in teacher}
    none, own, teacher = (
        [one for one in found if one.scenario in both] for found in (by_arm["none"], own, teacher)
    )
    gap, won = (paired(none, found, metric) for found in (teacher, own))
    if gap.diff is None or won.diff is None or gap.ci95 is None or gap.ci95[0] <= 0:
        return ""
    return f"{won.diff / gap.diff:.0%}"


def main() -> None:
    """Play the firms that are named, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("firms", nargs="*", help=", ".join(FIRMS))
    parser.add_argument(
        "--table", action="store_true", help="Only print what there is, of the firms named."
    )
    parser.add_argument("--teacher", help="A stronger teacher's spec.")
    parser.add_argument(
        "--stages",
        nargs="*",
        choices=STAGES,
        default=list(STAGES),
        help="Only these, in this order.",
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dialogues", type=int, default=5)
    parser.add_argument("--validation", type=int, default=0)
    parser.add_argument("--topics", type=int, default=7)
    parser.add_argument("--states", type=int, default=1)
    parser.add_argument("--exchanges", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--refinements", type=int, default=0)
    parser.add_argument("--cases", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    for firm in () if asked.table else asked.firms or FIRMS:
        play(firm, asked)
    firms = documents(asked.firms if asked.table and asked.firms else FIRMS)
    if not (found := pooled(firms)):
        raise SystemExit("no result yet: name a firm to play")
    screen = Console(width=160)
    screen.print(table(firms, found))
    by = {stage.get("version") or "unknown" for one in firms.values() for stage in one.values()}
    screen.print(f"played by version {', '.join(sorted(by))}")


if __name__ == "__main__":
    main()
