"""What a run is before any weight is loaded: everything that can be wrong with the input is found here."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowatlas import checkpoints, shards
from flowatlas.checkpoints import Located
from flowatlas.config import Config, default_run_dir
from flowatlas.errors import DatasetError
from flowatlas.prompts import Dataset, Encoder, Prompt, Reject, open_dataset
from flowatlas.shards import Fingerprint
from flowatlas.tokens import load_tokenizer, resolve_bos

_BATCH_BYTES = 1 << 30  # what a batch of `batch_tokens=auto` may keep of activations


@dataclass(frozen=True)
class Job:
    """What is known of a run before its weights are loaded."""

    config: Config
    run_dir: Path
    located: Located
    tokenizer: Any
    dataset: Dataset
    encoder: Encoder
    fingerprint: Fingerprint
    batch_tokens: int


def prepare(config: Config) -> Job:
    """Look at everything that needs no weights. Raises InputErrors."""
    located = checkpoints.locate(config.model)
    checkpoints.pick_device(config.model.device)
    dataset = open_dataset(config.dataset, config.run.limit)
    tokenizer = load_tokenizer(str(located.folder), None)
    bos = resolve_bos(tokenizer, config.model.prepend_bos)
    encoder = Encoder(tokenizer, bos, located.max_tokens, config.routes.targets, located.vocab_size)
    _require_good_row(dataset, encoder)
    found = shards.fingerprint(dataset, config.run.shard_size)
    asked = config.run.batch_tokens
    batch_tokens = asked if isinstance(asked, int) else automatic_batch_tokens(located)
    run_dir = Path(config.run.dir or default_run_dir(config)).expanduser()
    return Job(config, run_dir, located, tokenizer, dataset, encoder, found, batch_tokens)


def _require_good_row(dataset: Dataset, encoder: Encoder) -> None:
    """Before hours of loading: is there a single row that can be processed?"""
    reasons: Counter[str] = Counter()
    first: Reject | None = None
    for row in dataset.rows():
        item = encoder.encode(row)
        if isinstance(item, Prompt):
            return
        first = first or item
        reasons[item.reason] += 1
    if first is None:
        raise DatasetError(f"dataset {dataset.name}: it holds no prompt")
    raise DatasetError(
        f"dataset {dataset.name}: none of its {reasons.total()} rows can be processed ({count_text(reasons)}); "
        f"row {first.prompt_id}: {first.detail}"
    )


def automatic_batch_tokens(located: Located) -> int:
    """Tokens of a batch by what it keeps of activations, from the model's config alone (float32, 128-token prompts)."""
    config = located.config
    width, heads = int(config.hidden_size), int(config.num_attention_heads)
    inner = int(getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * width)
    per_token = 4 * int(config.num_hidden_layers) * (5 * width + inner + 2 * 128 * heads)
    return max(256, min(4096, _BATCH_BYTES // per_token))


def make_batches(prompts: list[Prompt], batch_tokens: int) -> list[list[Prompt]]:
    """Prompts of like length together, at most `batch_tokens` padded tokens each (a longer prompt stands alone)."""
    batches: list[list[Prompt]] = []
    for prompt in sorted(prompts, key=lambda p: (len(p.token_ids), p.prompt_id)):
        if batches and (len(batches[-1]) + 1) * len(prompt.token_ids) <= batch_tokens:
            batches[-1].append(prompt)
        else:
            batches.append([prompt])
    return batches


def first_batch(job: Job) -> list[Prompt]:
    """The first batch of the whole run, whichever shards are still to be done."""
    for rows in shards.shard_ranges(job.fingerprint.rows, job.config.run.shard_size):
        encoded = map(job.encoder.encode, job.dataset.rows(rows.start, rows.stop))
        if prompts := [item for item in encoded if isinstance(item, Prompt)]:
            return make_batches(prompts, job.batch_tokens)[0]
    raise DatasetError(f"dataset {job.dataset.name}: it holds no prompt")


def count_text(reasons: dict[str, int]) -> str:
    """Reasons and their numbers, as in "no_text 2, too_long 1"."""
    return ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
