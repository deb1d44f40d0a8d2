"""`flowatlas vocab`: the atlas of a model into the cache, or of a run's model into the run."""

import sys
from pathlib import Path

from flowatlas import checkpoints, guard, models, vocab
from flowatlas.checkpoints import weights_dtype
from flowatlas.config import Config
from flowatlas.devices import check as check_device
from flowatlas.devices import pick_device
from flowatlas.errors import RunError
from flowatlas.manifest import read_plan
from flowatlas.models import Model
from flowatlas.tokens import load_tokenizer, token_texts
from flowatlas.vocab_files import lines, put

_PROBE = [tuple(range(1, 9)), tuple(range(9, 12))]  # any tokens will do: the guard asks whether parts add up


def carry_out(config: Config, run_dir: Path | None) -> list[str]:
    """Make the atlas, or find it made; copies it into the run if there is one. Returns what to say about it.

    Raises ModelError, UnsupportedModel, UnfinishedError; RunError when the weights are not those of the run.
    """
    check_device(config.model)
    located = checkpoints.locate(config.model)
    config.model.dtype = weights_dtype(located, config.model.dtype)
    wanted = vocab.wanted_of(config, located)
    if run_dir is not None and read_plan(run_dir).weights_hash != wanted.weights_hash:
        raise RunError(
            f"{run_dir} was made with other weights than model {located.name} has: give those with model=FOLDER_OR_ID"
        )

    def load() -> tuple[Model, list[str]]:
        tokenizer = load_tokenizer(str(located.tokenizer_folder), None, config.model.trust_remote_code)
        probe = guard.probe_batch(_PROBE, pick_device(config.model.device))
        model, reference = models.load(located, config.model, lambda hf: guard.reference_logits(hf, probe))
        guard.check(model, probe, reference)
        return model, token_texts(tokenizer, model.vocab_size)

    folder = vocab.ensure(wanted, load, lambda words: print(words, file=sys.stderr))
    return lines(folder if run_dir is None else put(folder, run_dir))
