"""Masking: personal data in real chats becomes placeholders such as [name 1], before it is stored.

What has a form (mail addresses, phone and card numbers, IBANs, IPs) is found by Presidio's
recognizers, which need no model and no network. On top of that every link, code and longer number
goes, and names are found by how they stand in a text: after words such as "my name is", by Faker's
lists of names in some eighty languages, and by their capital letter. In doubt a word is masked: a lost
product name costs less than a customer's. Lists and capitals fit languages written like English: in
German, where every noun has a capital, far more than names goes; in scripts without capitals a name is
found only by the words before it.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import regex

from .faults import EnvironmentFault, Problem

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

Kind = Literal["name", "mail", "link", "number", "code", "address"]
_OF_ENTITY: dict[str, Kind] = {
    "EMAIL_ADDRESS": "mail",
    "IP_ADDRESS": "code",
    "MAC_ADDRESS": "code",
    "IBAN_CODE": "number",
    "CREDIT_CARD": "number",
    "PHONE_NUMBER": "number",
    "US_SSN": "number",
    "DATE_TIME": "number",
}
PLACEHOLDER = regex.compile(r"\[(?:name|mail|link|number|code|address) \d+\]")

_MONEY = r"(?:[$€£¥]|EUR|USD|GBP|CHF|euros?|dollars?|pounds?|francs?)"
_AMOUNT = regex.compile(
    rf"(?<![\w,.])(?:{_MONEY}\s?\d[\d,.]{{0,9}}|\d[\d,.]{{0,9}}\s?{_MONEY})(?!\w)"
    r"|\b\d{1,2}:\d{2}\b|\b\d{1,3}(?:[.,]\d{1,3})?\s?%",
    regex.IGNORECASE,
)
"""What stays though it holds digits: amounts of money, times of day, shares."""
_SHORT = regex.compile(
    r"\d{1,3}(?:st|nd|rd|th|h|hrs?|am|pm|kg|g|km|m|cm|mm|gb|mb|mbit|x|k|min|d)?", regex.IGNORECASE
)
_LINK = regex.compile(
    r"\b(?:https?://|www\.)\S+|\b(?:[\w-]{1,63}\.){1,5}"
    r"(?:com|org|net|io|eu|info|biz|shop|store|app|co|uk|us|de|fr|es|it|nl|at|ch|ca|au|in)\b(?:/\S*)?",
    regex.IGNORECASE,
)
"""Presidio's own pattern for links takes seconds on a line of dots."""
_LONG_NUMBER = regex.compile(r"\+?\d(?:[\s()./-]{0,2}\d){3,}")
_CODE = regex.compile(r"\b(?=[\w/-]*\d)(?=[\w/-]*\p{L})[\w/-]*\w")
_AFTER_CUE = regex.compile(
    r"\b(?:pin|cvv|cvc|code|password|passcode|pass|number|no|nr|id|account|ref(?:erence)?|zip|postcode|"
    r"born|dob|birthday)\b[\s.:#=]*+(?:(?:is|was|on)\b[\s.:#=]*+)?(?P<it>[^\s\d]{0,20}\d(?:\S*\w)?)",
    regex.IGNORECASE,
)
_PASSWORD = regex.compile(
    r"\b(?:password|passwort|passcode|secret)\b\s*(?:is|was|:|=)++\s*(?P<it>\S+)", regex.IGNORECASE
)
_STREET = regex.compile(
    r"\b\d{1,5}\s?[a-zA-Z]?,?\s+(?:\p{L}[\p{L}'.-]*\s+){1,4}"
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|square|sq|boulevard|blvd|way|place|pl|"
    r"terrace|close|crescent)\b\.?"
    r"|\b(?:rue|avenue|via|calle|plaza|piazza)\s+(?:\p{L}[\p{L}'-]*\s*){1,4},?\s*\d{1,5}\b"
    r"|\b\p{L}[\p{L}-]*\s?(?:straße|strasse|str\.|weg|platz|gasse|allee|ring|damm|ufer|straat|laan|gatan)"
    r"\s+\d{1,5}\s?[a-z]?\b",
    regex.IGNORECASE,
)
_NAME = r"(?P<it>(?:\p{L}[\p{L}'’.-]*)(?:\s+\p{L}[\p{L}'’.-]*){0,3})"
_NAME_CUE = regex.compile(
    r"\b(?:my (?:\w+ )?name(?:'s| is| was)|my name|(?:last|first|sur|family|full|maiden)\s?names?"
    r"(?: is| was)?|name\s*[:=]|names?(?:'s| is)|mrs?\.?|ms\.?|miss|dr\.?|herr|frau"
    rf"|(?:in|under) the name(?: of)?)[\s:=,-]+{_NAME}",
    regex.IGNORECASE,
)
"""Words after which a name stands, in whatever letters."""
_WORD = regex.compile(r"\p{L}[\p{L}'’-]*")
_STARTS = regex.compile(r"(?:^|[.!?:;…\n\"“(]|\s[-–—*•])\s*$")
_KEPT = frozenset(
    regex.findall(
        r"\S+",
        "i i'm i'll i've i'd monday tuesday wednesday thursday friday saturday sunday january february "
        "march april may june july august september october november december english german french "
        "spanish italian ok okay tv pc id pin faq usb sms wifi wi-fi internet email e-mail hello hi hey "
        "dear thanks thank please sorry yes no yeah unfortunately regarding good morning afternoon "
        "evening agent customer assistant support sir madam team everyone mr mrs ms miss dr herr frau "
        "today tomorrow yesterday tonight",
    )
)
"""Words with a capital that name nobody."""


@lru_cache(maxsize=1)
def _recognizers() -> Sequence[EntityRecognizer]:
    """Presidio's recognizers that need neither a model nor the network.

    Raises:
        EnvironmentFault: where Presidio is not installed; says how to get it.
    """
    try:
        from presidio_analyzer import predefined_recognizers as presidio
    except ImportError as error:
        raise EnvironmentFault(
            [
                Problem(
                    Path("presidio-analyzer"),
                    "is not installed, and nothing is imported without masking",
                    expected="pip install 'tutelage[chats]'",
                )
            ]
        ) from error
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)

    class Mail(presidio.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            """Take what looks like an address: the check of its top domain asks the network."""
            return True

    return (
        Mail(),
        presidio.IpRecognizer(),
        presidio.MacAddressRecognizer(),
        presidio.IbanRecognizer(),
        presidio.CreditCardRecognizer(),
        presidio.PhoneRecognizer(leniency=1),
        presidio.UsSsnRecognizer(),
        presidio.DateRecognizer(),
    )


@lru_cache(maxsize=1)
def _name_lists() -> tuple[frozenset[str], frozenset[str]]:
    """First and last names of Faker's locales, in small letters; those of at least three letters."""
    try:
        person = importlib.import_module("faker.providers.person")
    except ImportError as error:
        raise EnvironmentFault(
            [
                Problem(
                    Path("faker"),
                    "is not installed, and its lists of names are needed",
                    expected="pip install 'tutelage[chats]'",
                )
            ]
        ) from error
    found: dict[str, set[str]] = {"first": set(), "last": set()}
    for module in pkgutil.iter_modules(person.__path__):
        provider = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        for field_name in dir(provider):
            kind = (
                "first"
                if "first_name" in field_name
                else "last"
                if "last_name" in field_name
                else ""
            )
            values = getattr(provider, field_name, None)
            if kind and isinstance(values, list | tuple | dict | set):
                for value in values:
                    if isinstance(value, str):
                        found[kind].update(w.casefold() for w in _WORD.findall(value) if len(w) > 2)
    return frozenset(found["first"]), frozenset(found["last"])


@lru_cache(maxsize=1)
def _common_words() -> frozenset[str]:
    """Some 1,200 everyday English words, which open a sentence with a capital without being names."""
    from spacy.lang.en.stop_words import STOP_WORDS

    lorem = importlib.import_module("faker.providers.lorem.en_US").Provider
    return frozenset(w.casefold() for w in (*lorem.word_list, *STOP_WORDS)) | _KEPT


def lower_words(texts: Iterable[str]) -> frozenset[str]:
    """The words that stand in small letters somewhere at least twice: ordinary ones, not names."""
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update({word for word in _WORD.findall(text) if word == word.lower()})
    return frozenset(word for word, count in seen.items() if count > 1)


@dataclass
class Masker:
    """Masks the texts of one chat: the same value always becomes the same placeholder.

    Args:
        ordinary: words known to be no names, in small letters (`lower_words` of the whole file).
        kept: words that may stand though they look like names: the firm's own and its products'.
    """

    ordinary: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def mask(self, texts: Sequence[str]) -> list[str]:
        """Mask the texts of the chat, all at once: a name told in one line is known in all others.

        Raises:
            EnvironmentFault: where the libraries that masking needs are not installed.
        """
        spans = [self._spans(text) for text in texts]
        told = {
            _bare(word)
            for text, found in zip(texts, spans, strict=True)
            for start, end, kind in found
            if kind == "name"
            for word in _WORD.findall(text[start:end])
        } - self.kept - _common_words()  # fmt: skip
        masked: list[str] = []
        for text, found in zip(texts, spans, strict=True):
            again = [
                (match.start(), match.end(), "name")
                for match in _WORD.finditer(text)
                if len(match[0]) > 2 and _bare(match[0]) in told
            ]
            masked.append(self._replaced(text, _merged([*found, *again])))
        return masked

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        amounts = [match.span() for match in _AMOUNT.finditer(text)]
        found: list[tuple[int, int, str]] = []
        for recognizer in _recognizers():
            results: list[Any] = recognizer.analyze(text, recognizer.supported_entities, None) or []  # type: ignore[arg-type]
            found += [(r.start, r.end, _OF_ENTITY[r.entity_type]) for r in results]
        for pattern, kind in (
            (_LINK, "link"),
            (_STREET, "address"),
            (_LONG_NUMBER, "number"),
            (_CODE, "code"),
        ):
            for match in pattern.finditer(text):
                if not _SHORT.fullmatch(match[0]):
                    found.append((*match.span(), kind))
        for pattern, kind in ((_AFTER_CUE, "number"), (_PASSWORD, "code")):
            found += [(*match.span("it"), kind) for match in pattern.finditer(text)]
        formed = [
            (start, end, kind)
            for start, end, kind in found
            if kind in ("mail", "link", "address")
            or not any(a <= start and end <= b for a, b in amounts)
        ]
        return [*formed, *self._names(text)]

    def _names(self, text: str) -> list[tuple[int, int, str]]:
        first, last = _name_lists()
        common = _common_words()
        found: list[tuple[int, int, str]] = []
        for match in _NAME_CUE.finditer(text):
            for word in _WORD.finditer(text, *match.span("it")):
                plain = _bare(word[0])
                small = word[0] == word[0].lower()
                if small and (plain in common or plain in self.ordinary or plain in self.kept):
                    break  # "my name is anna and ...": the name ends where the sentence goes on.
                found.append((*word.span(), "name"))
        words = list(_WORD.finditer(text))
        for position, word in enumerate(words):
            plain = _bare(word[0])
            if plain in self.kept or plain in _KEPT:
                continue
            listed = plain in first or plain in last
            if word[0][0].isupper():
                shouted = len(word[0]) > 1 and word[0].isupper()
                opens = bool(_STARTS.search(text, 0, word.start())) or word.start() == 0
                known = plain in common or plain in self.ordinary
                if (opens or shouted) and (known or (shouted and not listed)):
                    continue
                if listed or not shouted:
                    found.append((*word.span(), "name"))
            elif plain in first and plain not in common and position + 1 < len(words):
                after = words[position + 1]
                if _bare(after[0]) in last and text[word.end() : after.start()] == " ":
                    found += [(*word.span(), "name"), (*after.span(), "name")]
        return found

    def _replaced(self, text: str, spans: Sequence[tuple[int, int, str]]) -> str:
        parts: list[str] = []
        at = 0
        for start, end, kind in spans:
            parts += [text[at:start], self._placeholder(kind, text[start:end])]
            at = end
        return "".join([*parts, text[at:]])

    def _placeholder(self, kind: str, value: str) -> str:
        plain = regex.sub(r"[^\p{L}\p{N}]+", "", value).casefold()
        words = [_bare(word) for word in _WORD.findall(value)] if kind == "name" else []
        number = next(
            (n for w in (plain, *words) if (n := self._numbers.get((kind, w))) is not None), None
        )
        if number is None:
            number = 1 + max((n for (k, _), n in self._numbers.items() if k == kind), default=0)
            self.counts[kind] += 1
        for word in (plain, *words):
            self._numbers.setdefault((kind, word), number)
        return f"[{kind} {number}]"


def _bare(word: str) -> str:
    """A word in small letters without the s of the genitive."""
    return regex.sub(r"['’]s?$", "", word).casefold()


def _merged(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans in order, overlapping ones joined under the longest one's kind; names side by side too."""
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            before = merged[-1]
            longest = kind if end - start > before[1] - before[0] else before[2]
            merged[-1] = (before[0], max(end, before[1]), longest)
        elif merged and kind == merged[-1][2] == "name" and start == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], end, "name")
        else:
            merged.append((start, end, kind))
    return merged
