"""Which prompts of a shard make it fail: each is tried alone.

A shard that failed twice, or at which processes died again and again, is sifted before its next attempt. A prompt that
fails alone, while one that went well before still does, is poisoned; so is one that killed two processes that tried it
alone (a crash of the libraries, or the system's own end of a process that took too much memory). What is left goes on in
batches, as in any shard: sifting changes no number of a good prompt, except through the company that it has in a batch.
"""

from collections.abc import Callable

from flowatlas.claims import Claim
from flowatlas.errors import UnfinishedError
from flowatlas.prompts import Prompt, Reject

ERRORS = (
    RuntimeError,
    MemoryError,
)  # torch's own, out of memory among them: a prompt's or a shard's fate, not the run's

Extract = Callable[[list[Prompt]], object]


def sift(prompts: list[Prompt], claim: Claim, extract: Extract, proven: Prompt) -> tuple[list[Prompt], list[Reject]]:
    """The good prompts and the poisoned ones. `proven`: a prompt that went well; raises UnfinishedError if it fails now."""
    good: list[Prompt] = []
    poisoned: list[Reject] = []
    crashed = claim.crashed()
    for prompt in prompts:
        if prompt.prompt_id in crashed:
            poisoned.append(_reject(prompt, "crashed", "every process that tried it alone died"))
            continue
        claim.probe(prompt.prompt_id)
        try:
            extract([prompt])
            good.append(prompt)
        except ERRORS as error:
            require_health(extract, proven, error)
            poisoned.append(_reject(prompt, "failed", first_line(error)))
    return good, poisoned


def require_health(extract: Extract, proven: Prompt, after: BaseException) -> None:
    """Raises UnfinishedError when a prompt that went well fails after an error: the process, or its GPU, is broken.

    Without this, one broken GPU would take shard after shard and fail them all.
    """
    try:
        extract([proven])
    except ERRORS as error:
        raise UnfinishedError(
            f"nothing can be computed any more after an error ({first_line(after)}): even a prompt that went well before "
            f"fails ({first_line(error)}); mend that, or try another node, and give the same command again"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind when it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _reject(prompt: Prompt, reason: str, detail: str) -> Reject:
    return Reject(prompt.prompt_id, prompt.source_id, reason, detail)
