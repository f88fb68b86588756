"""Which part fails: the first reply to every test scenario, with one part swapped at a time.

The student answers the opening line without advice, with one generic piece of advice, with strategies
that a person wrote (found by the library, and once more handed to it where an entry fits, so that
retrieval cannot fail): in general words as they were first written, and as orders that carry what the
policy gives. Then with what coaching learned, where `benchmarks/coaching` has a result, by itself and
each strategy under the matter of its entry, as it is sent, and with what a library that nobody learned
would give: the policy rule by rule, three entries at a time, by itself and with generic advice (which
is `tutelage library draft`), two at a time from a lower similarity, bare and under their matters, what
the authors of the training scenarios say a good agent does there, as orders, and what the rules of a
topic's training scenarios give, each found by meaning. Then with the rules that decide the case said
once more, with the same rules as orders to say them, with orders that a person wrote for this kind of
case who knew the case, and told outright what a good agent does here, which is how the teacher answers.
Last the same is asked for as a task about a transcript. All that judges is the checks by code.

python benchmarks/parts/run.py                    # three firms, two hours on two slow cores
python benchmarks/parts/run.py airline --seeds 1
python benchmarks/parts/run.py --split train --arms none "generic advice" --seeds 1

Writes result.json beside it as it goes, or result.SPLIT.json of another split than test, where arms have
to be named: orders by who knew the case are there for the test split alone. What is in the file is not
asked again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import fmean

import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tutelage.agents.advice.drafting import policy_entries
from tutelage.agents.advice.expected_orders import expected_orders
from tutelage.agents.advice.rule_orders import orders_of, rule_orders
from tutelage.agents.advice.tactics import GENERIC_ADVICE
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.transcript import Turn
from tutelage.environments import Environment, Scenario, checks_score, load_environment
from tutelage.graphs.play.desk import Desk, open_desk
from tutelage.graphs.statistics.acceptance import mean_interval
from tutelage.strategy_store import (
    OF_MATTER,
    Entry,
    Index,
    Provenance,
    Retrieved,
    Strategy,
    always,
    mask,
    query_of,
    vet,
)
from tutelage.strategy_store.exchange import entries_of
from tutelage.strategy_store.given import CHARS_PER_TOKEN, TOKEN_BUDGET, TOP
from tutelage.strategy_store.wording import too_special

HERE = Path(__file__).parent
COACHING = HERE.parent / "coaching"
BY_HAND = COACHING / "by_hand"
IN_GENERAL = HERE / "in_general"
ORDERS = HERE / "orders.yaml"
RIGHT = HERE.parent / "retrieval" / "right.yaml"
FIRMS = ("airline", "broadband", "furniture")
Answer = Callable[[Scenario, list[Turn], int], Awaitable[str]]


def authored(environment: Environment) -> list[Entry]:
    """A library that nobody tested: an entry a training scenario, with what a good agent says there."""
    origin = Provenance(source="scenario")
    known = f"{environment.policy.text}\n{environment.config.title}"
    entries: list[Entry] = []
    for scenario in environment.split("train"):
        orders = [
            Strategy.new(order, origin)
            for order in expected_orders(scenario, environment.policy)
            if not vet(order) + too_special(order, known)
        ]
        if orders:
            asked = {"wants": scenario.goal, "cues": [scenario.opening], "strategies": orders}
            entries.append(Entry.new(f"a customer whose matter is: {scenario.title}", **asked))
    return entries


def by_topic(environment: Environment) -> list[Entry]:
    """A library that nobody tested: an entry a topic, found by how its training scenarios begin, with
    what their rules give as orders, the rules of most scenarios first.
    """
    of_topic: dict[str, list[Scenario]] = {}
    for scenario in environment.split("train"):
        of_topic.setdefault(scenario.topic, []).append(scenario)
    policy, entries = environment.policy, []
    for topic, own in of_topic.items():
        named = Counter(id_ for one in own for id_ in one.rules if id_ in policy.rules)
        left = TOKEN_BUDGET * CHARS_PER_TOKEN
        given: list[Strategy] = []
        for id_, _ in named.most_common():
            for order in orders_of(policy.rules[id_], policy):
                if len(order) <= left:
                    given.append(Strategy.new(order, Provenance(source="policy")))
                    left -= len(order)
        if given:
            titles = "; ".join(one.title for one in own)
            cues = [mask(one.opening) for one in own]
            described = f"{OF_MATTER}{topic}: {titles}"
            entries.append(Entry.new(described, cues=cues, strategies=given))
    return entries


def without_matter(found: Retrieved) -> Retrieved:
    """What was found as if its scenario named no matter, so that its strategies stand by themselves."""
    return replace(found, entry=found.entry.model_copy(update={"scenario": "a customer"}))


def arms_of(desk: Desk, firm: str) -> dict[str, Answer]:
    """Who answers, and with what advice, by the arm's name."""
    general, by_hand = (entries_of(path / f"{firm}.yaml") for path in (IN_GENERAL, BY_HAND))
    fits = yaml.safe_load(RIGHT.read_text(encoding="utf-8"))[firm]
    orders = yaml.safe_load(ORDERS.read_text(encoding="utf-8"))[firm]
    policy = desk.environment.policy

    async def student(scenario: Scenario, turns: list[Turn], seed: int, advice: list) -> str:
        return (await desk.student.reply(scenario, turns, advice, seed)).text

    @cache
    def index_of(name: str) -> Index:
        # Vectors take minutes: none are made for an arm that has all its replies.
        entries, embeddings = libraries[name]
        return Index(entries, embeddings)

    async def found(
        name: str, scenario: Scenario, turns: list[Turn], seed: int,
        besides: Sequence[str] = (), top: int = TOP, threshold: float | None = None,
        bare: bool = False,
    ) -> str:  # fmt: skip
        index = await asyncio.to_thread(index_of, name)
        query = query_of(scenario.opening)
        advice = await index.asearch(query, top, threshold, token_budget=TOKEN_BUDGET)
        if bare:
            advice = [*map(without_matter, advice)]
        return await student(scenario, turns, seed, [*advice, *always(besides)])

    def handed(entries: list[Entry], scenario: Scenario) -> list:
        right = fits[scenario.id]
        return list(always([s.text for s in entries[right[0] - 1].strategies])) if right else []

    def rules(scenario: Scenario) -> list[str]:
        return [policy.rules[id_].text for id_ in scenario.rules]

    def said(scenario: Scenario, turns: list[Turn]) -> list[str]:
        return rule_orders(policy, scenario, turns)

    libraries = {
        "in general": (general, None),
        "as orders": (by_hand, None),
        "by meaning": (by_hand, desk.embeddings),
        "draft": (policy_entries(desk.environment)[0], desk.embeddings),
        "authored": (authored(desk.environment), desk.embeddings),
        "topics": (by_topic(desk.environment), desk.embeddings),
    }
    learned = COACHING / "result" / f"{firm}.library.yaml"
    if learned.exists():
        libraries["learned"] = (entries_of(learned), desk.embeddings)

    arms: dict[str, Answer] = {
        "none": lambda s, t, n: student(s, t, n, []),
        "generic advice": lambda s, t, n: student(s, t, n, list(always([GENERIC_ADVICE]))),
        "in general words, found by words": partial(found, "in general"),
        "in general words, handed over": lambda s, t, n: student(s, t, n, handed(general, s)),
        "as orders, found by words": partial(found, "as orders"),
        "as orders, found by meaning": partial(found, "by meaning"),
        "the same, and generic advice": partial(found, "by meaning", besides=[GENERIC_ADVICE]),
        "as orders, handed over": lambda s, t, n: student(s, t, n, handed(by_hand, s)),
        "the policy rule by rule, found by meaning": partial(found, "draft", top=3, bare=True),
        "the same rules found, and generic advice": partial(
            found, "draft", besides=[GENERIC_ADVICE], top=3, bare=True
        ),
        "two rules found from 0.5, and generic advice": partial(
            found, "draft", besides=[GENERIC_ADVICE], top=2, threshold=0.5, bare=True
        ),
        "the same two, each under its matter": partial(
            found, "draft", besides=[GENERIC_ADVICE], top=2, threshold=0.5
        ),
        "training scenarios as orders, found by meaning": partial(found, "authored"),
        "the rules of a topic as orders, found by meaning": partial(found, "topics", bare=True),
        "the rules that decide, again": lambda s, t, n: student(s, t, n, list(always(rules(s)))),
        "the same rules, as orders": lambda s, t, n: student(s, t, n, list(always(said(s, t)))),
        "orders for this kind of case": lambda s, t, n: student(
            s, t, n, list(always(orders[s.id]))
        ),
        "told what a good agent does": lambda s, t, n: student(s, t, n, list(always([s.expected]))),
        "the same, asked on a transcript": lambda s, t, n: desk.teacher.reply(
            s, t, (), n, on_transcript=True
        ),
    }
    if "learned" in libraries:
        arms["learned by coaching, found by meaning"] = partial(found, "learned", bare=True)
        arms["learned by coaching, each under its matter"] = partial(found, "learned")
    return arms


async def play(asked: argparse.Namespace, result: Path, rows: dict[str, dict]) -> None:
    """Ask what was not asked yet; every reply is written down with the checks that it passes."""
    model = asked.model
    for firm in asked.firms:
        environment = load_environment(firm)
        desk = open_desk(
            environment, student=model, teacher=model, customer=model, judge=model, embeddings=model
        )
        arms = arms_of(desk, firm)
        if unknown := set(asked.arms or ()) - set(arms):
            raise SystemExit(f"no such arm: {', '.join(unknown)}; there are: {'; '.join(arms)}")
        todo = [
            (scenario, arm, seed)
            for scenario in environment.split(asked.split)
            for arm in asked.arms or arms
            for seed in range(1, asked.seeds + 1)
            if f"{firm}/{scenario.id}/{arm}/{seed}" not in rows
        ]
        for scenario, arm, seed in track(todo, firm, console=Console(stderr=True)):
            turns = [Turn(speaker="customer", text=scenario.opening)]
            reply = await arms[arm](scenario, turns, seed)
            rows[f"{firm}/{scenario.id}/{arm}/{seed}"] = {
                "reply": reply,
                "all": checks_score(environment.rubric_for(scenario), [reply]),
                "own": checks_score(scenario.rubric, [reply]),
            }
            text = json.dumps({"model": model, "replies": rows}, indent=1) + "\n"
            await asyncio.to_thread(result.write_text, text)


def table(rows: dict[str, dict]) -> Table:
    """Each arm's share of checks that hold, and its difference from none over scenarios."""
    shown = Table(box=None, title="share of checks by code that hold with the first reply")
    for column in ("arm", "n", "all checks", "against none", "the scenario's own", "against none"):
        shown.add_column(column, justify="left" if column == "arm" else "right", no_wrap=True)
    scenarios: dict[str, dict[str, list[dict]]] = {}
    for key, row in rows.items():
        firm, scenario, arm, _ = key.split("/")
        scenarios.setdefault(arm, {}).setdefault(f"{firm}/{scenario}", []).append(row)
    for arm, own in scenarios.items():
        cells = [arm, str(sum(map(len, own.values())))]
        for kind in ("all", "own"):
            means = {name: fmean(row[kind] for row in found) for name, found in own.items()}
            plain = {
                name: fmean(row[kind] for row in scenarios["none"][name])
                for name in means
                if name in scenarios["none"]
            }
            differences = [means[name] - plain[name] for name in plain]
            low, high = mean_interval(differences, (-1.0, 1.0))
            cells.append(f"{fmean(means.values()):.3f}")
            cells.append(
                "" if arm == "none" else f"{fmean(differences):+.3f} [{low:+.3f}, {high:+.3f}]"
            )
        shown.add_row(*cells)
    return shown


def main() -> None:
    """Ask, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("firms", nargs="*", default=list(FIRMS), help=", ".join(FIRMS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="Student and teacher.")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="Only these; none among them.")
    asked = parser.parse_args()
    if asked.split != "test" and not asked.arms:
        parser.error(f"name the --arms that the {asked.split} split is asked with")
    result = HERE / ("result.json" if asked.split == "test" else f"result.{asked.split}.json")
    kept = json.loads(result.read_text()) if result.exists() else {}
    rows = kept["replies"] if kept.get("model") == asked.model else {}
    asyncio.run(play(asked, result, rows))
    Console(width=140).print(table(rows))


if __name__ == "__main__":
    main()
