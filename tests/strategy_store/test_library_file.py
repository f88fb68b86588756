"""The file of a library: read where it cannot be written, and made by several processes at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tutelage.environments import load_environment
from tutelage.graphs.coaching import CoachingOptions, compile_coaching
from tutelage.graphs.log.events import Fault
from tutelage.graphs.log.run_log import RunFault, RunLog
from tutelage.strategy_store import Entry, Library, LibraryFault, Provenance, Strategy
from typer.testing import CliRunner
from world import build_firm, seat

from tutelage.evaluation import run as evaluate_run
from tutelage.evaluation.result import EvaluateRequest
from tutelage.main import app
from tutelage.runs import place as place_run
from tutelage.runs.place import PlaceRequest

NOBODY = 65534


def lesson(scenario="a customer who waits"):
    origin = Provenance(source="teacher")
    return Entry.new(scenario, strategies=[Strategy.new("Name the wait.", origin)])


@pytest.fixture
def held():
    """The file of a library with one approved strategy, where everybody may look."""
    folder = Path(tempfile.mkdtemp(prefix="tutelage-shelf-"))
    folder.chmod(0o755)
    with Library.open(folder / "l.db", create=True) as library:
        library.add(lesson(), "me")
        library.approve(None, "me")
    yield library.path
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextlib.contextmanager
def read_only(path, folder=0o555):
    """The file as somebody sees it who may read it and not write it."""
    path.chmod(0o444)
    path.parent.chmod(folder)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if as_root:
        os.seteuid(NOBODY)
    try:
        if _opens(path, os.O_RDWR) or not _opens(path, os.O_RDONLY):
            pytest.skip(
                "whoever runs this may write what is read-only, or not read what others may"
            )
        yield
    finally:
        if as_root:
            os.seteuid(0)


def _opens(path, how):
    try:
        os.close(os.open(path, how))
    except PermissionError:
        return False
    return True


@pytest.mark.parametrize("folder", [0o555, 0o777])
def test_a_library_that_may_only_be_read_is_read_and_says_so_when_written(held, folder):
    before = held.read_bytes()
    with read_only(held, folder):
        for _ in range(2):
            with Library.open(held) as library:
                (found,) = library.index().search("a customer who waits")
                assert found.strategies[0].text == "Name the wait."
                assert library.version == 2 and len(library.versions()) == 2
                assert library.read_only
                with pytest.raises(LibraryFault, match=r"l\.db: is read-only"):
                    library.add(lesson("a customer who asks"), "me")
                with pytest.raises(LibraryFault, match=r"l\.db: is read-only"):
                    library.set_placement("local:small", "note", "me", "3.1 against 2.8")
        with pytest.raises(LibraryFault, match=r"l\.db: .*read-?only"):
            Library.open(held, create=True)
    assert held.read_bytes() == before
    with Library.open(held) as library:
        assert not library.read_only
        library.add(lesson("a customer who asks"), "me")


def test_what_another_process_is_writing_is_read_with_it(held):
    with Library.open(held) as writer:
        writer.add(lesson("a customer who asks"), "me")
        for beside in held.parent.iterdir():
            beside.chmod(0o444)
        with read_only(held), Library.open(held) as library:
            assert len(library.entries()) == 2, "what is not in the file yet lies beside it"


async def log_of(folder):
    """A run's log with two events, the second one still beside its file."""
    async with await RunLog.open(folder) as log:
        await log.append(Fault(where="a test", message="one"))
    log = await RunLog.open(folder)
    await log.append(Fault(where="a test", message="two"))
    return log


@pytest.mark.parametrize("kind", ["library", "log"])
@pytest.mark.parametrize(
    ("beside", "read"),
    [
        (("-wal", "-shm"), 2),
        ((), 1),
        (("-shm",), 1),
        (("empty -wal",), 1),
        (("-wal",), "unable to open"),
    ],
)
async def test_where_a_folder_is_read_only_nothing_that_lies_beside_a_file_is_left_out_in_silence(
    held, kind, beside, read
):
    """Whoever writes holds it open, and what is read is that file, or a copy of some of its files."""
    if kind == "library":
        writer = Library.open(held)
        writer.add(lesson("a customer who asks"), "me")
        path = held
    else:
        writer = await log_of(held.parent)
        path = writer.path
    if "-wal" not in beside or "-shm" not in beside:
        copy = path.parent / "copy"
        copy.mkdir()
        shutil.copy(path, copy)
        for name in beside:
            if name.startswith("empty "):
                (copy / f"{path.name}{name.removeprefix('empty ')}").touch()
            else:
                shutil.copy(f"{path}{name}", copy)
        path = copy / path.name
    for file in path.parent.iterdir():
        if file.is_file():
            file.chmod(0o444)

    async def found():
        if kind == "library":
            with Library.open(path) as library:
                return len(library.entries())
        async with await RunLog.open(path.parent, create=False) as log:
            return len(await log.read())

    try:
        with read_only(path):
            if isinstance(read, str):
                with pytest.raises((LibraryFault, RunFault), match=read):
                    await found()
            else:
                assert await found() == read
    finally:
        path.parent.chmod(0o755)
        closing = writer.close()
        if closing is not None:
            await closing


def test_commands_that_read_run_where_nothing_may_be_written(held):
    with read_only(held):
        shown = CliRunner().invoke(app, ["library", "show", str(held)])
        approved = CliRunner().invoke(app, ["library", "approve", str(held), "--all"])
    assert shown.exit_code == 0 and "Name the wait." in shown.output, shown.output
    assert isinstance(approved.exception, LibraryFault), approved.output
    assert "is read-only" in str(approved.exception)


@pytest.mark.parametrize("holds", [b"", "a database"])
def test_a_file_without_a_library_is_refused_and_stays_as_it_is(tmp_path, holds):
    path = tmp_path / "n.db"
    if holds:
        maker = sqlite3.connect(path)
        maker.execute("PRAGMA user_version = 7")
        maker.close()
    else:
        path.write_bytes(holds)
    before = path.read_bytes()
    for asked in (["list", str(path)], ["approve", str(path), "--all"]):
        done = CliRunner().invoke(app, ["library", *asked])
        assert isinstance(done.exception, LibraryFault), done.output
        assert str(done.exception) == f"{path}: is empty, and no library of strategies"
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with Library.open(path, create=True) as library:
        library.add(lesson(), "me")
    with Library.open(path) as library:
        assert len(library.entries()) == 1


def test_a_run_is_no_library_but_holds_one(held):
    library = held.rename(held.with_name("library.db"))
    run = library.parent
    for asked in (["list", str(run)], ["import", str(run), str(library)]):
        done = CliRunner().invoke(app, ["library", *asked])
        assert isinstance(done.exception, LibraryFault), done.output
    with pytest.raises(LibraryFault, match=f"no such library; did you mean {library}\\?$") as fault:
        Library.open(run, create=True)
    assert fault.value.exit_code == 2
    library.unlink()
    with pytest.raises(LibraryFault, match=r"no such library$"):
        Library.open(run)


def test_halves_of_characters_that_a_terminal_gave_are_kept_as_replaced(held):
    with Library.open(held) as library:
        (strategy,) = library.entries()[0].strategies
        library.reject([strategy.id], "caf\udce9", "a \ud83d\ude00 caf\udce9")
        (kept,) = library.entries()[0].strategies
        last = library.versions()[-1]
        assert (last.author, kept.reason) == ("caf\ufffd", "a 😀 caf\ufffd")
        assert last.action == f"rejected {strategy.id}: a 😀 caf\ufffd"
        library.set_placement("app:caf\udce9.py:agent", "note", "run caf\udce9", "3 against 2")
        assert library.placement_for("app:caf\udce9.py:agent") == "note"
        with pytest.raises(LibraryFault, match="nothing with the id"):
            library.approve(["caf\udce9"], "me")


async def test_coaching_does_not_begin_what_it_could_not_keep(held, tmp_path):
    firm = load_environment(build_firm(tmp_path / "world"))
    refused = pytest.raises(LibraryFault, match="is read-only")
    with read_only(held), Library.open(held) as library, refused:
        compile_coaching(seat(firm, library), CoachingOptions())


async def test_nothing_is_measured_that_could_not_be_kept(held, tmp_path):
    refused = pytest.raises(LibraryFault, match="is read-only")
    place = PlaceRequest(environment="airline", library=str(held))
    evaluate = EvaluateRequest(environment="airline", library=str(held), ablate=True)
    with read_only(held):
        with refused:
            await place_run._place(place, [], tmp_path)
        with refused:
            evaluate_run._library(evaluate)
        assert evaluate_run._library(evaluate.model_copy(update={"ablate": False}))


def test_a_library_that_is_just_being_made_is_waited_for(tmp_path):
    path = tmp_path / "l.db"
    maker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    maker.execute("CREATE TABLE library (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    maker.execute("BEGIN IMMEDIATE")

    def finish():
        time.sleep(0.5)
        maker.execute("COMMIT")
        maker.close()

    waiting = threading.Thread(target=finish)
    waiting.start()
    try:
        with Library.open(path, create=True) as library:
            library.add(lesson(), "me")
            assert len(library.entries()) == 1
    finally:
        waiting.join()
