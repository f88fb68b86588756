"""What may be tried at a weak state: rules as orders, what the teacher writes, and its origin."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import world
import yaml
from tutelage.agents.advice.expected_orders import expected_orders
from tutelage.agents.advice.rule_orders import deciding_rules, orders_of, orders_to_say, rule_orders
from tutelage.agents.teacher import Description, Proposal, reply_alone
from tutelage.agents.transcript import Turn
from tutelage.environments import Policy, Tactic, load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log import events as ev
from tutelage.graphs.log.states import State
from tutelage.graphs.statistics.acceptance import Pair
from tutelage.graphs.steps.candidates import vetted, within_policy
from tutelage.graphs.steps.selection import accept, better_by_code, plain_replies, wordings
from tutelage.graphs.steps.trials import Candidate, Weak, general_entry, teachers_reply
from tutelage.strategy_store import Library, vet
from tutelage.strategy_store.wording import too_special

POLICY = Policy(
    "# Lighthouse\n"
    "- L1: Never name the keeper.\n"
    "- L2: A lost key costs 20 euros; a second one 50.\n"
    "- L3: Guests of the Tower: a torch for the stairs, against a deposit. Not for children.\n"
    "- L4: Whoever pays under L2 keeps the old key; L3 stays in force.\n"
    "- L5: Ask for the name first. The lamp room is closed after dusk. It opens on request.\n"
    "- L6: A room is free of charge on the night of a storm which closes the bridge to the mainland,"
    " with breakfast; guests who leave by boat before noon are repaid half of what they gave.\n"
    "- L7: Rooms in the Tower are let by the week; do not let them by the night.\n"
)


@pytest.mark.parametrize(
    ("rule", "orders"),
    [
        ("L1", []),
        ("L2", ["Say that a lost key costs 20 euros; a second one 50."]),
        (
            "L3",
            [
                "Say what holds for guests of the Tower: a torch for the stairs, against a deposit;"
                " not for children."
            ],
        ),
        ("L4", ["Say that whoever pays keeps the old key."]),
        ("L5", ["Say that the lamp room is closed after dusk."]),
        (
            "L6",
            [
                "Say that a room is free of charge on the night of a storm which closes the bridge to"
                " the mainland, with breakfast.",
                "Say that guests who leave by boat before noon are repaid half of what they gave.",
            ],
        ),
        ("L7", ["Say that rooms in the Tower are let by the week."]),
    ],
)
def test_what_a_rule_gives_becomes_an_order_and_what_speaks_to_the_agent_does_not(rule, orders):
    assert orders_of(POLICY.rules[rule], POLICY) == orders


@pytest.mark.parametrize("firm", ["airline", "broadband", "furniture"])
def test_orders_of_the_firms_that_come_with_it_may_be_strategies(firm):
    environment = load_environment(firm)
    policy = environment.policy
    every = [order for rule in policy.rules.values() for order in orders_of(rule, policy)]
    assert len(every) > 25
    for order in every:
        assert orders_to_say(order) and vet(order) == []
        assert too_special(order, f"{policy.text}\n{environment.config.title}") == []
    without = [s.id for s in environment.split("train") if not rule_orders(policy, s, _opening(s))]
    assert len(without) <= len(environment.split("train")) // 5, without


def _opening(scenario):
    return [Turn(speaker="customer", text=scenario.opening or scenario.situation)]


def test_the_rules_that_a_scenario_names_go_before_nearer_ones():
    environment = load_environment("airline")
    scenario = next(s for s in environment.split("train") if s.id == "own_flu")
    named = deciding_rules(environment.policy, scenario, _opening(scenario))
    assert named and {rule.id for rule in named} <= set(scenario.rules)
    nameless = scenario.model_copy(update={"rules": []})
    near = deciding_rules(environment.policy, nameless, _opening(scenario))
    assert "R18" in {rule.id for rule in near} and len(near) <= 3


OPTIONS = CoachingOptions(
    rounds=2, dialogues=12, validation_dialogues=2, states_per_round=6, concurrency=4,
    max_exchanges=3, general=False,
)  # fmt: skip
RULES = "\n".join(
    [
        "- R1: Answer every message within the hour.",
        "- R2: A train that was cancelled brings candlelight to who is stranded on a platform.",
        "- R3: A wardrobe that arrived broken is mended with sawdust on every shelf.",
        "- R4: A father who passed away is honoured with a lantern at the funeral service.",
        "- R5: An account charged twice for an invoice is settled by abacus within the month.",
        "- R6: A password reset that locks a profile is opened with a keyring.",
        "- R7: A cake that contained nuts is replaced by one with an almond warning on its label.",
    ]
)


async def test_where_the_teacher_is_vague_the_loop_learns_from_the_rules(tmp_path):
    said: list[str] = [
        "Say something kind to the customer in the first sentence.",
        "Bring candlelight to who is stranded on a platform.",
        "Say that under R2 candlelight is brought to the platform.",
    ]

    class Vague(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            if "You coach the agent" not in page:
                return super().answer(system, page, messages)
            assert "Rules that decide it:" in page
            return json.dumps({"advice": [], "strategies": said})

    firm = load_environment(world.build_firm(tmp_path / "world", policy=RULES))
    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, teacher=Vague())
        await compile_coaching(desk, OPTIONS).ainvoke({})
        kept = [strategy for entry in library.entries() for strategy in entry.strategies]
        assert len(kept) >= 3
        for strategy in kept:
            assert strategy.provenance.source == "policy" and strategy.text.startswith("Say that ")
            assert any(cure in strategy.text for cure, _ in world.TROUBLES.values())
        for entry in library.entries():
            stated = {rule for s in entry.strategies for rule in _saying(firm, s.text)}
            assert stated and set(entry.rules) == stated
    refused = "; ".join(
        why
        for logged in await desk.log.read(kinds=("strategy_proposed",))
        if isinstance(logged.event, ev.StrategyProposed)
        for why in logged.event.refused
    )
    assert "repeats a rule of the policy" in refused and "names the rule R2" in refused


@pytest.mark.parametrize(
    ("expected", "orders"),
    [
        (
            "Explains that storms bring no money, says sorry for the night, and offers a room up to 20"
            " euros.",
            ["Explain that storms bring no money.", "Say sorry for the night.",
             "Offer a room up to 20 euros."],
        ),
        ("Grants the full refund of 118 euros, because it was booked today.",
         ["Grant the full refund, because it was booked today."]),
        ("Pays the 20 euros of a lost key; no second key on top.",
         ["Promise the 20 euros of a lost key.", "Promise no second key on top."]),
        ("A key that was lost costs money; owns the error, moves it to the 13th.",
         ["Say that a key that was lost costs money."]),
        ("Says so kindly. Names both before anything is booked. Kind and clear.", []),
        ("Sagt, dass der Schlüssel 20 Euro kostet.", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_a_good_agent_says_becomes_orders_to_say_it(expected, orders):
    scenario = load_environment("airline").scenarios["own_flu"]
    told = expected_orders(scenario.model_copy(update={"expected": expected}), POLICY)
    assert told == orders
    assert all(orders_to_say(order) for order in told)


@pytest.mark.parametrize("firm", ["airline", "broadband", "furniture"])
def test_half_of_the_scenarios_that_come_with_it_give_orders_for_others(firm):
    environment = load_environment(firm)
    known = f"{environment.policy.text}\n{environment.config.title}"
    told = [expected_orders(s, environment.policy) for s in environment.split("train")]
    fit = [any(not vet(o) + too_special(o, known) for o in orders) for orders in told]
    assert sum(fit) >= len(fit) / 2


async def test_where_the_teacher_is_vague_the_loop_learns_from_what_a_good_agent_does(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    for path in (folder / "scenarios").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        cure = next(
            cure for kind, (cure, _) in world.TROUBLES.items() if path.stem.startswith(kind)
        )
        path.write_text(f"{text}\nexpected: Explains that {cure} is on its way, owns the error.\n")

    class Vague(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            if "You coach the agent" not in page:
                return super().answer(system, page, messages)
            said = ["Say something kind to the customer in the first sentence."]
            return json.dumps({"advice": [], "strategies": said})

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(load_environment(folder), library, teacher=Vague())
        await compile_coaching(desk, OPTIONS).ainvoke({})
        kept = [strategy for entry in library.entries() for strategy in entry.strategies]
    assert len(kept) >= 3
    assert {strategy.provenance.source for strategy in kept} == {"scenario"}


def _saying(firm, text):
    """The rules that hold the same cure as a text."""
    cures = [cure for cure, _ in world.TROUBLES.values() if cure in text]
    return [id_ for id_, r in firm.policy.rules.items() if any(c in r.text for c in cures)]


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ('Sure, here is the reply:\n\n- "It is just a name."', "It is just a name."),
        ("Transcript\nAGENT: We repay the room.", "We repay the room."),
        (
            'Certainly! Here’s the reply from the AGENT:\n\n"I am sorry: it was us."',
            "I am sorry: it was us.",
        ),
        ("Your reply reached us at 8:30.", "Your reply reached us at 8:30."),
        ('The rule says "no pets"', 'The rule says "no pets"'),
        ('"Yes" is the answer to "both?"', '"Yes" is the answer to "both?"'),
    ],
)
def test_what_the_teacher_says_about_its_reply_is_no_part_of_it(said, reply):
    name = load_environment("airline").config.agent_name
    assert name == "Mia"
    assert reply_alone(said) == reply == reply_alone(f"Mia: {reply}", name)


def test_the_same_order_in_other_words_is_tried_once(tmp_path):
    firm = load_environment(world.build_firm(tmp_path / "world", policy=RULES))
    said = (
        "Offer the stranded customer a seat on the next train.",
        "Offer a seat on the next train to the stranded customer.",
        "Do not offer the stranded customer a seat on the next train.",
    )
    candidates, _ = vetted(world.seat(firm, None), _weak(firm, "stranded_0"), [Proposal((), said)])
    texts = [candidate.texts[0] for candidate in candidates]
    assert said[0] in texts and said[1] not in texts and said[2] in texts


@pytest.mark.parametrize(
    "said",
    [
        "advice: [1, 2, 3] // these are the numbers of the advice that was lacking",
        "Say that [name of the customer] gets a seat on the next train.",
        'Offer a seat on the next train."} {"strategies": "Say sorry.',
    ],
)
def test_what_is_no_sentence_is_not_tried(tmp_path, said):
    firm = load_environment(world.build_firm(tmp_path / "world", policy=RULES))
    weak = _weak(firm, "stranded_0")
    candidates, refused = vetted(world.seat(firm, None), weak, [Proposal((), (said,))])
    assert not any(one.source == "teacher" for one in candidates)
    assert any("is no sentence" in why for why in refused)


@pytest.mark.parametrize("more", [False, True], ids=["fit", "too long together"])
def test_the_orders_of_the_rules_that_decide_are_tried_all_together_too(tmp_path, more):
    rule = "A stranded train passenger gets candlelight. A dark platform is lit by staff at once."
    if more:
        for first in "bcdfgh":
            words = " ".join(f"{first}{vowel}ndering{first}" for vowel in "aeiouaeiou")
            rule += f" Stranded {words} passengers get a seat."
    firm = load_environment(world.build_firm(tmp_path / "world", policy=f"- R1: {rule}"))
    offered = [Proposal((), ("Offer the stranded customer a seat on the next train.",))]
    candidates, _ = vetted(world.seat(firm, None), _weak(firm, "stranded_0"), offered)
    single = [one.texts[0] for one in candidates if one.source == "policy" and len(one.texts) == 1]
    assert len(single) >= (6 if more else 2)
    together = [one.texts for one in candidates if len(one.texts) > 1]
    assert together == ([] if more else [tuple(single)])


def _weak(firm, scenario, tactics=()):
    turns = tuple(_opening(firm.scenarios[scenario]))
    state = State("d", 0, scenario, "anyone", turns, world.DULL, 2.0, "", ())
    return Weak(state, Description(scenario="a stranded customer", wants="", feels=""), "", tactics)


async def test_what_the_policy_says_itself_breaks_no_rule_however_the_judge_reads_it(tmp_path):
    class Alarmed(world.ScriptedJudge):
        """Reads a breach in everything."""

        def answer(self, system, page, messages):
            return "Break"

    folder = world.build_firm(tmp_path / "world")
    told = yaml.safe_load((folder / "environment.yaml").read_text())
    note = "takes the guest's side at least once in words"
    told["rubric"].append({"id": "side", "kind": "contains", "any_of": ["sorry"], "note": note})
    (folder / "environment.yaml").write_text(yaml.safe_dump(told))
    firm = replace(load_environment(folder), policy=POLICY)
    desk = world.seat(firm, None, judge=Alarmed())
    own = "Say that a lost key costs 20 euros; a second one 50."
    both = Candidate((own, "Say that the first key of a lost room costs nothing."), "policy", ())
    allowed, refused = await within_policy(desk, both)
    assert allowed is not None and allowed.texts == (own,)
    assert len(refused) == 1 and "costs nothing" in refused[0]
    asked = Candidate(("Take the guest's side at least once in words.",), "teacher", ())
    assert await within_policy(desk, asked) == (asked, []), "the firm asks for it itself"
    other = Candidate(("Take the guest's side in all that is said.",), "rubric", ())
    assert (await within_policy(desk, other))[0] is None


@pytest.mark.parametrize("chosen", [("T1",), ()])
async def test_what_the_teacher_fitted_is_told_from_what_it_invented(tmp_path, chosen):
    firm = load_environment(world.build_firm(tmp_path / "world", policy=RULES))
    tactic = Tactic("T1", "Name the loss", "", "Name the loss in the customer's words.", "", "")
    said = (
        "Begin by naming the loss in the words of the customer.",
        "Offer the customer a seat on the next train.",
    )
    offered = [Proposal(chosen, said)]
    candidates, refused = vetted(
        world.seat(firm, None), _weak(firm, "stranded_0", (tactic,)), offered
    )
    assert not refused
    origins = {
        candidate.texts[0]: (candidate.source, candidate.tactics) for candidate in candidates
    }
    assert origins[said[0]] == ("handbook", ("T1",)) and origins[said[1]] == ("teacher", ())
    assert origins[tactic.do] == ("handbook", ("T1",))
    assert ("policy", ()) in origins.values()


async def test_what_costs_a_check_is_out_before_the_judge_is_asked(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    config = yaml.safe_load((folder / "environment.yaml").read_text())
    config["rubric"] += [{"id": "no_thunder", "kind": "excludes", "none_of": [world.HARM]}]
    (folder / "environment.yaml").write_text(yaml.safe_dump(config))
    firm = load_environment(folder)
    pages: list[str] = []

    class Listens(world.ScriptedJudge):
        def answer(self, system, page, messages):
            pages.append(page)
            return super().answer(system, page, messages)

    with Library.open(tmp_path / "library.db", create=True) as library:
        desk = world.seat(firm, library, judge=Listens())
        options = replace(OPTIONS, rounds=1, dialogues=6, validation_dialogues=0)
        await compile_coaching(desk, options).ainvoke({})
        assert library.entries()
    proposed = await desk.log.read(kinds=("strategy_proposed",))
    assert any(world.HARM in text for one in proposed for text in one.event.texts)
    assert not [page for page in pages if world.HARM in page]


@pytest.mark.parametrize(
    ("won", "judged"),
    [
        ([0.0, 0.1, -0.1, 0.0, 0.2], [1, 4]),
        ([0.0, 0.0, 0.0], [0, 1, 2]),
        ([0.1, 0.0, 0.0], [0, 1, 2]),
        ([-0.1, -0.2], []),
        ([0.0], [0]),
        ([], []),
    ],
)
def test_the_judge_is_asked_of_the_better_half_as_far_as_code_tells(won, judged):
    assert better_by_code(won) == judged


class Same(world.ScriptedStudent):
    """Answers a state in the very same words, whatever the seed."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        kwargs.pop("seed", None)
        return super()._generate(messages, stop, run_manager, **kwargs)


class Coins(world.ScriptedJudge):
    """Likes what is said of the cure in some states, and dislikes it as much in the others."""

    liked: frozenset[str] = frozenset()

    def quality(self, transcript, reply):
        likes = any(f"case {number}," in transcript for number in self.liked)
        return 5 if likes == ("candlelight" in reply) else 1


async def accepted(firm, student, liked, cases=5):
    desk = world.seat(firm, None, student=student, judge=Coins(liked=frozenset(map(str, liked))))
    home = _weak(firm, "stranded_0").state
    says = world.TROUBLES["stranded"][1]
    where = [
        replace(home, turns=(Turn(speaker="customer", text=f"My case {number}, {says}."),))
        for number in range(cases)
    ]
    told = Candidate(("Speak of candlelight in the answer.",), "teacher", ())
    null = [Pair("", "", "", 0.5)] * 4
    decision, pairs = await accept(desk, "try", general_entry(told), where, null, 0.02, 24, 0)
    return decision, pairs


@pytest.mark.parametrize("liked", [(0, 1, 2, 3), (0, 1, 2), (0, 1, 2, 3, 4)])
async def test_a_student_that_repeats_itself_gives_no_more_evidence_than_it_has_states(
    tmp_path, liked
):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    decision, pairs = await accepted(firm, Same(), liked)
    assert not decision.kept and len(pairs) <= 5
    decision, pairs = await accepted(firm, Same(), range(12), cases=12)
    assert decision.kept and len(pairs) <= 12, "a clear case with a state for each pair"
    decision, _ = await accepted(firm, world.ScriptedStudent(), range(5))
    assert decision.kept, "other words on each seed are evidence of their own"


async def test_what_repeats_itself_is_tested_in_more_wordings(tmp_path):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    states = [_weak(firm, "stranded_0").state] * 2
    for student, many in ((Same(), 12), (world.ScriptedStudent(), 2)):
        plain = await plain_replies(world.seat(firm, None, student=student), states, 0)
        assert wordings(plain, 2) == many
        assert wordings(plain[:1], 2) == 2, "of one reply nobody knows"


async def test_of_the_teachers_replies_the_one_with_most_checks_is_its_reply(tmp_path):
    folder = world.build_firm(tmp_path / "world")
    config = yaml.safe_load((folder / "environment.yaml").read_text())
    config["rubric"] += [{"id": "candle", "kind": "contains", "any_of": ["candlelight"]}]
    (folder / "environment.yaml").write_text(yaml.safe_dump(config))
    firm = load_environment(folder)
    asked: list[bool] = []

    class Wavers(world.ScriptedTeacher):
        def answer(self, system, page, messages):
            asked.append("TRANSCRIPT" in page)
            return ["It will come.", "Then candlelight it is.", "With candlelight, now."][
                len(asked) - 1
            ]

    state = _weak(firm, "stranded_0").state
    reply = await teachers_reply(world.seat(firm, None, teacher=Wavers()), state, (), 1)
    assert reply == "Then candlelight it is."
    assert asked == [False, False, True], "the last is asked for on the transcript"
    config["rubric"] = [item for item in config["rubric"] if item["kind"] == "question"]
    (folder / "environment.yaml").write_text(yaml.safe_dump(config))
    asked.clear()
    desk = world.seat(load_environment(folder), None, teacher=Wavers())
    assert await teachers_reply(desk, state, (), 1) == "It will come."
    assert asked == [False], "where code can tell none apart one is enough"
