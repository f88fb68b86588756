"""The house holds: imports run downward, the wheel adds one package, the help opens at once."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import networkx as nx
import pytest
import tutelage.tui
from textual.screen import Screen
from tutelage.tui.ending import EndsWorkFirst

import tutelage

ROOT = Path(__file__).parent.parent
FLOORS = {
    "environments": set(),
    "strategy_store": {"environments"},
    "agents": {"environments", "strategy_store"},
    "graphs": {"environments", "strategy_store", "agents"},
    "tui": {"graphs"},
    "tutelage": {"environments", "strategy_store", "agents", "graphs", "tui"},
}


def _imports(path: Path) -> set[str]:
    """The top folders of the project that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "tutelage" and len(parts) > 1:
                found.add(parts[1] if parts[1] in FLOORS else "tutelage")
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downward_only(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        upward = _imports(path) - FLOORS[floor] - {floor}
        assert not upward, f"{path.relative_to(ROOT)} imports {', '.join(sorted(upward))}"


def _parts(floor: str, path: Path) -> set[str]:
    """The modules and folders of its own floor that a file imports as it is loaded."""
    above = ["tutelage"] if floor == "tutelage" else ["tutelage", floor]
    here = [*above, *path.relative_to(ROOT / floor).parts[:-1]]
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        name = (node.module or "").split(".") if node.module else []
        whole = [*here[: len(here) - node.level + 1], *name] if node.level else name
        if whole[: len(above)] == above:
            rest = whole[len(above) :]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_no_two_parts_of_a_floor_need_each_other(floor):
    """A part is a folder of the floor, or a module beside it."""
    needs = nx.DiGraph()
    for path in sorted((ROOT / floor).rglob("*.py")):
        part = path.relative_to(ROOT / floor).parts[0].removesuffix(".py")
        if part != "__init__":
            needs.add_edges_from((part, other) for other in _parts(floor, path) - {part})
    assert needs.number_of_edges()
    assert list(nx.simple_cycles(needs)) == []


def test_every_module_says_in_its_first_line_what_it_does():
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            said = ast.get_docstring(ast.parse(path.read_text()))
            assert said and said.splitlines()[0].endswith((".", "!", "?")), path


def test_every_screen_that_works_ends_its_work_before_its_widgets():
    for module in walk_packages(tutelage.tui.__path__, "tutelage.tui."):
        import_module(module.name)
    screens, found = [Screen], set()
    while screens:
        subclasses = screens.pop().__subclasses__()
        screens += subclasses
        found |= {one for one in subclasses if one.__module__.startswith("tutelage.")}
    assert found
    for one in found:
        assert issubclass(one, EndsWorkFirst), one.__name__


def test_every_public_name_is_there_and_no_other_is_promised():
    assert sorted(tutelage.__all__) == sorted([*tutelage._HOMES, *tutelage._MODULES])
    for name in tutelage.__all__:
        assert getattr(tutelage, name) is not None
    assert tutelage.events.RunEnded.__module__ == tutelage.events.__name__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = tutelage.nothing


def test_no_registry_host_and_no_vague_module_names():
    for path in ROOT.rglob("*.py"):
        if "build" in path.parts or any(part.startswith(".venv") for part in path.parts):
            continue
        assert path.stem not in {"utils", "helpers", "manager", "base"}, path
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    host = "py" + "pi.org"
    for name in listed.stdout.split():
        assert host not in (ROOT / name).read_text(errors="ignore"), name


def test_the_wheel_adds_only_tutelage(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tutelage"}
    for needed in (
        "tutelage/agents/prompts/student.md",
        "tutelage/environments/firms/airline/policy.md",
        "tutelage/environments/templates/firm/environment.yaml",
        "tutelage/tui/watch.tcss",
        "tutelage/reports/report.html.jinja",
        "tutelage/py.typed",
    ):
        assert needed in names


@pytest.mark.alone
def test_help_is_quick_and_imports_no_framework():
    code = (
        "import sys, tutelage.main; from typer.testing import CliRunner;"
        "r = CliRunner().invoke(tutelage.main.app, ['--help']); assert r.exit_code == 0, r.output;"
        "print([m for m in ('langgraph', 'langchain', 'langchain_core', 'xllamacpp', 'textual')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    took = []
    for _ in range(3):
        # Its own work, in seconds of a processor: other tests may be running beside it.
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "tutelage", "--help"], capture_output=True, check=True
        )
        after = os.times()
        took.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
    assert min(took) < 0.8, took
