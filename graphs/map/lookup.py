"""Looking up: which entry each scenario of a firm would be given, and what that was learned for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tutelage.environments import Environment, Scenario, Split
from tutelage.strategy_store import Entry, Index, Near, query_of

from .coverage import topic_of

Verdict = Literal["fits", "another", "missed", "other", "nothing", "unknown"]
VERDICTS: dict[Verdict, str] = {
    "fits": "learned for its topic",
    "another": "of another topic, past one of its own",
    "missed": "nothing, though there is one of its topic",
    "other": "of another topic, having none of its own",
    "nothing": "nothing, having none of its topic",
    "unknown": "not known where it was learned",
}
"""What a scenario is given, in words."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one scenario would be given for the first thing that its customer says: the entry `given`
    with the topics that it was `learned` for, and the nearest of its `own` topic, given or not.
    """

    scenario: str
    split: Split | None
    topic: str
    text: str
    given: Near | None
    learned: list[str]
    own: Near | None
    verdict: Verdict


def topics_of(environment: Environment, entry: Entry) -> list[str]:
    """The topics of a firm's scenarios that an entry was learned in; empty where it names none."""
    learned = {id_ for strategy in entry.strategies for id_ in strategy.provenance.learned_in}
    found = (environment.scenarios.get(id_) for id_ in sorted(learned))
    return list(dict.fromkeys(topic_of(environment, one) for one in found if one is not None))


def look_up(
    environment: Environment,
    index: Index,
    scenarios: list[Scenario],
    threshold: float | None = None,
) -> Iterator[Lookup]:
    """Look up each scenario, by its opening line, or by its situation where it has none.

    The right entry is taken to be one that was learned for the scenario's topic. A few others may do as
    well, so a verdict is where to look, not what is wrong.

    Args:
        environment: the firm.
        index: over the entries that may be given; general ones go to every customer and are left out.
        scenarios: of the firm.
        threshold: see `Index.search`.
    """
    topics = {entry.id: topics_of(environment, entry) for entry in index.entries}
    for scenario in scenarios:
        text = scenario.opening or scenario.situation
        topic = topic_of(environment, scenario)
        near = index.near(query_of(text), threshold)
        given = next((one for one in near if not one.kept_out), None)
        own = next((one for one in near if topic in topics[one.entry.id]), None)
        learned = topics[given.entry.id] if given else []
        verdict = _verdict(topic, given, own, learned)
        split = environment.split_of(scenario.id)
        yield Lookup(scenario.id, split, topic, text, given, learned, own, verdict)


def _verdict(topic: str, given: Near | None, own: Near | None, learned: list[str]) -> Verdict:
    if given is None:
        return "missed" if own else "nothing"
    if not learned:
        return "unknown"
    if topic in learned:
        return "fits"
    return "another" if own else "other"
