"""The result table's rubric, item by item: what each arm gains and what it does not.

Reads the runs that lie beside the results; plays nothing.

python benchmarks/coaching/by_item.py            # a table a firm; seconds
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from run import OTHERS
from tutelage.environments import load_environment
from tutelage.graphs.evaluation import outcomes_of
from tutelage.graphs.log.run_log import RunLog
from tutelage.graphs.log.states import played
from tutelage.graphs.statistics.experiment import Outcome
from tutelage.graphs.statistics.rubric_items import OWN, ItemFigures, items_by_arm

RESULTS = Path(__file__).resolve().parent / "result"
FIRMS = ("airline", "broadband", "furniture")


async def outcomes_in(archive: Path) -> list[Outcome]:
    """Every ended dialogue of the evaluation that an archive holds; those with a library that was not
    learned as an arm of their own.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(archive, folder, filter="data")
        async with await RunLog.open(Path(folder), create=False) as log:
            found = outcomes_of(await played(log))
    stage = archive.name.removesuffix(".tar.xz").rpartition("evaluate_")[2]
    return [one.model_copy(update={"arm": OTHERS.get(stage, one.arm)}) for one in found]


def items_of(firm: str) -> list[ItemFigures]:
    """The rubric of a firm in every arm that was played; an arm that was played twice counts as it was
    played last.
    """
    archives = sorted((RESULTS / "runs").glob(f"{firm}.evaluate*.tar.xz"))
    archives += sorted(RESULTS.glob(f"20*/{firm}.evaluate.tar.xz"), reverse=True)
    arms: dict[str, list[Outcome]] = {}
    for path in archives:
        by_arm: dict[str, list[Outcome]] = {}
        for one in asyncio.run(outcomes_in(path)):
            by_arm.setdefault(one.arm, []).append(one)
        arms = by_arm | arms
    outcomes = [one for own in arms.values() for one in own]
    first = next(iter(arms))
    return items_by_arm(load_environment(firm), outcomes, list(arms), (first, first))


def table(firm: str, items: list[ItemFigures]) -> Table:
    """One firm's items by arm."""
    shown = Table(title=firm, title_justify="left", box=None)
    shown.add_column("item")
    shown.add_column("by")
    for arm in items[0].arms:
        shown.add_column(arm, justify="right")
    for item in items:
        shares = ("-" if share is None else f"{share:.2f}" for share in item.arms.values())
        shown.add_row(item.id, item.by, *shares)
    return shown


def main() -> None:
    """Print the firms, then what their scenarios ask by themselves over all of them."""
    screen = Console(width=140)
    found = {firm: items_of(firm) for firm in FIRMS}
    for firm, items in found.items():
        screen.print(table(firm, items), "")
    own = [item for items in found.values() for item in items if item.id == OWN["code"]]
    for arm in own[0].arms:
        shares = [share for item in own if (share := item.arms.get(arm)) is not None]
        if len(shares) == len(own):
            screen.print(f"{OWN['code']}, all firms, {arm}: {fmean(shares):.3f}")


if __name__ == "__main__":
    main()
