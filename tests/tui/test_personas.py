"""Personas: read, edited without ever being broken, and talked to by a person as the agent."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
from commands import in_a_process as tutelage
from reviewing import at_once, editor
from screens import (
    at_rest,
    in_sizes,
    listen,
    says,
    stated,
    still_cursors,
    text_of,
    told,
    until,
    write,
)
from textual.widgets import Input, OptionList, TextArea
from tutelage.environments import EnvironmentFault, load_environment
from tutelage.environments.persona_file import read_persona, read_personas, save_persona
from tutelage.graphs.log.events import DialogueEnded, TurnRejected, TurnSpoken
from tutelage.graphs.play.rehearsal import ModelFault, check_names, open_rehearsal, scenarios_for
from tutelage.tui.dialogs import Writing
from tutelage.tui.help import Help
from tutelage.tui.personas.app import PersonasApp
from tutelage.tui.personas.cast import Cast
from tutelage.tui.personas.choice import Choice
from tutelage.tui.personas.rehearsal import RehearsalScreen
from tutelage.tui.talk import Talk
from world import Scripted, build_firm

LINES = (
    "My train is cancelled and [bold]nobody[/] says why \x1b[2J 👩\u200d💻.",
    "So which of the two is it, שלום?",
    "Fine, good bye.",
)


class Customer(Scripted):
    """Says three lines, then is content; fails as often as it is told to."""

    name_: str = "customer"
    failing: int = 0

    def answer(self, system, page, messages):
        if self.failing:
            self.failing -= 1
            raise RuntimeError("the endpoint answered 500")
        said = min(len(re.findall(r"^AGENT: ", page, re.MULTILINE)), 2)
        feeling = ("angry", "annoyed", "pleased")[said]
        return json.dumps({"feeling": feeling, "i_want": "a train", "customer_says": LINES[said],
                           "goal_met": said == 2})  # fmt: skip


@pytest.fixture
def firm(tmp_path):
    folder = build_firm(tmp_path / "world")
    second = folder / "personas" / "second.yaml"
    text = (folder / "personas" / "anyone.yaml").read_text()
    second.write_text(text.replace("name: anyone", "name: second").replace("plain", "sharp"))
    return folder


@contextlib.asynccontextmanager
async def opened(firm, name=None, size=(160, 48), customer=None, **options):
    app = PersonasApp(firm, name, customer=customer or Customer(), by="bea", seed=1, **options)
    listen(app)
    async with app.run_test(size=size, notifications=True) as pilot:
        view = RehearsalScreen if name else Cast
        await until(pilot, lambda: isinstance(app.screen, view))
        if name is None:
            await until(pilot, lambda: app.screen.files)
        yield app, pilot
        await at_rest(pilot)


async def test_a_person_as_the_agent_hears_the_persona(firm):
    rehearsal = await open_rehearsal(firm, "anyone", by="bea", customer=Customer(), seed=1)
    said = [event async for event in rehearsal.hear()]
    assert [type(e) for e in said] == [TurnSpoken] and said[0].text == LINES[0]
    assert said[0].feeling == "angry"
    heard = []
    said = [event async for event in rehearsal.hear("One moment.", heard.append)]
    assert [(e.speaker, e.by, e.turn) for e in said] == [("student", "bea", 0), ("customer", "", 1)]
    said = [event async for event in rehearsal.hear("The first.")]
    assert isinstance(said[-1], DialogueEnded) and said[-1].reason == "goal_met"
    assert said[-1].taken_over and not said[-1].valid
    assert rehearsal.over
    with pytest.raises(ValueError, match="is over"):
        [event async for event in rehearsal.hear("More?")]
    assert "Answer every message" in rehearsal.desk, "the person sees the policy"


async def test_patience_ends_and_a_broken_customer_ends_it_too(firm):
    class Endless(Customer):
        def answer(self, system, page, messages):
            said = len(re.findall(r"^AGENT: ", page, re.MULTILINE))
            line = (
                "One thing.",
                "Quite another matter now.",
                "Where is somebody else then?",
                "Nobody ever answers here.",
                "Tell me about the weather outside.",
            )[said]
            return json.dumps({"feeling": "calm", "i_want": "x", "customer_says": line,
                               "goal_met": False})  # fmt: skip

    rehearsal = await open_rehearsal(firm, "anyone", by="bea", customer=Endless(), seed=1)
    reasons = []
    for reply in ("", "Yes.", "No.", "Well.", "Hm."):
        async for event in rehearsal.hear(reply):
            if isinstance(event, DialogueEnded):
                reasons.append(event.reason)
    assert reasons == ["patience_spent"]

    class Flipped(Customer):
        def answer(self, system, page, messages):
            return json.dumps({"feeling": "calm", "i_want": "x", "goal_met": False,
                               "customer_says": "How can I help you?"})  # fmt: skip

    rehearsal = await open_rehearsal(firm, "anyone", by="bea", customer=Flipped(), seed=1)
    said = [event async for event in rehearsal.hear()]
    assert [type(e) for e in said] == [TurnRejected] * 3 + [DialogueEnded]
    assert said[-1].reason == "broken_customer"


async def test_a_model_that_fails_takes_the_reply_back(firm):
    customer = Customer()
    rehearsal = await open_rehearsal(firm, "anyone", by="bea", customer=customer, seed=1)
    [event async for event in rehearsal.hear()]
    customer.failing = 3
    with pytest.raises(ModelFault):
        [event async for event in rehearsal.hear("One moment.")]
    assert len(rehearsal.turns) == 1
    said = [event async for event in rehearsal.hear("One moment.")]
    assert said[-1].text == LINES[1]


async def test_names_that_are_not_there_offer_the_nearest(firm):
    for arguments, said in (
        (("airlin", None, None), "did you mean 'airline'"),
        ((firm, "anyon", None), "did you mean 'anyone'"),
        ((firm, None, "stranded_00"), "did you mean 'stranded_0'"),
    ):
        with pytest.raises(EnvironmentFault, match=said) as caught:
            check_names(*arguments)
        assert caught.value.exit_code == 2
    with pytest.raises(EnvironmentFault, match="no persona"):
        await open_rehearsal(firm, "nobody", by="bea", customer=Customer())


def test_a_personas_own_scenarios_come_first(airline):
    found = scenarios_for(airline, "grieving")
    assert "grieving" in found[0].personas
    assert all(not s.personas or "grieving" in s.personas for s in found)


def test_nothing_broken_and_nothing_unseen_is_saved(firm):
    one = next(file for file in read_personas(firm) if file.name == "anyone")
    before = one.path.read_bytes()
    mode = one.path.stat().st_mode
    broken = {
        "patience: 4": ("patience: 99", r"anyone.yaml:\d+: patience: .*20"),
        "name: anyone": ("name: other", "differs from the file's name"),
        "goal:": ("gaol:", "did you mean 'goal'"),
    }
    for old, (new, said) in broken.items():
        with pytest.raises(EnvironmentFault, match=said):
            save_persona(one, one.text.replace(old, new))
        assert one.path.read_bytes() == before
    done = save_persona(one, one.text.replace("patience: 4", "patience: 5"))
    assert done.persona.patience == 5 and one.path.stat().st_mode == mode
    with pytest.raises(EnvironmentFault, match="changed meanwhile"):
        save_persona(one, one.text)
    assert load_environment(firm).personas["anyone"].patience == 5
    assert sorted(p.name for p in one.path.parent.iterdir()) == ["anyone.yaml", "second.yaml"]


def test_a_linked_persona_stays_a_link_and_what_it_leads_to_is_saved(firm, tmp_path):
    shared = (firm / "personas" / "anyone.yaml").rename(tmp_path / "shared.yaml")
    (firm / "personas" / "anyone.yaml").symlink_to("../../shared.yaml")
    one = read_personas(firm)[0]
    save_persona(one, one.text.replace("patience: 4", "patience: 5"))
    assert one.path.is_symlink() and "patience: 5" in shared.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shared.yaml", "world"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_saved_persona_keeps_the_mark_and_the_line_ends_of_its_file(firm, mark, end):
    path = firm / "personas" / "anyone.yaml"
    held = mark + path.read_bytes().replace(b"\n", end)
    path.write_bytes(held)
    one = read_personas(firm)[0]
    save_persona(one, one.text.replace("patience: 4", "patience: 5"))
    assert path.read_bytes() == held.replace(b"patience: 4", b"patience: 5")


def test_what_was_deleted_meanwhile_is_said_and_can_be_written_anew(firm):
    one = read_personas(firm)[0]
    mine, others = one.text.replace("patience: 4", "patience: 5"), firm / "personas" / "second.yaml"
    one.path.unlink()
    with pytest.raises(EnvironmentFault, match=r"anyone.yaml: was deleted meanwhile; nothing was"):
        save_persona(one, mine)
    assert not one.path.exists()
    gone = read_persona(one.path)
    assert gone.unread and gone.persona is None
    assert save_persona(gone, mine).persona.patience == 5
    assert one.path.read_text() == mine and one.path.stat().st_mode == others.stat().st_mode
    one.path.unlink()
    others.unlink()
    one.path.parent.rmdir()
    save_persona(gone, mine)
    assert one.path.read_text() == mine, "its folder may be gone, too"
    with pytest.raises(EnvironmentFault, match="changed meanwhile"):
        save_persona(gone, mine)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_what_is_no_utf8_any_more_is_said_and_can_be_replaced(firm, encoding):
    one = read_personas(firm)[0]
    mine = one.text.replace("patience: 4", "patience: 5")
    theirs = one.text.replace("temperament:", "temperament: é\r\n").encode(encoding)
    one.path.write_bytes(theirs)
    with pytest.raises(EnvironmentFault, match=r"changed meanwhile and is not UTF-8 \(byte \d+\)"):
        save_persona(one, mine)
    assert one.path.read_bytes() == theirs
    save_persona(read_persona(one.path), mine)
    assert one.path.read_bytes() == mine.encode()


def test_a_folder_that_cannot_be_written_is_said(firm, monkeypatch):
    one = read_personas(firm)[0]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        save_persona(one, one.text + "\n")


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_personas_are_read_and_a_broken_one_is_named(firm, size):
    broken = firm / "personas" / "broken.yaml"
    broken.write_text("name: broken\npatience: many\n")
    async with opened(firm, size=size) as (app, pilot):
        await says(pilot, "3 personas", "1 broken", "temperament", "A customer with one trouble")
        await pilot.press("j")
        problems = app.screen.query_one("#problems")
        await until(pilot, lambda: "broken.yaml:2: patience" in problems.content.plain)
        await pilot.press("enter")
        await told(pilot, "not done")
        await pilot.press("G")
        await says(pilot, "sharp")
        await pilot.press("k", "g", "space", "space")
        assert app.screen._here().name == "anyone"
        broken.unlink()
        await says(pilot, "2 personas")


async def test_in_a_tiny_terminal_the_file_has_room_and_what_is_written_stays_in_sight(firm):
    async with opened(firm, size=(40, 12)) as (app, pilot):
        screen = await says(pilot, "anyone", "second", "description")
        assert "turns" not in screen
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        area = app.screen.query_one(TextArea)
        await pilot.press("x")
        await until(pilot, lambda: "xdescription" in app.screen.query_one(".state").content.plain)
        await says(pilot, "1  xdescription", "Save (ctrl+s)")
        await pilot.press("ctrl+s")
        await says(pilot, "✗ anyone.yaml:1: description", "missing; expected", "Save (ctrl+s)")
        await pilot.press("backspace", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Cast))
        assert area.text == (firm / "personas" / "anyone.yaml").read_text()


async def test_the_cursor_stays_on_its_persona_where_others_come_and_go(firm):
    folder = firm / "personas"
    async with opened(firm) as (app, pilot):
        await pilot.press("j")
        assert app.screen._here().name == "second"
        text = (folder / "anyone.yaml").read_text().replace("name: anyone", "name: aunt")
        (folder / "aunt.yaml").write_text(text)
        await until(pilot, lambda: len(app.screen.files) == 3)
        assert app.screen._here().name == "second"
        (folder / "anyone.yaml").unlink()
        await until(pilot, lambda: len(app.screen.files) == 2)
        assert app.screen._here().name == "second"


async def test_a_persona_is_edited_in_place(firm):
    path = firm / "personas" / "anyone.yaml"
    async with opened(firm) as (app, pilot):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        area = app.screen.query_one(TextArea)
        before = path.read_text()
        area.text = before.replace("patience: 4", "patience: 0")
        await stated(pilot, "patience", "greater than or equal to 1")
        await pilot.press("ctrl+s")
        await stated(pilot, "anyone.yaml:", "patience")
        assert path.read_text() == before
        area.text = before.replace("patience: 4", "patience: 7")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Cast))
        assert "patience: 7" in path.read_text()
        await until(pilot, lambda: app.screen._here().persona.patience == 7)


@pytest.mark.parametrize("key", ["e", "E"])
async def test_who_is_told_what_others_changed_may_save_over_it(firm, tmp_path, monkeypatch, key):
    path = firm / "personas" / "anyone.yaml"
    before = path.read_text()
    theirs = before.replace("patience: 4", "patience: 6") + "# theirs\n"
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor(
        tmp_path, f'sed -i "s/patience: 4/patience: 7/" {path}; sed -i "s/patience: 4/patience: 5/" "$1"'
    ))  # fmt: skip
    async with opened(firm) as (app, pilot):
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Writing))
        mine = before.replace("patience: 4", "patience: 5")
        if key == "e":
            app.screen.query_one(TextArea).text = mine
            path.write_text(theirs)
            await pilot.press("ctrl+s")
            await stated(pilot, "changed meanwhile", "- patience: 4", "+ patience: 6", "+ # theirs",
                         "Saving again")  # fmt: skip
        else:
            await stated(
                pilot, "changed meanwhile", "- patience: 4", "+ patience: 7", "Saving again"
            )
        assert path.read_text() != mine and app.screen.query_one(TextArea).text == mine
        path.write_text(theirs + "# more\n")
        await pilot.press("ctrl+s")
        await stated(pilot, "+ # more", "Saving again")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Cast))
        assert path.read_text() == mine


@pytest.mark.parametrize("key", ["e", "E"])
@pytest.mark.parametrize(
    ("theirs", "said"),
    [(None, "anyone.yaml: was deleted meanwhile"), (b"name: Ren\xe9\n", "is not UTF-8 (byte 9)")],
)
async def test_who_is_told_that_the_file_is_gone_may_save_it_anew(
    firm, tmp_path, monkeypatch, key, theirs, said
):
    path = firm / "personas" / "anyone.yaml"
    mine = path.read_text().replace("patience: 4", "patience: 5")

    def by_others():
        path.unlink() if theirs is None else path.write_bytes(theirs)

    def edited(app, text):
        by_others()
        return mine

    monkeypatch.setattr("tutelage.tui.personas.cast.edit_outside", edited)
    async with opened(firm) as (app, pilot):
        cast = app.screen
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Writing))
        if key == "e":
            app.screen.query_one(TextArea).text = mine
            by_others()
            if theirs is None:
                await until(pilot, lambda: len(cast.files) == 1)
            app.screen.query_one(TextArea).text = mine.replace("patience: 5", "patience: x")
            await pilot.press("ctrl+s")
            assert "Saving again" not in await stated(pilot, "patience", "integer"), "it would not"
            app.screen.query_one(TextArea).text = mine
            await pilot.press("ctrl+s")
        state = await stated(pilot, said, "nothing was saved", "Saving again writes it anew")
        assert "look at it again" not in state and str(firm) not in state
        assert not path.exists() if theirs is None else path.read_bytes() == theirs
        assert app.screen.query_one(TextArea).text == mine
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Cast))
        assert path.read_text() == mine
        await until(pilot, lambda: "patience: 5" in cast._here().text)


@pytest.mark.parametrize("key", ["e", "E"])
async def test_a_persona_that_cannot_be_read_is_not_edited_unseen(firm, key):
    path = firm / "personas" / "anyone.yaml"
    path.write_bytes(b"name: Ren\xe9\n")
    async with opened(firm) as (app, pilot):
        await pilot.press(key)
        await told(pilot, "not done", "anyone.yaml:1: is not UTF-8 (byte 9)")
        assert isinstance(app.screen, Cast) and path.read_bytes() == b"name: Ren\xe9\n"
        path.write_text("")
        await until(pilot, lambda: "holds no fields" in str(app.screen._here().problems))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Writing))


async def test_a_key_is_for_the_persona_that_was_under_the_cursor(firm):
    async with opened(firm) as (app, pilot):
        cast = app.screen
        at_once(app, "e", "j", "n")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        await pilot.pause()
        assert cast._here().name == "anyone" and len(app.screen_stack) == 3
        assert "name: anyone" in app.screen.query_one(TextArea).text


async def test_a_key_does_not_close_the_window_of_the_one_before(firm, monkeypatch):
    monkeypatch.setattr(
        "tutelage.tui.personas.cast.edit_outside",
        lambda app, text: text.replace("patience: 4", "patience: x"),
    )
    async with opened(firm) as (app, pilot):
        at_once(app, "E", "n")
        await until(pilot, lambda: len(app.screen_stack) == 4)
        windows = app.screen_stack[2:]
        await until(pilot, lambda: all(window.query(TextArea) for window in windows))
        texts = [window.query_one(TextArea).text for window in windows]
        assert "" in texts and any("patience: x" in text for text in texts)


async def test_who_leaves_at_once_has_saved_what_came_from_the_editor(firm, monkeypatch):
    path = firm / "personas" / "anyone.yaml"
    monkeypatch.setattr(
        "tutelage.tui.personas.cast.edit_outside",
        lambda app, text: text.replace("patience: 4", "patience: 8"),
    )
    slow = save_persona

    def late(file, text):
        time.sleep(0.3)
        return slow(file, text)

    monkeypatch.setattr("tutelage.tui.personas.cast.save_persona", late)
    async with opened(firm) as (app, pilot):
        at_once(app, "E", "q")
        await until(pilot, lambda: not app.is_running)
    assert "patience: 8" in path.read_text()


async def test_a_persona_in_the_persons_own_editor(firm, tmp_path, monkeypatch):
    path = firm / "personas" / "anyone.yaml"
    monkeypatch.delenv("VISUAL", raising=False)
    async with opened(firm) as (app, pilot):
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        monkeypatch.setenv("EDITOR", editor(tmp_path, "true"))
        await pilot.press("E")
        await told(pilot, "nothing changed")
        monkeypatch.setenv("EDITOR", editor(tmp_path, 'sed -i "s/patience: 4/patience: 8/" "$1"'))
        await pilot.press("E")
        await until(pilot, lambda: "patience: 8" in path.read_text())
        await until(pilot, lambda: "patience: 8" in app.screen._here().text)
        monkeypatch.setenv("EDITOR", editor(tmp_path, 'sed -i "s/patience: 8/patience: x/" "$1"'))
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        await stated(pilot, "patience", "integer")
        assert "patience: x" in app.screen.query_one(TextArea).text, "what was written is not lost"
        assert "patience: 8" in path.read_text()


@pytest.mark.parametrize("key", ["e", "E"])
async def test_a_persona_of_a_bundled_firm_is_not_changed(monkeypatch, tmp_path, key):
    monkeypatch.setenv("EDITOR", editor(tmp_path, "false"))
    async with opened("airline") as (app, pilot):
        await pilot.press(key)
        await told(pilot, "airline: comes with tutelage", "tutelage env new mine --like airline")
        assert isinstance(app.screen, Cast)


def test_what_comes_with_tutelage_is_not_saved_over():
    one = next(file for file in read_personas("airline") if file.name == "grieving")
    with pytest.raises(
        EnvironmentFault, match=r"^airline: comes with tutelage and is not changed; "
    ):
        save_persona(one, one.text.replace("patience: 6", "patience: 7"))
    assert one.path.read_text() == one.text


async def test_a_new_persona_of_a_bundled_firm_is_refused():
    async with opened("airline") as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        app.screen.query_one(TextArea).text = "night_owl"
        await pilot.press("enter")
        await stated(pilot, "airline: comes with tutelage")
    assert "night_owl" not in load_environment("airline").personas


async def test_a_new_persona(firm):
    async with opened(firm) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Writing))
        app.screen.query_one(TextArea).text = "Night Owl"
        await pilot.press("enter")
        await stated(pilot, "is no name")
        app.screen.query_one(TextArea).text = "night_owl"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Cast))
        await until(pilot, lambda: app.screen._here().name == "night_owl")
        assert (firm / "personas" / "night_owl.yaml").is_file()


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_talk_from_its_opening_to_its_end(firm, size):
    async with opened(firm, size=size) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RehearsalScreen))
        screen = await says(pilot, "[bold]nobody[/]", "customer angry", "your turn")
        assert "\x1b" not in screen and "\u200d" not in screen
        await write(pilot, "One moment, please.")
        await pilot.press("enter")
        await says(pilot, "bea for the agent", "One moment, please.", "which of the two", "שלום")
        assert app.screen.query_one("#line", Input).value == ""
        await write(pilot, "The first")
        await pilot.press("enter")
        await says(pilot, "the end: goal met")
        await stated(pilot, "ctrl+r begins again")
        await write(pilot, "More")
        await pilot.press("enter")
        await pilot.press("ctrl+r")
        await stated(pilot, "your turn")
        assert app.screen._seed == 2 and len(app.screen.query_one(Talk).children) == 1
        await pilot.press("ctrl+d")
        if size[0] == 80:
            await says(pilot, "R1: Answer every message")
            await pilot.press("pagedown", "pageup")
        else:
            assert "R1: Answer" not in text_of(app)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RehearsalScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Cast))


async def test_the_scenario_is_chosen(firm):
    async with opened(firm, "anyone") as (app, pilot):
        await stated(pilot, "your turn")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, Choice))
        await write(pilot, "grief_3")
        await pilot.press("down", "up", "enter")
        await until(pilot, lambda: isinstance(app.screen, RehearsalScreen))
        await says(pilot, "grief_3")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, Choice))
        await write(pilot, "nothing like it")
        await pilot.press("enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, RehearsalScreen))


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (80, 20)])
async def test_the_last_scenario_can_be_seen_before_it_is_chosen(firm, size):
    async with opened(firm, "anyone", size=size) as (app, pilot):
        await stated(pilot, "your turn")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, Choice))
        options = app.screen.query_one(OptionList)
        assert options.option_count > 16
        await pilot.press(*["down"] * options.option_count)
        await says(pilot, options.get_option_at_index(options.option_count - 1).id)


async def test_a_model_that_fails_says_so_and_can_be_tried_again(firm):
    customer = Customer(failing=3)
    async with opened(firm, "anyone", customer=customer) as (app, pilot):
        await stated(pilot, "enter tries again")
        await pilot.press("enter")
        await stated(pilot, "your turn")
        customer.failing = 3
        await write(pilot, "Hello")
        await pilot.press("enter")
        await stated(pilot, "enter tries again")
        assert app.screen.query_one("#line", Input).value == "Hello"
        assert "bea for the agent" not in text_of(app)
        await pilot.press("enter")
        await says(pilot, "which of the two")


async def test_a_model_that_cannot_be_had_is_one_sentence(firm):
    async with opened(firm, "anyone", customer="nonsense:model") as (_, pilot):
        await stated(pilot, "nonsense")


def test_the_command_says_what_is_wrong(tmp_path):
    done = tutelage("persona", "talk", "airline", "griefing", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'grieving'?" in done.stderr
    done = tutelage("persona", "talk", "airlin", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'airline'?" in done.stderr
    done = tutelage("takeover", tmp_path / "none")
    assert done.returncode == 2 and "is no run" in done.stderr
    done = tutelage("review", "none.db", cwd=tmp_path)
    assert done.returncode == 2 and "no such library" in done.stderr
    assert not list(tmp_path.iterdir())
    for command in (("review",), ("persona", "talk"), ("takeover",), ("library", "undo")):
        assert "Example" in tutelage(*command, "--help").stdout


VIEWS = ["cast", "broken", "edit", "new", "talk", "choice", "bundled"]


@in_sizes("view", VIEWS, large=["cast", "broken", "talk"])
def test_screens_look_as_they_did(snap_compare, firm, monkeypatch, view, size):
    # Paths and the firm's name are shown; they must be the same every day.
    monkeypatch.chdir(firm.parent)
    if view == "broken":
        (firm / "personas" / "a.yaml").write_text("name: a\npatience: many\n")
    where = "world" if view != "bundled" else "airline"
    app = PersonasApp(where, "anyone" if view in ("talk", "choice") else None,
                      customer=Customer(), by="bea", seed=1)  # fmt: skip

    async def before(pilot):
        if view in ("talk", "choice"):
            await stated(pilot, "your turn")
            await write(pilot, "One moment")
            await pilot.press("enter")
            await says(pilot, "which of the two")
            await stated(pilot, "your turn")
        else:
            await until(pilot, lambda: app.screen.files)
        await pilot.press(*{"edit": ["e"], "new": ["n"], "choice": ["ctrl+o"]}.get(view, []))
        await pilot.pause(0.7)
        await still_cursors(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)
