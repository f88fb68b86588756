"""The pytest plugin, as a user's own test suite sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
EXAMPLE = HERE.parent / "examples" / "firm_with_tools"
# With "=": pytest takes a folder that stands alone for one of tests, and its ini file for ours.
FIRM = f"--tutelage-env={EXAMPLE}"
CONFTEST = """
import pytest
from langchain_core.messages import AIMessage
from scripted_tools import Acts, Lines, Says, calls

@pytest.fixture(scope="session")
def tutelage_customer():
    return Lines(lines=["Bring my shelf OK58299, 2417, on the 16th, please.", "Lovely, many thanks."])

@pytest.fixture(scope="session")
def tutelage_judge():
    return Says(text="Yes")

@pytest.fixture
def honest():
    move = calls(("move_slot", {"order_number": "OK58299", "day": "2026-10-16"}))
    return Acts(says=[move, AIMessage("It comes on the 16th now, and costs you nothing.")])

@pytest.fixture
def boaster():
    return Acts(says=[AIMessage("It comes on the 16th now, and costs you nothing.")])
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of its own, in a process of its own: the plugins of ours do not bear a second session."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\naddopts = -p tutelage.pytest_plugin\n")
    return pytester


def test_a_good_app_passes_and_a_boaster_fails_with_its_transcript(suite):
    suite.makepyfile(
        """
        def test_honest(tutelage_simulate, honest):
            played = tutelage_simulate(honest, "slot_in_time", dialogues=1)
            played.assert_score(at_least=3.5)
            played.assert_rubric(at_least=0.9)
            played.assert_rubric(at_least=1, item="moved")
            played.assert_policy()

        def test_boaster(tutelage_simulate, boaster):
            tutelage_simulate(boaster, "slot_in_time").assert_rubric(at_least=1, item="moved")

        def test_mistyped(tutelage_simulate, honest):
            tutelage_simulate(honest, "slot_in_time").assert_rubric(at_least=1, item="move")
        """
    )
    done = suite.runpytest_subprocess(FIRM)
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(
        [
            "*AssertionError: rubric item 'moved' is 0.00, expected at least 1",
            "*Another day, asked in good time (slot_in_time), *, seed 0",
            "*CUSTOMER: My shelf comes on the 13th*",
            "*APP: It comes on the 16th now, and costs you nothing.",
            "*ended: goal met",
            "*satisfaction 4.00 of 5, rubric *, policy 1.00",
            "*LOW 0.00 moved",
            "*no dialogue was judged by a rubric item 'move'; did you mean 'moved'? *",
        ]
    )
    shown = done.stdout.str()
    assert "pytest_dialogues.py" not in shown, "the plugin's own frames are of no use to the reader"


def test_a_policy_breach_names_the_rules_at_stake(suite):
    suite.makepyfile(
        """
        import pytest
        from scripted_tools import Says

        @pytest.fixture(scope="session")
        def tutelage_judge():
            return Says(text="No")

        def test_policy(tutelage_simulate, honest):
            tutelage_simulate(honest, "slot_in_time").assert_policy()
        """
    )
    done = suite.runpytest_subprocess(FIRM)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*policy (R1, R2) is 0.00, expected at least 0.5"])
    done.stdout.fnmatch_lines(["*tool: move_slot(*gave: moved to 2026-10-16*"])


def test_one_test_a_scenario_of_the_split(suite):
    suite.makepyfile("def test_it(tutelage_scenario): assert tutelage_scenario")
    train = suite.runpytest_subprocess(FIRM, "--tutelage-split", "train", "-v")
    train.assert_outcomes(passed=2)
    train.stdout.fnmatch_lines(["*test_it?slot_in_time? PASSED*"])
    some = ("--tutelage-split", "train", "--tutelage-scenarios", "1")
    suite.runpytest_subprocess(FIRM, *some).assert_outcomes(passed=1)
    suite.runpytest_subprocess(FIRM).assert_outcomes(passed=1)


def test_without_a_firm_the_tests_are_skipped_and_the_ini_file_may_name_it(suite):
    suite.makepyfile("def test_a(tutelage_scenario): pass\ndef test_b(tutelage_simulate): pass\n")
    bare = suite.runpytest_subprocess("-rs")
    bare.assert_outcomes(skipped=2)
    bare.stdout.fnmatch_lines(["*name a firm with --tutelage-env*"])
    suite.makeini("[pytest]\ntutelage_env = airline\naddopts = -p tutelage.pytest_plugin\n")
    named = suite.runpytest_subprocess()
    assert named.parseoutcomes()["passed"] > 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tutelage-env", "airlin"), "*did you mean 'airline'*"),
        (("--tutelage-env", "airline", "--tutelage-split", "tst"), "*'tst' is none of*"),
        (("--tutelage-env", "airline", "--tutelage-scenarios", "0"), "*'0' is no number*"),
    ],
)
def test_wrong_use_is_said_in_a_line(suite, options, said):
    suite.makepyfile("def test_it(tutelage_scenario): pass")
    done = suite.runpytest_subprocess(*options)
    text = done.stdout.str() + done.stderr.str()
    assert done.ret != 0
    assert any(__import__("fnmatch").fnmatch(line, said) for line in text.splitlines()), text


def test_an_app_that_fails_is_the_tests_failure_and_a_broken_customer_is_not(suite):
    suite.makepyfile(
        """
        import pytest
        from scripted_tools import Acts, Says

        class Broken(Acts):
            def _generate(self, *args, **kwargs):
                raise RuntimeError("the database is gone")

        def test_broken_app(tutelage_simulate):
            tutelage_simulate(Broken(says=[]), "slot_in_time")

        class TestCustomer:
            @pytest.fixture
            def tutelage_customer(self):
                return Says(text='{"feeling": "calm", "i_want": "x", "goal_met": false, '
                                 '"customer_says": "As an AI language model I cannot do that."}')

            def test_broken_customer(self, tutelage_environment, tutelage_customer, honest):
                from tutelage.pytest_dialogues import NotPlayed, Simulate
                simulate = Simulate(tutelage_environment, tutelage_customer, Says())
                with pytest.raises(NotPlayed, match="in all of 3 dialogues"):
                    simulate(honest, "slot_in_time")
        """
    )
    done = suite.runpytest_subprocess(FIRM)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*the database is gone*"])


def test_a_suite_that_does_not_use_it_imports_next_to_nothing(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n"
        "    heavy = ('langgraph', 'langchain_core', 'pydantic', 'yaml', 'typer', 'numpy')\n"
        "    assert 'tutelage.pytest_plugin' in sys.modules\n"
        "    assert [m for m in heavy if m in sys.modules] == []\n"
    )
    # Other plugins installed here may import anything: only ours is loaded.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tutelage.pytest_plugin", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugin_is_found_without_being_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert "--tutelage-env=ENV" in done.stdout
