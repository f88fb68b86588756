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
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import regex

from ..faults import EnvironmentFault, Problem

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
_SUM = r"(?:\d{1,3}(?:[.,]\d{3})+|\d{1,6})(?:[.,]\d{1,2})?(?!\d)"
_AMOUNT = regex.compile(
    rf"(?<![\w,.])(?:{_MONEY}\s?{_SUM}(?!\w)|{_SUM}\s?{_MONEY}(?!\w|\s?\d))"
    r"|\b\d{1,2}:\d{2}\b|\b\d{1,3}(?:[.,]\d{1,3})?\s?%",
    regex.IGNORECASE,
)
"""What stays though it holds digits: amounts of money, times of day, shares. In "123456 EUR 45" the
first number is none: the currency belongs to the second."""
_SHORT = regex.compile(
    r"\d{1,3}(?:st|nd|rd|th|h|hrs?|am|pm|kg|g|km|m|cm|mm|gb|mb|mbit|x|k|min|d)?"
    r"|\d{1,3}\s?[–—]\s?\d{1,3}|\d{1,2}\s?\p{Pd}\s?\d{1,2}",
    regex.IGNORECASE,
)
"""Short numbers, and ranges of them: 10-14 days, 100–200 euros. 555-123 may be a telephone's."""
_TOP = (
    r"(?:com|org|net|io|eu|info|biz|shop|store|app|co|uk|us|de|fr|es|it|nl|at|ch|ca|au|in|me|ly|dev|ai|"
    r"gg|tv|xyz|online|site|blog|cloud|be|br|cn|cz|dk|fi|gr|hu|ie|jp|mx|nz|pl|pt|ro|ru|se|tr|ua|za)"
)
_LINK = regex.compile(
    r"\b(?:https?://|www\.)\S+"
    rf"|\b(?:[\w-]{{1,63}}\.){{1,5}}(?:\p{{L}}{{2,24}}/\S+|{_TOP}\b(?:/\S*)?)",
    regex.IGNORECASE,
)
"""Presidio's own pattern for links takes seconds on a line of dots."""
_PART = r"[\w%+'’-]++"
_WRITTEN_DOT = r"(?:\.|\s*+[(\[{]\s*+dot\s*+[)\]}]\s*+|\s+dot\s+)"
_DOT = rf"(?:{_WRITTEN_DOT}|\s+\.\s*+)"
_WRITTEN_AT = r"\s*+[(\[{]\s*+(?:at|@)\s*+[)\]}]\s*+"
_DOMAIN = rf"(?:{_PART}(?:{_DOT}{_PART})*?{_DOT}{_TOP}\b|{_PART}(?:\.{_PART})*\.\p{{L}}{{2,}}\b)"
_MAIL = regex.compile(
    rf"(?<![\w%+'’-]){_PART}(?:{_DOT}{_PART})*+"
    rf"(?:(?:\s*+@\s*+|{_WRITTEN_AT}){_DOMAIN}"
    rf"|(?:@(?=\p{{L}})|{_WRITTEN_AT}){_PART}(?:{_WRITTEN_DOT}{_PART})*"
    rf"|\s+at\s+{_PART}(?:{_DOT}{_PART})*?\s+dot\s+{_TOP}\b)",
    regex.IGNORECASE,
)
"""Mail addresses as people write them who know that machines read: anna (at) example dot com. With
spaces around a plain @ only before a domain: dinner is @ noon."""
_LONG_NUMBER = regex.compile(r"\+?\d(?:[\s()./·\p{Pd}]{0,2}\d){3,}")
_CODE = regex.compile(r"\b(?=[\w/-]*\d)(?=[\w/-]*\p{L})[\w/-]*\w")
_AFTER_CUE = regex.compile(
    r"\b(?:pin|cvv|cvc|code|password|passcode|pass|number|no|nr|id|account|ref(?:erence)?|zip|postcode|"
    r"born|dob|birthday)\b[\s.:#=]*+(?:(?:is|was|on)\b[\s.:#=]*+)?(?P<it>[^\s\d]{0,20}\d(?:\S*\w)?)",
    regex.IGNORECASE,
)
_MONTH = (
    r"(?:jan|f[eé][bv]|m[aä]r|mrz|a[pvb]r|ma[iyjg]|mei|ju[nil]|giu|lug|aug|ao[uû]|ago|sep|set|o[ck]t|ott|"
    r"outu|nov|d[eé][cz]|dic|ene|gen)\p{L}*+\.?"
)
_OF_BIRTH = (
    r"(?:[\s:,;=(#?-]|['’]s\b"
    r"|\b(?:is|was|on|in|the|of|date|year|a|à|am|el|en|le|il|der|den|es|ist|war|\p{L}+day)\b)*+"
)
_BIRTH = (
    r"\b(?:(?:d\.?o\.?b|geb)\b\.?|(?:born|birth\w*|b-?day|geboren|geburts\w+|n[ée]e?s?|"
    r"nac[ií](?!on)\w*|nasc\w+|nat[oaie]|naissance)\b)"
)
_DATE = (
    rf"(?:(?:\d{{4}}[\s,/-]++)?+(?:\d{{1,2}}(?:st|nd|rd|th|er|o|\.)?[\s/-]*+(?:(?:of|de|di)\s+)?{_MONTH}"
    rf"|{_MONTH}[\s,/-]*+(?:the\s+)?\d{{1,4}}(?:st|nd|rd|th)?\b)"
    r"(?:[\s,/-]*+(?:del?\s+|of\s+)?['’]?\d{2,4}\b(?![:%]))?"
    r"|\d{1,4}[./-]\d{1,2}\b(?:[./-]\d{2,4}\b)?|\d{1,2}(?:st|nd|rd|th)\b)"
)
_BORN = regex.compile(
    rf"{_BIRTH}{_OF_BIRTH}"
    rf"(?:(?<=\b(?:in|en|à|a)\s)\p{{L}}++(?:\s\p{{L}}++)?{_OF_BIRTH})??(?P<it>{_DATE})",
    regex.IGNORECASE,
)
"""Between the word and the date stand only words such as "is on the", or a place: "it's my birthday so i
fly on 3 may" tells when somebody travels."""
_ANY_DATE = regex.compile(rf"(?<![\w.,/]){_DATE}", regex.IGNORECASE)
_WHEN = r"\b(?:when|wh(?:at|ich)\s(?:day|date|year|time)|wann|quand|cu[aá]ndo|quando)\b"
_BIRTH_DATE = (
    r"\b(?:d\.?o\.?b|(?:date|day|year)s?\sof\sbirth|birth[\s-]?dates?|geburtsdat\w+|dates?\sde\snaissance"
    r"|fechas?\sde\snacimiento|datas?\s(?:de\snascimento|di\snascita))\b"
)
_BIRTHDAY = (
    r"\b(?:birthday|b-?day|geburtstag)\b(?!['’]?s?\s(?:ca(?:ke|rd)|deal|discount|gift|offer|order|parcel"
    r"|party|present|sale|surprise|trip|voucher))"
)
_ASKS_BIRTH = regex.compile(
    rf"{_WHEN}[^?]{{0,80}}(?:\b(?:born|geboren|née?s?|nac[ií](?!on)\w*|nasc\w+|nat[oaie])\b|{_BIRTHDAY})"
    rf"|{_BIRTH_DATE}[^?]{{0,80}}[?:]\s*$|\byour\s{_BIRTHDAY}[^?]{{0,80}}\?\s*$"
    rf"|^\W*(?:(?:and|the|your)\s)*{_BIRTH_DATE}\W*$"
    r"|\b(?:please|tell|give|needs?|confirm|provide|enter|bitte|nennen)\b[^?]{0,80}"
    rf"(?:{_BIRTH_DATE}|\byour\s{_BIRTHDAY})|{_BIRTH_DATE}[^?]{{0,80}}\b(?:please|bitte)\b",
    regex.IGNORECASE,
)
"""Asks for a date of birth, in one sentence."""
_ASKS_WHEN = regex.compile(rf"{_WHEN}[^?]{{0,200}}\?\s*$", regex.IGNORECASE)
_MINE = regex.compile(r"\b(?:my|mein\w*|mon|mi|meu|minha|mio|mia)\b", regex.IGNORECASE)
"""Of whom a birth is that whoever speaks tells of, or asks to have changed."""
_ASKED_FOR = 3
"""Lines after a question in which its answer is looked for: somebody may first ask what it is for."""
_FOR_ACCESS = r"(?:pass(?:word|wort|code|phrase)|kennwort|secret|contraseña|mot de passe)"
_PASSWORD = regex.compile(
    rf"\b(?:(?P<sure>{_FOR_ACCESS}\s*(?:(?:is|was|lautet)\b\s*)?[:=]++)|{_FOR_ACCESS}\s+(?:is|was|lautet)\b"
    rf"|(?:pwd?|pass)\s*[:=]++)\s*(?P<it>\S+(?:\s+\S+){{0,5}})"
    rf"|\b(?P<bare>pass(?:word|wort)|pwd?)\s+(?P<it>\p{{L}}{{4,}}+)(?=\s*(?:$|[.,;!?\n]))",
    regex.IGNORECASE,
)
"""After the `sure` words any word is one; a `bare` one stands alone before the end of a clause."""
_OF_PASSWORDS = regex.compile(r"(?:ed|ing|n['’]?t)$")
"""How words end that say what became of a password: expired, missing, doesn't."""
_LETTERS = regex.compile(
    r"\b(?:code|ref(?:erence)?|booking|reservation|confirmation|pnr|locator|account|voucher)s?\b"
    r"(?:[\s.:#=-]|\b(?:code|ref|reference|number|no|nr|id|locator|pnr|is|was|are)\b)*+"
    r"(?P<it>(?-i:\p{Lu}{4,}+))\b",
    regex.IGNORECASE,
)
"""A code without a digit, which only the words before it tell from a shouted word."""
_OF_STREET = r"\p{L}[\p{L}'’.-]*+"
_OF_PLACE = (
    r"(?!(?:a|an|and|are|at|but|by|car|days?|dollars?|down|euros?|for|from|hours?|i|if|in|is|it|items?|km|"
    r"miles?|min(?:ute)?s?|months?|more|my|not|of|on|or|our|people|pounds?|so|that|the|theme|they|this|"
    rf"times?|to|until|up|was|we|weeks?|were|when|with|within|years?|you|your)\b){_OF_STREET}"
)
_STREET = regex.compile(
    rf"\b\d{{1,5}}\s?[a-z]?,?\s+(?:(?:{_OF_STREET}\s+){{1,4}}"
    r"(?:street|st|road|rd|avenue|ave|lane|ln|dr|ct|sq|boulevard|blvd|pl|terrace|crescent|grove|mews|"
    rf"parkway|cir)|(?:the|{_OF_PLACE})\s+(?:{_OF_PLACE}\s+){{0,3}}"
    r"(?:circle|close|court|drive|gardens|hill|park|place|square|trail|way))\b\.?"
    r"|\b(?:(?:rue|avenue|via|calle|avenida|paseo|plaza|piazza)\s+|c/\s*)"
    rf"(?:{_OF_PLACE}(?<!\.),?\s+){{1,4}}\d{{1,5}}\b"
    r"|\b\p{L}[\p{L}-]*\s?(?:straße|strasse|str\.|weg|platz|markt|gasse|allee|ring|damm|ufer|straat|laan|"
    r"gatan)\s+\d{1,5}(?:\s?[a-z])?\b",
    regex.IGNORECASE,
)
"""Where the last word is an everyday one, no "hours in the" stands between it and the number."""
_NAME = r"(?P<it>(?:\p{L}[\p{L}\p{M}'’.-]*)(?:\s+\p{L}[\p{L}\p{M}'’.-]*){0,3})"
_NAME_CUE = regex.compile(
    r"\b(?:(?P<sure>my (?:\w+ )?name(?:['’]s| is| was)|(?:last|first|sur|family|full|maiden)\s?names?"
    r"(?: is| was)|name\s*[:=]|names?(?:['’]s| is)|mrs?\.?|ms\.?|dr\.?|herr|frau"
    r"|(?:in|under) the name(?: of)?)|miss|my name|(?:last|first|sur|family|full|maiden)\s?names?)"
    rf"[\s:=,-]+{_NAME}",
    regex.IGNORECASE,
)
"""Words after which a name stands, in whatever letters; after `sure` ones it may be an ordinary word."""
_I_AM = regex.compile(rf"\b(?:this is|i['’]?m|i am)\s+{_NAME}", regex.IGNORECASE)
_AFTER_I_AM = regex.compile(
    r"\s*+(?:$|[.,!;)\n]|(?:and|from|here|again|speaking|calling|writing|my|i)\b)", regex.IGNORECASE
)
"""What follows a name in "i'm anna and ..."; in "i'm fed up" no name stands."""
_HERE = regex.compile(
    r"(?:^|[.,!?\n]|\b(?=it['’]?s\b))(?:[\s,]*+\b(?:hi|hello|hey|it['’]?s)\b)*+[\s,]*+"
    r"(?P<it>\p{L}[\p{L}\p{M}'’-]*+(?:\s+\p{L}[\p{L}\p{M}'’-]*+)?)\s+(?:again\s+)?(?:here|speaking)\b",
    regex.IGNORECASE,
)
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}'’-]*")
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
_DESK = frozenset(
    regex.findall(
        r"\S+",
        "asap link edit cash press server valid unknown fares fee date post parts sales weeks comment "
        "carrier sad odd fed spelled spelt misspelled speaking calling writing surname incorrect "
        "invalid reset recovery problem problems issues error screen login twice correctly anymore",
    )
)
"""Everyday words of chats that stand in lists of names, or where names and passwords stand."""
_HOW = frozenset(
    regex.findall(
        r"\S+",
        "bare blank brand bright bull cross fair fit fresh grand gross hasty held hell hurt junk "
        "lucid petty sane savage sharp smart solar stark stern stout supple swift vain warmer wild wise",
    )
)
"""How people and things are: last names too, but none in "i'm hurt" or "this is junk"."""


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
                        found[kind].update(w.casefold() for w in words(value) if len(w) > 2)
    return frozenset(found["first"]), frozenset(found["last"])


@lru_cache(maxsize=1)
def _common_words() -> frozenset[str]:
    """Some 1,200 everyday English words, which open a sentence with a capital without being names."""
    from spacy.lang.en.stop_words import STOP_WORDS

    lorem = importlib.import_module("faker.providers.lorem.en_US").Provider
    return frozenset(w.casefold() for w in (*lorem.word_list, *STOP_WORDS)) | _KEPT | _DESK


def normal(text: str) -> str:
    """A text as masking reads it, and as it is written afterwards: each letter in one way (NFKC), and
    nothing invisible within words, for a soft hyphen or half an accent would part a name in two.
    """
    visible = regex.sub(r"\p{Cf}+", "", text)
    # Left alone is what NFKC would make a code of (m²), or a space and a lone accent (I´m).
    return regex.sub(r"[^²³´]+", lambda match: unicodedata.normalize("NFKC", match[0]), visible)


def words(text: str) -> list[str]:
    """The words of a text as masking takes them: Coca-Cola is one."""
    return _WORD.findall(text)


def bare(word: str) -> str:
    """A word as masking compares it: in small letters, without the s of the genitive."""
    return regex.sub(r"['’]s?$", "", word).casefold()


def lower_words(texts: Iterable[str]) -> frozenset[str]:
    """The words that stand in small letters in at least two texts: ordinary ones, not names.

    Left out is what may be a name written small: what stands in a list of names, or in a tenth of its
    texts or more after words such as "my name is".
    """
    lines = list(texts)
    seen: Counter[str] = Counter()
    for text in lines:
        seen.update({word for word in words(text) if word == word.lower()})
    small = frozenset(word for word, count in seen.items() if count > 1)
    told: Counter[str] = Counter()
    for text in lines:
        told.update({bare(text[start:end]) for start, end in _introduced(text, small)})
    names = frozenset().union(*_name_lists()) - _common_words()
    return frozenset(word for word in small - names if told[word] * 10 < seen[word])


def _introduced(
    text: str, ordinary: frozenset[str], kept: frozenset[str] = frozenset()
) -> list[tuple[int, int]]:
    """Where names stand that the words around them introduce, one span a word."""
    first, last = _name_lists()
    common = _common_words()

    def run(match: regex.Match[str], sure: bool = False) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for word in _WORD.finditer(text, *match.span("it")):
            plain = bare(word[0])
            usual = plain in ordinary and plain not in first and plain not in last
            if word[0] == word[0].lower() and (
                plain in common or plain in kept or (usual and (found or not sure))
            ):
                break  # "my name is anna and ...": the name ends where the sentence goes on.
            found.append(word.span())
        return found

    def named(found: Sequence[tuple[int, int]]) -> bool:
        plain = bare(text[slice(*found[0])]) if found else ""
        return (plain in first or (plain in last and plain not in _HOW)) and plain not in common

    # Overlapped, for the words after one cue may hold the next: "for mr and mrs smith".
    spans = [
        span
        for match in _NAME_CUE.finditer(text, overlapped=True)
        for span in run(match, bool(match["sure"]))
    ]
    for match in _I_AM.finditer(text, overlapped=True):
        found = run(match)
        if named(found) and _AFTER_I_AM.match(text, found[-1][1]):
            spans += found
    for match in _HERE.finditer(text, overlapped=True):
        found = run(match)
        if named(found):
            spans += found
    return spans


@dataclass
class Masker:
    """Masks the texts of one chat: the same value always becomes the same placeholder.

    Args:
        ordinary: words known to be no names, in small letters (`lower_words` of the whole file).
        kept: words and codes that may stand though they look like names: the firm's own and its
            products', in small letters.
    """

    ordinary: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _people: set[tuple[str, ...]] = field(default_factory=set)

    def mask(self, texts: Sequence[str]) -> list[str]:
        """Mask the texts of the chat, all at once: a name told in one line is known in all others.

        Raises:
            EnvironmentFault: where the libraries that masking needs are not installed.
        """
        texts = [normal(text) for text in texts]
        spans = [
            self._spans(text, answers)
            for text, answers in zip(texts, _of_births(texts), strict=True)
        ]
        told = {
            bare(word)
            for text, found in zip(texts, spans, strict=True)
            for start, end, kind in found
            if kind == "name"
            for word in words(text[start:end])
        } - self.kept - _common_words()  # fmt: skip
        whole: list[list[tuple[int, int, str]]] = []
        for text, found in zip(texts, spans, strict=True):
            again = [
                (match.start(), match.end(), "name")
                for match in _WORD.finditer(text)
                if len(match[0]) > 2 and bare(match[0]) in told
            ]
            whole.append(_merged([*found, *again]))
            self._people |= {_bare_words(text[s:e]) for s, e, kind in whole[-1] if kind == "name"}
        return [self._replaced(text, found) for text, found in zip(texts, whole, strict=True)]

    def _spans(self, text: str, answers: bool) -> list[tuple[int, int, str]]:
        """What is to be masked in a line; where it `answers` when somebody was born, its date too."""
        amounts = [match.span() for match in _AMOUNT.finditer(text)]
        found: list[tuple[int, int, str]] = []
        for recognizer in _recognizers():
            results: list[Any] = recognizer.analyze(text, recognizer.supported_entities, None) or []  # type: ignore[arg-type]
            found += [(r.start, r.end, _OF_ENTITY[r.entity_type]) for r in results]
        for pattern, kind in (
            (_MAIL, "mail"),
            (_LINK, "link"),
            (_STREET, "address"),
            (_LONG_NUMBER, "number"),
            (_CODE, "code"),
        ):
            for match in pattern.finditer(text):
                if not _SHORT.fullmatch(match[0]):
                    found.append((*match.span(), kind))
        for pattern in (_AFTER_CUE, _BORN):
            found += [(*match.span("it"), "number") for match in pattern.finditer(text)]
        if answers and (match := _ANY_DATE.search(text)):
            found.append((*match.span(), "number"))
        found += [(*span, "code") for span in self._passwords(text)]
        loud = self._loud(text)
        for match in _LETTERS.finditer(text):
            plain = match["it"].casefold()
            if plain not in _common_words() and not (loud and plain in self.ordinary):
                found.append((*match.span("it"), "code"))
        formed = [
            (start, end, kind)
            for start, end, kind in found
            if kind in ("mail", "link", "address")
            or (
                text[start:end].casefold() not in self.kept
                and not any(a <= start and end <= b for a, b in amounts)
            )
        ]
        return [*formed, *self._names(text)]

    def _passwords(self, text: str) -> list[tuple[int, int]]:
        """Where passwords stand: after a colon any word is one, elsewhere only an unusual one."""
        found: list[tuple[int, int]] = []
        for match in _PASSWORD.finditer(text):
            start = end = match.start("it")
            for token in regex.finditer(r"\S+", match["it"]):
                plain = regex.sub(r"^\W+|\W+$", "", token[0]).casefold()
                usual = plain in _common_words() or _OF_PASSWORDS.search(plain)
                if match["bare"]:
                    usual = usual or plain in self.ordinary
                if usual and not (match["sure"] and end == start):
                    break
                end = start + token.end()
                if not regex.fullmatch(r"\W?\p{L}+", token[0]):
                    break  # Only words go on as a phrase: "hunter2 cant log in".
            if end > start:
                found.append((start, end))
        return found

    def _loud(self, text: str) -> bool:
        """Whether a whole line is shouted, so that capitals tell nothing of a word."""
        long = [word for word in words(text) if len(word) > 1]
        shouted = [bare(word) for word in long if word.isupper()]
        return len(shouted) * 2 > len(long) and any(
            word in self.ordinary or word in _common_words() for word in shouted
        )

    def _names(self, text: str) -> list[tuple[int, int, str]]:
        first, last = _name_lists()
        common = _common_words()
        found: list[tuple[int, int, str]] = [
            (start, end, "name") for start, end in _introduced(text, self.ordinary, self.kept)
        ]
        loud = self._loud(text)
        every = list(_WORD.finditer(text))
        for position, word in enumerate(every):
            plain = bare(word[0])
            if plain in self.kept or plain in _KEPT:
                continue
            listed = plain in first or plain in last
            if word[0][0].isupper():
                shouted = len(word[0]) > 1 and word[0].isupper()
                opens = bool(_STARTS.search(text, 0, word.start())) or word.start() == 0
                known = plain in common or plain in self.ordinary
                if (opens or shouted) and known:
                    continue
                if shouted and not listed and (loud or len(word[0]) < 4):
                    continue
                found.append((*word.span(), "name"))
            elif plain in first and plain not in common and position + 1 < len(every):
                after = every[position + 1]
                if bare(after[0]) in last and text[word.end() : after.start()] == " ":
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
        plain = regex.sub(r"[^\p{L}\p{M}\p{N}]+", "", value).casefold()
        if kind == "name":
            plain = " ".join(self._person(_bare_words(value)))
        if (kind, plain) not in self._numbers:
            self.counts[kind] += 1
            self._numbers[kind, plain] = self.counts[kind]
        return f"[{kind} {self._numbers[kind, plain]}]"

    def _person(self, name: tuple[str, ...]) -> tuple[str, ...]:
        """Who is meant: a name of one word is that of the only person whose longer name holds it."""
        bearers = [one for one in self._people if len(one) > 1 and set(name) <= set(one)]
        return bearers[0] if len(name) == len(bearers) == 1 else name


def _of_births(texts: Sequence[str]) -> list[bool]:
    """Of each line of a chat whether the date in it answers when somebody was born: the first one after
    the question, unless it says itself whether it is of a birth, or another date was asked for since.
    """
    answers: list[bool] = []
    left = 0
    for text in texts:
        told = _BORN.search(text) is not None
        answers.append(left > 0 and not told and _ANY_DATE.search(text) is not None)
        left = 0 if told or answers[-1] else left - 1
        for sentence in regex.split(r"(?<=[.!?])\s+|\n", text):
            if _ASKS_BIRTH.search(sentence) and not _MINE.search(sentence):
                left = 0 if _BORN.search(sentence) else _ASKED_FOR
            elif _ASKS_WHEN.search(sentence):
                left = 0
    return answers


def _bare_words(value: str) -> tuple[str, ...]:
    return tuple(bare(word) for word in words(value))


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
