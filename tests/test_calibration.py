"""A judge's faults are found out: by position, by length, by flaw; and its figures are remembered."""

from __future__ import annotations

import re

import pytest
import world
from tutelage.agents.judge import Judge, checks_held
from tutelage.agents.meter import Meter
from tutelage.agents.transcript import Turn
from tutelage.environments import load_environment
from tutelage.environments.calibration_set import (
    CalibrationItem,
    calibrated_firms,
    calibration_set,
)
from tutelage.graphs.calibration import calibrate, warnings_of
from tutelage.graphs.desk import voice_of

from tutelage.judge_run import JudgeFault, human_agreement, read_verdicts, remember, remembered

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
    assert found.figures.position_bias == -0.5
    assert found.figures.swap_consistency == 0.0
    assert found.figures.pairs_right == 0.5
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


async def test_figures_are_remembered_for_the_prompts_they_hold_for(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.judge_run.user_data_path", lambda _: tmp_path)
    found = await calibration_of(tmp_path, "honest")
    assert remembered(found.judge) is None
    remember(found)
    assert remembered(found.judge) == found.figures
    assert remembered("quick:judge") is None
    remember(found.model_copy(update={"judge": "quick:judge"}), "14 of bakery")
    assert remembered("quick:judge") is None, "a sample is no calibration"
    assert remembered("quick:judge", "14 of bakery") == found.figures
    assert remembered(found.judge, "14 of bakery") == found.figures, "the whole one is better"
    monkeypatch.setattr("tutelage.judge_run._prompts", lambda: "other prompts")
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

    async def weigh(self, messages, answers):
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
