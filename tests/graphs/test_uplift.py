"""Uplift tells help from harm and from nothing, with intervals that cover the truth; lint acts on it."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import world
from tutelage.environments import load_environment
from tutelage.graphs.evaluation import EvaluationOptions, compile_evaluation
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    DialogueStarted,
    StrategyGiven,
    TurnSpoken,
)
from tutelage.graphs.log.states import Played, played
from tutelage.graphs.statistics.uplift import ABLATED, coin_of, is_withheld, uplifts
from tutelage.strategy_store import (
    ChangedMeanwhile,
    Entry,
    Library,
    Provenance,
    Strategy,
    Uplift,
    compression,
    wording,
)
from tutelage.strategy_store.lint import lint
from tutelage.strategy_store.wording import same_order
from typer.testing import CliRunner

from tutelage.evaluation.result import EvaluateRequest
from tutelage.evaluation.tables import uplift_table
from tutelage.main import app


def dialogue(
    number, scenario, given, withheld, satisfaction, *, arm=ABLATED, valid=True, text="Be kind."
):
    def shown(ids):
        return [StrategyGiven(id=i, entry="e", scenario="", text=text, similarity=1) for i in ids]

    name = f"d{number}"
    judged = DialogueJudged(
        dialogue=name, satisfaction=min(5, max(1, satisfaction)), rubric=0.5, turn_scores=[3]
    )
    one = Played(DialogueStarted(dialogue=name, round=0, arm=arm, scenario=scenario, persona="p"))
    one.spoken.append(
        TurnSpoken(dialogue=name, turn=0, speaker="student", text="x",
                   strategies=shown(given), withheld=shown(withheld))
    )  # fmt: skip
    one.judged = judged
    one.ended = DialogueEnded(dialogue=name, reason="goal_met", turns=2, valid=valid)
    return one


def experiment(rng, effects, scenarios=10, repeats=4):
    """Dialogues in which each strategy adds its effect, in scenarios that differ in difficulty and
    in how they take to it.
    """
    found = []
    for s in range(scenarios):
        hard = rng.normal(0, 0.6)
        taken = {id_: effect + rng.normal(0, 0.1) for id_, effect in effects.items()}
        case = f"s{s} {rng.random()}"
        for repeat in range(repeats):
            coin = coin_of(case, "p", repeat)
            off = [id_ for id_ in effects if is_withheld(coin, id_)]
            on = [id_ for id_ in effects if id_ not in off]
            score = 3 + hard + sum(taken[id_] for id_ in on) + rng.normal(0, 0.3)
            found.append(dialogue(len(found), f"s{s}", on, off, score))
    return found


def test_intervals_of_single_strategies_cover_the_truth():
    effects = {"helps": 0.6, "nothing": 0.0, "harms": -0.6}
    covered = {id_: [] for id_ in effects}
    called = {id_: [] for id_ in effects}
    for trial in range(60):
        found = uplifts(experiment(np.random.default_rng(trial), effects), resamples=299)
        for id_, effect in effects.items():
            low, high = found[id_].csat_ci95
            covered[id_].append(low <= effect <= high)
            called[id_].append(found[id_].helps)
    for id_, hits in covered.items():
        assert np.mean(hits) >= 0.88, id_
    assert np.mean([value is True for value in called["helps"]]) > 0.8
    assert np.mean([value is False for value in called["harms"]]) > 0.8
    assert np.mean([value is None for value in called["nothing"]]) > 0.9


def test_the_second_repeat_withholds_what_the_first_gives():
    for id_ in ("s1", "s2", "s3", "s4"):
        assert is_withheld(coin_of("a", "p", 0), id_) != is_withheld(coin_of("a", "p", 1), id_)
        assert is_withheld(coin_of("a", "p", 2), id_) != is_withheld(coin_of("a", "p", 3), id_)
    shares = [is_withheld(coin_of(f"c{n}", "p", 0), "s1") for n in range(400)]
    assert 0.42 < np.mean(shares) < 0.58
    assert not is_withheld("", "s1")


def test_only_the_ablated_arm_and_valid_dialogues_count_and_few_scenarios_give_no_interval():
    rows = [dialogue(0, "a", ["s"], [], 5), dialogue(1, "a", [], ["s"], 2)]
    other = [
        dialogue(2, "a", ["s"], [], 1, arm="library"),
        dialogue(3, "a", [], ["s"], 5, valid=False),
    ]
    found = uplifts([*rows, *other])
    assert found["s"].csat == 3.0 and found["s"].csat_ci95 is None and found["s"].helps is None
    assert (found["s"].given, found["s"].withheld, found["s"].scenarios) == (1, 1, 1)
    assert uplifts(rows[:1]) == {}


def test_what_was_measured_of_other_words_is_not_kept_beside_these(library):
    same, other = twins(library)
    found = {one.id: HELPS.model_copy(update={"text": one.text}) for one in (same, other)}
    library.edit(other.id, "Never name the wait.", "ann", approve=True)
    assert library.measured(found, "run x") == 1
    assert library.strategy(same.id)[1].uplift == HELPS
    assert library.strategy(other.id)[1].uplift is None
    version = library.version
    assert library.measured(found, "run x") == 1
    assert library.version == version, "what stands there is no change"


def test_where_the_words_were_changed_meanwhile_those_of_the_end_are_measured(library):
    one, _ = twins(library)
    early = [dialogue(0, "a", [one.id], [], 5, text="Old words."),
             dialogue(1, "a", [], [one.id], 1, text="Old words.")]  # fmt: skip
    late = [dialogue(2, "a", [one.id], [], 3, text=one.text),
            dialogue(3, "a", [], [one.id], 2, text=one.text)]  # fmt: skip
    found = uplifts([*early, *late])
    assert (found[one.id].csat, found[one.id].given) == (1.0, 1)
    assert library.measured(found, "run x") == 1
    assert library.measured(uplifts(early), "run x") == 0
    assert library.strategy(one.id)[1].uplift.csat == 1.0


async def test_an_ablated_evaluation_finds_help_harm_and_nothing(tmp_path):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    with Library.open(tmp_path / "l.db", create=True) as library:
        origin = Provenance(source="person")
        for cure, says in world.TROUBLES.values():
            text = f"Speak of {cure} in the first sentence of the answer."
            library.add(
                Entry.new(f"a customer who says {says}", strategies=[Strategy.new(text, origin)]),
                "t",
            )
        ids = {}
        for name, text in (("nothing", "Be kind to everybody at all times."),
                           ("harm", f"Speak of {world.HARM} in the answer.")):  # fmt: skip
            made = Entry.new(
                f"{name} greeting",
                cues=["Hello please answer"],
                strategies=[Strategy.new(text, origin)],
            )
            ids[name] = library.add(made, "t").strategies[0].id
        library.approve(None, "a person")
        desk = world.seat(firm, library)
        desk.retrieval = replace(desk.retrieval, top=3, threshold=0.3)
        request = EvaluateRequest(
            environment="w", arms=["library"], split="train", dialogues=24, ablate=True, exchanges=2
        )
        options = request.options()
        assert options.arms == ("library", ABLATED) and options.repeats == 2
        await compile_evaluation(desk, replace(options, concurrency=4)).ainvoke({})
        dialogues = await played(desk.log)
        in_library = [one for one in dialogues.values() if one.started.arm == "library"]
        assert in_library and not any(event.withheld for one in in_library for event in one.spoken)
        found = uplifts(dialogues.values(), student="s", run="r")
        assert found[ids["harm"]].helps is False and found[ids["harm"]].csat < -0.5
        assert found[ids["nothing"]].helps is None
        assert found[ids["harm"]].scenarios >= 6
        assert library.measured({**found, "s_gone": found[ids["harm"]]}, "run r") == len(found)
        assert library.versions()[-1].author == "run r"
        harm = library.strategy(ids["harm"])[1]
        assert harm.uplift == found[harm.id].model_copy(update={"text": ""})
        assert found[harm.id].text == harm.text
        findings = {f.where: f for f in lint(library.entries()) if "harm" in f.what}
        assert "retire" in findings[ids["harm"]].proposal
        assert uplift_table(found).row_count == len(found)
    shown = CliRunner().invoke(app, ["library", "list", str(tmp_path / "l.db")])
    assert "uplift: satisfaction -" in shown.output


def _strategy(text, uplift=None):
    origin = Provenance(source="person")
    entry = Entry.new(f"a customer {text}", strategies=[Strategy.new(text, origin)])
    (strategy,) = entry.strategies
    return entry.model_copy(update={"strategies": [strategy.model_copy(update={"uplift": uplift})]})


def test_lint_names_what_is_useless_and_what_contradicts():
    nothing = Uplift(
        csat=0.02, csat_ci95=(-0.1, 0.14), rubric=0.0, rubric_ci95=(-0.05, 0.05), given=20,
        withheld=20, scenarios=12,
    )  # fmt: skip
    unsure = nothing.model_copy(update={"csat_ci95": (-0.6, 0.7)})
    entries = [
        _strategy("Thank the customer for waiting so long.", nothing),
        _strategy("Say when the next message will come.", unsure),
        _strategy("Offer a voucher for the delay."),
        _strategy("Never offer a voucher in the first reply."),
    ]
    found = {(f.where, f.what.split(" (")[0]): f.proposal for f in lint(entries)}
    ids = [entry.strategies[0].id for entry in entries]
    assert found[ids[0], "was measured to add nothing"] == "retire it"
    assert not [where for where, _ in found if where == ids[1] and "measured" in _]
    assert any(where == ids[2] and what.startswith("contradicts") for where, what in found)
    ruled = lint(entries, {"R7": "Agents must not offer vouchers."})
    assert any(
        "contradicts rule R7" in finding.what for finding in ruled if finding.where == ids[2]
    )


def test_lint_tells_what_two_topics_share_from_what_is_said_twice_to_one_customer():
    def entry(scenario, wants="", general=False):
        said = [Strategy.new("Say that you understand the customer.", Provenance(source="rubric"))]
        return Entry.new(scenario, wants=wants, general=general, strategies=said)

    def found(*entries):
        told = [finding.what.rsplit(" ", 1)[0] for finding in lint(entries)]
        return [what for what in told if what.endswith("the same as")]

    bags = entry("a customer whose matter is bags", "the suitcase found and clothes until then")
    delay = entry("a customer whose matter is delay", "delay money and the hotel bill repaid")
    assert found(bags, delay) == [] and compression.plan([bags, delay]) == []
    again = entry("a customer whose matter is a bag", "clothes until then and the suitcase found")
    assert found(bags, again) == ["describes the same as"]
    assert found(bags, entry("any customer", general=True)) == ["says the same as"]


@pytest.mark.parametrize("name", ["airline", "furniture", "broadband"])
def test_the_bundled_handbooks_contradict_no_rule_of_their_firms(name):
    firm = load_environment(name)
    rules = {id_: rule.text for id_, rule in firm.policy.rules.items()}
    found = lint([_strategy(tactic.do) for tactic in firm.handbook.values()], rules)
    assert not [finding for finding in found if "contradicts" in finding.what]


def test_options_are_checked_before_anything_is_played():
    assert EvaluateRequest(environment="x", repeats=3, ablate=True).options().repeats == 4
    assert EvaluateRequest(environment="x", repeats=3).options() == EvaluationOptions(
        arms=("none", "generic", "library", "teacher"), repeats=3
    )


def test_compression_leaves_out_what_adds_nothing_and_keeps_every_measured_effect(tmp_path):
    nothing = Uplift(
        csat=0.0, csat_ci95=(-0.1, 0.1), rubric=0.0, rubric_ci95=(-0.05, 0.05), given=20,
        withheld=20, scenarios=12,
    )  # fmt: skip
    helps = nothing.model_copy(update={"csat": 0.6, "csat_ci95": (0.3, 0.9)})
    texts = {
        "Name the wait before anything else.": helps,
        "Before anything else, name the wait.": None,
        "Thank them for writing.": nothing,
        "Offer two ways forward.": None,
    }
    origin = Provenance(source="person")
    with Library.open(tmp_path / "l.db", create=True) as library:
        for number, (text, uplift) in enumerate(texts.items()):
            scenario = "a customer who waited for hours at the gate" + ("", " today")[number == 1]
            if number > 1:
                scenario = f"a customer number {'abcd'[number]} with another trouble"
            entry = Entry.new(scenario, cues=[f"cue {'abcd'[number]} of mine"],
                              strategies=[Strategy.new(text, origin)])  # fmt: skip
            library.add(entry, "t")
            if number == 1:
                limits = {"unless": ["it harms this customer"], "threshold": 0.6}
                limited = entry.model_copy(update=limits)
                library.replace(entry.id, lambda _, new=limited: new, "t", "narrowed")
            if uplift:
                library.measured({entry.strategies[0].id: uplift}, "run r")
        before = {s.text: s for e in library.entries() for s in e.strategies}
    path = str(tmp_path / "l.db")
    shown = CliRunner().invoke(app, ["library", "compress", path])
    assert "2 strategies would be left out" in shown.output
    done = CliRunner().invoke(app, ["library", "compress", path, "--apply", "--by", "me"])
    assert done.exit_code == 0 and "now 2 entries, 2 strategies" in done.output
    with Library.open(path) as library:
        after = {s.text: s for e in library.entries() for s in e.strategies}
        assert after.keys() == before.keys(), "nothing is erased"
        retired = [text for text, s in after.items() if s.status == "retired"]
        assert retired == ["Before anything else, name the wait.", "Thank them for writing."]
        kept = after["Name the wait before anything else."]
        assert kept.uplift == helps and kept.also == ["Before anything else, name the wait."]
        entry, _ = library.strategy(kept.id)
        assert {"cue a of mine", "cue b of mine"} <= set(entry.cues)
        assert entry.unless == ["it harms this customer"] and entry.threshold == 0.6
        assert [v.author for v in library.versions()[-3:]] == ["t", "me", "me"], "a version a step"


NAMES, ALSO_NAMES = "Name the wait before anything else.", "Before anything else, name the wait."
HELPS = Uplift(
    csat=0.6, csat_ci95=(0.3, 0.9), rubric=0.2, rubric_ci95=(0.1, 0.3), given=20, withheld=20,
    scenarios=12,
)  # fmt: skip


def twins(library, texts=(NAMES, ALSO_NAMES)):
    """Two entries for states described alike, each with eight cues; their strategies."""
    for number, text in enumerate(texts):
        where = "a customer who waited for hours at the gate" + ("", " today")[number]
        cues = [f"cue {'ab'[number]}{letter} of mine" for letter in "abcdefgh"]
        origin = Provenance(source="person")
        library.add(Entry.new(where, cues=cues, strategies=[Strategy.new(text, origin)]), "t")
    return [s for e in library.entries() for s in e.strategies]


def test_compression_retires_nothing_that_customers_are_served_by_for_what_they_are_not(library):
    measured, approved = twins(library)
    library.measured({measured.id: HELPS}, "run r")
    library.approve([approved.id], "me")
    assert compression.plan(library.entries()) == []
    library.approve([measured.id], "me")
    (step,) = compression.plan(library.entries())
    assert (step.strategy, step.into) == (approved.id, measured.id)


def compress(library):
    steps = compression.plan(library.entries())
    compression.apply(library, library.entries(), steps, "me")
    return steps


@pytest.mark.parametrize("status", ["proposed", "approved"])
def test_what_compression_keeps_reaches_the_states_of_both(library, status):
    kept, _ = twins(library)
    entries = library.entries()
    if status == "approved":
        library.approve(None, "me")
    compress(library)
    cues = library.strategy(kept.id)[0].cues
    assert set(cues) == {cue for entry in entries for cue in entry.cues} and len(cues) == 16


NARROW = {"threshold": 0.95, "unless": ["cue ac of mine"]}


def found(library):
    """Whom the approved strategies reach, by what they write."""
    lines = ["a customer who waited for hours", *(f"cue a{letter} of mine" for letter in "abc")]
    return {
        line: [s.text for one in library.index().search(line) for s in one.strategies]
        for line in lines
    }


def test_no_twin_that_nobody_approved_changes_whom_an_approved_strategy_reaches(library):
    kept, left = twins(library)
    library.approve([kept.id], "me")
    library.revise(library.strategy(left.id)[0].id, "run x", **NARROW)
    before, entry = found(library), library.strategy(kept.id)[0]
    assert all(before.values())
    (step,) = compress(library)
    assert (step.strategy, step.into) == (left.id, kept.id)
    assert found(library) == before
    after = library.strategy(kept.id)[0]
    assert after.strategies[0].also == [left.text]
    assert after.model_copy(update={"strategies": entry.strategies}) == entry


def test_what_was_measured_to_help_where_no_approved_twin_is_given_stays(library):
    approved, measured = twins(library)
    library.approve([approved.id], "me")
    library.measured({approved.id: HELPS, measured.id: HELPS}, "run r")
    assert compress(library) == []


def test_approved_twins_of_other_limits_stay_apart(library):
    _, narrow = twins(library)
    library.approve(None, "me")
    library.revise(library.strategy(narrow.id)[0].id, "me", **NARROW)
    assert compress(library) == []


def test_what_is_given_always_is_not_left_out_for_what_is_given_sometimes(library):
    some, always = twins(library)
    library.approve(None, "me")
    library.measured({some.id: HELPS, always.id: HELPS}, "run r")
    library.revise(library.strategy(always.id)[0].id, "me", general=True)
    (step,) = compression.plan(library.entries())
    assert (step.strategy, step.into) == (some.id, always.id)


def many(number, seed):
    """Entries of random strategies of which some say nearly the same: approved or not, measured to
    help, to harm, to add nothing, or not measured.
    """
    rng = random.Random(seed)
    words = [f"{a}{b}{c}ing" for a in "bdfgklmn" for b in "aeiou" for c in "rst"]
    told = [-0.8, 0.0, 0.8]
    texts, entries = [], []
    for place in range(number // 4):
        strategies = []
        for _ in range(4):
            said = [rng.choice(["Name", "Never name"]), *rng.choices(words, k=rng.randint(3, 12))]
            if texts and rng.random() < 0.4:
                said = [*rng.choice(texts).split(), *rng.choices(words, k=rng.randint(0, 2))]
            texts.append(" ".join(said))
            uplift = None
            if rng.random() < 0.3:
                gain = rng.choice(told)
                interval = (gain - 0.1, gain + 0.1)
                uplift = Uplift(
                    csat=gain, csat_ci95=interval, rubric=0, given=9, withheld=9, scenarios=9
                )
            new = Strategy.new(texts[-1], Provenance(source="person"))
            status = rng.choice(["proposed", "approved", "retired"])
            named = {"id": f"s{len(texts)}", "status": status, "uplift": uplift}
            strategies.append(new.model_copy(update=named))
        where = rng.choice(["a customer at the gate", "a customer who mourns"])
        entry = Entry.new(where, strategies=strategies, general=rng.random() < 0.1)
        entries.append(entry.model_copy(update={"id": f"e{place}"}))
    return entries


def test_compression_decides_what_it_would_by_looking_at_every_two(monkeypatch):
    libraries = [many(40, seed) for seed in range(40)]
    plans = [compression.plan(entries) for entries in libraries]

    def looked_at(texts):
        every = combinations(range(len(texts)), 2)
        return [(i, j) for i, j in every if same_order(texts[i], texts[j])]

    monkeypatch.setattr(compression, "same_orders", looked_at)
    assert plans == [compression.plan(entries) for entries in libraries]
    assert sum(bool(step.into) for plan in plans for step in plan) > 50


def test_a_thousand_strategies_are_looked_over_soon():
    entries = many(1000, 1)
    compression.plan(entries[:1])
    began = time.process_time()
    compression.plan(entries)
    assert time.process_time() - began < 0.6


def test_lint_reads_a_rule_once_however_many_strategies_there_are(monkeypatch):
    read: Counter[str] = Counter()
    reads = wording._prohibitions

    def counted(text):
        read[text] += 1
        return reads(text)

    monkeypatch.setattr(wording, "_prohibitions", counted)
    rule = "Agents must not offer vouchers."
    told = lint([*many(40, 1), _strategy("Offer vouchers.")], {"R1": rule, "R2": "Offer a seat."})
    assert [f.what for f in told if "rule" in f.what] == [f"contradicts rule R1: {rule!r}"]
    assert (read[rule], read["Offer a seat."], read["Offer vouchers."]) == (1, 1, 2)


def test_the_tokens_of_a_turn_are_those_that_it_is_given(library):
    """General strategies are given beside what fits, and all within what a turn may hold."""
    origin = Provenance(source="person")

    def made(scenario, *texts, general=False):
        strategies = [Strategy.new(text, origin) for text in texts]
        library.add(Entry.new(scenario, strategies=strategies, general=general), "me")

    def tokens():
        return compression.size_of(library.entries()).tokens_a_turn

    assert tokens() == 0
    made("any customer", "Be kind to them at once.", "Say what happens next.", general=True)
    assert tokens() == (24 + 22) / 4
    made("a customer who waits at the gate", "Name the wait before anything.")
    made("a customer who mourns", "Condole before anything else is said.")
    mean = tokens()
    given = [
        sum(
            len(s.text)
            for one in library.index(("proposed",)).search(line, 1)
            for s in one.strategies
        )
        for line in ("who waits at the gate", "who mourns")
    ]
    assert mean == sum(given) / 2 / 4 == (30 + 37) / 2 / 4 + (24 + 22) / 4
    made(
        "any customer at all",
        *(f"Say {'ab'[n % 2]} {'very ' * 20}{n}." for n in range(9)),
        general=True,
    )
    assert mean < tokens() <= 160


def test_compression_says_how_many_were_measured_to_help(library):
    _, measured = twins(library)
    library.measured({measured.id: HELPS}, "run r")
    done = CliRunner().invoke(app, ["library", "compress", str(library.path), "--apply"])
    assert "2 strategies (1 measured to help)" in done.output
    assert "now 1 entry, 1 strategy (1 measured to help)" in done.output


@pytest.mark.parametrize("verdict", ["retire", "reject"])
def test_lint_leaves_alone_what_people_have_done_with(library, verdict):
    first, second = twins(library)
    assert "has no approved strategy" in {f.what for f in lint(library.entries())}
    library.approve([first.id], "me")
    getattr(library, verdict)([second.id], "me", "no use")
    assert not [f for f in lint(library.entries()) if f.where.startswith("e")]


@pytest.mark.parametrize("verdict", ["reject", "edit", "reject the other"])
def test_compression_overwrites_no_verdict_that_came_after_its_plan(library, verdict):
    kept, left = twins(library)
    seen = library.entries()
    steps = compression.plan(seen)
    assert [(step.strategy, step.into) for step in steps] == [(left.id, kept.id)]
    if verdict == "edit":
        library.edit(kept.id, "Say how long it took.", "ann")
    else:
        library.reject([kept.id if verdict == "reject" else left.id], "ann", "too cold")
    before = library.entries()
    with pytest.raises(ChangedMeanwhile, match="by ann"):
        compression.apply(library, seen, steps, "me")
    assert library.entries() == before


def test_the_opposite_is_neither_merged_nor_called_the_same(library):
    twins(library, ("Offer a voucher for the long delay.",
                    "Do not offer a voucher for the long delay."))  # fmt: skip
    assert compression.plan(library.entries()) == []
    found = [finding.what for finding in lint(library.entries())]
    assert not [what for what in found if "says the same" in what]
    assert [what for what in found if "contradicts" in what]
