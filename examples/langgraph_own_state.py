"""A LangGraph app with a state of its own: its writing node is coached, and before it goes live a
simulated customer rehearses it, as a subgraph with the state mapped in and out.

    python examples/langgraph_own_state.py library.db openai:gpt-5-mini
"""

from __future__ import annotations

import asyncio
import sys
from operator import add
from typing import Annotated

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

import tutelage

library_file, spec = sys.argv[1:3]
library = tutelage.Library.open(library_file)
model = tutelage.coached(spec, library)


class Ticket(TypedDict, total=False):
    """The app's own state: no `messages`, nothing of tutelage."""

    question: str
    urgent: bool
    draft: str


def triage(state: Ticket) -> Ticket:
    """Mark what cannot wait."""
    return {"urgent": "cancelled" in state["question"].casefold()}


async def write(state: Ticket) -> Ticket:
    """Draft the answer; the strategies that fit the question reach the model here."""
    rule = "Answer within two sentences." if state["urgent"] else "Answer kindly."
    said = await model.ainvoke([SystemMessage(rule), HumanMessage(state["question"])])
    return {"draft": said.text}


desk = StateGraph(Ticket)
desk.add_node("triage", triage)
desk.add_node("write", write)
desk.add_edge(START, "triage")
desk.add_edge("triage", "write")
app = desk.compile()

# The app stays as it is; two lambdas say how a dialogue becomes a ticket and a draft a reply.
student = tutelage.app_student(
    app,
    name="ticket desk",
    to_input=lambda asked: {"question": asked.dialogue[-1].text},
    to_reply=lambda ticket: ticket["draft"],
)


class Rehearsal(TypedDict, total=False):
    """The state of a graph around: scenarios to go, and what came of those played."""

    scenarios: list[str]
    verdicts: Annotated[list[str], add]


dialogue = tutelage.dialogue_graph(
    tutelage.load_environment("airline"), student=student, customer=spec, judge=spec,
    max_exchanges=2,
)  # fmt: skip


async def rehearse(state: Rehearsal) -> Rehearsal:
    """One dialogue with a simulated customer, by a subgraph whose state is ours, mapped."""
    scenario, *left = state["scenarios"]
    final = await dialogue.ainvoke({"scenario": scenario})
    judged = final["judgement"]
    verdict = f"satisfaction {judged['satisfaction']:.1f} of 5" if judged else "not valid"
    return {"scenarios": left, "verdicts": [f"{scenario}: {verdict}"]}


outer = StateGraph(Rehearsal)
outer.add_node("rehearse", rehearse)
outer.add_edge(START, "rehearse")
outer.add_conditional_edges("rehearse", lambda s: "rehearse" if s["scenarios"] else END)


async def main() -> None:
    """One ticket, then one rehearsal."""
    ticket = await app.ainvoke({"question": "My flight was cancelled and I have waited for hours."})
    print(ticket["draft"])
    final = await outer.compile().ainvoke({"scenarios": ["cancelled_waited"]})
    print("\n".join(final["verdicts"]))


asyncio.run(main())
