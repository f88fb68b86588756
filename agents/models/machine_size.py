"""How much of this machine a local model may use: cores, slots, context and cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .faults import ModelFault

MIB = 1 << 20
MOST_SLOTS = 8
"""Slots by default are one a core, up to this many, and one on two cores. More add little (1.5B weights
on two cores spoke about 30 tokens/s from one slot and 39 from four) and cost much: each slot reads a
prefix that all dialogues share anew, at about 85 tokens/s. On two cores `simulate` took 211 s for six
dialogues with one slot and 247 s with two, and 171 s and 194 s for six others."""
MOST_CACHE_MIB = 4096
"""Memory for prompts that were read before, by default: a hundred of 1,200 tokens with 1.5B weights,
more than the roles of a few dialogues come back to."""
_ASSUMED_MEMORY = 4096 * MIB
"""Taken where the system does not tell how much memory is free."""


@dataclass(frozen=True, slots=True)
class MachineSize:
    """What a local server is given.

    Attributes:
        threads: processor threads that compute.
        slots: generations that run side by side.
        context: tokens one request may use, prompt and answer together.
        cache_mib: memory for prompts that were read before, in MiB; 0 turns it off.
        unified: whether the slots share one pool of context.
    """

    threads: int
    slots: int
    context: int
    cache_mib: int
    unified: bool = True

    @property
    def context_total(self) -> int:
        """Tokens of key-value cache to set aside for all slots together."""
        return self.context * self.slots


def usable_cores(root: Path = Path("/")) -> int:
    """Processor cores this process may really use: affinity, cut by a container's quota.

    Args:
        root: where the system's files hang; for tests.

    Returns:
        At least 1.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    quota = _words(root / "sys/fs/cgroup/cpu.max")
    if len(quota) < 2:
        quota = _words(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us") + _words(
            root / "sys/fs/cgroup/cpu/cpu.cfs_period_us"
        )
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]) > 0:
        cores = min(cores, -(-int(quota[0]) // int(quota[1])))
    return max(1, cores)


def free_memory(root: Path = Path("/")) -> int:
    """Memory this process may still take, in bytes: what is available, cut by a container's limit.

    Args:
        root: where the system's files hang; for tests.

    Returns:
        Bytes; 4 GiB where the system does not tell.
    """
    free = None
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    if free is None:
        try:
            # Half of what there is: macOS does not say in one number what is available.
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (AttributeError, ValueError, OSError):
            free = _ASSUMED_MEMORY
    group = root / "sys/fs/cgroup"
    for limit_file, used_file, stat_file in (
        ("memory.max", "memory.current", "memory.stat"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
        ),
    ):
        limit, used = _words(group / limit_file), _words(group / used_file)
        if limit and limit[0].isdigit() and used and used[0].isdigit():
            # The file cache counts as used but gives way when somebody needs the memory.
            cached = sum(
                int(line.split()[1])
                for line in _lines(group / stat_file)
                if line.startswith("inactive_file ")
            )
            free = min(free, max(0, int(limit[0]) - int(used[0]) + cached))
    return free


def size_for_machine(
    weights_bytes: int,
    *,
    kv_bytes_per_token: int,
    trained_context: int,
    cores: int | None = None,
    memory: int | None = None,
    environ: dict[str, str] | None = None,
) -> MachineSize:
    """Choose what a local server is given on this machine.

    A user's TUTELAGE_LOCAL_THREADS, _SLOTS, _CONTEXT (tokens a request) and _CACHE_MIB go first.

    Args:
        weights_bytes: size of the weights on disk, in bytes.
        kv_bytes_per_token: size of one token in the key-value cache, in bytes; 0 where unknown.
        trained_context: the longest context the model was trained for, in tokens; 0 if unknown.
        cores: processor cores; measured where None.
        memory: free memory in bytes; measured where None.
        environ: environment variables; the process's own where None.

    Returns:
        What to give.

    Raises:
        ModelFault: where the weights do not fit in the free memory, or a variable is no number.
    """
    environ = dict(os.environ) if environ is None else environ
    cores = usable_cores() if cores is None else cores
    memory = free_memory() if memory is None else memory
    per_token = kv_bytes_per_token or 64 * 1024
    # The processor's own layout of the weights is a second copy of about half their size.
    left = memory - int(weights_bytes * 1.5) - 256 * MIB
    slots = slots_for_machine(environ, cores)
    context = _asked(environ, "TUTELAGE_LOCAL_CONTEXT")
    if context is None:
        context = min(8192, trained_context or 8192)
        while context > 2048 and slots * context * per_token > left // 2:
            context //= 2
        while (
            "TUTELAGE_LOCAL_SLOTS" not in environ
            and slots > 1
            and (slots * context * per_token > left // 2)
        ):
            slots -= 1
    if slots * context * per_token > left:
        raise ModelFault(
            f"This model needs about {_mib(memory - left + slots * context * per_token)} MiB of "
            f"memory and {_mib(memory)} MiB are free; close something or choose a smaller model "
            f"(`tutelage models list`)."
        )
    cache = _asked(environ, "TUTELAGE_LOCAL_CACHE_MIB")
    if cache is None:
        cache = min(MOST_CACHE_MIB, _mib(left - slots * context * per_token) // 2)
    threads = _asked(environ, "TUTELAGE_LOCAL_THREADS") or min(cores, 16)
    return MachineSize(threads=threads, slots=slots, context=context, cache_mib=cache)


def slots_for_machine(environ: dict[str, str] | None = None, cores: int | None = None) -> int:
    """How many generations a local server runs side by side, if the memory is there.

    Args:
        environ: environment variables; the process's own where None.
        cores: processor cores; measured where None.

    Raises:
        ModelFault: where TUTELAGE_LOCAL_SLOTS is no number.
    """
    environ = dict(os.environ) if environ is None else environ
    cores = usable_cores() if cores is None else cores
    return _asked(environ, "TUTELAGE_LOCAL_SLOTS") or (1 if cores <= 2 else min(cores, MOST_SLOTS))


def _asked(environ: dict[str, str], name: str) -> int | None:
    """A number the user set, or None."""
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdigit() or (int(text) == 0 and not name.endswith("_CACHE_MIB")):
        raise ModelFault(f"{name} is {text!r}; it must be a whole number above 0.", exit_code=2)
    return int(text)


def _mib(count: int) -> int:
    return max(0, count) // MIB


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
