"""The process's memory: kept between batches, measured, and found to be too little."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
# On the CPU: what torch's own allocator says, and oneDNN, which names what it had no memory for.
_EXHAUSTED = ("can't allocate memory", "could not create a primitive", "could not create a memory", "could not execute")
KEPT = 32 << 20  # bytes: the largest block that is kept, glibc's own limit


def keep_freed_memory() -> None:
    """Let memory that a batch has freed be used by the next, on Linux with glibc; elsewhere nothing is done.

    By default every large block goes back to the system and comes anew, zeroed page by page: that costs more than ten times
    what writing into it does, up to a fifth of a run. Blocks above KEPT still do: kept, they would leave holes that nothing
    else fits, and a long prompt would take twice its memory. Torch is asked (it looks when it first takes memory) to advise
    huge pages, where the kernel has them on advice: a prompt of 1,024 tokens takes a sixth less. Whoever tunes the allocator
    in the environment (MALLOC_..., THP_MEM_ALLOC_ENABLE) is left alone.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the device or in the process."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _EXHAUSTED)


@contextlib.contextmanager
def peak(device: torch.device) -> Iterator[list[int]]:
    """Bytes by which the device's memory (on the CPU: the process) grew at most inside the block; 0 where it is not known."""
    found = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        found[0] = torch.cuda.max_memory_allocated(device) - before
        return
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the largest size so far
        before = _status("VmRSS")
    except OSError:
        yield found
        return
    yield found
    found[0] = max(0, _status("VmHWM") - before)


def give_back() -> None:
    """Freed memory goes back to the device and the system: for others, and so that what is taken from now on is seen."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
