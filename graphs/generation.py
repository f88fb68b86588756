"""Generating scenarios where the map has gaps: written, checked, played, and only then taken."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.scenario_writer import (
    Ruling,
    Wanted,
    impossible,
    rule_on,
    scenario_of,
    write_scenario,
)
from tutelage.environments import Environment, Rule, Scenario

from .log.events import ScenarioGenerated
from .log.states import played
from .map.coverage import (
    SAME_WITHIN,
    Coverage,
    coverage,
    possible_meetings,
    scenario_text,
    topic_of,
)
from .map.text_space import distances, points
from .play.desk import Desk, fitting_concurrency
from .play.dialogue import MAX_EXCHANGES, DialogueRequest, compile_dialogue
from .play.rollouts import play

NEIGHBOURS = 2
MOST_GAPS = 200
"""Gaps that scenarios are tried to be written for; most drafts are refused."""
MOST_FAULTS = 3


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How scenarios are made and tried.

    `plays` are dialogues of the student in each (2 to 20); one is passed from a rubric score of
    `pass_from` (0-1) on; a scenario that is always or never passed teaches nothing and is refused.
    `new_from` is the least distance (0-1) to every other scenario of the firm, in all splits.
    """

    number: int = 4
    tries: int = 2
    plays: int = 4
    pass_from: float = 0.7
    new_from: float = SAME_WITHIN
    max_exchanges: int = MAX_EXCHANGES
    concurrency: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """What no training scenario covers, in words, and what a scenario for it must be about."""

    why: str
    wanted: Wanted


def gaps_to_fill(
    environment: Environment, found: Coverage, said: Sequence[str] = (), most: int = MOST_GAPS
) -> list[Gap]:
    """What scenarios are to be written for, most needed first: rules that no training scenario is
    about, then persona x topic cells that none allows, each persona and topic in turn.

    Args:
        environment: the firm.
        found: its coverage; gaps that a training scenario would fill are left out: play that.
        said: what customers say at the map's highest ranks; of these the nearest are shown.
        most: gaps at most.
    """
    gaps: list[Gap] = []
    rules = [environment.policy.rules[gap.id] for gap in found.rule_gaps if not gap.scenarios]
    far = {corner.id: -corner.distance for corner in found.corners if corner.kind == "rule"}
    for rule in sorted(rules, key=lambda rule: far.get(rule.id, 0.0)):
        wanted = Wanted([rule], _topic_of_rule(environment, rule))
        gaps.append(Gap(f"rule {rule.id}", _with_neighbours(environment, wanted, said)))
    used: Counter[str] = Counter()
    cells = [gap for gap in found.cell_gaps if not gap.scenarios]
    while cells and len(gaps) < most:
        cell = min(cells, key=lambda gap: used[gap.persona] + used[gap.topic])
        cells.remove(cell)
        used.update((cell.persona, cell.topic))
        about = _rules_of_topic(environment, cell.topic)
        if not about:
            continue
        wanted = Wanted(about, cell.topic, environment.personas[cell.persona])
        why = f"persona {cell.persona} x topic {cell.topic}"
        gaps.append(Gap(why, _with_neighbours(environment, wanted, said)))
    return gaps[:most]


async def generate(
    desk: Desk, gaps: Sequence[Gap], options: GenerationOptions
) -> AsyncIterator[Scenario]:
    """Write scenarios for gaps until there are enough, and yield each as it is taken.

    Each is checked by code and by a second look of the teacher (possible under the policy), by its
    distance to all others (new), and by playing it (of fitting difficulty). One that is refused is
    written again with the reason, `tries` times in all. Every outcome goes to the log.

    Args:
        desk: the agents; its log takes the trial dialogues and the outcomes.
        gaps: what to write for, in order.
        options: how many, and how they are tried.

    Yields:
        The scenarios that were taken, with their provenance in `origin`.

    Raises:
        ModelFault: where a model fails `MOST_FAULTS` times in a row.
    """
    taken: list[Scenario] = []
    faults = 0
    for position, gap in enumerate(gaps):
        failures: list[str] = []
        for attempt in range(options.tries):
            if len(taken) >= options.number or desk.meter.spent:
                return
            scenario = None
            try:
                outcome, scenario = await _attempt(
                    desk, gap, taken, failures, options, options.seed + 100 * position + attempt
                )
                faults = 0
            except ModelFault as error:
                faults += 1
                if faults == MOST_FAULTS:
                    raise
                outcome = ScenarioGenerated(
                    scenario="", title="nothing", gap=gap.why, taken=False, reason=str(error)
                )
            await desk.record(outcome)
            await desk.record_usage()
            if outcome.taken and scenario is not None:
                taken.append(scenario)
                yield scenario
                break
            failures.append(f"{outcome.title}: {outcome.reason}")


def with_scenarios(environment: Environment, scenarios: Sequence[Scenario]) -> Environment:
    """The firm with more training scenarios, in memory."""
    splits = dict(environment.config.splits)
    splits["train"] = [*splits.get("train", []), *(one.id for one in scenarios)]
    return replace(
        environment,
        config=environment.config.model_copy(update={"splits": splits}),
        scenarios={**environment.scenarios, **{one.id: one for one in scenarios}},
    )


def train_coverage(environment: Environment) -> Coverage:
    """What the training scenarios can meet at all."""
    return coverage(environment, possible_meetings(environment, environment.split("train")))


async def _attempt(
    desk: Desk,
    gap: Gap,
    taken: Sequence[Scenario],
    failures: Sequence[str],
    options: GenerationOptions,
    seed: int,
) -> tuple[ScenarioGenerated, Scenario | None]:
    """Write one scenario and look at it; the event says what came of it."""
    environment = desk.environment
    outcome = ScenarioGenerated(scenario="", title="nothing", gap=gap.why, taken=False)
    draft = await write_scenario(desk.teacher, gap.wanted, failures, seed)
    others = [*environment.scenarios.values(), *taken]
    id_ = _free_id(draft.title, {one.id for one in others})
    try:
        scenario = scenario_of(draft, gap.wanted, environment, id_)
    except ValidationError as error:
        reason = f"it is no scenario: {error.errors()[0]['msg']}"
        return outcome.model_copy(update={"scenario": id_, "reason": reason}), None
    outcome = outcome.model_copy(update={"scenario": id_, "title": scenario.title})
    if reason := impossible(scenario, gap.wanted, environment.policy.text):
        return outcome.model_copy(update={"reason": reason}), None
    distance, nearest = await asyncio.to_thread(_nearest, scenario, others)
    outcome = outcome.model_copy(update={"distance": distance, "nearest": nearest})
    if distance < options.new_from:
        reason = f"it is not new: {nearest} says the same"
        return outcome.model_copy(update={"reason": reason}), None
    ruling = await rule_on(desk.teacher, scenario, seed)
    meant = [rule.id for rule in gap.wanted.rules if rule.id in scenario.rules]
    if reason := _overruled(ruling, meant):
        return outcome.model_copy(update={"reason": reason}), None
    # What only its author names would count as covered, though nothing in the case is about it.
    confirmed = [id_ for id_ in scenario.rules if id_ in ruling.rules]
    scenario = scenario.model_copy(update={"rules": confirmed})
    passed, plays = await _played(desk, scenario, options, seed)
    outcome = outcome.model_copy(update={"passed": passed, "plays": plays})
    if plays < 2:
        return outcome.model_copy(update={"reason": "it could not be played to the end"}), None
    if passed in (0, plays):
        how = "never" if not passed else "always"
        reason = f"the agent {how} passes it ({passed} of {plays})"
        return outcome.model_copy(update={"reason": reason}), None
    origin = (
        f"generated by {desk.teacher.voice.spec} for {gap.why}; {passed} of {plays} plays passed, "
        f"distance {distance:.2f} to {nearest}"
    )
    return outcome.model_copy(update={"taken": True}), scenario.model_copy(
        update={"origin": origin}
    )


def _overruled(ruling: Ruling, meant: Sequence[str]) -> str:
    if ruling.contradiction.strip().casefold() not in ("", "none", "nothing", "no"):
        return f"it contradicts itself: {' '.join(ruling.contradiction.split())}"
    if not set(meant) & set(ruling.rules):
        return f"{', '.join(ruling.rules) or 'no rule'} would decide it, not {' or '.join(meant)}"
    return ""


async def _played(
    desk: Desk, scenario: Scenario, options: GenerationOptions, attempt: int
) -> tuple[int, int]:
    """How many of so many valid plays the student passed."""
    trial = replace(desk, environment=with_scenarios(desk.environment, [scenario]))
    assert desk.log is not None
    personas = desk.environment.personas_for(scenario)
    plan = [
        DialogueRequest(
            scenario=scenario.id, persona=personas[number % len(personas)].name,
            seed=options.seed + number, purpose="train", arm="trial",
            dialogue=f"g{attempt}.{scenario.id}.{number}",
        )
        for number in range(options.plays)
    ]  # fmt: skip
    graph = compile_dialogue(trial, options.max_exchanges)
    await play(trial, graph, plan, options.concurrency or fitting_concurrency(desk))
    names = {request.get("dialogue") for request in plan}
    judged = [
        one.judged
        for name, one in (await played(desk.log)).items()
        if name in names and one.valid and one.judged is not None
    ]
    return sum(event.rubric >= options.pass_from for event in judged), len(judged)


def _nearest(scenario: Scenario, others: Sequence[Scenario]) -> tuple[float, str]:
    rows = points([scenario_text(one) for one in (scenario, *others)])
    apart = distances(rows[:1], rows[1:])[0]
    position = int(apart.argmin())
    return float(apart[position]), others[position].id


def _with_neighbours(environment: Environment, wanted: Wanted, said: Sequence[str]) -> Wanted:
    """The gap with the training scenarios nearest to it as examples, and the nearest things said."""
    train = environment.split("train")
    text = " ".join([*(rule.text for rule in wanted.rules), wanted.topic])
    rows = points([text, *map(scenario_text, train), *said])
    apart = list(distances(rows[:1], rows[1:])[0])
    by_scenario = sorted(range(len(train)), key=lambda n: apart[n])[:NEIGHBOURS]
    by_line = sorted(range(len(said)), key=lambda n: apart[len(train) + n])[:NEIGHBOURS]
    return replace(
        wanted, examples=[train[n] for n in by_scenario], said=[said[n] for n in sorted(by_line)]
    )


def _topic_of_rule(environment: Environment, rule: Rule) -> str:
    """The topic that scenarios about a rule's section have most often; its section where none is."""
    rules = environment.policy.rules
    topics = Counter(
        topic_of(environment, one)
        for one in environment.scenarios.values()
        if any(id_ in rules and rules[id_].section == rule.section for id_ in one.rules)
    )
    return topics.most_common(1)[0][0] if topics else rule.section.casefold()


def _rules_of_topic(environment: Environment, topic: str) -> list[Rule]:
    """The two rules that a topic's scenarios are about most often."""
    counted = Counter(
        id_
        for one in environment.scenarios.values()
        if topic_of(environment, one) == topic
        for id_ in one.rules
        if id_ in environment.policy.rules
    )
    return [environment.policy.rules[id_] for id_, _ in counted.most_common(2)]


def _free_id(title: str, used: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", title.casefold()).strip("_")[:40] or "case"
    name, number = f"gen_{slug}", 2
    while name in used:
        name, number = f"gen_{slug}_{number}", number + 1
    return name
