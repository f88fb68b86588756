"""The pytest plugin: simulated customers talk with the app under test, and tests assert on it.

Only options are declared here; everything that takes time to import comes on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tutelage.environments import Environment
    from tutelage.pytest_dialogues import Simulate

_OPTIONS = (
    ("env", "ENV", "the firm whose customers come: a bundled one's name, or a folder"),
    ("split", "NAME", "the firm's scenarios to play: train, validation or test (default: test)"),
    ("scenarios", "N", "how many of them at most (default: all)"),
    ("customer", "SPEC", "the model that plays customers (default: the embedded one)"),
    ("judge", "SPEC", "the model that judges (default: the embedded one)"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --tutelage-env and its like, each also as a setting: tutelage_env in the ini file."""
    group = parser.getgroup("tutelage", "simulated customers (tutelage)")
    for name, metavar, says in _OPTIONS:
        group.addoption(f"--tutelage-{name}", metavar=metavar, default=None, help=says)
        parser.addini(f"tutelage_{name}", says, default="")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a scenario, for tests that take `tutelage_scenario`."""
    if "tutelage_scenario" not in metafunc.fixturenames:
        return
    if not _setting(metafunc.config, "env"):
        skip = pytest.mark.skip(reason=_MISSING)
        metafunc.parametrize("tutelage_scenario", [pytest.param("", marks=skip, id="no-env")])
        return
    environment = _environment(metafunc.config)
    split = _setting(metafunc.config, "split") or "test"
    if split not in environment.config.splits:
        known = ", ".join(environment.config.splits)
        raise pytest.UsageError(f"--tutelage-split: {split!r} is none of {known}")
    ids = [scenario.id for scenario in environment.split(split)]  # type: ignore[arg-type]
    most = _setting(metafunc.config, "scenarios")
    if most and not (most.isdecimal() and int(most)):
        raise pytest.UsageError(f"--tutelage-scenarios: {most!r} is no number above 0")
    chosen = ids[: int(most)] if most else ids
    metafunc.parametrize("tutelage_scenario", chosen)


@pytest.fixture(scope="session")
def tutelage_environment(pytestconfig: pytest.Config) -> Environment:
    """The firm named with --tutelage-env; the test is skipped where none is."""
    if not _setting(pytestconfig, "env"):
        pytest.skip(_MISSING)
    return _environment(pytestconfig)


@pytest.fixture(scope="session")
def tutelage_customer(pytestconfig: pytest.Config) -> Any:
    """The model that plays customers: a spec string or a chat model. Override it for your own."""
    return _setting(pytestconfig, "customer") or None


@pytest.fixture(scope="session")
def tutelage_judge(pytestconfig: pytest.Config) -> Any:
    """The model that judges: a spec string or a chat model. Override it for your own."""
    return _setting(pytestconfig, "judge") or None


@pytest.fixture
def tutelage_simulate(
    tutelage_environment: Environment, tutelage_customer: Any, tutelage_judge: Any
) -> Simulate:
    """Call it with your app and a scenario, and assert on what comes back.

    def test_keeps_policy(tutelage_simulate, tutelage_scenario):
        played = tutelage_simulate(my_app, tutelage_scenario)
        played.assert_policy()
        played.assert_rubric(at_least=0.7)
    """
    from tutelage.pytest_dialogues import Simulate

    return Simulate(tutelage_environment, tutelage_customer, tutelage_judge)


_MISSING = "name a firm with --tutelage-env (or tutelage_env in the ini file)"


def _setting(config: pytest.Config, name: str) -> str:
    return str(config.getoption(f"--tutelage-{name}") or config.getini(f"tutelage_{name}") or "")


def _environment(config: pytest.Config) -> Environment:
    from tutelage.environments import EnvironmentFault, load_environment

    try:
        return load_environment(_setting(config, "env"))
    except EnvironmentFault as error:
        raise pytest.UsageError(f"--tutelage-env: {error}") from error
