"""How well a model tells orders that break a rule from orders that keep it, one call each.

python benchmarks/policy_check/run.py          # prints the table, writes result.json beside it
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import yaml
from tutelage.agents.advice.policy_check import BREAKS_FROM, break_probability, plain_breach
from tutelage.agents.models.chat_models import DEFAULT_MODEL
from tutelage.agents.models.meter import Meter
from tutelage.environments import load_environment
from tutelage.graphs.play.desk import voice_of

HERE = Path(__file__).parent


async def main() -> None:
    """Ask about every order, print what was found, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default=DEFAULT_MODEL)
    asked = parser.parse_args()
    firm = load_environment("airline")
    voice = voice_of("judge", asked.judge, Meter())
    rows = []
    for item in yaml.safe_load((HERE / "orders.yaml").read_text()):
        rule = firm.policy.rules[item["rule"]]
        probability = await break_probability(voice, rule, item["order"])
        by_code = plain_breach(firm, item["order"]) is not None
        rows.append({**item, "probability": round(probability, 3), "by_code": by_code})
        print(f"{item['breaks']!s:<6}{probability:.3f} {'code' if by_code else ''} {item['order']}")
    broken = [r for r in rows if r["breaks"]]
    kept = [r for r in rows if not r["breaks"]]
    pairs = [(b["probability"] > k["probability"]) for b in broken for k in kept]
    caught = [r for r in broken if r["by_code"] or r["probability"] >= BREAKS_FROM]
    wrong = [r for r in kept if r["by_code"] or r["probability"] >= BREAKS_FROM]
    document = {
        "command": f"python benchmarks/policy_check/run.py --judge {asked.judge}",
        "auc": round(sum(pairs) / len(pairs), 3),
        "threshold": BREAKS_FROM,
        "caught": f"{len(caught)} of {len(broken)}",
        "refused_wrongly": f"{len(wrong)} of {len(kept)}",
        "rows": rows,
    }
    (HERE / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    print({key: document[key] for key in ("auc", "caught", "refused_wrongly")})


if __name__ == "__main__":
    asyncio.run(main())
