"""Simulated customers of the bundled airline against the app, one test a scenario.

    pytest examples/pytest_app --tutelage-env=airline --tutelage-scenarios=2
    pytest examples/pytest_app --tutelage-env=airline --tutelage-judge=openai:gpt-5-mini ...

A judge errs, and a dialogue is a draw: ask for several dialogues and leave room below what you see.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app import answer


def test_customers_are_served(tutelage_simulate, tutelage_scenario):
    """Mean scores of the dialogues of one scenario."""
    played = tutelage_simulate(answer, tutelage_scenario, dialogues=1, exchanges=3)
    played.assert_policy(at_least=0.4)
    played.assert_score(at_least=2.0)
    played.assert_rubric(at_least=0.3)
