"""A FastAPI service whose replies are coached, streamed and whole.

LIBRARY=library.db MODEL=openai:gpt-5-mini uvicorn fastapi_service:app --app-dir examples
curl -N localhost:8000/reply -H 'content-type: application/json' \
        -d '{"messages": [{"role": "user", "content": "My flight was cancelled"}], "stream": true}'
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import tutelage

app = FastAPI()
model = tutelage.coached(os.environ["MODEL"], tutelage.Library.open(os.environ["LIBRARY"]))


class Talk(BaseModel):
    """A dialogue so far."""

    messages: list[dict]
    stream: bool = False


@app.post("/reply", response_model=None)
async def reply(talk: Talk) -> StreamingResponse | dict[str, str]:
    """The next reply."""
    if not talk.stream:
        return {"reply": (await model.ainvoke(talk.messages)).text}

    async def pieces() -> AsyncIterator[str]:
        async for chunk in model.astream(talk.messages):
            yield chunk.text

    return StreamingResponse(pieces(), media_type="text/plain")
