"""What a run is before any weight is loaded: everything that can be wrong with the input is found here."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from flowatlas import checkpoints, devices, shards
from flowatlas.chat import Chat
from flowatlas.checkpoints import Located, weights_dtype
from flowatlas.config import Config, default_run_dir
from flowatlas.errors import DatasetError
from flowatlas.prompts import Dataset, Encoder, Prompt, Reject, open_dataset
from flowatlas.shards import Fingerprint
from flowatlas.tokens import load_tokenizer, resolve_bos

_BATCH_BYTES = 1 << 30  # what a batch of `batch_tokens=auto` may keep of activations

_INNER = (
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "ffn_hidden_size",
)  # neurons of an MLP, by the names that configs use


@dataclass(frozen=True)
class Job:
    """What is known of a run before its weights are loaded; `config` names the dtype that `auto` came to."""

    config: Config
    run_dir: Path
    located: Located
    tokenizer: Any
    dataset: Dataset
    encoder: Encoder
    fingerprint: Fingerprint
    batch_tokens: int

    def batches(self, prompts: list[Prompt], batch_tokens: int) -> list[list[Prompt]]:
        """The prompts in batches of so many padded tokens at most, as `make_batches` cuts them."""
        return make_batches(prompts, batch_tokens, self.located.rope_switch, self.config.generate.max_new_tokens)


def prepare(config: Config) -> Job:
    """Look at everything that needs no weights. Raises InputErrors."""
    devices.check(config.model)
    located = checkpoints.locate(config.model)
    config = replace(config, model=replace(config.model, dtype=weights_dtype(located, config.model.dtype)))
    dataset = open_dataset(config.dataset, config.run.limit)
    tokenizer = load_tokenizer(str(located.tokenizer_folder), None, config.model.trust_remote_code)
    encoder = encoder_of(config, located, tokenizer)
    _require_good_row(dataset, encoder)
    found = shards.fingerprint(dataset, config.run.shard_size)
    asked = config.run.batch_tokens
    batch_tokens = asked if isinstance(asked, int) else automatic_batch_tokens(located)
    run_dir = Path(config.run.dir or default_run_dir(config)).expanduser()
    return Job(config, run_dir, located, tokenizer, dataset, encoder, found, batch_tokens)


def encoder_of(config: Config, located: Located, tokenizer: Any) -> Encoder:
    """What makes prompts of rows, as the config has it. Raises ConfigError, ModelError (no chat template)."""
    model, chat = config.model, None
    if model.chat_template:
        chat = Chat(tokenizer, located.name, model.system_prompt, model.chat_date)
        bos = chat.added_bos(model.prepend_bos)
    else:
        bos = resolve_bos(tokenizer, model.prepend_bos)
    return Encoder(tokenizer, bos, located.max_tokens, config.routes.targets, located.vocab_size, chat)


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
    inner = next((int(size) for key in _INNER if (size := getattr(config, key, None))), 4 * width)
    inner *= int(getattr(config, "num_experts_per_tok", None) or 1)
    per_token = 4 * int(config.num_hidden_layers) * (5 * width + inner + 2 * 128 * heads)
    return max(256, min(4096, _BATCH_BYTES // per_token))


class Tokenized(Protocol):
    """What is asked of a prompt here."""

    @property
    def prompt_id(self) -> int: ...

    @property
    def token_ids(self) -> tuple[int, ...]: ...


_Tokenized = TypeVar("_Tokenized", bound=Tokenized)


def make_batches(
    prompts: list[_Tokenized], batch_tokens: int, rope_switch: int | None = None, n_new: int = 0
) -> list[list[_Tokenized]]:
    """Prompts of like length together, at most `batch_tokens` padded tokens each (a longer prompt stands alone).

    `n_new` is by how many tokens each may be continued. A prompt longer than `rope_switch` tokens (`Located.rope_switch`)
    would change the numbers of a shorter one beside it, so the two never share a batch; one that may grow over that number
    stands alone.
    """
    batches: list[list[_Tokenized]] = []
    before = 0
    for prompt in sorted(prompts, key=lambda p: (len(p.token_ids), p.prompt_id)):
        length = len(prompt.token_ids) + n_new
        switches = rope_switch is not None and before <= rope_switch < length
        if batches and not switches and (len(batches[-1]) + 1) * length <= batch_tokens:
            batches[-1].append(prompt)
        else:
            batches.append([prompt])
        before = len(prompt.token_ids)
    return batches


def first_batch(job: Job) -> list[Prompt]:
    """The first batch of the whole run, whichever shards are still to be done."""
    for rows in shards.shard_ranges(job.fingerprint.rows, job.config.run.shard_size):
        encoded = map(job.encoder.encode, job.dataset.rows(rows.start, rows.stop))
        if prompts := [item for item in encoded if isinstance(item, Prompt)]:
            return job.batches(prompts, job.batch_tokens)[0]
    raise DatasetError(f"dataset {job.dataset.name}: it holds no prompt")


def count_text(reasons: dict[str, int]) -> str:
    """Reasons and their numbers, as in "no_text 2, too_long 1"."""
    return ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
