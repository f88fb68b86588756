"""The scenario map: which states a run's dialogues went through, and where they first go wrong.

A node is a group of similar states (points at which the student speaks), an edge says that a
dialogue went from one to the next. Everything is read from the run log and the firm.

What to teach first. Let `w` be the weakness of a reply, (good - its score) / (good - 1) and at least
0, where `good` is the score that the best tenth of the run's replies reach: judges use their scales
differently, so a reply is measured by what the same judge gave others. A node's *loss* is frequency x
weakness: the share of all states that it holds, times their mean `w`. But a weak reply late in a
dialogue is often the symptom of an earlier one, so loss is passed on to where it began: from a node v
it walks back along the edge u -> v with probability

    Q(v, u) = DAMPING * sum over transitions u -> v of w_u * w_v  /  sum over states in v of w_v

that is, as far as v's loss arrived from u and the reply at u was weak in that very dialogue; otherwise
it stays. With x = loss + Q^T x (one linear equation) a node's *cause* is c = x * (1 - sum of its Q):
the loss that began there. `c = frequency x weakness x upstream`, with `upstream = cause / loss`, is
the rank; the causes sum to the losses, so `share` reads as "so much of what went wrong began here". An
upstream factor above 1 marks a cause, below 1 a symptom.

This is personalised PageRank on the reversed graph (Page and others 1999; Haveliwala 2002), with the
losses as the restart vector, as it is used to find root causes in systems of services (MonitorRank:
Kim, Sumbaly and Shah, SIGMETRICS 2013). Plain PageRank would walk on to any predecessor, and so blame a
good reply that merely came before; here the walk stops where the reply was good, which makes it an
absorbing Markov chain (Kemeny and Snell 1960), solved exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from pydantic import BaseModel
from tutelage.environments import Environment
from tutelage.strategy_store import mask, terms_of

from ..log.events import StateExamined, StrategyDecided
from ..log.run_log import Log
from ..log.states import Played, State, played, states_of
from .coverage import Coverage, Meeting, Overlap, coverage, overlaps, topic_of
from .text_space import clusters, points

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

GOOD_QUANTILE = 0.9
"""Share of the replies that score at most what counts as good."""
DAMPING = 0.85
"""How much of a loss may walk back at each step (0-1); PageRank's customary value."""
STATE_WITHIN = 0.72
"""Mean distance (0-1) between two groups of states up to which they are one scenario."""
SHORT_TERMS = 3
"""Terms under which a customer's line is too short to stand for a state by itself."""
LABEL_CHARS = 110


@dataclass(frozen=True)
class ScenarioMap:
    """A map that was built. `graph` is a networkx.DiGraph whose nodes, named S1, S2, ... in order of
    rank, and edges carry the figures below as attributes.
    """

    graph: nx.DiGraph
    coverage: Coverage
    overlaps: list[Overlap]
    places: Mapping[tuple[str, int], str]
    """The node of each state, by dialogue and turn."""

    @property
    def nodes(self) -> list[MapNode]:
        """The nodes in order of rank: what to teach first comes first."""
        return [MapNode(id=id_, **data) for id_, data in self.graph.nodes(data=True)]

    @property
    def edges(self) -> list[MapEdge]:
        """The edges, the most travelled first."""
        found = [MapEdge(start=a, end=b, **data) for a, b, data in self.graph.edges(data=True)]
        return sorted(found, key=lambda edge: (-edge.count, edge.start, edge.end))

    def document(self) -> dict[str, Any]:
        """The whole map as plain data."""
        return {
            "nodes": [node.model_dump() for node in self.nodes],
            "edges": [edge.model_dump() for edge in self.edges],
            "coverage": self.coverage.model_dump(),
            "overlaps": [overlap.model_dump() for overlap in self.overlaps],
        }

    def graphml(self) -> str:
        """The graph as GraphML text, for Gephi, yEd, Cytoscape or networkx."""
        plain = nx.DiGraph()
        for id_, data in self.graph.nodes(data=True):
            plain.add_node(id_, **{key: _attribute(value) for key, value in data.items()})
        for a, b, data in self.graph.edges(data=True):
            plain.add_edge(a, b, **data)
        return "\n".join(nx.generate_graphml(plain)) + "\n"


class MapNode(BaseModel):
    """A scenario on the map.

    `score` is the mean of the judge's 1-5; `frequency`, `weakness` and `share` are 0 to 1; `loss` is
    frequency x weakness, `cause` is loss x `upstream`; `depth` is the mean turn, from 0.
    """

    id: str
    label: str
    visits: int
    dialogues: int
    score: float
    frequency: float
    weakness: float
    loss: float
    upstream: float
    cause: float
    share: float
    depth: float
    scenarios: list[str]
    topics: list[str]
    rules: list[str]


class MapEdge(BaseModel):
    """So many dialogues went from one node to another; `change` is the mean change of the score."""

    start: str
    end: str
    count: int
    change: float


@dataclass(frozen=True, slots=True)
class Step:
    """One state of a path: its node, and the weakness (0-1) of the reply there."""

    node: int
    weakness: float


def arms_of(dialogues: Iterable[Played]) -> list[str]:
    """The arms that dialogues were played in, the first one first."""
    return list(dict.fromkeys(one.started.arm for one in dialogues))


def of_arm(dialogues: Iterable[Played], arm: str | None = None) -> list[Played]:
    """The dialogues of one arm; of the first one where none is named."""
    every = list(dialogues)
    wanted = arm or next(iter(arms_of(every)), "")
    return [one for one in every if one.started.arm == wanted]


async def read_map(log: Log, environment: Environment, arm: str | None = None) -> ScenarioMap:
    """Build the map of a run from its log.

    Args:
        log: the run's log, finished or not.
        environment: the firm that the run played.
        arm: whose dialogues are mapped, where a run has several arms; the first one's where not
            given: where it goes wrong without advice and where with it are two maps.
    """
    described: dict[tuple[str, int], str] = {}
    learned: dict[str, str] = {}
    for logged in await log.read(kinds=("state_examined", "strategy_decided")):
        match logged.event:
            case StateExamined() as event:
                described[event.dialogue, event.turn] = event.scenario
            # What is learned for a topic stands under the step's name, and no two topics are one.
            case StrategyDecided() as event if (
                event.verdict == "kept" and event.dialogue != event.proposal
            ):
                learned[event.proposal] = event.scenario
            case _:
                pass
    dialogues = of_arm((await played(log)).values(), arm)
    return await asyncio.to_thread(build_map, dialogues, environment, described, learned)


def build_map(
    dialogues: Sequence[Played],
    environment: Environment,
    described: Mapping[tuple[str, int], str] | None = None,
    learned: Mapping[str, str] | None = None,
    *,
    embeddings: Embeddings | None = None,
) -> ScenarioMap:
    """Build the map of played dialogues.

    Args:
        dialogues: those of a run; of invalid ones and of scenarios that the firm does not have
            nothing is taken. Where there are training dialogues, only these count.
        environment: the firm.
        described: the teacher's sentence for a state, by dialogue and turn, where there is one.
        learned: the scenario sentences of what was kept for a state, by proposal.
        embeddings: for the distances; TF-IDF without.
    """
    described = described or {}
    known = [
        one for one in dialogues if one.valid and one.started.scenario in environment.scenarios
    ]
    train = [one for one in known if one.started.purpose == "train"]
    paths = [states_of(one, environment) for one in train or known]
    states = [state for path in paths for state in path]
    texts = [_text(state, environment, described) for state in states]
    rows = points(texts, embeddings)
    groups = clusters(rows, STATE_WITHIN)
    members: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        members[group].append(position)
    numbers = {(s.dialogue, s.turn): group for s, group in zip(states, groups, strict=True)}
    good = float(np.quantile([s.score for s in states], GOOD_QUANTILE)) if states else 5.0
    steps = [
        [Step(numbers[s.dialogue, s.turn], weakness(s.score, good)) for s in path] for path in paths
    ]
    causes = causes_of(steps)
    total = sum(causes.values()) or 1.0
    order = sorted(members, key=lambda g: (-causes[g], -len(members[g]), g))
    names = {group: f"S{rank}" for rank, group in enumerate(order, start=1)}
    graph = nx.DiGraph()
    for group in order:
        own = [states[position] for position in members[group]]
        weak = float(np.mean([weakness(state.score, good) for state in own]))
        frequency = len(own) / len(states)
        loss = frequency * weak
        played_here = sorted({state.scenario for state in own})
        firm = [environment.scenarios[id_] for id_ in played_here]
        graph.add_node(
            names[group],
            label=_label(rows, members[group], states, described),
            visits=len(own),
            dialogues=len({state.dialogue for state in own}),
            score=float(np.mean([state.score for state in own])),
            frequency=frequency,
            weakness=weak,
            loss=loss,
            upstream=causes[group] / loss if loss else 1.0,
            cause=causes[group],
            share=causes[group] / total,
            depth=float(np.mean([state.turn for state in own])),
            scenarios=played_here,
            topics=sorted({topic_of(environment, one) for one in firm}),
            rules=sorted({rule for one in firm for rule in one.rules}),
        )
    _connect(graph, paths, numbers, names)
    return ScenarioMap(
        graph=graph,
        coverage=coverage(
            environment,
            [Meeting(one.started.scenario, one.started.persona) for one in known],
            embeddings=embeddings,
        ),
        overlaps=_all_overlaps(environment, learned or {}, embeddings),
        places={place: names[group] for place, group in numbers.items()},
    )


def weakness(score: float, good: float) -> float:
    """How weak a reply is, 0 to 1, of its score and a good reply's, both 1 to 5."""
    return min(1.0, max(0.0, (good - score) / (good - 1))) if good > 1 else 0.0


def causes_of(paths: Iterable[Sequence[Step]], damping: float = DAMPING) -> dict[int, float]:
    """Where the loss of several paths began (the module's docstring has the formula).

    Args:
        paths: the steps of each dialogue in order.
        damping: how much of a loss may walk back at each step, 0 to 1 (1 excluded).

    Returns:
        The cause of every node; together they are the mean weakness of all steps.
    """
    paths = [path for path in paths if path]
    nodes = sorted({step.node for path in paths for step in path})
    at = {node: position for position, node in enumerate(nodes)}
    steps = sum(map(len, paths)) or 1
    summed = np.zeros(len(nodes))
    carried = np.zeros((len(nodes), len(nodes)))
    for path in paths:
        for position, step in enumerate(path):
            summed[at[step.node]] += step.weakness
            if position:
                before = path[position - 1]
                carried[at[step.node], at[before.node]] += before.weakness * step.weakness
    back = damping * carried / np.where(summed == 0, 1, summed)[:, None]
    arrived = np.linalg.solve(np.eye(len(nodes)) - back.T, summed / steps)
    return dict(zip(nodes, map(float, arrived * (1 - back.sum(axis=1))), strict=True))


def to_teach(
    dialogues: Sequence[Played], round_of: Sequence[Played], environment: Environment, most: int
) -> list[State]:
    """The states to teach next, by the map's rank.

    The places are given out by highest averages (D'Hondt): the next goes to the node with the
    greatest cause / (1 + places it has), which gives its weakest state of this round, of each dialogue
    at most one. So a grave cause is taught more than once, and no node takes all.

    Args:
        dialogues: all training dialogues so far, from which the map is built.
        round_of: those of this round, whose states may be taught.
        environment: the firm.
        most: states at most.
    """
    drawn = build_map(dialogues, environment)
    waiting: dict[str, list[State]] = defaultdict(list)
    for one in round_of:
        for state in states_of(one, environment):
            if place := drawn.places.get((state.dialogue, state.turn)):
                waiting[place].append(state)
    for states in waiting.values():
        states.sort(key=lambda state: (state.score, state.dialogue, state.turn))
    chosen: list[State] = []
    places: Counter[str] = Counter()
    taken: set[str] = set()
    while len(chosen) < most:
        free = {
            node: next((state for state in waiting[node] if state.dialogue not in taken), None)
            for node in drawn.graph
        }
        left = [node for node, state in free.items() if state is not None]
        if not left:
            break
        node = max(left, key=lambda n: _average(drawn.graph.nodes[n], places[n]))
        state = free[node]
        assert state is not None
        chosen.append(state)
        places[node] += 1
        taken.add(state.dialogue)
    return chosen


def _average(node: Mapping[str, Any], places: int) -> tuple[float, float]:
    """What a node weighs for the next place; its frequency decides where nothing went wrong."""
    return node["cause"] / (1 + places), node["frequency"] / (1 + places)


def _text(
    state: State, environment: Environment, described: Mapping[tuple[str, int], str]
) -> dict[str, float]:
    """A state as a text to compare: what the customer says, and the teacher's sentence for it.

    A short answer ("yes, that one") says little by itself: the line before it and the title of the
    firm's scenario then keep it near others of its kind.
    """
    said = [turn.text for turn in state.turns if turn.speaker == "customer"]
    parts = {mask(said[-1]): 1.0}
    if len(terms_of(mask(said[-1]))) < SHORT_TERMS:
        parts.setdefault(environment.scenarios[state.scenario].title, 0.6)
        if len(said) > 1:
            parts.setdefault(mask(said[-2]), 0.4)
    if sentence := described.get((state.dialogue, state.turn)):
        parts[sentence] = 1.0
    return parts


def _label(
    rows: np.ndarray,
    members: Sequence[int],
    states: Sequence[State],
    described: Mapping[tuple[str, int], str],
) -> str:
    """The teacher's sentence nearest to the middle of a group, else the nearest customer line."""
    centre = rows[list(members)].mean(axis=0)
    nearest = sorted(members, key=lambda position: -float(rows[position] @ centre))
    for position in nearest:
        if sentence := described.get((states[position].dialogue, states[position].turn)):
            return _shortened(sentence)
    return _shortened(f'"{mask(states[nearest[0]].customer_says)}"')


def _shortened(text: str) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= LABEL_CHARS else plain[: LABEL_CHARS - 3].rstrip() + "..."


def _connect(
    graph: nx.DiGraph,
    paths: Sequence[Sequence[State]],
    numbers: Mapping[tuple[str, int], int],
    names: Mapping[int, str],
) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    changes: defaultdict[tuple[str, str], float] = defaultdict(float)
    for path in paths:
        for before, after in pairwise(path):
            ends = (
                names[numbers[before.dialogue, before.turn]],
                names[numbers[after.dialogue, after.turn]],
            )
            counts[ends] += 1
            changes[ends] += after.score - before.score
    for ends, count in counts.items():
        graph.add_edge(*ends, count=count, change=changes[ends] / count)


def _all_overlaps(
    environment: Environment, learned: Mapping[str, str], embeddings: Embeddings | None
) -> list[Overlap]:
    entries = list(dict.fromkeys(learned.values()))
    # A chat and its own later states are told apart by what was said before, and not by these words.
    firm = [
        (one.id, f"{one.situation} {one.goal}")
        for one in environment.scenarios.values()
        if not one.history
    ]
    return [
        *overlaps("entry", [(text, text) for text in entries], embeddings),
        *overlaps("scenario", firm, embeddings),
    ]


def _attribute(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
