"""A run as a story for screens: three arms, a mood that falls, a workshop, faults, hostile text."""

from __future__ import annotations

from tutelage.graphs.log import events as ev
from tutelage.graphs.log.run_log import RunLog

HOSTILE = "Four hours is [bold]long[/bold]\x1b[2J\x07 \u202eevil\u202c [red]"
RIGHT_TO_LEFT = "שלום, can you hear me? أنا أنتظر هنا 👩‍👧 😡"
ADVICE = "Name the wait in the customer's own words before you ask for anything."


def given(similarity: float = 0.62) -> ev.StrategyGiven:
    """A strategy as the student got it."""
    return ev.StrategyGiven(
        id="s1", entry="e1", scenario="a customer who waited", text=ADVICE, similarity=similarity,
        learned_in="r1.cancelled_waited.rude.3",
    )  # fmt: skip


def dialogue(
    arm: str, number: int, scenario: str, persona: str, *, ended: bool = True
) -> list[ev.Event]:
    """A dialogue of three exchanges; in the arm `library` the second reply is another one."""
    name = f"{arm}.{scenario}.{persona}.{number}"
    library = arm == "library"
    lines: list[ev.Event] = [
        ev.DialogueStarted(
            dialogue=name, round=0, purpose="test", arm=arm, scenario=scenario, seed=number,
            title=f"The {scenario.replace('_', ' ')}", persona=persona,
        ),
        ev.TurnSpoken(dialogue=name, turn=0, speaker="customer", feeling="annoyed",
                      text="We have been at the gate for four hours and nobody tells us anything."),
        ev.TurnSpoken(dialogue=name, turn=0, speaker="student", text=HOSTILE, tokens=812, seconds=3.1),
        ev.TurnSpoken(dialogue=name, turn=1, speaker="customer", text=RIGHT_TO_LEFT,
                      feeling="calm" if library else "angry"),
        ev.TurnSpoken(
            dialogue=name, turn=1, speaker="student", tokens=905, seconds=2.8,
            text="Four hours without a word is hard. There are two ways: the 18:40 or a refund."
            if library else "We apologise for the inconvenience.",
            strategies=[given()] if library else [],
        ),
        ev.TurnRejected(dialogue=name, turn=2, text="How may I help you?", reasons=["role flip"]),
        ev.TurnSpoken(dialogue=name, turn=2, speaker="customer", text="The 18:40, thank you.",
                      feeling="pleased" if library else "annoyed", goal_met=library),
    ]  # fmt: skip
    judged = ev.DialogueJudged(
        dialogue=name, satisfaction=4.1 if library else 2.2, rubric=0.81 if library else 0.44,
        checks={"at_most_60_words": 1.0, "no_promise_of_cash": 1.0 if library else 0.0},
        questions={"feeling_named_first": 0.83 if library else 0.21}, turn_scores=[2.4, 4.4],
    )  # fmt: skip
    reason = "goal_met" if library else "patience_spent"
    return [*lines, judged, ev.DialogueEnded(dialogue=name, reason=reason, turns=5, seconds=21.0)]


CASE = [
    ev.StateExamined(
        dialogue="none.cancelled_waited.rude.0", turn=1, round=1, preference=0.84, weak=True,
        scenario="a customer whose flight was cancelled has waited for hours and nobody helped",
        customer_says="Four hours! And now?", student_reply="We apologise for the inconvenience.",
        teacher_reply="Four hours without a word is hard. There are two ways from here.",
    ),
    ev.StrategyProposed(
        proposal="p.0", dialogue="none.cancelled_waited.rude.0", turn=1, attempt=0, source="teacher",
        scenario="a customer who waited", texts=[ADVICE], refused=["Be polite. (repeats the policy)"],
    ),
    ev.StrategyTried(
        proposal="p.0", phase="accept", dialogue="none.cancelled_waited.rude.0", turn=1, seed=1,
        before="We apologise.", after="Four hours is a long time.", preference=0.7,
    ),
    ev.StrategyTried(
        proposal="p.0", phase="accept", dialogue="none.weather_delay.hurried.1", turn=0, seed=2,
        before="We apologise.", after="Yes.", preference=0.4,
    ),
    ev.StrategyDecided(
        proposal="p.0", verdict="kept", reason="better on seeds it was not chosen on", turn=1,
        dialogue="none.cancelled_waited.rude.0", scenario="a customer who waited", texts=[ADVICE],
        customer_says="Four hours! And now?", before="We apologise.", preference=0.66,
        after="Four hours is a long time.", ci95=(0.55, 0.77), pairs=6,
    ),
]  # fmt: skip

STORY: list[ev.Event] = [
    ev.RunStarted(command="evaluate", environment="airline", models={"student": "local:x"}),
    *dialogue("none", 0, "cancelled_waited", "rude"),
    *dialogue("none", 1, "weather_delay", "hurried"),
    *dialogue("library", 0, "cancelled_waited", "rude"),
    *dialogue("library", 1, "weather_delay", "hurried"),
    ev.BudgetUsed(role="student", model="local:x", calls=9, input=2400, output=90, cached=1200,
                  usd=0.0),
    ev.BudgetUsed(role="judge", model="openai:y", calls=30, input=9100, output=410, cached=0,
                  usd=0.0123),
    ev.Fault(where="dialogue", message="the endpoint answered 500", dialogue="generic.x.1"),
    *CASE,
]  # fmt: skip
OVER = ev.RunEnded(reason="done", seconds=90.0)
COACHED: list[ev.Event] = [
    ev.RunStarted(command="coach", environment="airline", models={"student": "local:x"}),
    ev.DialogueStarted(dialogue="held", round=0, purpose="validation", scenario="s", persona="p"),
    ev.DialogueJudged(dialogue="held", satisfaction=2.6, rubric=0.5),
    ev.DialogueEnded(dialogue="held", reason="goal_met", turns=2),
    *[
        event.model_copy(update={"round": 1 + (event.arm == "library"), "purpose": "train"})
        if isinstance(event, ev.DialogueStarted)
        else event
        for event in STORY[1:]
    ],
    ev.RoundEnded(round=1, dialogues=2, invalid=0, csat=2.2, csat_ci95=(1.4, 3.0), rubric=0.44,
                  validation_csat=3.9, proposed=2, kept=1, dropped=1),
    ev.RoundEnded(round=2, dialogues=2, invalid=0, csat=4.1, csat_ci95=(3.1, 5.0), rubric=0.81,
                  validation_csat=3.2, proposed=0, kept=0, dropped=0),
    ev.LibrarySettled(round=1, version=4, rolled_back=True,
                      reason="the library after round 1 did better: 0.70 points [red]of[/] it"),
    OVER,
]  # fmt: skip


async def written(folder, events=(*STORY, OVER)):
    """A run's folder with these events in its log."""
    async with await RunLog.open(folder) as log:
        for event in events:
            await log.append(event)
    return folder
