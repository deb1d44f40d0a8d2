"""Batches that do not fit in memory are done in halves."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from flowatlas.memory import give_back, is_exhausted
from flowatlas.prompts import Prompt

Extracted = TypeVar("Extracted")


class Fitting(Generic[Extracted]):
    """Extracts batches; what has not fitted once is cut before it is tried again, and that is said once.

    A single prompt that does not fit raises what the device raised.
    """

    def __init__(self, extract: Callable[[Sequence[Prompt]], Extracted], say: Callable[[str], None] | None = None):
        self._extract = extract
        self._say = say or (lambda line: print(line, file=sys.stderr))
        self._too_many: int | None = None  # padded tokens that are known not to fit

    def __call__(self, batch: Sequence[Prompt]) -> Iterator[tuple[Sequence[Prompt], Extracted]]:
        """The batch, or its pieces in order, each with what was extracted of it."""
        fits = self._too_many is None or len(batch) == 1 or _padded(batch) < self._too_many
        found = self._try(batch) if fits else None
        if found is not None:
            yield batch, found
            return
        middle = (len(batch) + 1) // 2
        yield from self(batch[:middle])
        yield from self(batch[middle:])

    def _try(self, batch: Sequence[Prompt]) -> Extracted | None:
        try:
            return self._extract(batch)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_exhausted(error):
                raise
        if self._too_many is None:
            self._say(
                f"a batch of {_padded(batch)} tokens does not fit in memory: it and later ones are done in halves "
                "(a smaller run.batch_tokens saves the attempt)"
            )
        self._too_many = _padded(batch)
        give_back()
        return None


def _padded(batch: Sequence[Prompt]) -> int:
    return len(batch) * max(len(prompt.token_ids) for prompt in batch)
