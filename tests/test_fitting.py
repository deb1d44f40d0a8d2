"""Batches that do not fit in memory: done in halves, nothing lost, said once; what is no lack of memory is not hidden."""

import mmap
import os

import pytest
import torch

from flowatlas import memory
from flowatlas.fitting import Fitting
from flowatlas.prompts import Prompt


def prompt(i: int, n_tokens: int) -> Prompt:
    return Prompt(
        i, str(i), "", None, None, None, None, (1,) * n_tokens, ("",) * n_tokens, (0,), None, None, None, None
    )


class Device:
    """Extracts the prompts' ids; has room for so many padded tokens."""

    def __init__(self, room: int, error: Exception):
        self.room, self.error = room, error
        self.tried: list[int] = []

    def __call__(self, batch):
        padded = len(batch) * max(len(one.token_ids) for one in batch)
        self.tried.append(padded)
        if padded > self.room:
            raise self.error
        return [one.prompt_id for one in batch]


CPU_ALLOCATOR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: 8 bytes"
)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), CPU_ALLOCATOR])
def test_what_does_not_fit_is_done_in_halves(error):
    device, said = Device(50, error), []
    fitting = Fitting(device, said.append)
    batch = [prompt(i, 10) for i in range(13)]
    pieces = list(fitting(batch))
    assert [one.prompt_id for piece, _ in pieces for one in piece] == list(range(13))
    assert [i for _, found in pieces for i in found] == list(range(13))
    assert len(said) == 1
    assert "130 tokens" in said[0]
    device.tried.clear()
    list(fitting(batch))
    assert max(device.tried) <= 50, "what has not fitted is not tried again"
    assert len(said) == 1


def test_a_prompt_that_does_not_fit_alone_fails_and_others_go_on():
    device = Device(50, MemoryError())
    fitting = Fitting(device, lambda line: None)
    with pytest.raises(MemoryError):
        list(fitting([prompt(0, 10), prompt(1, 60)]))
    assert [found for _, found in fitting([prompt(2, 10)])] == [[2]]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    device = Device(5, RuntimeError("expected scalar type Half but found Float"))
    with pytest.raises(RuntimeError, match="scalar type"):
        list(Fitting(device, lambda line: None)([prompt(0, 10), prompt(1, 10)]))
    assert len(device.tried) == 1


def test_the_cpu_says_that_memory_ran_out_as_expected():
    """The words that are looked for are torch's own."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.int8)
    assert memory.is_exhausted(raised.value)
    assert memory.is_exhausted(
        RuntimeError("could not create a primitive")
    )  # oneDNN, which cannot be made to say so here


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells")
def test_the_peak_is_what_a_block_takes_at_most():
    with memory.peak(torch.device("cpu")) as found:
        block = mmap.mmap(-1, 200_000_000)
        block.write(bytes(1) * len(block))
        block.close()
    assert 190e6 < found[0] < 460e6  # the zeros that are written are there beside it
