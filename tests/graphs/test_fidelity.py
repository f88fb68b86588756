"""The fidelity check tells a customer's line from one that breaks character."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from scripted_tools import Says
from tutelage.agents.customer import Customer, asked_for, cue_of
from tutelage.agents.reading.fidelity import breaks
from tutelage.agents.transcript import Turn
from tutelage.environments import Persona, Scenario, load_environment
from tutelage.graphs.play.desk import open_desk

KNOWN = "Flight LK210 was cancelled. booking code: K7QX2P, price 79 euros, 79.50 with the bag"
TALK = [
    Turn(speaker="customer", text="You cancelled my flight and nobody tells us anything."),
    Turn(speaker="student", text="I am sorry. Would you like the flight at 18:40 or a refund?"),
]

IN_CHARACTER = [
    ("my code is K7QX2P", False),
    ("the 18:40 one, please", False),
    ("I paid 79 euros and I want them back!", False),
    ("ok", False),
    ("Fine, the later flight then. Thanks, bye.", True),
    ("Can you help me at all?", False),
    ("Why would that take seven days?", False),
    ("I paid 79.50 and I want my 79.50 back. Where is it?", False),
    ("I paid 79.50. Give me my 79.50.", False),
    ("Could you give me your name?", False),
    ("Please confirm your answer in writing.", False),
    ("Please send us the new tickets.", False),
    ("Tell me your last price.", False),
    ("Please email me a transcript of this chat.", False),
    ("I called the customer hotline, and nobody answered.", False),
]
BROKEN = [
    ("", False, "empty"),
    ("How can I help you today?", False, "role flip"),
    ("Your booking has been changed, thank you for your patience.", False, "role flip"),
    ("I have processed your refund of 79 euros.", False, "role flip"),
    ("Please provide your booking code.", False, "role flip"),
    ("Mia, please give me your booking code and last name.", False, "role flip"),
    ("The price is 79 euros. Do you have any other questions?", False, "role flip"),
    ("I'm so glad I could help!", False, "role flip"),
    ("Can you please confirm your last name?", False, "role flip"),
    ("Tell me your account number, please.", False, "role flip"),
    ("Please send us your certificate.", False, "role flip"),
    ("I flew with Robert to Berlin.", False, "invented: Robert"),
    ("As an AI I cannot feel that.", False, "leaked instructions"),
    ("My persona would not say that.", False, "leaked instructions"),
    ('{"customer_says": "hi"}', False, "leaked instructions"),
    ("AGENT: sorry for that", False, "leaked instructions"),
    ("My code is ZZ91XY.", False, "invented: ZZ91XY"),
    ("I paid 450 euros for this.", False, "invented: 450"),
    ("You cancelled my flight and nobody tells us anything!", False, "repeated line"),
    ("I am sorry. Would you like the flight at 18:40 or a refund?", False, "copied the agent"),
    (
        "Am I sorry? Would you like the flight at 18:40 or a refund? Tell me!",
        False,
        "copied the agent",
    ),
    ("Are you people asleep over there?", False, "copied a sample"),
    ("Well, are you people asleep over there? I need an answer.", False, "copied a sample"),
    ("I'm sorry, but I can't help with that.", False, "role flip"),
    ("The customer wants a refund.", False, "leaked instructions"),
    ("So what happens now?", True, "premature stop"),
    ("Forget it, goodbye.", False, "missing stop"),
    ("I paid 79 euros. I want them. I paid 79 euros.", False, "repeated line"),
    ("I will call you shortly about the flight.", False, "role flip"),
]


@pytest.mark.parametrize(("line", "met"), IN_CHARACTER)
def test_lines_in_character_pass(line, met):
    assert breaks(line, met, TALK, KNOWN, samples=["Are you people asleep over there?"]) == []


@pytest.mark.parametrize(("line", "met", "reason"), BROKEN)
def test_broken_lines_are_named(line, met, reason):
    found = breaks(line, met, TALK, KNOWN, samples=["Are you people asleep over there?"])
    assert reason in found


@pytest.mark.parametrize(
    "line",
    [
        "Guten Tag, eine Tasse war im Karton leider schon zerbrochen.",
        "Hola, una persona de la Oficina me dijo que esperara.",
    ],
)
def test_a_capital_makes_a_name_in_english_only(line):
    assert breaks(line, False, [], "Lost: a cup. Language: en") == []


def test_nothing_is_settled_before_the_agent_has_spoken():
    assert breaks("All is well then.", True, [], KNOWN) == ["premature stop"]


async def test_a_dialogue_opens_with_its_authors_words_or_with_those_said_anew():
    environment = load_environment("airline")
    scenario = environment.scenarios["married_name"]
    persona = environment.personas_for(scenario)[0]
    anew = "I was married last week, and the ticket still says my old last name."
    line = {"feeling": "calm", "i_want": "fly", "customer_says": anew, "goal_met": False}
    model = Says(text=json.dumps(line))
    customer = open_desk(environment, customer=model, judge=Says(), teacher=Says()).customer
    authors = (await customer.speak(persona, scenario, [], 2)).line
    assert authors and authors.customer_says == scenario.opening and not model.pages
    others = (await customer.speak(persona, scenario, [], 3)).line
    assert others and others.customer_says == anew
    assert f'in words of their own: "{scenario.opening}"' in model.pages[0]


async def test_an_authors_line_may_be_longer_than_a_models():
    environment = load_environment("airline")
    opening = ("It is a long story, and I tell all of it. " * 20).strip()
    scenario = environment.scenarios["married_name"].model_copy(update={"opening": opening})
    persona = environment.personas_for(scenario)[0]
    customer = open_desk(environment, customer=Says(), judge=Says(), teacher=Says()).customer
    line = (await customer.speak(persona, scenario, [], 2)).line
    assert line and line.customer_says == opening


async def test_what_the_scripts_example_says_is_nobody_elses_fact():
    environment = load_environment("airline")
    scenario = environment.scenarios["dog_cabin"]
    persona = environment.personas_for(scenario)[0]
    line = {"feeling": "calm", "i_want": "fly", "goal_met": False,
            "customer_says": "I need an answer before Saturday, the oven is hot."}  # fmt: skip
    model = Says(text=json.dumps(line))
    customer = open_desk(environment, customer=model, judge=Says(), teacher=Says()).customer
    heard = await customer.speak(persona, scenario, TALK, 3)
    assert heard.line is None and heard.refused[0][1] == ["invented: Saturday"]


def led_by(text: str, **changed) -> tuple[Customer, Says, Persona, Scenario]:
    environment = load_environment("airline")
    scenario = environment.scenarios["assistance_dog"].model_copy(
        update={"insists": ["She guides me, so tell me how she gets on board."], **changed}
    )
    line = {"feeling": "calm", "i_want": "fly", "customer_says": text, "goal_met": False}
    model = Says(text=json.dumps(line))
    seated = open_desk(environment, customer=model, judge=Says(), teacher=Says()).customer
    assert not seated.led, "only the embedded model is led"
    return replace(seated, led=True), model, environment.personas_for(scenario)[0], scenario


def talk(scenario: Scenario, *said: str) -> list[Turn]:
    lines = [scenario.opening, *said]
    return [Turn(speaker="student" if at % 2 else "customer", text=text)
            for at, text in enumerate(lines)]  # fmt: skip


async def test_a_led_customer_says_its_authors_lines_until_the_agent_settles_the_matter():
    customer, model, persona, scenario = led_by("How does she who guides me get on board?")
    vague = talk(scenario, "A certificate can be arranged for that.")
    written = (await customer.speak(persona, scenario, vague, 2)).line
    assert written and written.customer_says == scenario.insists[0] and not model.pages
    said_anew = (await customer.speak(persona, scenario, vague, 3)).line
    assert said_anew and said_anew.customer_says.startswith("How does she")
    assert f'in words of their own: "{scenario.insists[0]}"' in model.pages[-1]
    assert "certificate" not in model.pages[-1], "what does not help may not mislead"
    done = talk(scenario, "Your dog flies free, and I have added her to your booking.")
    model.pages.clear()
    left = (await customer.speak(persona, scenario, done, 2)).line
    assert left and left.goal_met and left.customer_says.startswith("Thanks,") and not model.pages
    german = customer.environment.config.model_copy(update={"language": "de"})
    elsewhere = replace(customer, environment=replace(customer.environment, config=german))
    await elsewhere.speak(persona, scenario, done, 2)
    assert "takes what the AGENT has settled" in model.pages[-1]
    assert "I have added her" in model.pages[-1]


def test_a_line_that_bears_the_agents_name_is_the_agents():
    line = "Nadia: The delivery waits until she is there."
    assert breaks(line, False, TALK, TALK[0].text + line, agent="Nadia") == ["role flip"]
    assert not breaks(line, False, TALK, TALK[0].text + line, agent="Mia")


async def test_a_led_customer_tells_what_it_is_asked_for_once():
    customer, _, persona, scenario = led_by("")
    asked = talk(scenario, "Please give me your booking code.")
    first = (await customer.speak(persona, scenario, asked, 2)).line
    assert first and first.customer_says == f"Booking code: E5QF9R. {scenario.insists[0]}"
    told = [*asked, Turn(speaker="customer", text=first.customer_says),
            Turn(speaker="student", text="And the booking code?")]  # fmt: skip
    assert asked_for(persona, scenario, told) == {}
    unwilling = persona.model_copy(update={"discloses": "reluctantly"})
    assert asked_for(unwilling, scenario, asked) == {}
    again = [*asked, Turn(speaker="customer", text="Why?"), asked[-1]]
    assert asked_for(unwilling, scenario, again) == {"booking code": "E5QF9R"}


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        ("Please give me your name.", True),
        ("What is the name on the booking?", True),
        ("I will ask for the booking code and last name, and match both.", True),
        ("Let me know your name, then I can look.", True),
        ("The name of the hotel next door is Sole. What else do you need?", False),
        ("Your name is on the screen. I am here to help.", False),
    ],
)
def test_a_fact_is_asked_for_where_a_request_names_it(reply, asked):
    _, _, persona, scenario = led_by("")
    found = asked_for(persona, scenario, talk(scenario, reply))
    assert ("name" in found) == asked


async def test_a_led_customer_is_not_content_with_nothing():
    customer, model, persona, scenario = led_by("Thank you, I will be fine.", insists=[])
    heard = await customer.speak(persona, scenario, talk(scenario, "I am here to help."), 2)
    assert heard.line is None
    assert all("content without cause" in reasons for _, reasons in heard.refused)
    assert "still missing" in model.pages[0]


async def test_a_led_customer_with_an_agenda_keeps_to_its_acts_and_to_the_matter():
    customer, model, _, scenario = led_by("How does my dog come along? I know your boss.")
    liar = load_environment("airline").personas["status_liar"]
    wordless = [act.model_copy(update={"says": ""}) for act in liar.agenda]
    persona = liar.model_copy(update={"agenda": wordless})
    vague = talk(scenario, "A certificate can be arranged for that.")
    await customer.speak(persona, scenario, vague, 2)
    assert "insists on the Gold status" in model.pages[0]
    assert scenario.insists[0] in model.pages[0] and "certificate" not in model.pages[0]


async def test_an_act_that_has_its_authors_words_is_said_with_them():
    customer, model, _, scenario = led_by("She guides me. You are a banana in the garden.")
    persona = load_environment("airline").personas["status_liar"]
    vague = talk(scenario, "A certificate can be arranged for that.")
    both = f"{scenario.insists[0]} {persona.agenda[1].says}"
    assert persona.agenda[1].says
    verbatim = (await customer.speak(persona, scenario, vague, 2)).line
    assert verbatim and verbatim.customer_says == both and not model.pages
    strayed = await customer.speak(persona, scenario, vague, 3)
    assert strayed.line and strayed.line.customer_says == both and len(model.pages) == 3
    assert f'in words of their own: "{both}"' in model.pages[0]
    done = [*vague, Turn(speaker="customer", text=both), vague[-1]] * 2
    closing = cue_of(persona, scenario, done, led=True)
    assert not closing.written, "an agenda that gives in insists on nothing"


@pytest.mark.parametrize("firm", ["airline", "broadband", "furniture"])
def test_acts_that_the_bundled_personas_leave_to_no_model_have_words(firm):
    for persona in load_environment(firm).personas.values():
        for act in persona.agenda:
            given = bool(act.says)
            assert given == (act.act in ("push_back", "add_request", "ask")), (persona.name, act)


@pytest.mark.parametrize(
    "strayed",
    ["Breakfast in our garden behind the lake was burnt.",
     "She guides me, so how does she get on board? Do you have the dog ready?"],
)  # fmt: skip
async def test_what_strays_from_the_authors_words_is_said_by_the_author_in_the_end(strayed):
    customer, model, persona, scenario = led_by(strayed)
    vague = talk(scenario, "I am here to help.")
    heard = await customer.speak(persona, scenario, vague, 3)
    assert heard.line and heard.line.customer_says == scenario.insists[0]
    assert len(model.pages) == 3
    assert all("strayed from its author's words" in reasons for _, reasons in heard.refused)
