"""The workshop: how strategies are written, tried, kept or dropped, as cards, newest first."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from tutelage.graphs.log.events import EntryNarrowed, StrategyTried
from tutelage.graphs.log.picture import Attempt, Case, RunPicture, Trial
from tutelage.graphs.plain_text import clean, one_line

from .cards import Card

SHOWN = 40
"""Cases on the screen; more would be slow to lay out, and the report shows all."""


def workshop(picture: RunPicture) -> list[Card]:
    """The newest cases."""
    newest = list(picture.cases.values())[: -SHOWN - 1 : -1]
    return [Card(_verdict(case), _case(case)) for case in newest]


def _verdict(case: Case) -> str:
    verdicts = [a.decided.verdict for a in case.attempts.values() if a.decided is not None]
    if "kept" in verdicts:
        return "kept"
    if verdicts:
        return "dropped"
    if case.narrowed:
        return "kept"
    return "fine" if case.examined and not case.examined.weak else "open"


def _case(case: Case) -> Content:
    where = one_line(case.dialogue, 60)
    if case.dialogue not in case.attempts:
        # What is learned for a topic or for all is named by itself: it was written at no turn.
        where += f" · turn {case.turn + 1}"
    parts: list[Content] = []
    if (seen := case.examined) is not None:
        parts += [
            Content.assemble(("state  ", "bold $judge"), (clean(seen.scenario), "bold")),
            Content.styled(f"       {where}", "$quiet"),
            _said("customer", seen.customer_says, "$customer"),
            _said("student", seen.student_reply, "$student"),
            _said("teacher", seen.teacher_reply, "$teacher"),
            _preference(seen.preference, "the teacher's is better", seen.weak),
        ]
    else:
        written = [one.proposed.scenario for one in case.attempts.values() if one.proposed]
        told = [*written, *(one.learned_for for one in case.narrowed), ""]
        scenario = clean(told[0])
        parts += [
            Content.assemble(("state  ", "bold $judge"), (scenario, "bold")),
            Content.styled(f"       {where}", "$quiet"),
        ]
    for attempt in case.attempts.values():
        parts += _attempt(attempt)
    parts += [_narrowed(one) for one in case.narrowed]
    return Content("\n").join(parts)


def _said(speaker: str, text: str, style: str) -> Content:
    return Content.assemble((f"{speaker:>8}  ", style), clean(text))


def _preference(preference: float, words: str, weak: bool) -> Content:
    verdict = ("weak", "bold $bad") if weak else ("good enough", "$good")
    return Content.assemble(
        (f"{'judge':>8}  ", "$judge"), verdict, f"  {preference:.2f} that {words}"
    )


def _attempt(attempt: Attempt) -> Iterable[Content]:
    if (written := attempt.proposed) is not None:
        source = f"{written.source}{', written anew' if written.attempt else ''}"
        yield Content.styled(f"\nproposed by the {one_line(source, 40)}", "$quiet")
        for text in written.texts:
            yield Content.assemble(("   ◆ ", "$strategy"), (clean(text), "$strategy"))
        for text in written.refused:
            yield Content.styled(f"   ✗ refused: {clean(text)}", "$bad")
    for trial in attempt.trials:
        yield from _trial(trial)


def _trial(trial: Trial) -> Iterable[Content]:
    if trial.tried:
        yield _tries(trial.tried)
        if trial.decided is None:
            yield _said("again", trial.tried[-1].after, "$student")
    if (decided := trial.decided) is not None:
        if decided.after:
            yield _said("before", decided.before, "$quiet")
            yield _said("after", decided.after, "$student")
        mark, style = (
            ("✓ kept", "bold $good") if decided.verdict == "kept" else ("✗ dropped", "$bad")
        )
        yield Content.assemble(
            (f"   {mark}", style), f": {clean(decided.reason)}", _interval(decided)
        )


def _narrowed(event: EntryNarrowed) -> Content:
    return Content.assemble(
        ("   ◇ narrowed", "bold $judge"),
        f": given in {one_line(event.scenario, 60)} it did no good there ({event.gain:+.2f}); kept from"
        f" it {one_line(event.how, 60)}",
    )


def _tries(tried: list[StrategyTried]) -> Content:
    marks = [_mark(one.preference) for one in tried]
    mean = sum(one.preference for one in tried) / len(tried)
    return Content.assemble(
        (f"{'tried':>8}  ", "$judge"), *marks, f"  {mean:.2f} that the second reply is better"
    )


def _mark(preference: float) -> tuple[str, str]:
    if preference == 0.5:
        return "·", "$quiet"
    return ("▲", "$good") if preference > 0.5 else ("▼", "$bad")


def _interval(decided: object) -> str:
    preference, ci95 = getattr(decided, "preference", None), getattr(decided, "ci95", None)
    if preference is None or ci95 is None:
        return ""
    return f"  {preference:.2f} [{ci95[0]:.2f}, {ci95[1]:.2f}]"
