"""A coaching run of the scripted world in a process of its own, slow enough to be watched.

Not a test: `python tests/scripted_run.py FOLDER SECONDS_A_WORD`, from tests/test_terminal.py. Once
FOLDER/hurry is there it goes on as fast as it can.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log import events as ev
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.speech import Speech
from tutelage.strategy_store import Library
from world import ScriptedStudent, build_firm, seat


class SlowStudent(ScriptedStudent):
    """The scripted student, a word at a time, with its usage at the end."""

    pause: float = 0.0
    hurry: Path | None = None
    streams: int = 0

    async def breathe(self, words):
        await asyncio.sleep(0 if self.hurry and self.hurry.exists() else self.pause * words)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self.streams += 1
        words = self._generate(messages, stop, **kwargs).generations[0].message.text.split(" ")
        for number, word in enumerate(words):
            await self.breathe(1)
            text = word if number == 0 else f" {word}"
            yield ChatGenerationChunk(message=AIMessageChunk(text))
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage))


class PatientStudent(SlowStudent):
    """Also slow when nobody listens."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await self.breathe(8)
        return self._generate(messages, stop, **kwargs)


async def main(folder: Path, pause: float) -> None:
    """Coach, in the folder `run`, with the firm in the folder `world`."""
    environment = load_environment(str(build_firm(folder / "world")))
    run = folder / "run"
    async with await RunLog.open(run) as log, await Speech.open(run) as speech:
        library = Library.open(run / "library.db", create=True)
        desk = seat(
            environment, library, log, student=PatientStudent(pause=pause, hurry=folder / "hurry")
        )
        desk.speech = speech
        await log.append(ev.RunStarted(command="coach", environment="world", models=desk.models))
        options = CoachingOptions(rounds=1, dialogues=6, validation_dialogues=1, concurrency=4,
                                  max_exchanges=3, general=False)  # fmt: skip
        await compile_coaching(desk, options).ainvoke({})
        await log.append(ev.RunEnded(reason="done"))
        library.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
