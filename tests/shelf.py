"""A library as a run and a person leave it: evidence, rules, findings, hostile and foreign text."""

from __future__ import annotations

from pathlib import Path

from tutelage.strategy_store import Entry, Evidence, Library, Provenance, Strategy

WAITED = "a customer whose flight the airline cancelled has waited for hours and nobody helped"
GRIEF = "a customer in grief must change a booking for a funeral"
HOSTILE = "Say [bold red]sorry[/] once, then [link=x]help[/link]."
FOREIGN = "رد بالعربية إذا كتب العميل بها 👋 und bleib freundlich"
SPOKEN = "Nice: [/] \x1b[2J \u202eevil\u202c 👩\u200d💻 שלום"


def evidence(**changed) -> Evidence:
    return Evidence(
        **{
            "customer": "I have been standing here for four hours and nobody tells us anything.",
            "before": "Please provide your booking code so that I can look into this.",
            "after": "Four hours without a word is too long, I am sorry. Two ways forward: the "
            "19:40 flight tonight, or a hotel and the 07:10. Which one suits you?",
            "preference": 0.74, "ci95": (0.61, 0.86), "pairs": 12, "states": 4,
            "checks_before": 0.58, "checks_after": 0.71, "null_threshold": 0.56, "p": 0.012,
            **changed,
        }
    )  # fmt: skip


def origin(source="teacher", **changed) -> Provenance:
    return Provenance(
        **{
            "source": source, "environment": "airline", "run": "20261124-1900-airline", "round": 2,
            "scenario": "cancelled_waited", "persona": "rude", "turn": 1,
            "dialogue": "r2.cancelled_waited.rude.3", "student": "local:qwen2.5-coder-1.5b",
            "teacher": "openai:gpt-5-mini", "judge": "local:qwen2.5-coder-1.5b",
            "evidence": evidence(), **changed,
        }
    )  # fmt: skip


def strategy(text, made, when="2026-11-24T19:00:00+00:00") -> Strategy:
    return Strategy.new(text, made).model_copy(update={"created_at": when})


def fill(path: Path) -> Path:
    """Write the library; its times are fixed, so that screens look the same every day."""
    with Library.open(path, create=True) as library:
        library.add_all(
            [
                Entry.new(
                    WAITED, wants="to know when the journey goes on", feels="angry",
                    rules=["R4", "R5", "X9"],
                    cues=["nobody tells us anything", "we stand here since (number) hours"],
                    strategies=[
                        strategy("Name the wait in the first sentence, then apologise once.",
                                 origin(tactics=["name_the_wait"])),
                        strategy("Offer exactly two ways forward and ask which one suits.",
                                 origin("handbook", evidence=evidence(preference=0.63,
                                        ci95=(0.52, 0.73), p=0.04))),
                        strategy("Offer exactly two ways forward and ask which suits.",
                                 origin(evidence=None)),
                    ],
                ),
                Entry.new(
                    GRIEF, wants="a seat without a fee", feels="sad", rules=["R20"],
                    cues=["my mother died"],
                    strategies=[
                        strategy("Condole before anything else, and do not call it a case.",
                                 origin(evidence=evidence(preference=0.81, ci95=(0.7, 0.9)))),
                        strategy(FOREIGN, origin("import", evidence=None)),
                    ],
                ),
                Entry.new(
                    "a customer asks for what the policy forbids", wants="an exception",
                    strategies=[strategy(HOSTILE, origin("person", evidence=evidence(after=SPOKEN)))],
                ),
            ],
            "run 20261124-1900-airline",
        )  # fmt: skip
        first = library.entries()[0].strategies
        library.approve([first[0].id], "ann")
        library.reject([first[2].id], "ann", "says the same as the one above")
        library._connection.execute("UPDATE versions SET at = '2026-11-24T19:05:00+00:00'")
    return path
