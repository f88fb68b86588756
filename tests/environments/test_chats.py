"""Real chats become a firm in which nothing personal is left, whatever the file holds."""

from __future__ import annotations

import json
import re
import tempfile
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import world
from commands import tutelage
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tutelage.environments import EnvironmentFault, StateCheck, load_environment
from tutelage.environments.importing.chat_files import Columns, read_chats
from tutelage.environments.importing.chats import _LENGTHS, _MOODS, import_chats
from tutelage.environments.importing.masking import Masker, _common_words, lower_words
from tutelage.graphs.play.dialogue import compile_dialogue

CHAT = [
    ("assistant", "Hello, this is Karen speaking, what can I do?"),
    ("user", "Hello, my name is Xhevahire Krasniqi and my flight LK144 was cancelled. "),
    ("user", "I have waited six hours and I want the refund of 240 euros."),
    ("assistant", "I am sorry, Ms Krasniqi. What is your booking code?"),
    ("user", "K7P2QX. Or write to me: x.krasniqi@example.co.uk or +44 7911 123456."),
    ("assistant", "We can rebook you for tomorrow."),
    ("user", "Tomorrow is no good, krasniqi family waits, pay DE89 3704 0044 0532 0130 00 in 7 days"),
    ("assistant", "Done, a letter comes to 12 Baker Street."),
    ("user", "Thank you, bye."),
]  # fmt: skip
SECRETS = ["krasniqi", "xhevahire", "karen", "lk144", "k7p2qx", "example.co", "7911", "3704",
           "baker", "123456"]  # fmt: skip


def jsonl(path, *chats):
    lines = [
        json.dumps({"messages": [{"role": r, "content": c} for r, c in chat]}) for chat in chats
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def written(folder: Path) -> str:
    """All that lies on disk under a folder, in small letters, with names of files."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    texts = (f"{path}\n{path.read_bytes().decode(errors='replace')}" for path in files)
    return "\n".join(texts).casefold()


def test_a_chat_becomes_scenarios_states_and_a_persona_with_nothing_personal(tmp_path):
    made = import_chats(jsonl(tmp_path / "c.jsonl", CHAT), tmp_path / "out" / "firm", states=5)
    firm = load_environment(made.folder)
    text = written(tmp_path / "out")
    assert [secret for secret in SECRETS if secret in text] == []
    assert "240 euros" in text and "in 7 days" in text, "what the policy speaks of stays"
    start = firm.scenarios["chat_0001"]
    assert start.opening.startswith(
        "Hello, my name is [name 1] and my flight [code 1] was cancelled."
    )
    assert start.goal.endswith("I want the refund of 240 euros.")
    assert start.history == [] and start.source == "chat"
    assert start.origin == "the chat that begins in line 1 of the file, masked"
    assert set(firm.scenarios) == {"chat_0001", "chat_0001_turn_2", "chat_0001_turn_3"}
    later = firm.scenarios["chat_0001_turn_3"]
    assert [turn.speaker for turn in later.history] == ["customer", "student"] * 2 + ["customer"]
    assert later.history[-1].text.startswith("Tomorrow is no good, [name 1] family waits")
    (persona,) = firm.personas.values()
    assert start.personas == [persona.name] and persona.patience == 5
    assert made.masked["name"] >= 2 and made.masked["mail"] == 1
    assert "Words in square brackets" in firm.policy.text


def test_the_name_of_the_file_reaches_no_scenario(tmp_path):
    source = jsonl(tmp_path / "anna.schmidt@example.com +49 171 2345678.jsonl", CHAT)
    import_chats(source, tmp_path / "out" / "firm")
    text = written(tmp_path / "out").replace(str(tmp_path).casefold(), "")
    assert [part for part in ("anna", "schmidt", "2345678") if part in text] == []


async def test_the_student_answers_from_a_state_of_the_log(tmp_path):
    says = world.TROUBLES["stranded"][1]
    chat = [("user", f"Hello, {says}, please."), ("assistant", "What?"), ("user", f"I said {says}!"),
            ("assistant", "Oh."), ("user", "I give up")]  # fmt: skip
    made = import_chats(jsonl(tmp_path / "c.jsonl", chat), tmp_path / "firm")
    firm = load_environment(made.folder)
    desk = world.seat(firm, None)
    end = await compile_dialogue(desk, 1).ainvoke({"scenario": "chat_0001_turn_2"})
    assert [turn["text"] for turn in end["turns"][:3]] == [text for _, text in chat[:3]]
    assert end["turns"][3]["speaker"] == "student" and end["turns"][3]["text"].startswith(
        world.DULL
    )
    assert len(end["judgement"]["turn_scores"]) == 1


words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=9)
TEMPLATES = {
    "name": ("hello i am waiting for {} since today", "My name is {} and i wait", "{} wrote to me",
             "Dear Mrs {}, it is done", "name: {}", "that is what {} said", "best regards, {}"),
    "number": ("my number is {}", "call {} please", "{}", "it was ({}), i think", "account {}!"),
    "mail": ("write to {}", "<{}>", "{} is my mail", "mail:{}"),
    "code": ("my code {} does not work", "{}", "order {}.", "it says '{}' here"),
    "address": ("i live at {} since may", "send it to {}!"),
}  # fmt: skip
SECRET = {
    "name": words.map(str.capitalize),
    "number": st.one_of(
        st.from_regex(r"[1-9]\d{5,15}", fullmatch=True),
        st.from_regex(r"\+44 7\d{3} \d{6}", fullmatch=True),
        st.from_regex(r"0\d{2}[ -]\d{3}[ -]\d{4}", fullmatch=True),
        st.from_regex(r"4\d{3} \d{4} \d{4} \d{4}", fullmatch=True),
    ),
    "mail": st.builds(lambda a, b: f"{a}.{b}@{b}.com", words, words),
    "code": st.from_regex(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{2,4}", fullmatch=True),
    "address": st.builds(lambda n, w: f"{n} {w.capitalize()} Street", st.integers(1, 999), words),
}
KIND = st.sampled_from(sorted(TEMPLATES))


@given(st.lists(KIND.flatmap(lambda k: st.tuples(st.just(k), st.integers(0, 6), SECRET[k])),
                min_size=1, max_size=6), st.booleans())  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_masked_secrets_never_reach_the_disk(told, as_csv):
    # Words that our own personas and scenarios are written in are no sign of a leak.
    common = _common_words() | {*re.findall(r"[a-z]+", f"{_LENGTHS} {_MOODS}".casefold())}
    secrets: list[str] = []
    lines: list[tuple[str, str]] = [("user", "i want a refund of 20 euros please")]
    for number, (kind, template, secret) in enumerate(told):
        parts = secret.split() if kind == "address" else [secret]
        assume(not any(part.casefold() in common for part in parts))
        form = TEMPLATES[kind][template % len(TEMPLATES[kind])]
        lines.append((("user", "assistant")[number % 2], form.format(secret)))
        secrets.append(secret.split()[1] if kind == "address" else secret)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if as_csv:
            source = folder / "c.csv"
            rows = [f'1,{role},"{text}"' for role, text in lines]
            source.write_text("conversation_id,speaker,text\n" + "\n".join(rows) + "\n")
        else:
            source = jsonl(folder / "c.jsonl", lines)
        made = import_chats(source, folder / "out" / "firm", states=10)
        text = written(folder / "out").replace(str(folder).casefold(), "")
    digits = "".join(c for c in text if c.isalnum())
    for secret in secrets:
        assert secret.casefold() not in text, secret
        if secret[-1].isdigit():
            assert "".join(c for c in secret if c.isalnum()).casefold() not in digits, secret
    assert made.chats == 1
    assert "20 euros" in text


def test_ordinary_words_stay():
    lines = ["Unfortunately your parcel did not arrive on Monday. We refund 45 euros within 7 days.",
             "I WANT MY MONEY BACK and i want it by 14:00 on 3 March, not in 24h or 50% of it",
             "Will you help me? This is ridiculous. Parcel and order, that is all."]  # fmt: skip
    ordinary = lower_words([*lines, "parcel order", "the ridiculous parcel order", "ridiculous"])
    assert Masker(ordinary=ordinary).mask(lines) == lines


def test_a_name_told_once_is_masked_in_every_line_and_stays_the_same_person():
    masked = Masker().mask(
        ["my name is xhevahire krasniqi", "so krasniqi again", "Ask Zoltan about it"]
    )
    assert masked == ["my name is [name 1]", "so [name 1] again", "Ask [name 2] about it"]


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["I am Anna Schmidt, my husband is Bob Schmidt", "Bob paid, Anna did not, says Schmidt"],
         ["I am [name 1], my husband is [name 2]",
          "[name 2] paid, [name 1] did not, says [name 3]"]),
        (["it was Schmidt who called", "I mean Anna Schmidt's", "Anna Schmidt"],
         ["it was [name 1] who called", "I mean [name 1]", "[name 1]"]),
    ],
)  # fmt: skip
def test_only_who_bears_both_names_is_the_same_person(lines, left):
    assert Masker().mask(lines) == left


DECOMPOSED = ["My name is Jürgen Mu\u200b\u0308ller.", "I spoke with José Hernández",
              "Ms Nguyễn Thị Hằng", "my name is अनिता शर्मा"]  # fmt: skip


@pytest.mark.parametrize("line", DECOMPOSED)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_masked_whole_however_its_accents_are_written(line, form):
    (found,) = Masker().mask([unicodedata.normalize(form, line)])
    assert re.fullmatch(r"(My name is|I spoke with|Ms|my name is) \[name 1\]\.?", found), ascii(
        found
    )


@pytest.mark.parametrize(
    "mail",
    [
        "anna.sch\u00admidt@exam\u200bple.com", "anna.schmidt＠example.com",
        "anna.schmidt (at) example.com", "anna.schmidt[at]mail (dot) example (dot) com",
        "anna . schmidt @ example . com", "anna.schmidt@localhost", "anna.schmidt @example.com",
        "anna.schmidt@ example.com", "anna DOT schmidt AT example DOT com",
    ],
)  # fmt: skip
def test_a_mail_address_is_masked_however_it_is_written(tmp_path, mail):
    chat = [("user", f"the parcel is late, so write to {mail} or call")]
    made = import_chats(jsonl(tmp_path / "c.jsonl", chat), tmp_path / "firm")
    opening = load_environment(made.folder).scenarios["chat_0001"].opening
    assert opening == "the parcel is late, so write to [mail 1] or call"


def test_what_is_no_mail_address_stays():
    lines = ["we meet @ noon, two of them @ 9.99 euros each", "look at the dot",
             "it is late. i´m waiting at home . thanks", "5 m² at 100 %"]  # fmt: skip
    assert Masker(ordinary=frozenset(["noon"])).mask(lines) == lines


def test_product_names_of_the_firm_are_kept(tmp_path):
    chat = [("user", "is the MagicMixer in stock, and does Zoltan know")]
    made = import_chats(jsonl(tmp_path / "c.jsonl", chat), tmp_path / "f", keep=["MagicMixer"])
    text = written(made.folder)
    assert "magicmixer" in text and "zoltan" not in text


HOSTILE = [
    (b"{broken\n", "line|:2: is broken JSON"),
    (b"[1, 2]\n", "holds no list of messages"),
    (b'{"messages": "none"}\n', "messages: holds no list"),
    (
        b'{"messages": [{"role": "usr", "content": "x"}]}\n',
        r"messages\.0\.role.*did you mean 'user'",
    ),
    (b'{"messages": [{"role": "user", "content": 7}]}\n', r"messages\.0\.content: is no text"),
    (b'{"messages": [{"role": "assistant", "content": "x"}]}\n', "holds no customer's line"),
    (b'{"messages": [' + b"[" * 100_000 + b"\n", "nested too deep|broken JSON"),
    (b'{"messages": ' + b"9" * 10_000 + b"}\n", "number too long"),
    (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}\n', "is not UTF-8"),
    (b'{"messages": [{"role": "user", "content": "' + b"x" * 1_100_000 + b'"}]}\n', "longer than"),
    (b"\x00\x00\n", "broken JSON"),
]


@pytest.mark.parametrize(("line", "said"), HOSTILE)
def test_a_broken_line_is_named_refused_or_skipped(tmp_path, line, said):
    path = tmp_path / "c.jsonl"
    good = json.dumps({"messages": [{"role": "user", "content": "i want a refund"}]}).encode()
    path.write_bytes(good + b"\n" + line + good + b"\n")
    with pytest.raises(EnvironmentFault, match=said) as caught:
        import_chats(path, tmp_path / "firm")
    assert "c.jsonl:2: " in str(caught.value) and "--skip-broken" in str(caught.value)
    assert not (tmp_path / "firm").exists()
    chats, left_out = read_chats(path, Columns(), skip_broken=True)
    assert [chat.line for chat in chats] == [1, 3]
    assert [problem.line for problem in left_out] == [2]


def test_parts_tools_and_system_messages_are_read_as_openai_writes_them(tmp_path):
    path = tmp_path / "c.jsonl"
    messages = [
        {"role": "system", "content": "secret system text"},
        {"role": "user", "content": [{"type": "text", "text": "i want"}, {"type": "image_url"},
                                     {"type": "text", "text": "a refund"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "row 7"},
        {"role": "assistant", "content": "which one?"},
    ]  # fmt: skip
    path.write_text(json.dumps({"messages": messages}))
    ((chat,), _) = read_chats(path, Columns())
    assert [(t.speaker, t.text) for t in chat.turns] == [
        ("customer", "i want a refund"), ("student", "which one?")
    ]  # fmt: skip


def test_csv_columns_are_mapped_and_wrong_ones_named(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        'ticket;who;body\n1;Client;"i want; a\nrefund"\n1;Zoltan;no\n2;Client;help me\n'
    )
    with pytest.raises(EnvironmentFault) as caught:
        import_chats(path, tmp_path / "firm", columns=Columns(conversation="tickets"))
    assert caught.value.exit_code == 2
    assert "did you mean 'ticket'?" in str(caught.value) and "--speaker-column" in str(caught.value)
    mapped = Columns("ticket", "who", "body")
    with pytest.raises(EnvironmentFault, match=r"c\.csv:4: who: .*--customer NAME") as caught:
        import_chats(path, tmp_path / "firm", columns=mapped)
    assert "Zoltan" not in str(caught.value)
    made = import_chats(path, tmp_path / "firm", columns=Columns("ticket", "who", "body", "client"))
    assert made.chats == 2
    assert load_environment(made.folder).scenarios["chat_0001"].opening == "i want; a refund"


def test_a_csv_row_that_is_broken_is_named(tmp_path):
    path = tmp_path / "c.csv"
    long = "x" * 1_100_000
    rows = [
        "conversation_id,speaker,text",
        "1,user,hello there",
        "1",
        f"1,user,{long}",
        "1,user,again",
    ]
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(EnvironmentFault) as caught:
        import_chats(path, tmp_path / "firm")
    assert "c.csv:3: has 1 columns" in str(caught.value) and "c.csv:4: is longer" in str(
        caught.value
    )
    (chat,), _ = read_chats(path, Columns(), skip_broken=True)
    assert chat.turns[0].text == "hello there again"


def test_chats_are_split_apart_and_repeated_ones_count_once(tmp_path):
    nouns = ["sofa", "lamp", "desk", "oven", "rug", "bed", "door", "shelf", "mirror", "bench"]
    chats = [
        [
            ("user", f"i want to return my {noun}"),
            ("assistant", "why?"),
            ("user", f"the {noun} broke"),
            ("assistant", "ok"),
        ]
        for noun in nouns
    ]
    made = import_chats(jsonl(tmp_path / "c.jsonl", *chats, *chats), tmp_path / "firm")
    assert (made.chats, made.found) == (10, 20)
    firm = load_environment(made.folder)
    assert {split: len(ids) for split, ids in firm.config.splits.items()} == {
        "train": 14, "validation": 2, "test": 4
    }  # fmt: skip
    of_chat = {id_[:9]: firm.split_of(id_) for id_ in firm.scenarios}
    assert all(firm.split_of(id_) == of_chat[id_[:9]] for id_ in firm.scenarios)


def test_the_command_says_what_it_did_and_what_to_do(tmp_path):
    source = jsonl(tmp_path / "c.jsonl", CHAT)
    done = tutelage("env", "import", "chats", source, "--out", "mine", "--env", "airline", "--json",
                    cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["chats"], told["scenarios"], told["states"]) == (1, 1, 1)
    firm = load_environment(tmp_path / "mine")
    assert "R5" in firm.policy.rules and firm.handbook and firm.config.agent.startswith("Mia")
    again = tutelage("env", "import", "chats", source, "--out", "mine", cwd=tmp_path)
    assert again.returncode == 1 and "already" in again.stderr
    more = jsonl(tmp_path / "more.jsonl", CHAT, CHAT, CHAT)
    few = tutelage("env", "import", "chats", more, "--out", "few", "--limit", 2, cwd=tmp_path)
    assert "2 of the file's 3 chats are read (--limit)" in few.stderr
    gone = tutelage("env", "import", "chats", "no.jsonl", "--out", "x", cwd=tmp_path)
    assert gone.returncode == 2 and "no.jsonl" in gone.stderr and "Traceback" not in gone.stderr


def test_without_presidio_nothing_is_imported(tmp_path, monkeypatch):
    import sys

    from tutelage.environments.importing import masking

    masking._recognizers.cache_clear()
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'tutelage\[chats\]'"):
        import_chats(jsonl(tmp_path / "c.jsonl", CHAT), tmp_path / "firm")
    assert not (tmp_path / "firm").exists()


@pytest.mark.parametrize(
    "line",
    [
        "no" + "." * 1900, "password " + ": =" * 600, "1 " * 900 + "a", "a-" * 950, "x" * 1900,
        "my name " * 240, "." * 1900 + "@" + "a." * 20, "1" * 1900, "http://" + "a." * 900,
        "12 a " * 380, "name " + "-" * 1900, "a." * 950, "no.= " * 380,
        "code " * 380, "hi, " * 480, "i'm a " * 320, "A B " * 480, "hi a here " * 190, "1,111" * 380,
        "rue " + "x" * 1900, "rue " * 470, "born in " * 240, "born on " * 240, "12 the old " * 170,
        "password is " * 160, "password: a " * 160, "a.a/" * 470, "12–" * 630, "mr " * 630,
        "1234 " * 380, "when " * 380, "date of birth " * 140, "please your birthday " * 95,
        "a (at) b. " * 190, "a . " * 475 + "@", "a dot " * 310 + "@",
    ],
)  # fmt: skip
def test_masking_a_hostile_line_ends_soon(line):
    Masker().mask(["warm up"])
    began = time.process_time()
    Masker().mask([line])
    Masker().mask([BIRTH, line])
    assert time.process_time() - began < 3


def test_a_name_that_the_policy_has_as_a_word_is_masked_where_it_is_told(tmp_path):
    chat = [("user", "my name is Light and i ask for a Light fare, says the mother of Will too")]
    made = import_chats(
        jsonl(tmp_path / "c.jsonl", chat), tmp_path / "firm", firm=load_environment("airline")
    )
    opening = load_environment(made.folder).scenarios["chat_0001"].opening
    assert (
        opening == "my name is [name 1] and i ask for a Light fare, says the mother of [name 2] too"
    )


def masked(*chats, kept=()):
    """The lines of chats as an import masks them, with all of the chats known to it."""
    every = lower_words(line for chat in chats for line in chat)
    return [Masker(ordinary=every, kept=frozenset(kept)).mask(chat) for chat in chats]


@pytest.mark.parametrize(
    ("chats", "name"),
    [
        ([["hi, my name is anna and my order is late"], ["hello my name is anna"]], "anna"),
        ([["my name is zbigniewa"], ["zbigniewa again"], ["Zbigniewa wrote"]], "zbigniewa"),
        ([["my name zbigniewa"], ["my name is zbigniewa"], ["zbigniewa"]], "name zbigniewa"),
        ([["this is peter speaking"], ["i'm peter"], ["i am peter, help"]], "peter"),
        ([["Anna here, where is my order?"], ["hi, anna here"], ["i saw anna"]], "anna here"),
        ([["hello, anna again here, no parcel"], ["it's anna speaking"]], "anna"),
        ([["i'm anna zbigniewa from the north"]], "zbigniewa"),
        ([["my name’s zbigniewa"], ["i’m anna"]], "’s zbigniewa"),
        ([["please ask Emma Post or Johnny Cash"], ["post cash"], ["post cash"]], "emma post"),
        ([["it was Post who said so"], ["post"], ["post"]], "was post"),
    ],
)
def test_a_name_written_small_in_many_chats_is_masked_where_it_is_told(chats, name):
    lines = [line for chat in masked(*chats) for line in chat]
    kept = ["zbigniewa again", "zbigniewa", "i saw anna"]  # Told by nobody in that chat.
    assert [line for line in lines if name in line.casefold() and line not in kept] == []


def test_ordinary_words_after_the_words_that_tell_a_name_stay():
    lines = ["i'm fed up with it", "this is ridiculous, i'm sad and i am furious", "it's odd here",
             "did i miss delivery, or my name spelled wrong", "last name correction please"]  # fmt: skip
    ordinary = lower_words([*lines, "the delivery correction", "correction of delivery"])
    assert Masker(ordinary=ordinary).mask(lines) == lines


def test_a_name_form_that_stands_before_a_word_once_takes_it_from_no_other_chat():
    chats = [[f"booking {number} is late"] for number in "abcdefghijkl"]
    assert masked(*chats, ["name: booking code?"], ["Booking is late"])[-1] == ["Booking is late"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("my booking reference is XKJQWE please", "my booking reference is [code 1] please"),
        ("booking code QWXRTY and PNR ABCDEF", "booking code [code 1] and PNR [code 2]"),
        ("MY BOOKING CODE IS XKJQWE PLEASE HELP ME", "MY BOOKING CODE IS [code 1] PLEASE HELP ME"),
        ("best regards, ZBIGNIEWSKA", "best regards, [name 1]"),
        ("I AM ANNA KOWALSKAYA", "I AM [name 1]"),
        ("XHEVAHIRE KRASNIQA", "[name 1]"),
        ("WHERE IS MY REFUND, and do it ASAP on my TV", None),
        ("I WANT TO SEE THE MANAGER NOW", None),
    ],
)
def test_codes_of_letters_and_shouted_names_are_masked_and_shouting_is_not(line, left):
    ordinary = lower_words(["refund regards"] * 2)
    assert Masker(ordinary=ordinary).mask([line]) == [left or line]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("refund booking 84736251, EUR 45", "refund booking [number 1], EUR 45"),
        ("refund booking 847362 EUR 45", "refund booking [number 1] EUR 45"),
        ("my card 4539148803 $ 20", "my card [number 1] $ 20"),
        ("account 12345678 pounds", "account [number 1] pounds"),
        ("pay 1.234.567,89 EUR or $12,500.00 or 1500 dollars, 99.90 euros.", None),
    ],
)
def test_a_number_beside_a_currency_is_an_amount_only_where_it_looks_like_one(line, left):
    assert Masker().mask([line]) == [left or line]


@pytest.mark.parametrize(
    "word", ["Coca-Cola", "S24", "Galaxy X-200", "McFlurry's", "Ko\u0308ttbullar"]
)
def test_a_word_that_is_to_be_kept_is_kept_as_it_is_written(tmp_path, word):
    chat = [("user", f"is the {word} in stock, asks Zoltan in K7P2QX")]
    made = import_chats(jsonl(tmp_path / "c.jsonl", chat), tmp_path / "f", keep=[word])
    opening = load_environment(made.folder).scenarios["chat_0001"].opening
    word = unicodedata.normalize("NFC", word)
    assert opening == f"is the {word} in stock, asks [name 1] in [code 1]"


HEAD = "conversation_id,speaker,text\n"
BROKEN_CSV = [
    ('1,user,"my parcel is late\n1,agent,sorry\n2,user,hi there\n', "c.csv:3: .*up to line 5", 1),
    ('1,user,"a 5 inch" wide"\n2,user,hi there\n', "c.csv:3: is broken CSV", 2),
    ('1,user,"never\n1,agent,"sorry"\n2,user,hi there\n', "c.csv:3: .*up to line 4", 2),
    ("1,user,hello, it never came\n2,user,hi there\n", "c.csv:3: has 4 columns; expected 3", 2),
    (",user,hello\n2,user,hi there\n", "c.csv:3: conversation_id: names no conversation", 2),
    (b"1,user,caf\xe9 order\n2,user,hi there\n", "c.csv:3: is not UTF-8", 2),
]


@pytest.mark.parametrize(("rows", "said", "left"), BROKEN_CSV)
def test_a_csv_row_that_would_lose_or_join_chats_is_named_by_its_line(tmp_path, rows, said, left):
    path = tmp_path / "c.csv"
    good = (HEAD + "0,user,first\n").encode()
    path.write_bytes(good + (rows if isinstance(rows, bytes) else rows.encode()))
    with pytest.raises(EnvironmentFault, match=said):
        read_chats(path, Columns())
    chats, left_out = read_chats(path, Columns(), skip_broken=True)
    assert len(chats) == left and [problem.line for problem in left_out] == [3]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x" * 200_000, "has no column 'conversation_id'"),
        (b'"' + b"a," * 100_000, "c.csv:1: is broken CSV"),
        (b"x," * 600_000, "c.csv:1: is longer than 1,000,000 characters"),
        (HEAD.encode("utf-16"), "c.csv:1: is not UTF-8"),
    ],
)
def test_a_broken_first_line_of_a_csv_file_is_one_short_error(tmp_path, data, said):
    path = tmp_path / "c.csv"
    path.write_bytes(data)
    with pytest.raises(EnvironmentFault, match=said) as caught:
        read_chats(path, Columns(), skip_broken=True)
    assert len(str(caught.value)) < 2000


def test_empty_cells_at_the_end_of_a_csv_row_are_no_fault(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(HEAD + "1,user,hi there,,\n")
    ((chat,), _) = read_chats(path, Columns())
    assert chat.turns[0].text == "hi there"


@pytest.mark.parametrize(
    "opening", ["你好 " + "我想问一下为什么我的航班被取消了" * 6, "Hi " + "." * 70 + " anyone"]
)
def test_an_opening_whose_cut_is_too_short_for_a_title_gets_a_number(tmp_path, opening):
    chats = [[("user", opening), ("assistant", "yes?")], [("user", "my parcel is late")]]
    made = import_chats(jsonl(tmp_path / "c.jsonl", *chats), tmp_path / "firm")
    titles = {scenario.title for scenario in load_environment(made.folder).scenarios.values()}
    assert titles == {"Chat 1", "my parcel is late"}


STATE_ITEMS: list = [StateCheck(id="s", kind="state", path="done.x", equals=1)]


def test_a_firm_with_tools_lends_its_rubric_without_what_only_tools_change(tmp_path):
    lender = load_environment(Path(__file__).parents[2] / "examples" / "firm_with_tools")
    source = jsonl(tmp_path / "c.jsonl", [("user", "my parcel is late")])
    kinds = {item.kind for item in lender.config.rubric}
    with_state = replace(
        lender,
        config=lender.config.model_copy(
            update={"rubric": [*lender.config.rubric, *STATE_ITEMS], "today": ""}
        ),
    )
    made = import_chats(source, tmp_path / "firm", firm=with_state)
    assert {item.kind for item in load_environment(made.folder).config.rubric} == kinds - {"state"}
    only = replace(lender, config=lender.config.model_copy(update={"rubric": STATE_ITEMS}))
    made = import_chats(source, tmp_path / "other", firm=only)
    assert load_environment(made.folder).config.rubric, "a firm needs an item"


def test_a_title_that_is_too_short_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(EnvironmentFault, match=r"^--title: 'X' is shorter than 2") as caught:
        import_chats(tmp_path / "no.jsonl", tmp_path / "firm", title="X")
    assert caught.value.exit_code == 2


def check(line, left):
    assert Masker().mask([line]) == [left or line]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("last name smith first name john", "last name [name 1] first name [name 2]"),
        ("for mr and mrs smith", "for mr and mrs [name 1]"),
        ("my name is anna last name schmidt", "my name is [name 1] last name [name 2]"),
        ("name: anna surname: schmidt", "name: [name 1] surname: [name 2]"),
        ("name: anna schmidt: hello", "name: [name 1]: hello"),
        ("mr smith, mrs jones and miss garcia", "mr [name 1], mrs [name 2] and miss [name 3]"),
        ("i am anna and this is peter", "i am [name 1] and this is [name 2]"),
        ("please\nanna here", "please\n[name 1] here"),
        ("please help, last name, first name: wrong", None),
    ],
)
def test_a_name_right_after_another_name_is_masked(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("this is garcia calling", "this is [name 1] calling"),
        ("it's garcia here", "it's [name 1] here"),
        ("i'm patel, calling again", "i'm [name 1], calling again"),
        ("mr wise and mrs sharp", "mr [name 1] and mrs [name 2]"),
        ("this is good. it's fine here", None),
        ("i'm free, calling again", None),
        ("this is gross, i'm hurt and it's wild here", None),
        ("this is fair. this is junk, my order is blank", None),
    ],
)
def test_a_last_name_alone_is_masked_where_it_is_told_and_is_no_everyday_word(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("my date of birth is 12 March 1985", "my date of birth is [number 1]"),
        ("dob: 3 may 79 please", "dob: [number 1] please"),
        ("d.o.b. may 3rd 79", "d.o.b. [number 1]"),
        ("born March 12th, 1985", "born [number 1]"),
        ("i was born in may 1979", "i was born in [number 1]"),
        ("i was born in new york on 3 may", "i was born in new york on [number 1]"),
        ("my birthday is on the 3rd of may", "my birthday is on the [number 1]"),
        ("my birthday is on 3/5 or the birthday is the 3rd",
         "my birthday is on [number 1] or the birthday is the [number 2]"),
        ("nací el 5 de mayo de 1980", "nací el [number 1]"),
        ("geboren am 3. Mai 1979", "geboren am [number 1]"),
        ("geb. 3. mai 1979", "geb. [number 1]"),
        ("né le 3 mai 1979", "né le [number 1]"),
        ("née le 1er février 1980", "née le [number 1]"),
        ("nacida en Madrid el 3 de mayo", "nacida en [name 1] el [number 1]"),
        ("born 1985, March 12, and when is his birthday? 3 may",
         "born [number 1], and when is his birthday? [number 2]"),
        ("data de nascimento: 5 de maio de 80", "data de nascimento: [number 1]"),
        ("nato il 3 maggio 1979", "nato il [number 1]"),
        ("it's my birthday so i want to fly on 3 may", None),
        ("my birthday trip leaves on 12 june", None),
        ("my birthday is in 3 days", None),
        ("i was born in leeds and fly on 3 may", None),
        ("this native speaker, of nacional, comes on 3 may", None),
        ("delivery on the 3rd of may, invoice of may 4th", None),
    ],
)  # fmt: skip
def test_the_day_and_month_of_birth_are_masked_and_other_dates_stay(line, left):
    check(line, left)


BIRTH = "When were you born?"


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("12/03/1961", "[number 1]"),
        ("12 March 1961", "[number 1]"),
        ("March 12, 1961", "[number 1]"),
        ("1961, 12 March", "[number 1]"),
        ("it is the 12th of march 61, thanks", "it is the [number 1], thanks"),
        ("3rd May", "[number 1]"),
        ("12 de marzo de 1961", "[number 1]"),
        ("3. mai 1979", "[number 1]"),
        ("1er février", "[number 1]"),
        ("on the 12th", "on the [number 1]"),
        ("12 March 1961, and you come on 3 May", "[number 1], and you come on 3 May"),
        ("come on 3 May, and i was born on 12 March",
         "come on 3 May, and i was born on [number 1]"),
        ("that is a secret", None),
    ],
)  # fmt: skip
def test_a_date_that_answers_when_somebody_was_born_is_masked_in_whatever_order(answer, left):
    assert Masker().mask([BIRTH, answer]) == [BIRTH, left or answer]


@pytest.mark.parametrize(
    "asked",
    [
        "What is your date of birth?", "Please tell me your birthday.", "And the date of birth, please?",
        "DOB?", "your d.o.b.", "I need your date of birth for that. Thank you.", "When is her birthday?",
        "Which year and day, so when was he born?", "wann sind sie geboren?", "ihr geburtsdatum bitte",
        "quand êtes-vous né ?", "quelle est votre date de naissance ?", "cuándo nació usted?",
        "your fecha de nacimiento?", "what was your data di nascita?",
        "When do you want it? And what is your date of birth?",
    ],
)  # fmt: skip
def test_whoever_asks_for_a_date_of_birth_in_other_words_has_it_masked_too(asked):
    assert Masker().mask([asked, "12 March"])[1] == "[number 1]"


@pytest.mark.parametrize(
    "asked",
    [
        "When shall we come?", "Which day suits you?", "It is my birthday, can you help me?",
        "I want to change my date of birth, please.", "Where were you born?", "Were you born in May?",
        "When will the birthday cake be here?", "When does your birthday offer end?",
        "I need it for her birthday.", "Quand ne venez-vous pas ?", "Is this for your birthday party?",
        "Your date of birth? And when shall we come?", "dob 12/03/1961, when do you come?",
    ],
)  # fmt: skip
def test_a_date_that_answers_anything_else_stays(asked):
    assert Masker().mask([asked, "on 3 May"])[1] == "on 3 May"


def test_a_date_of_birth_is_looked_for_until_it_is_told_or_something_else_is_asked_for():
    after = ["why do you ask?", "it is for the refund", "12 March", "we come on 3 May"]
    assert Masker().mask([BIRTH, *after]) == [BIRTH, *after[:2], "[number 1]", after[3]]
    other = ["no idea", "when shall we come?", "on 3 May"]
    assert Masker().mask([BIRTH, *other]) == [BIRTH, *other]
    late = ["hm", "well", "so", "we come on 3 May"]
    assert Masker().mask([BIRTH, *late]) == [BIRTH, *late]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("see t.me/annaschmidt", "see [link 1]"),
        ("wa.me/491712345678 please", "[link 1] please"),
        ("look at anna-schmidt.me now", "look at [link 1] now"),
        ("mine is annaschmidt.dev", "mine is [link 1]"),
        ("linktr.ee/anna or anna.name.museum/x", "[link 1] or [link 2]"),
        ("yes/no and either/or, e.g/i.e", None),
        ("it is late.but i wait.thanks a lot", None),
    ],
)
def test_a_link_is_masked_whatever_its_ending_where_a_path_follows(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("my password: correct horse battery staple", "my password: [code 1]"),
        ("password: welcome and my order is late", "password: [code 1] and my order is late"),
        ('password = "correct horse" please', "password = [code 1] please"),
        ("my password is correct horse battery staple", "my password is [code 1]"),
        ("my password is hunter2 cant log in", "my password is [code 1] cant log in"),
        ("pw: geheim", "pw: [code 1]"),
        ("pass: geheim", "pass: [code 1]"),
        ("passwort lautet geheim", "passwort lautet [code 1]"),
        ("password hunter", "password [code 1]"),
        ("password hunter, it fails", "password [code 1], it fails"),
        ("password reset", None),
        ("password is not working", None),
        ("forgot my password again", None),
        ("my password is wrong. password was changed, password is expired and invalid", None),
        ("password doesn't work, password reset link sent, password keeps failing", None),
        ("no password login. secret menu, please", None),
        ("the secret is out, my boarding pass: where is it", None),
    ],
)
def test_a_password_is_masked_whole_and_talk_of_passwords_stays(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("i live at 7 elm grove, leeds", "i live at [address 1], leeds"),
        ("45 church hill in ashford", "[address 1] in ashford"),
        ("12 oak cir", "[address 1]"),
        ("18 the mews or 9 willow gardens", "[address 1] or [address 2]"),
        ("send it to c/ mayor 5, madrid", "send it to [address 1], madrid"),
        ("rue de la paix, 12", "[address 1]"),
        ("am alten markt 7", "am [address 1]"),
        ("5 queen of scots road", "[address 1]"),
        ("2 people at the park", None),
        ("i waited 3 hours in the park, 10 minutes up the hill", None),
        ("it takes 5 days until you close, 3 of them close early", None),
        ("2 car park tickets, 3 miles of trail", None),
        ("sent via the app on 3 may", None),
    ],
)
def test_a_street_is_masked_in_small_letters_and_a_number_before_a_park_is_none(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("ssn 123\u201145\u20116789", "ssn [number 1]"),
        ("ssn 123–45–678", "ssn [number 1]"),
        ("555·123·45", "[number 1]"),
        ("call 12—34—56—78", "call [number 1]"),
        ("10–14 days or 10-14 days, 100–200 euros, 9:00-17:00", None),
    ],
)
def test_a_number_is_masked_whatever_dash_parts_it_and_a_range_stays(line, left):
    check(line, left)


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        ("", r"c\.csv: is empty", 1),
        ("\ufeff", r"c\.csv: is empty", 1),
        ("\n\n", r"c\.csv:1: names no columns", 1),
        (" , ,\n", r"c\.csv:1: names no columns", 1),
        ("conversation_id,speaker,text,text\n1,user,hi,there\n",
         r"c\.csv:1: has 2 columns 'text'; expected one, or --text-column with another", 2),
    ],
)  # fmt: skip
def test_a_csv_file_without_columns_or_with_one_twice_is_one_error(tmp_path, text, said, code):
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(EnvironmentFault, match=said) as caught:
        read_chats(path, Columns())
    assert len(caught.value.problems) == 1 and caught.value.exit_code == code


def test_of_two_columns_with_one_name_only_those_that_are_read_matter(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("conversation_id,speaker,note,text,note\n1,user,x,hi there,y\n")
    ((chat,), _) = read_chats(path, Columns())
    assert chat.turns[0].text == "hi there"


@pytest.mark.parametrize("as_csv", [True, False])
def test_chats_beyond_the_most_are_not_read_and_that_is_said(tmp_path, monkeypatch, as_csv):
    monkeypatch.setattr("tutelage.environments.importing.chat_files.MAX_CHATS", 3)
    path = tmp_path / ("c.csv" if as_csv else "c.jsonl")
    lines = [f"{n},user,hello {n}\n" for n in range(5)]
    if not as_csv:
        lines = [json.dumps({"messages": [{"role": "user", "content": x}]}) + "\n" for x in lines]
    head = [HEAD] if as_csv else []
    path.write_text("".join(head + lines[:3] + ["\n"]))
    assert len(read_chats(path, Columns())[0]) == 3 and not read_chats(path, Columns())[1]
    path.write_text("".join(head + lines))
    chats, (note,) = read_chats(path, Columns())
    assert len(chats) == 3 and note.line == 4 + as_csv
    assert "holds more than 3 chats; what follows is not read" in str(note)
    done = tutelage("env", "import", "chats", path, "--out", "firm", cwd=tmp_path)
    assert done.returncode == 0 and f"left out: {path}:{4 + as_csv}: holds more" in done.stderr


@pytest.mark.parametrize("indent", [2, None])
@pytest.mark.parametrize("form", ["array", "object"])
def test_json_over_many_lines_is_one_error(tmp_path, form, indent):
    chat = {"messages": [{"role": "user", "content": "hi there"}] * 3}
    path = tmp_path / "c.jsonl"
    path.write_text(
        "\ufeff\n" + json.dumps([chat, chat] if form == "array" else chat, indent=indent)
    )
    if form == "object" and indent is None:
        assert len(read_chats(path, Columns())[0]) == 1
        return
    for skips in (True, False):
        with pytest.raises(
            EnvironmentFault, match=r"c\.jsonl:2: .*; expected one chat a line"
        ) as on:
            read_chats(path, Columns(), skip_broken=skips)
        assert len(on.value.problems) == 1 and "(JSONL)" in str(on.value)


def test_a_line_that_begins_a_list_is_skipped_where_chats_follow(tmp_path):
    path = jsonl(tmp_path / "c.jsonl", CHAT)
    path.write_text("[]\n" + path.read_text())
    chats, left_out = read_chats(path, Columns(), skip_broken=True)
    assert len(chats) == 1 and [problem.line for problem in left_out] == [1]


def test_names_that_are_no_utf_8_end_in_no_traceback(tmp_path):
    source = jsonl(tmp_path / "c\udce9.jsonl", CHAT)
    made = import_chats(source, tmp_path / "firm\udce9", title="Caf\udce9")
    firm = load_environment(made.folder)
    assert firm.config.title == "Caf\ufffd" and "Caf\ufffd" in firm.policy.text
    source.write_text("broken")
    done = tutelage("env", "import", "chats", source, "--out", tmp_path / "other")
    assert done.returncode == 1 and ".jsonl:1: is broken JSON" in done.stderr
