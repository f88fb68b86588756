"""What deployment sends: the one place where retrieved strategies are put into a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .given import example_of
from .vetting import hostile

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage

    from .entry import Entry
    from .given import Retrieved

Placement = Literal["after", "note", "system", "example"]
PLACEMENTS: tuple[Placement, ...] = ("after", "note", "system", "example")
HEADING = "How to answer this message:"
Message = dict[str, Any]
"""A message as the OpenAI protocol writes it: role, content, and whatever else it has."""

_WIRE_TYPES = {"system": "system", "developer": "system", "user": "human"}
STATIC_HEADING = "How to answer, by situation. Follow only what fits the customer's last message."
STATIC_WHEN = "In the situation of"
STATIC_ALWAYS = "In every situation:"


def strategies_text(
    retrieved: Sequence[Retrieved | Document], placement: Placement = "after"
) -> str:
    """The text that carries the strategies, byte for byte; "" where there are none.

    As an `example` a strategy is shown by the exchange that it was kept for, masked, and by its own
    words where it has none, where that exchange may not enter a prompt or is too long for the budget
    of tokens, or where it is general: what every customer is given would else tell each of another's
    matter.

    Args:
        retrieved: what the library's index or its retriever gave.
        placement: where the text will stand.
    """
    return _text([one for found in retrieved for one in _given(found)], placement)


def _text(given: Sequence[_Given], placement: Placement) -> str:
    texts: list[str] = []
    shown: list[str] = []
    for one in given:
        example = one.shown if placement == "example" else ""
        (shown if example else texts).append(example or one.order)
    parts = list(dict.fromkeys(shown))
    if texts:
        parts.append("\n".join([HEADING, *(f"- {text}" for text in dict.fromkeys(texts))]))
    return "\n\n".join(parts)


def static_text(entries: Sequence[Entry]) -> str:
    """One prompt for all entries, for apps that cannot retrieve; "" where there are none.

    Every strategy is read at every turn, which costs tokens and distracts small models: retrieve
    where you can. An entry whose scenario may not enter a prompt is left out.
    """
    blocks: list[str] = []
    for entry in entries:
        if texts := dict.fromkeys(" ".join(s.text.split()) for s in entry.strategies):
            scenario = " ".join(entry.scenario.split()).rstrip(".:")
            if hostile(scenario):
                continue
            when = STATIC_ALWAYS if entry.general else f"{STATIC_WHEN} {scenario}:"
            blocks.append("\n".join([when, *(f"- {t}" for t in texts)]))
    return "\n\n".join([STATIC_HEADING, *blocks]) if blocks else ""


def coach_messages(
    messages: Sequence[BaseMessage],
    retrieved: Sequence[Retrieved | Document],
    placement: Placement = "after",
) -> list[BaseMessage]:
    """Add the retrieved strategies to a prompt.

    Args:
        messages: the prompt without them; it is not changed.
        retrieved: what the library gave for the state; with nothing in it the messages come back.
        placement: `after`, a system message behind the transcript, so that all before it stays
            byte-identical from turn to turn; `note`, at the end of the last human message, for
            providers that refuse a late system message; `system`, at the end of the first system
            message; `example`, as `after`, but shown by an exchange in place of orders, for
            students that recite orders. `Library.placement_for` knows what a student follows best.

    Returns:
        New messages. What a door before this one has added for the customer's last message, wherever
        and in whatever form, is not added again.
    """
    from langchain_core.messages import SystemMessage

    out = list(messages)
    known = [(m.type, m.text) for m in out]
    text = _text(_left_to_add(known, retrieved, placement), placement)
    place = _place(known, text, placement)
    if isinstance(place, _New):
        out.insert(place.at, SystemMessage(text))
    elif place is not None:
        body = _extended(out[place].content, text, placement)
        out[place] = out[place].model_copy(update={"content": body})
    return out


def coach_wire(
    messages: Sequence[Message], retrieved: Sequence[Retrieved], placement: Placement = "after"
) -> list[Message]:
    """The same as `coach_messages`, for messages of the OpenAI protocol; what they hold besides
    role and content stays as it is.
    """
    out = [dict(message) for message in messages]
    known = [(_WIRE_TYPES.get(str(m.get("role")), ""), _plain(m.get("content"))) for m in out]
    text = _text(_left_to_add(known, retrieved, placement), placement)
    place = _place(known, text, placement)
    if isinstance(place, _New):
        out.insert(place.at, {"role": "system", "content": text})
    elif place is not None:
        out[place]["content"] = _extended(out[place].get("content") or "", text, placement)
    return out


def _left_to_add(
    known: Sequence[tuple[str, str]],
    retrieved: Sequence[Retrieved | Document],
    placement: Placement,
) -> list[_Given]:
    """What is given and stands nowhere yet where doors write: the first system message, the customer's
    last one, and the system messages behind it. Those before it answered what came before.
    """
    people = [place for place, (kind, _) in enumerate(known) if kind == "human"]
    rules = [place for place, (kind, _) in enumerate(known) if kind == "system"]
    last = people[-1] if people else -1
    leads = [r for r in rules[:1] if placement == "system" or (people and r < people[0])]
    places = {*leads, *people[-1:], *(r for r in rules if r > last)}
    written = [known[place][1] for place in places]
    orders = {order for text in written for order in _orders_in(text)}
    return [
        one
        for found in retrieved
        for one in _given(found)
        if one.order not in orders
        and not (one.example and any(one.example in text for text in written))
    ]


def _orders_in(text: str) -> Iterator[str]:
    """The strategies that doors before this one wrote into a message as orders."""
    for block in text.split(HEADING)[1:]:
        for line in block.split("\n- ")[1:]:
            # A note ends with a bracket, and what follows it may begin with one.
            order = line.partition("\n")[0].removesuffix("(")
            yield from (order, order.removesuffix(")"))


class _New:
    """A new system message is wanted, at this place."""

    def __init__(self, at: int):
        self.at = at


def _place(known: Sequence[tuple[str, str]], text: str, placement: Placement) -> int | _New | None:
    """Where the text goes, given each message's type and text: at the end of a message, as a new
    message, or nowhere.
    """
    people = [place for place, (kind, _) in enumerate(known) if kind == "human"]
    rules = [place for place, (kind, _) in enumerate(known) if kind == "system"]
    if not text:
        return None
    if placement == "note" and people:
        return people[-1]
    if placement == "system":
        return rules[0] if rules else _New(0)
    return _New(len(known))


def _extended(content: Any, text: str, placement: Placement) -> Any:
    """A message's content with the text at its end; pictures and other parts stay."""
    added = f"({text})" if placement == "note" else text
    if isinstance(content, str):
        return f"{content}\n\n{added}"
    return [*content, {"type": "text", "text": added}]


def without_note(text: str) -> str:
    """What a customer wrote, without the notes that doors before this one put behind it."""
    said, note, _ = text.partition(f"({HEADING}\n- ")
    return said if note and text.rstrip().endswith(")") else text


def _plain(content: Any) -> str:
    """The text of a message's content, whether one string or parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


class _Given(NamedTuple):
    """A strategy that is given: as an order, as the exchange that stands for it in the placement
    `example` ("" where none does), and as that exchange whether or not there is room for it.
    """

    order: str
    shown: str
    example: str


def _given(found: Retrieved | Document) -> Iterator[_Given]:
    if hasattr(found, "page_content"):
        texts = found.page_content.splitlines()  # type: ignore[union-attr]
        shown = examples = found.metadata.get("examples", ())  # type: ignore[union-attr]
    else:
        texts = found.orders()  # type: ignore[union-attr]
        shown = found.shown()  # type: ignore[union-attr]
        examples = map(example_of, found.strategies)  # type: ignore[union-attr]
    for text, one, example in zip_longest(texts, shown, examples, fillvalue=""):
        yield _Given(" ".join(text.split()), one, example)
