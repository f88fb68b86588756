"""The naive loop against the gate, on a real model that is its own teacher and judge.

For eight openings the model writes three sets of strategies each. Rule `naive` keeps the best by the
model's own comparison on the seed it was chosen on, where that is over 0.5; rule `gate` is the strategy
step as `coach` runs it. What each kept, and four strategies written by hand, then answer three other
wordings of each opening, which no rule saw; five checks by code tell how good the replies are.

python benchmarks/naive_loop/run.py            # prints the table, writes result.json beside it
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from tutelage.agents.advice.tactics import fitting_tactics
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.environments.rubric import RubricItem, check_mean, passes
from tutelage.graphs.log.events import StrategyDecided
from tutelage.graphs.log.run_log import MemoryLog
from tutelage.graphs.log.states import State
from tutelage.graphs.play.desk import Desk, Retrieval, open_desk
from tutelage.graphs.statistics.experiment import estimate
from tutelage.graphs.steps.candidates import proposals
from tutelage.graphs.steps.strategy_step import Null, StepOptions, strategy_step
from tutelage.graphs.steps.trials import Candidate, Weak
from tutelage.strategy_store import Library, Retrieved, always

HERE = Path(__file__).parent
SETS = 3
HELD_OUT_SEED = 7000

Given = Callable[[State], Retrieved | None]


@dataclass(frozen=True, slots=True)
class Opening:
    """A weak state, and the other wordings of it."""

    weak: Weak
    held_out: tuple[State, ...]


async def opening(desk: Desk, number: int, item: dict[str, Any]) -> Opening:
    """An opening as the coaching graph would hand it to the strategy step."""
    scenario = desk.environment.scenarios[item["scenario"]]
    blank = State(
        dialogue=f"o{number}", turn=0, scenario=scenario.id, turns=(), reply="", score=1.0,
        persona=desk.environment.personas_for(scenario)[0].name, ending="", reasons=(),
    )  # fmt: skip

    def said(text: str) -> State:
        return replace(blank, turns=(Turn(speaker="customer", text=text),))

    state = said(item["says"])
    plain = await desk.student.reply(scenario, state.turns, (), 0)
    description = await desk.teacher.describe(scenario, state.turns, 0)
    tactics = fitting_tactics(desk.environment, f"{item['says']} {description.scenario}")
    better = await desk.teacher.reply(scenario, state.turns, tactics[:3], 0)
    weak = Weak(replace(state, reply=plain.text), description, better, tuple(tactics))
    return Opening(weak, tuple(said(text) for text in item["held_out"]))


async def naive(desk: Desk, one: Opening) -> tuple[Candidate, float, str]:
    """The best of three sets by the model's own comparison, on the seed it is chosen on."""
    state = one.weak.state
    scenario = desk.environment.scenarios[state.scenario]
    best: tuple[Candidate, float, str] | None = None
    for offered in await proposals(desk, replace(one.weak, tactics=()), (), SETS, 11):
        candidate = Candidate(offered.strategies, "teacher", ())
        given = always(candidate.texts)
        after = (await desk.student.reply(scenario, state.turns, given, 0)).text
        preference = await desk.judge.prefer(scenario, state.turns, state.reply, after)
        if best is None or preference > best[1]:
            best = (candidate, preference, after)
    assert best is not None
    return best


async def held_out(
    desk: Desk, openings: Sequence[Opening], checks: list[RubricItem], given: Given, seeds: int
) -> tuple[list[float], dict[str, float]]:
    """The mean of the checks on each opening's other wordings, and each check's share."""
    means: list[float] = []
    passed: dict[str, list[bool]] = {check.id: [] for check in checks}
    for one in openings:
        values: list[float] = []
        for state in one.held_out:
            scenario = desk.environment.scenarios[state.scenario]
            found = given(state)
            for seed in range(seeds):
                retrieved = [found] if found else ()
                reply = await desk.student.reply(
                    scenario, state.turns, retrieved, HELD_OUT_SEED + seed
                )
                values.append(check_mean(checks, reply.text) or 0.0)
                for check in checks:
                    passed[check.id].append(passes(check, reply.text))  # type: ignore[arg-type]
        means.append(fmean(values))
    return means, {id_: fmean(values) for id_, values in passed.items()}


async def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Both rules on the same openings, and what they are worth on the other wordings."""
    environment = load_environment("airline")
    checks = TypeAdapter(list[RubricItem]).validate_python(
        yaml.safe_load((HERE / "checks.yaml").read_text())
    )
    by_hand = tuple(yaml.safe_load((HERE / "strategies.yaml").read_text()))
    items = yaml.safe_load((HERE / "openings.yaml").read_text())[: asked.openings]
    work = HERE.parents[1] / "build" / "naive_loop.db"
    work.parent.mkdir(exist_ok=True)
    work.unlink(missing_ok=True)
    began = time.monotonic()
    with Library.open(work, create=True) as library:
        desk = open_desk(
            environment, student=asked.model, teacher=asked.model, customer=asked.model,
            judge=asked.model, library=library, log=MemoryLog(),
            retrieval=Retrieval(statuses=("approved", "proposed")),
        )  # fmt: skip
        openings = [await opening(desk, n, item) for n, item in enumerate(items)]
        say(began, "openings answered and described")
        chosen = {one.weak.state.scenario: await naive(desk, one) for one in openings}
        say(began, "naive loop done")
        null, states = Null(), [one.weak.state for one in openings]
        for one in openings:
            kept = await strategy_step(
                desk, one.weak, states, null, StepOptions(refinements=asked.refinements),
                round_number=1, run="benchmark",
            )  # fmt: skip
            say(began, f"gate: {one.weak.state.scenario} {'kept' if kept else 'dropped'}")
        decided = [
            logged.event.model_dump(
                include={"scenario", "verdict", "reason", "texts", "source", "pairs", "preference"}
            )
            for logged in await desk.log.read(kinds=("strategy_decided",))
            if isinstance(logged.event, StrategyDecided)
        ]
        index = library.index(("approved", "proposed"))
        (hand,) = always(by_hand)

        def of_naive(state: State) -> Retrieved | None:
            candidate, preference, _ = chosen[state.scenario]
            return next(iter(always(candidate.texts)), None) if preference > 0.5 else None

        def of_gate(state: State) -> Retrieved | None:
            found = index.search(state.customer_says, top=1, threshold=desk.retrieval.threshold)
            return found[0] if found else None

        arms: dict[str, Given] = {
            "none": lambda state: None, "naive": of_naive, "gate": of_gate,
            "by hand": lambda state: hand,
        }  # fmt: skip
        rows: dict[str, Any] = {}
        per_opening: dict[str, list[float]] = {}
        for arm, given in arms.items():
            means, shares = await held_out(desk, openings, checks, given, asked.seeds)
            per_opening[arm] = means
            change = [b - a for a, b in zip(per_opening["none"], means, strict=True)]
            found = estimate(change)
            rows[arm] = {
                "checks": fmean(means), "against_none": found.mean, "ci95": found.ci95,
                "by_opening": means, "by_check": shares,
            }  # fmt: skip
            say(began, f"held out: {arm} {fmean(means):.3f}")
        on_choice = {
            "plain": [check_mean(checks, o.weak.state.reply) for o in openings],
            "with the naive choice": [
                check_mean(checks, chosen[o.weak.state.scenario][2]) for o in openings
            ],
        }
    return {
        "command": f"python benchmarks/naive_loop/run.py --model {asked.model} --seeds {asked.seeds} "
        f"--openings {asked.openings} --refinements {asked.refinements}",
        "models": desk.models,
        "held_out_replies": len(openings) * 3 * asked.seeds,
        "naive_kept": sum(p > 0.5 for _, p, _ in chosen.values()),
        "naive": {
            id_: {"texts": candidate.texts, "preference": preference}
            for id_, (candidate, preference, _) in chosen.items()
        },
        "gate_kept": sum(one["verdict"] == "kept" for one in decided),
        "gate": decided,
        "on_the_choosing_seed": {
            name: fmean(v or 0.0 for v in values) for name, values in on_choice.items()
        },
        "held_out": rows,
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip


def say(began: float, text: str) -> None:
    """One line of progress."""
    Console(stderr=True).print(f"{time.monotonic() - began:6.0f} s  {text}", highlight=False)


def main() -> None:
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b")
    parser.add_argument("--seeds", type=int, default=2, help="Replies to each held-out wording.")
    parser.add_argument("--openings", type=int, default=8)
    parser.add_argument("--refinements", type=int, default=1, help="As coach has it.")
    asked = parser.parse_args()
    document = asyncio.run(measure(asked))
    (HERE / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    shown = Table(title=f"code checks on {document['held_out_replies']} held-out replies", box=None)
    shown.add_column("arm")
    for name in ("kept", "checks", "against none", "95 %"):
        shown.add_column(name, justify="right")
    kept = {"naive": document["naive_kept"], "gate": document["gate_kept"]}
    for arm, row in document["held_out"].items():
        low, high = row["ci95"] or (0.0, 0.0)
        shown.add_row(
            arm, f"{kept[arm]} of {asked.openings}" if arm in kept else "-",
            f"{row['checks']:.3f}", f"{row['against_none']:+.3f}", f"{low:+.3f} to {high:+.3f}",
        )  # fmt: skip
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
