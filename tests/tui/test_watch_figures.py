"""What the watch counts: faults, rates, clocks, trials and intervals are the log's and the result's."""

from __future__ import annotations

import asyncio
import time

import pytest
from screens import says, text_of, until
from story import CASE, COACHED, STORY, dialogue, written
from tutelage.graphs.log import events as ev
from tutelage.graphs.log import picture as pic
from tutelage.graphs.log.run_log import Logged, RunLog
from tutelage.graphs.log.speech import SILENCE
from tutelage.graphs.statistics.experiment import Outcome, arm_figures
from tutelage.tui.app import WatchApp
from tutelage.tui.cards import Cards
from tutelage.tui.compare import Compare
from tutelage.tui.headline import headline
from tutelage.tui.replay import Replay
from tutelage.tui.rounds import intervals_of, series_of
from tutelage.tui.usage import usage
from tutelage.tui.workshop import workshop

RESUMED = STORY[0].model_copy(update={"resumed": True})
USED = ev.BudgetUsed(role="student", model="m", calls=1, input=10, output=0, cached=0, usd=0.0)


def folded(*timed: tuple[float, ev.Event]) -> pic.RunPicture:
    """The picture of events at their times (Unix s)."""
    picture = pic.RunPicture()
    for number, (at, event) in enumerate(timed, start=1):
        picture.fold(Logged(number, at, event))
    return picture


def used(output: int, role: str = "student") -> ev.BudgetUsed:
    return USED.model_copy(update={"role": role, "output": output})


def speeds(picture: pic.RunPicture) -> list[str]:
    """The rates as the table of usage shows them, by the roles' names."""
    (table, *_) = usage(picture, lambda _: "").renderables
    return list(table.columns[6].cells)


async def written_at(folder, timed):
    """A run's folder with these events in its log, each at its time (Unix s)."""
    await written(folder, [event for _, event in timed])
    async with await RunLog.open(folder) as log:
        for number, (at, _) in enumerate(timed, start=1):
            await log._connection.execute("UPDATE events SET at = ? WHERE number = ?", (at, number))
    return folder


def test_a_role_that_is_silent_has_no_rate_and_adds_none():
    now = time.time()
    counts = [(now - 400, used(0, "teacher")), (now - 390, used(900, "teacher"))]
    counts += [(now - 20, used(0)), (now - 10, used(70))]
    picture = folded((now - 500, STORY[0]), *counts)
    assert speeds(picture) == ["7.0", "-"]
    rates = [picture.rates[role].at(now - 385) for role in ("student", "teacher")]
    assert rates[1] == 90.0, "it had one while it spoke"
    picture.fold(Logged(9, now, ev.RunEnded(reason="done")))
    assert speeds(picture) == ["-", "-"]


async def test_the_headline_adds_no_rate_of_a_role_or_a_run_that_is_silent(tmp_path):
    now = time.time()
    counts = [(now - 400, used(0, "teacher")), (now - 390, used(900, "teacher"))]
    counts += [(now - 20, used(0)), (now - 10, used(70))]
    folder = await written_at(tmp_path, [(now - 500, STORY[0]), *counts])
    app = WatchApp(folder)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, app.loaded.is_set)
        assert "tok 7/s" in headline(app.feed, now).plain
        told = headline(app.feed, now + SILENCE).plain
        assert "no sign of life" in told and "/s" not in told


async def test_all_faults_are_counted_and_the_newest_are_listed(tmp_path):
    faults = [ev.Fault(where="dialogue", message=f"fault {n}.") for n in range(pic.CASES + 50)]
    folder = await written(tmp_path, [STORY[0], *faults])
    app = WatchApp(folder)
    async with app.run_test(size=(120, 30)) as pilot:
        await says(pilot, "faults: 150")
        await pilot.press("4")
        shown = await says(pilot, "faults: 150, the newest 100 of them", "fault 149.")
        assert shown.count("faults: 150") == 2
        await written(folder, [ev.Fault(where="dialogue", message="one more")])
        await says(pilot, "faults: 151, the newest 100", "one more")
    few = folded((1.0, STORY[0]), (2.0, faults[0]))
    assert usage(few, lambda _: "").renderables[2].plain == "faults: 1"


async def test_the_faults_of_a_coaching_run_are_seen_in_the_smallest_terminal(tmp_path):
    dear = used(1_200_000).model_copy(update={"usd": 0.1234})
    faults = [ev.Fault(where="dialogue", message="the endpoint answered 500")] * 50
    app = WatchApp(await written(tmp_path, [*COACHED[:-1], dear, *faults]))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, app.loaded.is_set)
        await says(pilot, "✗ faults: 51", "5/5 dialogues", "csat 3.04")


def trial(preference: float, tries: int, verdict: ev.Verdict) -> list[ev.Event]:
    _, _, tried, _, decided = CASE
    return [
        *[tried.model_copy(update={"preference": preference, "seed": n}) for n in range(tries)],
        decided.model_copy(update={"verdict": verdict, "reason": f"{verdict} at {preference}"}),
    ]


def test_each_trial_of_a_proposal_is_drawn_with_its_own_tries_and_verdict():
    story = [STORY[0], *CASE[:2], *trial(0.4, 3, "dropped"), *trial(0.8, 2, "kept")]
    picture = folded(*enumerate(story))
    assert picture.verdicts == {"p.0": "kept"}
    (card,) = workshop(picture)
    told = card.text.plain
    wanted = ["▼▼▼  0.40", "✗ dropped: dropped at 0.4", "▲▲  0.80", "✓ kept: kept at 0.8"]
    assert [told.count(part) for part in wanted] == [1] * 4
    assert sorted(wanted, key=told.index) == wanted and card.kind == "kept"
    assert told.count("proposed by the teacher") == 1
    (open_,) = workshop(folded(*enumerate(story[:-1])))
    assert open_.kind == "open" and "✗ dropped" in open_.text.plain, "the second goes on"


def transcript(app, selector: str) -> str:
    return app.screen.query_one(selector, Cards).plain


async def test_a_replay_shows_no_judgement_of_lines_that_came_after_it_was_opened(tmp_path):
    events = dialogue("none", 0, "s", "p")
    folder = await written(tmp_path, [STORY[0], *events[:4]])
    app = WatchApp(folder)
    async with app.run_test(size=(100, 40)) as pilot:
        await says(pilot, "can you hear me?")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Replay))
        await written(folder, events[4:])
        await until(pilot, lambda: app.feed.picture.dialogues["none.s.p.0"].ended)
        await pilot.press("G")
        shown = transcript(app, "#replay-cards")
        assert "can you hear me?" in shown and "apologise" not in shown
        assert "judge" not in shown and "ended" not in shown and "of 5" not in shown
        await pilot.press("escape", "r")
        await until(pilot, lambda: isinstance(app.screen, Replay))
        await pilot.press("G")
        await until(pilot, lambda: "ended: patience spent" in transcript(app, "#replay-cards"))


async def test_a_comparison_shows_no_judgement_of_lines_that_it_did_not_read(tmp_path):
    first, second = dialogue("none", 0, "s", "p"), dialogue("library", 0, "s", "p")
    folder = await written(tmp_path, [STORY[0], *first, *second[:4]])
    app = WatchApp(folder)
    async with app.run_test(size=(140, 40)) as pilot:
        await says(pilot, "can you hear me?")
        read = app.feed.lines

        async def read_and_go_on(name):
            lines = await read(name)
            if name == "library.s.p.0":
                await written(folder, second[4:])
                while app.feed.picture.dialogues[name].ended is None:
                    await asyncio.sleep(0.02)
            return lines

        app.feed.lines = read_and_go_on
        await pilot.press("c")
        await until(
            pilot, lambda: isinstance(app.screen, Compare) and "judge" in transcript(app, "#right")
        )
        left = transcript(app, "#left")
        assert "can you hear me?" in left and "judge" not in left and "ended" not in left


@pytest.mark.parametrize("seed", [0, 5])
def test_the_interval_of_an_arm_is_that_of_the_result(seed):
    scores = {"none": [1.2, 2.9, 2.0, 3.1, 1.5], "library": [4.4, 2.1, 4.9, 4.8, 4.7]}
    begun = STORY[0].model_copy(update={"options": {"seed": seed}})
    story: list[ev.Event] = [begun]
    outcomes: dict[str, list[Outcome]] = {arm: [] for arm in scores}
    for arm, found in scores.items():
        for number, score in enumerate([*found, found[0] + 0.4]):
            at, name = number % len(found), f"{arm}.{number}"
            story += [
                ev.DialogueStarted(dialogue=name, round=0, purpose="test", arm=arm, seed=number,
                                   scenario=f"s{at}", persona="p"),
                ev.DialogueJudged(dialogue=name, satisfaction=score, rubric=0.5),
            ]  # fmt: skip
            outcomes[arm].append(
                Outcome(arm=arm, scenario=f"s{at}", persona="p", seed=number, csat=score,
                        rubric=0.5, valid=True)
            )  # fmt: skip
    found = intervals_of(series_of(folded(*enumerate(story))))
    assert found == {arm: arm_figures(own, seed).csat.ci95 for arm, own in outcomes.items()}
    alone = series_of(folded(*enumerate(story[:3])))
    assert intervals_of(alone) == {"none": None}


async def test_the_interval_in_the_plot_reaches_as_far_as_its_own_ends(tmp_path):
    # A mean of 4.5 with an interval from 2 to 5: five times as far down as up.
    story = [
        event.model_copy(update={"round": 1, "purpose": "train"})
        if isinstance(event, ev.DialogueStarted)
        else event.model_copy(update={"satisfaction": 4.5})
        if isinstance(event, ev.DialogueJudged)
        else event
        for event in dialogue("none", 0, "s", "p")
    ]
    over = next(event for event in COACHED if isinstance(event, ev.RoundEnded))
    ended = over.model_copy(update={"csat": 4.5, "csat_ci95": (2.0, 5.0), "validation_csat": None})
    app = WatchApp(await written(tmp_path, [COACHED[0], *story, ended]))
    async with app.run_test(size=(100, 70)) as pilot:
        await until(pilot, app.loaded.is_set)
        await pilot.press("3")
        await says(pilot, "mean and 95 % interval")
        lines = (await says(pilot, "1┤", "5┤", "learned from")).splitlines()
        top, bottom = (next(n for n, line in enumerate(lines) if f"{t}┤" in line) for t in (5, 1))
        place = lines[bottom + 2].index("1")
        drawn = [n for n in range(top, bottom + 1) if lines[n][place] != " "]
        assert drawn == list(range(top, top + 1 + round((bottom - top) * 3 / 4)))


async def test_two_placements_are_told_apart_by_their_arms(tmp_path):
    placed = [
        event.model_copy(update={"round": -1, "purpose": "validation"})
        if isinstance(event, ev.DialogueStarted)
        else event
        for arm in ("after", "note")
        for event in dialogue(arm, 0, "s", "p")
    ]
    begun = STORY[0].model_copy(update={"command": "place"})
    app = WatchApp(await written(tmp_path / "placed", [begun, *placed]))
    async with app.run_test(size=(120, 30)) as pilot:
        await says(pilot, "ended")
        await pilot.press("c")
        shown = (await says(pilot, "partner 1 of 1", "after  p", "note  p")).splitlines()
        assert not any("round" in line for line in shown)


async def test_two_rounds_are_told_apart_by_their_numbers(tmp_path):
    rounds = [
        event.model_copy(update={"dialogue": f"r{n}", "round": n, "purpose": "train"})
        if isinstance(event, ev.DialogueStarted)
        else event.model_copy(update={"dialogue": f"r{n}"})
        for n in (0, 1)
        for event in dialogue("library", 0, "s", "p")
    ]
    app = WatchApp(await written(tmp_path, [COACHED[0], *rounds]))
    async with app.run_test(size=(120, 30)) as pilot:
        await says(pilot, "ended")
        await pilot.press("c")
        await says(pilot, "round 0  p", "round 1  p")


async def test_the_clock_of_a_resumed_run_leaves_the_pause_out(tmp_path):
    now = time.time()
    day = now - 86_400
    events = dialogue("none", 0, "s", "p")
    # Killed in the middle of a dialogue, so that no event of the outline tells when.
    story = [(day, STORY[0]), (day + 1, events[0]), (day + 40, events[1]), (now - 5, RESUMED)]
    story += [(now - 4, ev.Fault(where="dialogue", message="it broke")), (now - 3, events[0])]
    folder = await written_at(tmp_path, story)
    async with await RunLog.open(folder, create=False) as log:
        outlined = await pic.outlined(log)
    for picture in (outlined, folded(*story)):
        assert [round(picture.worked(at)) for at in (day + 40, now - 4, now)] == [40, 41, 45]
        assert picture.at == story[-1][0]
    app = WatchApp(folder)
    async with app.run_test(size=(100, 24)) as pilot:
        await says(pilot, "● live 0:")
        await pilot.press("4")
        await says(pilot, "0:41  dialogue  it broke")
        assert "23:5" not in text_of(app)
