"""Play the order desk's dialogues and show what was said, what was done and what it came to.

    python examples/firm_with_tools/play.py openai:gpt-5-mini
    python examples/firm_with_tools/play.py                  # the embedded model; it is no great hand

The firm beside this file names `tools: tools.py`; its state and the checks of it are in the YAML files.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import tutelage


async def main(spec: str | None) -> None:
    """Play each scenario of the training split once."""
    firm = tutelage.load_environment(Path(__file__).parent)
    graph = tutelage.dialogue_graph(firm, student=spec, customer=spec, judge=spec)
    for scenario in firm.split("train"):
        final = await graph.ainvoke({"scenario": scenario.id})
        print(f"== {scenario.title} ({final['persona']})")
        for turn in final["turns"]:
            for use in turn.get("tools", []):
                print(f"    tool: {use['name']} {use['arguments']} -> {use.get('result', '')}")
            print(f"{turn['speaker']:>8}: {turn['text']}")
        if judged := final["judgement"]:
            checks = ", ".join(f"{name} {score:g}" for name, score in judged["checks"].items())
            print(f"   state: {checks}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
