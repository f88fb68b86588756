"""What is given for a state: an entry's strategies, and by which exchange each may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .entry import ANY_CUSTOMER, OF_MATTER, Entry, Provenance, Strategy, mask
from .vetting import hostile
from .wording import is_order

TOP, TOKEN_BUDGET = 1, 160
"""What every door gives at most unless told otherwise: entries and tokens."""
CHARS_PER_TOKEN = 4
"""A rough measure for the token budget, on the safe side for English."""
LONGEST_MATTER = 60
"""Letters of what is put before strategies at most."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An entry that fits, with the strategies to give. Similarities are 0 to 1.

    `lexical` is the cosine of the words, `dense` that of the vectors, None without embeddings; each
    with the one of the entry's texts that is nearest. `similarity` is the root of their mean. None of
    it depends on what else a library holds, so a threshold means the same everywhere. `letters` is
    what the strategies may take of the budget, as they are sent.
    """

    entry: Entry
    strategies: list[Strategy]
    similarity: float
    lexical: float
    dense: float | None
    letters: int = TOKEN_BUDGET * CHARS_PER_TOKEN

    def orders(self) -> list[str]:
        """The strategies as they are sent, each as one line."""
        return [as_sent(self.entry, strategy) for strategy in self.strategies]

    def shown(self) -> list[str]:
        """The exchange that stands for each strategy in the placement `example`, as far as there is
        room; "" where it has none that may enter a prompt, and for what is general.
        """
        if self.entry.general:
            return [""] * len(self.strategies)
        return examples_within(self.entry, self.strategies, self.letters)[0]


def always(texts: Sequence[str]) -> tuple[Retrieved, ...]:
    """Texts as something that is given at every turn, whatever the state."""
    if not texts:
        return ()
    strategies = [Strategy.new(text, Provenance(source="teacher")) for text in texts]
    entry = Entry.new(ANY_CUSTOMER, general=True, strategies=strategies)
    return (Retrieved(entry, strategies, 1.0, 1.0, None),)


@dataclass
class Room:
    """What may still be given: characters left, and whose strategies are left out."""

    left: int = TOKEN_BUDGET * CHARS_PER_TOKEN
    exclude_scenarios: Sequence[str] = ()
    exclude_sources: Sequence[str] = ()

    def take(self, entry: Entry) -> list[Strategy]:
        """The strategies of an entry that may be given and fit; they take their room."""
        fits: list[Strategy] = []
        for strategy in entry.strategies:
            origin = strategy.provenance
            if origin.source in self.exclude_sources:
                continue
            if not origin.learned_in.isdisjoint(self.exclude_scenarios):
                continue
            letters = len(as_sent(entry, strategy))
            if letters <= self.left:
                fits.append(strategy)
                self.left -= letters
        return fits


def as_sent(entry: Entry, strategy: Strategy) -> str:
    """A strategy's words as a student is sent them: under the matter that its entry's scenario names, if
    it does ("a customer whose matter is bags: ..."). What is nearest to a customer is now and then for
    another matter, and with that said a student can tell (benchmarks/parts).
    """
    words = " ".join(strategy.text.split())
    if entry.general or not entry.scenario.startswith(OF_MATTER):
        return words
    matter = entry.scenario.removeprefix(OF_MATTER).partition(":")[0].strip()
    if not matter or len(matter) > LONGEST_MATTER or hostile(matter):
        return words
    order = f", {words[0].lower()}{words[1:]}" if is_order(words) else f": {words}"
    return f"If the customer's matter is {matter}{order}"


def with_room(found: Sequence[Retrieved], left: int) -> list[Retrieved]:
    """What was found, with the letters that the words of all leave to be shown by examples."""
    roomy: list[Retrieved] = []
    for one in found:
        letters = left + sum(map(len, one.orders()))
        _, left = examples_within(one.entry, one.strategies, letters)
        roomy.append(replace(one, letters=letters))
    return roomy


def example_of(strategy: Strategy) -> str:
    """The exchange that a strategy was kept for, as an example to follow; "" where there is none."""
    evidence = strategy.provenance.evidence
    if evidence is None or not (evidence.customer and evidence.after):
        return ""
    customer, reply = mask(evidence.customer), mask(evidence.after)
    if hostile(customer) or hostile(reply):
        return ""
    return f"A customer wrote: {customer}\nA good answer was: {reply}\nAnswer this message in that way."


def examples_within(
    entry: Entry, strategies: Sequence[Strategy], letters: int
) -> tuple[list[str], int]:
    """The exchanges to show strategies by, and the letters that are left.

    Args:
        entry: whose they are.
        strategies: all of these are given, by an exchange or in their own words.
        letters: what they may take in all. Where a strategy's exchange leaves too few for the words of
            the others, its own words stand for it.

    Returns:
        An exchange for each strategy, "" where its own words stand for it.
    """
    shown: list[str] = []
    words = [len(as_sent(entry, strategy)) for strategy in strategies]
    left = letters - sum(words)
    for strategy, own in zip(strategies, words, strict=True):
        example = example_of(strategy)
        more = (0 if example in shown else len(example)) - own
        fits = bool(example) and more <= left
        shown.append(example if fits else "")
        left -= more if fits else 0
    return shown, left
