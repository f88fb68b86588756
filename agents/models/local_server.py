"""The llama.cpp server inside this process: one per weights file, shared by all local models."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .faults import ModelFault
from .gguf_head import read_head
from .machine_size import MachineSize, size_for_machine

Chunk = dict[str, Any]
Item = Chunk | BaseException | None
"""What a generation delivers: chunks in order, then None, or an exception in its place."""

BATCH_TOKENS = 128
"""Prompt tokens read at a stretch. A cancelled call lets go of its slot after at most one stretch
(1.5 s for 1.5B weights on two cores), and the other slots go on speaking between stretches."""

SAME_PROMPT_FROM = 0.95
"""Share of a prompt that a slot must hold to be given the call as it stands; else what the slot holds
is put aside, and the prompt is looked for among those that were. The roles of a firm share the policy,
most of their prompts: with less asked for, each would throw away what another had read."""


@dataclass(eq=False)
class _Generation:
    """One call on its way: where its chunks go, and whether they are still wanted."""

    deliver: Callable[[Item], None]
    stopped: bool = False
    thread: threading.Thread | None = None

    def stop(self) -> None:
        """Ask the generation to end; it does so before the next token or stretch of prompt."""
        self.stopped = True


class LocalServer:
    """Weights held in memory, and a few slots that generate side by side.

    Args:
        path: a .gguf file.
        size: threads, slots, context and cache; measured from the machine where None.

    Raises:
        ModelFault: where the file is no sound GGUF file or does not fit in memory.
    """

    def __init__(self, path: Path, size: MachineSize | None = None) -> None:
        self.path = path
        self.size = size or _size_for(path)
        self._turns = threading.Semaphore(self.size.slots)
        self._server = _load(path, self.size)

    def run(self, request: dict[str, Any], generation: _Generation) -> None:
        """Generate in the calling thread, delivering chunks until the end or until stopped."""

        def on_chunk(chunk: Chunk) -> bool:
            if not generation.stopped:
                if "error" in chunk:
                    generation.deliver(_fault_of_server(chunk["error"], self.path))
                    generation.stop()
                else:
                    generation.deliver(chunk)
            return generation.stopped

        # Calls beyond the slots wait here and not inside llama.cpp, where nothing could call
        # them back before their prompt is being read.
        with self._turns:
            if not generation.stopped:
                self._server.handle_chat_completions(request, on_chunk)


def _size_for(path: Path, environ: dict[str, str] | None = None) -> MachineSize:
    """What this machine can give to the weights of a file."""
    head = read_head(path)
    return size_for_machine(
        path.stat().st_size,
        kv_bytes_per_token=head.kv_bytes_per_token,
        trained_context=head.context,
        environ=environ,
    )


def _load(path: Path, size: MachineSize, *, embeds: bool = False) -> Any:
    """A llama.cpp server that nobody outside this process can reach; where it `embeds`, it gives
    vectors (of the last token) in place of words.
    """
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = size.slots
    params.n_ctx = size.context_total
    params.kv_unified = size.unified
    params.cpuparams.n_threads = size.threads
    params.cpuparams_batch.n_threads = size.threads
    # A vector is read in one stretch.
    params.n_batch = params.n_ubatch = size.context if embeds else BATCH_TOKENS
    params.cache_ram_mib = size.cache_mib
    if size.cache_mib:
        params.slot_prompt_similarity = SAME_PROMPT_FROM
    if embeds:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    # The automatic fitting reads the weights three times over, holding Python's lock meanwhile.
    params.fit_params = False
    params.warmup = False
    params.verbosity = 0
    params.ui = False
    params.endpoint_slots = False
    # The server insists on listening. It gets a socket in a folder that only this user may
    # enter, and the folder goes as soon as the server is up, so nobody can ever connect.
    # Windows has no such sockets: there it listens on the loopback, behind a key nobody knows.
    params.api_keys = [secrets.token_urlsafe(32)]
    folder = Path(tempfile.mkdtemp(prefix="tutelage-")) if os.name == "posix" else None
    if folder:
        params.hostnames = [str(folder / "s.sock")]
    _read_through(path)
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelFault(
            f"llama.cpp cannot load {path}: the file is damaged, of a kind it does not know or "
            f"too large for the memory; `tutelage models pull NAME` fetches known ones."
        ) from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _read_through(path: Path) -> None:
    """Bring a file into the system's cache, so that loading it holds Python's lock but briefly."""
    block = bytearray(16 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


@dataclass
class _Place:
    """Where a server of one weights file is, or will be once somebody needs it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    server: Any = None


_places: dict[tuple[Path, bool], _Place] = {}
"""By weights file, and whether the server gives vectors."""
_running: set[_Generation] = set()
_guard = threading.Lock()


def local_server(path: Path) -> LocalServer:
    """The server of a weights file, loaded at the first call and shared from then on.

    Args:
        path: a .gguf file.

    Returns:
        The server; the same one for the same file, from any thread.

    Raises:
        ModelFault: where the weights cannot be loaded.
    """
    return _shared(path.resolve(), False, LocalServer)


def vector_server(path: Path, context: int) -> Any:
    """llama.cpp's own server, giving vectors; loaded at the first call and shared from then on.

    It holds a second copy of the weights, since one server gives either words or vectors.

    Args:
        path: a .gguf file.
        context: tokens of one text at most; the first call decides.

    Raises:
        ModelFault: where the weights cannot be loaded.
    """
    asked = {
        "TUTELAGE_LOCAL_SLOTS": "1",
        "TUTELAGE_LOCAL_CONTEXT": str(context),
        "TUTELAGE_LOCAL_CACHE_MIB": "0",
    }

    def made(file: Path) -> Any:
        return _load(file, _size_for(file, {**os.environ, **asked}), embeds=True)

    return _shared(path.resolve(), True, made)


def _shared(path: Path, embeds: bool, made: Callable[[Path], Any]) -> Any:
    with _guard:
        place = _places.setdefault((path, embeds), _Place())
    with place.lock:
        if place.server is None:
            place.server = made(path)
        return place.server


def unload(path: Path | None = None) -> None:
    """Stop what is generating and free the weights of one file, or of all where path is None.

    Args:
        path: a .gguf file, or None for all.
    """
    with _guard:
        wanted = path and path.resolve()
        gone = [_places.pop(key) for key in list(_places) if wanted in (None, key[0])]
        running = list(_running) if path is None else []
    for generation in running:
        generation.stop()
    deadline = time.monotonic() + 10
    for generation in running:
        if generation.thread and generation.thread is not threading.current_thread():
            generation.thread.join(max(0.0, deadline - time.monotonic()))
    gone.clear()


def _end() -> None:
    try:
        unload()
    except KeyboardInterrupt:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


# A thread still inside llama.cpp while the interpreter goes away would abort the process.
atexit.register(_end)


def _start(path: Path, request: dict[str, Any], deliver: Callable[[Item], None]) -> _Generation:
    """Begin a generation on a thread of its own; `deliver` is called on that thread."""

    def work() -> None:
        try:
            local_server(path).run(request, generation)
            generation.deliver(None)
        except ValueError as error:
            # llama.cpp refuses a request by an exception (a schema it cannot compile, and so on).
            generation.deliver(ModelFault(f"The local model refused the request: {error}."))
        except BaseException as error:
            generation.deliver(error)
        finally:
            with _guard:
                _running.discard(generation)

    generation = _Generation(deliver)
    generation.thread = threading.Thread(target=work, name="tutelage-local-model", daemon=True)
    with _guard:
        _running.add(generation)
    generation.thread.start()
    return generation


def stream(path: Path, request: dict[str, Any], seconds: float | None = None) -> Iterator[Chunk]:
    """Generate, yielding the server's chunks as they come.

    Closing the iterator, or Ctrl-C while waiting, stops the generation.

    Args:
        path: a .gguf file.
        request: a chat completion request in the server's JSON form.
        seconds: how long it may take in all, None for as long as it takes.

    Yields:
        The chunks of the answer, in the OpenAI form with llama.cpp's `timings` in the last.

    Raises:
        ModelFault: where the server answers with an error, or the time is up.
    """
    inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
    deadline = None if seconds is None else time.monotonic() + seconds
    generation = _start(path, request, inbox.put)
    try:
        while True:
            if deadline is not None and time.monotonic() > deadline:
                raise _too_slow(path, seconds)
            try:
                # The short waits are what lets Ctrl-C through on Windows.
                item = inbox.get(timeout=0.5)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        generation.stop()


async def astream(
    path: Path, request: dict[str, Any], seconds: float | None = None
) -> AsyncGenerator[Chunk, None]:
    """Generate, yielding the server's chunks as they come, without blocking the event loop.

    Cancelling the task or closing the iterator stops the generation.

    Args:
        path: a .gguf file.
        request: a chat completion request in the server's JSON form.
        seconds: how long it may take in all, None for as long as it takes.

    Yields:
        The chunks of the answer, as from `stream`.

    Raises:
        ModelFault: where the server answers with an error, or the time is up.
    """
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[Item] = asyncio.Queue()

    def deliver(item: Item) -> None:
        try:
            loop.call_soon_threadsafe(inbox.put_nowait, item)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            generation.stop()

    deadline = None if seconds is None else loop.time() + seconds
    generation = _start(path, request, deliver)
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    item = await inbox.get()
            except TimeoutError as error:
                raise _too_slow(path, seconds) from error
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        generation.stop()


async def acollect(
    path: Path, request: dict[str, Any], seconds: float | None = None
) -> list[Chunk]:
    """Generate to the end; wakes the event loop once rather than once a token.

    Args:
        path: a .gguf file.
        request: a chat completion request in the server's JSON form.
        seconds: how long it may take in all, None for as long as it takes.

    Returns:
        All chunks of the answer.

    Raises:
        ModelFault: where the server answers with an error, or the time is up.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Chunk]] = loop.create_future()
    chunks: list[Chunk] = []

    def settle(item: BaseException | None) -> None:
        if done.done():
            return
        if item is None:
            done.set_result(chunks)
        else:
            done.set_exception(item)

    def deliver(item: Item) -> None:
        if isinstance(item, dict):
            chunks.append(item)
            return
        try:
            loop.call_soon_threadsafe(settle, item)
        except RuntimeError:
            generation.stop()

    generation = _start(path, request, deliver)
    try:
        async with asyncio.timeout(seconds):
            return await done
    except TimeoutError as error:
        raise _too_slow(path, seconds) from error
    finally:
        generation.stop()


def _too_slow(path: Path, seconds: float | None) -> ModelFault:
    return ModelFault(
        f"The local model {path.name} took longer than {seconds:g} s; give it more time, a shorter "
        f"prompt or fewer calls at once.",
        retryable=True,
    )


def _fault_of_server(error: Any, path: Path) -> ModelFault:
    """What the server says is wrong, as one sentence."""
    details = error if isinstance(error, dict) else {"message": str(error)}
    if details.get("type") == "exceed_context_size_error":
        return ModelFault(
            f"The prompt has {details.get('n_prompt_tokens')} tokens but {path.name} was loaded "
            f"with a context of {details.get('n_ctx')}; shorten the dialogue or set "
            f"TUTELAGE_LOCAL_CONTEXT to a larger number of tokens.",
            status_code=400,
        )
    message = str(details.get("message", "unknown error")).rstrip(".")
    return ModelFault(f"The local model {path.name} failed: {message}.")
