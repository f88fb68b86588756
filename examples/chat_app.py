"""A plain chat app with coaching: three lines of it are tutelage.

    python examples/chat_app.py library.db openai:gpt-5-mini

Type a customer's line, get the reply; an empty line or the end of the input leaves.
"""

from __future__ import annotations

import sys

from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

import tutelage

library_file, spec = sys.argv[1:3]

library = tutelage.Library.open(library_file)
model = tutelage.coached(spec, library)  # the model, as before: invoke, stream, bind_tools, ...

messages: list[AnyMessage] = [SystemMessage("You serve the customers of an airline. Be brief.")]
for line in sys.stdin:
    if not line.strip():
        break
    messages.append(HumanMessage(line.strip()))
    answer = None
    for chunk in model.stream(messages):
        print(chunk.text, end="", flush=True)
        answer = chunk if answer is None else answer + chunk
    print()
    if answer is not None:
        messages.append(answer)
