"""Bubbles: a dialogue as cards, each line in its speaker's colour, advice and judgement with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from textual.content import Content
from tutelage.graphs.log.events import (
    DialogueEnded,
    DialogueJudged,
    Speaking,
    StrategyGiven,
    TurnRejected,
    TurnSpoken,
)
from tutelage.graphs.log.picture import VALENCE
from tutelage.graphs.plain_text import clean, one_line

from .cards import Card

TRAIL = "▁▃▅▆█"
CURSOR = "▍"


def mood(feeling: str) -> Content:
    """A feeling as a word in the colour of how good it is."""
    return Content.styled(one_line(feeling, 12), mood_style(feeling))


def mood_style(feeling: str) -> str:
    """The colour of a feeling."""
    valence = VALENCE.get(feeling)
    if valence is None:
        return "$quiet"
    return ("$bad", "$customer", "$quiet", "$good", "bold $good")[valence]


def score_style(satisfaction: float) -> str:
    """The colour of a satisfaction of 1 to 5."""
    return "$good" if satisfaction >= 3.5 else "$customer" if satisfaction >= 2.5 else "$bad"


def trail(feelings: Sequence[str]) -> str:
    """The customer's feelings line by line as a small curve, the better the higher."""
    return "".join(TRAIL[VALENCE[f]] if f in VALENCE else "·" for f in feelings)


def bubbles(
    lines: Sequence[TurnSpoken | TurnRejected],
    judged: DialogueJudged | None = None,
    ended: DialogueEnded | None = None,
    speaking: Speaking | None = None,
    *,
    marked: Collection[int] = (),
    typed: int | None = None,
) -> list[Card]:
    """The cards of a dialogue.

    Args:
        lines: what was said, and what was refused.
        judged: the judgement, if there is one yet.
        ended: how it ended, if it has.
        speaking: what is being said after `lines`.
        marked: turns whose reply differs from that of another arm.
        typed: of the last line, show only so many characters (a replay types).
    """
    cards: list[Card] = []
    scores = iter(judged.turn_scores if judged else [])
    for position, line in enumerate(lines):
        last = position == len(lines) - 1
        text = clean(line.text)
        if typed is not None and last and typed < len(text):
            text = text[:typed] + CURSOR
        if isinstance(line, TurnRejected):
            cards.append(Card("rejected", _rejected(line, text)))
        elif line.speaker == "customer":
            cards.append(Card("customer", _customer(line, text)))
        else:
            score = None if line.replayed else next(scores, None)
            kind = "person" if line.by else "student"
            cards.append(Card(kind, _student(line, text, score, line.turn in marked)))
    if speaking is not None:
        head = Content.styled(speaking.speaker, f"bold ${speaking.speaker}")
        said = Content(f"\n{clean(speaking.text)}{CURSOR}")
        cards.append(Card(speaking.speaker, head + Content.styled("  speaks", "$quiet") + said))
    if judged is not None:
        cards.append(Card("judge", judgement(judged)))
    if ended is not None:
        cards.append(Card("ended", Content.styled(ending(ended), "$quiet")))
    return cards or [Card("ended", Content.styled("waiting for the first words…", "$quiet"))]


def ending(ended: DialogueEnded) -> str:
    """How a dialogue ended, in words."""
    reason = ended.reason.replace("_", " ")
    kept = "" if ended.valid else ", not scored"
    return f"ended: {reason}{kept} · {ended.seconds:.0f} s"


def _customer(line: TurnSpoken, text: str) -> Content:
    head = [Content.styled("customer", "bold $customer")]
    if line.feeling:
        head += [Content("  "), mood(line.feeling)]
    if line.goal_met:
        head.append(Content.styled("  ✓ goal met", "$good"))
    return Content.assemble(*head, f"\n{text}")


def _student(line: TurnSpoken, text: str, score: float | None, differs: bool) -> Content:
    head = [Content.styled("student", "bold $student")]
    if line.by:
        head.append(Content.styled(f"  · by {one_line(line.by, 24)}", "bold $accent"))
    if score is not None:
        head.append(Content.styled(f"  {score:.1f} of 5", score_style(score)))
    if line.tokens:
        head.append(Content.styled(f"  {line.tokens:,} tok  {line.seconds:.1f} s", "$quiet"))
    if differs:
        head.append(Content.styled("  ≠ differs", "bold $strategy"))
    given = [_given(strategy) for strategy in line.strategies]
    return Content("\n").join([Content.assemble(*head), Content(text), *given])


def _given(strategy: StrategyGiven) -> Content:
    source = f"  ← {one_line(strategy.learned_in, 40)}" if strategy.learned_in else ""
    return Content.assemble(
        ("◆ ", "$strategy"),
        (f"{strategy.similarity:.2f} ", "bold $strategy"),
        (one_line(strategy.order), "$strategy"),
        (source, "$quiet"),
    )


def _rejected(line: TurnRejected, text: str) -> Content:
    reasons = one_line(", ".join(line.reasons), 80)
    return Content.styled(f"↻ drawn again: {reasons}\n{text}", "italic $quiet")


def judgement(judged: DialogueJudged) -> Content:
    """The judge's figures, with a tick or a cross for every item of the rubric."""
    head = Content.assemble(
        ("judge", "bold $judge"),
        "  satisfaction ", (f"{judged.satisfaction:.2f}", "bold"), " of 5  ",
        stars(judged.satisfaction), "  rubric ", (f"{judged.rubric:.2f}", "bold"),
    )  # fmt: skip
    parts = [head]
    for title, items in (("by code", judged.checks), ("by the judge", judged.questions)):
        if items:
            parts.append(Content.styled(title, "$quiet"))
            parts += [_tick(name, score) for name, score in items.items()]
    return Content("\n").join(parts)


def stars(satisfaction: float) -> Content:
    """A satisfaction of 1 to 5 as a bar of eight."""
    full = round((satisfaction - 1) / 4 * 8)
    return Content.assemble(("━" * full, score_style(satisfaction)), ("━" * (8 - full), "$panel"))


def _tick(name: str, score: float) -> Content:
    mark, style = ("✓", "$good") if score >= 0.5 else ("✗", "$bad")
    words = one_line(name.replace("_", " "), 60)
    return Content.assemble((f"  {mark} ", style), words, (f"  {score:.2f}", "$quiet"))
