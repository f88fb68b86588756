"""The headline: the run in one line, with its state, its progress and what it costs."""

from __future__ import annotations

import time

from textual.content import Content
from tutelage.graphs.log.picture import RunPicture
from tutelage.graphs.log.speech import SILENCE
from tutelage.graphs.plain_text import one_line

from .feed import Feed

_BAR = " ▏ "


def headline(feed: Feed, now: float | None = None) -> Content:
    """The run in one line.

    Args:
        feed: the run.
        now: the time (Unix s); else the clock's.
    """
    picture = feed.picture
    if picture.started is None:
        return Content.styled("waiting for the run to begin…", "$quiet")
    now = time.time() if now is None else now
    parts = [
        Content.assemble(
            (one_line(picture.started.command, 12), "bold $strategy"), " ",
            (one_line(picture.started.environment, 24), "bold"),
        ),
        state(feed, now),
    ]  # fmt: skip
    if picture.fault_count:
        # Before all figures: what stands further on is cut off in a small terminal.
        parts.append(Content.styled(f"✗ faults: {picture.fault_count}", "$bad"))
    parts.append(Content(f"{picture.over}/{len(picture.dialogues)} dialogues"))
    scores = [one.judged.satisfaction for one in picture.dialogues.values() if one.judged]
    if scores:
        parts.append(Content(f"csat {sum(scores) / len(scores):.2f}"))
    if picture.verdicts:
        parts.append(
            Content.assemble(
                (f"{picture.kept} kept", "$good"),
                (f" {len(picture.verdicts) - picture.kept} dropped", "$quiet"),
            )
        )
    if picture.usage:
        parts.append(Content.styled(spent(picture, now), "$quiet"))
    return Content.styled(_BAR, "$quiet").join(parts)


def state(feed: Feed, now: float) -> Content:
    """Whether a run goes on, and for how long it has worked."""
    picture = feed.picture
    if picture.ended is not None:
        reason = one_line(picture.ended.reason, 40)
        style = "$bad" if reason.startswith("failed") else "$quiet"
        return Content.styled(f"■ over: {reason}", style)
    silence = feed.silence(now)
    if silence > SILENCE:
        return Content.styled(f"□ no sign of life for {clock(silence)}", "$bad")
    return Content.styled(f"● live {clock(picture.worked(now))}", "$good")


def spent(picture: RunPicture, now: float) -> str:
    """Tokens, their rate at a time (Unix s) and US dollars over all roles."""
    rates = [rate.at(now) for rate in picture.rates.values()]
    rate = sum(known for known in rates if known is not None)
    told = f"{short(picture.tokens)} tok"
    if rate and picture.ended is None:
        told += f" {rate:.0f}/s"
    return f"{told} ${picture.usd:.4f}" if picture.usd else told


def clock(seconds: float) -> str:
    """Seconds as 4:05 or 1:02:03."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short(count: int) -> str:
    """A count in at most five characters: 950, 12.3k, 4.1M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"
