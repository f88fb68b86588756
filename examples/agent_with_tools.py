"""A `create_agent` app with tools and coaching: the middleware is all that is added.

    python examples/agent_with_tools.py library.db openai:gpt-5-mini "My flight OAK12 was cancelled"

The same agent, as it is, can be the student of a simulation:

    APP_MODEL=openai:gpt-5-mini APP_LIBRARY=library.db \
        tutelage simulate airline --student app:examples/agent_with_tools.py:agent
"""

from __future__ import annotations

import os
import sys

from langchain.agents import create_agent

import tutelage


def flight_status(flight: str) -> str:
    """Look up a flight by its number, such as OAK12."""
    return f"{flight}: cancelled; the next one with seats leaves at 18:40."


def rebook(flight: str, leaves_at: str) -> str:
    """Book the customer of a cancelled flight on the one that leaves at the given time."""
    return f"booked from {flight} to the flight at {leaves_at}"


def make_agent(library_file: str, spec: str):
    """The app. Without a library leave the middleware out; nothing else changes."""
    middleware = []
    if library_file:
        library = tutelage.Library.open(library_file)
        middleware.append(tutelage.StrategyMiddleware(library))
    return create_agent(
        tutelage.chat_model(spec),
        [flight_status, rebook],
        system_prompt="You serve the customers of an airline. Look flights up before you answer.",
        middleware=middleware,
    )


if __name__ == "__main__":
    app = make_agent(sys.argv[1], sys.argv[2])
    final = app.invoke({"messages": [("user", sys.argv[3])]})
    for message in final["messages"]:
        for call in getattr(message, "tool_calls", []):
            print(f"  {call['name']}({call['args']})")
    print(final["messages"][-1].text)
else:
    # What `--student app:...:agent` takes; its settings come from the environment.
    agent = make_agent(os.environ.get("APP_LIBRARY", ""), os.environ["APP_MODEL"])
