"""A judge's faults are found out: by position, by length, by flaw; and its figures are remembered."""

from __future__ import annotations

import math
import re
import shutil
from importlib import resources
from typing import Any

import pytest
import world
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from tutelage.agents.judge import Judge, checks_held
from tutelage.agents.models.meter import Meter
from tutelage.agents.transcript import Reply, ToolUse, Turn, with_actions
from tutelage.agents.voice import Voice
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import (
    CalibrationItem,
    calibrated_firms,
    calibration_set,
)
from tutelage.graphs.play.desk import voice_of
from tutelage.graphs.statistics.calibration import calibrate, warnings_of

from tutelage.runs.judge import JudgeFault, human_agreement, read_verdicts, remember, remembered

SAYS = {trouble: says for trouble, (_, says) in world.TROUBLES.items()}
CURES = {trouble: cure for trouble, (cure, _) in world.TROUBLES.items()}


def items() -> list[CalibrationItem]:
    """Twelve pairs: the good reply shows the cure, and is the longer one in every second pair."""
    found = []
    for number in range(12):
        trouble = list(SAYS)[number % 6]
        good, bad = f"Let us use {CURES[trouble]} for you right now.", "Let us see about it."
        if number % 4 < 2:
            bad += " We will come back to you as soon as anybody at all has looked into it."
        found.append(
            CalibrationItem(
                id=f"w_{number}", scenario=f"{trouble}_0", flaw="right_but_cold",
                level="obvious" if number < 6 else "subtle",
                turns=[f"C: Hello, {SAYS[trouble]}."], good=good, bad=bad,
            )
        )  # fmt: skip
    return found


class Biased(world.ScriptedJudge):
    """Compares by `how`: always A, always the longer reply, or like the honest one."""

    how: str = "honest"

    def answer(self, system, page, messages):
        if "Reply A:" not in page or self.how == "honest":
            return super().answer(system, page, messages)
        if self.how == "first":
            return "A"
        a = re.search(r"Reply A: (.*?)\n\nReply B:", page, re.DOTALL)[1]
        b = re.search(r"Reply B: (.*?)\n\nWhich", page, re.DOTALL)[1]
        return "A" if len(a) > len(b) else "B"


async def calibration_of(tmp_path, how):
    firm = load_environment(world.build_firm(tmp_path / "world"))
    judge = Judge(voice_of("judge", Biased(how=how), Meter()), firm)
    seen = []
    found = await calibrate([(judge, item) for item in items()], 3, seen.append)
    assert len(seen) == 12
    return found


async def test_a_judge_that_sees_the_cure_has_nothing_against_it(tmp_path):
    found = await calibration_of(tmp_path, "honest")
    figures = found.figures
    assert figures.pairs_right == figures.auc == figures.swap_consistency == figures.alpha == 1.0
    assert figures.position_bias == 0.0 and figures.length_bias == 0.0
    assert found.warnings == []
    assert found.development.n == found.held_out.n == 6
    assert {name: f.n for name, f in found.by_level.items()} == {"obvious": 6, "subtle": 6}


async def test_a_judge_that_prefers_position_a_is_found_out(tmp_path):
    found = await calibration_of(tmp_path, "first")
    assert found.figures.position_bias < -0.3
    assert found.figures.swap_consistency == 0.0
    assert 0.4 < found.figures.pairs_right < 0.6
    assert found.figures.alpha < 0.1
    assert found.figures.auc == 1.0, "its single ratings are still honest"
    said = " ".join(found.warnings)
    assert "do not trust comparisons" in said and "do not trust swap consistency" in said
    assert "single ratings" not in said


async def test_a_judge_that_padding_wins_is_found_out(tmp_path):
    found = await calibration_of(tmp_path, "longer")
    assert found.figures.length_bias == 1.0
    assert found.figures.swap_consistency == 1.0
    assert found.figures.pairs_right == 0.5
    assert "do not trust comparisons" in " ".join(warnings_of(found.figures))


async def test_figures_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.runs.judge.user_data_path", lambda _: tmp_path)
    found = await calibration_of(tmp_path, "honest")
    assert remembered(found.judge) is None
    remember(found)
    assert remembered(found.judge) == found.figures
    assert remembered("quick:judge") is None
    remember(found.model_copy(update={"judge": "quick:judge"}), "14 of bakery")
    assert remembered("quick:judge") is None, "a sample is no calibration"
    assert remembered("quick:judge", "14 of bakery") == found.figures
    assert remembered(found.judge, "14 of bakery") == found.figures, "the whole one is better"


async def test_figures_that_cannot_be_kept_cost_no_result(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").write_text("a file where a folder should be")
    monkeypatch.setattr("tutelage.runs.judge.user_data_path", lambda _: tmp_path / "data")
    found = await calibration_of(tmp_path, "honest")
    remember(found)
    assert "figures are not remembered" in capsys.readouterr().err
    assert remembered(found.judge) is None


@pytest.mark.parametrize("changed", ["judge.py", "reading/reply_faults.py", "prompts/judge.md"])
async def test_figures_hold_for_the_way_of_judging_they_were_found_with(
    tmp_path, monkeypatch, changed
):
    monkeypatch.setattr("tutelage.runs.judge.user_data_path", lambda _: tmp_path / "data")
    found = await calibration_of(tmp_path, "honest")
    remember(found)
    other = tmp_path / "agents"
    shutil.copytree(resources.files("tutelage.agents"), other)
    monkeypatch.setattr("tutelage.runs.judge.resources.files", lambda _: other)
    assert remembered(found.judge) == found.figures
    with (other / changed).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert remembered(found.judge) is None


async def test_people_are_compared_with_the_judge_and_bad_files_are_named(tmp_path):
    found = await calibration_of(tmp_path, "honest")
    labels = tmp_path / "labels.csv"
    pairs = [("world", item) for item in items()]
    labels.write_text("id,better\nw_0,good\nw_1,bad\nw_2,good\nw_3,good\n")
    agreement = human_agreement(found.readings, read_verdicts(labels, pairs))
    assert agreement["n"] == 4 and agreement["agree"] == 0.75 and agreement["alpha"] < 0.75
    labels.write_text("id,better\nw_0,good\nw_99,good\n")
    with pytest.raises(JudgeFault, match=r"labels.csv:3: 'w_99' is no item"):
        read_verdicts(labels, pairs)
    labels.write_text("id,better\nw_0,maybe\n")
    with pytest.raises(JudgeFault, match=r"labels.csv:2: better must be good or bad"):
        read_verdicts(labels, pairs)
    labels.write_text("name\n")
    with pytest.raises(JudgeFault, match="columns id and better"):
        read_verdicts(labels, pairs)


@pytest.mark.parametrize("firm", calibrated_firms())
def test_bundled_pairs_are_balanced(firm):
    found = calibration_set(firm)
    assert len({item.id for item in found}) == len(found) >= 40
    halves = [sum(item.held_out is half for item in found) for half in (True, False)]
    assert abs(halves[0] - halves[1]) <= 2
    flaws = {item.flaw for item in found}
    assert len(flaws) == 7
    for half in (True, False):
        assert {item.flaw for item in found if item.held_out is half} == flaws
    other = [item for item in found if item.flaw != "too_long"]
    longer = sum(len(item.good) > len(item.bad) for item in other) / len(other)
    assert 0.35 <= longer <= 0.65, "length must not tell which reply is good"
    for item in found:
        assert len(item.good.split()) <= 90
        assert item.flaw != "too_long" or len(item.bad) > 1.5 * len(item.good)


class Blank:
    """A voice that leans to nothing, so that what a judgement says is code's alone."""

    tells_probabilities = True

    async def weigh(self, messages, answers, for_odds=False):
        return [1 / len(answers)] * len(answers)


async def test_the_rubrics_checks_by_code_speak_where_the_model_is_silent():
    firm = load_environment("airline")
    judge = Judge(Blank(), firm)  # pyright: ignore[reportArgumentType]
    scenario = firm.scenarios["assistance_dog"]
    turns = [Turn(speaker="customer", text=scenario.opening)]
    right = "I am sorry. Your assistance dog flies free and I have added her to your booking."
    wrong = "I am sorry. Your assistance dog flies for 50 euros if a pet leaves the flight."
    assert await judge.prefer(scenario, turns, wrong, right) > 0.7
    assert await judge.prefer(scenario, turns, right, wrong) < 0.3
    acted = f"(tool book(what='free') gave: your dog is added free)\n{wrong}"
    assert await judge.prefer(scenario, turns, wrong, acted) == pytest.approx(0.5), "said, not done"
    shares = [checks_held(firm, scenario, turns, reply) for reply in (wrong, acted)]
    assert shares[0] == shares[1], "nor does anybody else count what was done as said"
    told = [(await judge.assess(scenario, [*turns, Turn(speaker="student", text=reply)]))
            for reply in (wrong, right)]  # fmt: skip
    assert told[1].satisfaction - told[0].satisfaction > 0.4
    assert told[1].by_code == 1.0


async def test_what_was_done_is_no_fault_of_what_is_said_and_may_be_quoted():
    firm = load_environment("airline")
    judge = Judge(Blank(), firm)  # pyright: ignore[reportArgumentType]
    scenario = firm.scenarios["assistance_dog"]
    turns = [Turn(speaker="customer", text=scenario.opening)]
    used = ToolUse(name="book", arguments={"seat": 417}, result="dog 8812 added " + "ok " * 120)
    said = "I am sorry. Your assistance dog flies free and I have added her to your booking."
    shown = with_actions(Reply(said, [used]))
    assert await judge.prefer(scenario, turns, f"{said} ", shown) == pytest.approx(0.5)
    quoted = f"{said} Her number is 8812."
    acted = with_actions(Reply(quoted, [used]))
    assert await judge.prefer(scenario, turns, quoted, acted) > 0.6, "a figure of the tool's"


class Weighed(BaseChatModel):
    """A model whose class has fields for log-probabilities, and whose server gives `told`."""

    logprobs: bool | None = None
    top_logprobs: int | None = None
    told: Any = None
    said: str = "A"
    calls: int = 0

    @property
    def _llm_type(self):
        return "weighed"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.calls += 1
        metadata = {"logprobs": self.told} if kwargs.get("logprobs") else {}
        said = AIMessage(self.said, response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=said)])


def token(**masses):
    tops = [{"token": word, "logprob": value} for word, value in masses.items()]
    return [
        {"token": next(iter(masses)), "logprob": next(iter(masses.values())), "top_logprobs": tops}
    ]


ASK = [HumanMessage("Which? Answer A or B.")]


@pytest.mark.parametrize("told", [{"content": token(A=-0.3, x=-1, B=-2.1)}, token(A=-0.3, B=-2.1)])
async def test_probabilities_that_a_server_tells_are_read_as_they_are(told):
    model = Weighed(told=told, said="B")
    voice = Voice("judge", model, "some:model", Meter())
    a, b = math.exp(-0.3), math.exp(-2.1)
    for calls in (1, 2):
        assert await voice.weigh(ASK, ("A", "B")) == [a / (a + b), b / (a + b)]
        assert model.calls == calls and voice.tells_probabilities


@pytest.mark.parametrize(
    "odd",
    [
        {"token": "A", "logprob": None}, {"token": "A"}, {"token": None, "logprob": -1.0},
        {"token": "A", "logprob": math.nan}, {"token": "A", "logprob": "-1"}, {"logprob": -1.0},
    ],
)  # fmt: skip
async def test_a_candidate_without_a_probability_is_passed_over(odd):
    (first,) = token(A=-0.3, B=-2.1)
    first["top_logprobs"].insert(0, odd)
    voice = Voice("judge", Weighed(told={"content": [first]}), "some:model", Meter())
    a, b = math.exp(-0.3), math.exp(-2.1)
    assert await voice.weigh(ASK, ("A", "B")) == [a / (a + b), b / (a + b)]


@pytest.mark.parametrize(
    "told", [None, {"content": []}, {"content": [{"token": "A", "logprob": 0, "top_logprobs": []}]}]
)
async def test_a_server_that_tells_no_probabilities_is_asked_for_votes(told):
    model = Weighed(told=told)
    voice = Voice("judge", model, "some:model", Meter())
    assert await voice.weigh(ASK, ("A", "B")) == [1.0, 0.0]
    assert not voice.tells_probabilities
    assert await voice.weigh(ASK, ("A", "B")) == [1.0, 0.0]
    assert model.calls == 1 + 3 + 3, "what it does not tell is asked for once"


async def test_probabilities_of_other_words_alone_make_a_vote_of_this_one_answer():
    other = {"content": token(Hm=-0.1)}
    model = Weighed(told=other)
    voice = Voice("judge", model, "some:model", Meter())
    assert (await voice.weigh(ASK, ("A", "B")))[0] > 0.5
    assert model.calls == 4 and voice.tells_probabilities
    here = Weighed(told=other)
    local = Voice("judge", here, "local:model", Meter())
    assert await local.weigh(ASK, ("A", "B")) == [0.5, 0.5] and here.calls == 1


async def test_votes_leave_checks_by_code_a_say():
    voice = Voice("judge", FakeListChatModel(responses=["A"]), "some:model", Meter())
    assert await voice.weigh(ASK, ("A", "B"), for_odds=True) == [0.875, 0.125]
    assert await voice.weigh(ASK, ("C", "B"), for_odds=True) == [0.5, 0.5]
    assert await voice.weigh(ASK, ("A", "B")) == [1.0, 0.0], "a rating is what was voted for"
    firm = load_environment("airline")
    judge = Judge(voice, firm)
    scenario = firm.scenarios["assistance_dog"]
    turns = [Turn(speaker="customer", text=scenario.opening)]
    right = "I am sorry. Your assistance dog flies free and I have added her to your booking."
    wrong = "I am sorry. Your assistance dog flies for 50 euros if a pet leaves the flight."
    assert await judge.prefer(scenario, turns, wrong, right) > 0.6
    assert await judge.prefer(scenario, turns, right, wrong) < 0.4
