"""The end of a run: when its last shard lands, what is made once of all of them, and the manifest that says so.

Whichever process finds that no shard is missing does it, under a claim like that of a shard: another one that finds the
same leaves it alone, and takes it over should the first one die.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowatlas import claims, neuron_tokens
from flowatlas.claims import Claims
from flowatlas.files import remove
from flowatlas.job import Job
from flowatlas.manifest import find_manifest, is_current, write_manifest
from flowatlas.models import Model
from flowatlas.plan import Plan
from flowatlas.schema_stats import STATS_VERSION
from flowatlas.shards import Ledger
from flowatlas.site_data import RunReader
from flowatlas.tokens import special_ids, token_texts

NAME = "finish"  # of the claim


def finish(job: Job, plan: Plan, board: Claims, load: Callable[[], Model]) -> dict[str, Any] | None:
    """The manifest of the run, all shards of which are done; None while another process is at its end.

    Raises UnfinishedError when the disk does not let it, or the dataset has grown meanwhile.
    """
    manifest = _current(job.run_dir, plan)
    if manifest and _has_statistics(job.run_dir, manifest) and _has_atlas(job):
        return manifest
    claim = board.take(NAME, again=True)
    if claim is None:
        return None
    try:
        manifest = _current(job.run_dir, plan) or complete(job, plan, load())
        if not _has_statistics(job.run_dir, manifest):
            from flowatlas import stats

            stats.make(job.run_dir)
        if not _has_atlas(job):
            _make_atlas(job, load)
        claim.done()
    except BaseException:
        claim.drop()
        raise
    return manifest


def clear(run_dir: Path) -> None:
    """Remove what processes of a complete run have agreed on."""
    remove(run_dir / claims.FOLDER)


def _current(run_dir: Path, plan: Plan) -> dict[str, Any] | None:
    manifest = find_manifest(run_dir, plan)
    return manifest if manifest is not None and is_current(run_dir, manifest, Ledger(run_dir)) else None


def _has_statistics(run_dir: Path, manifest: dict[str, Any]) -> bool:
    """Whether they are there and of these shards; of no prompt there are none."""
    from flowatlas import stats  # its libraries take a second to load, and only the last process needs them

    return not manifest["counts"]["prompts"] or stats.current(RunReader(run_dir)) is not None


def _has_atlas(job: Job) -> bool:
    """Whether the vocabulary atlas is there, where it is asked for."""
    if not job.config.vocab.store:
        return True
    from flowatlas import vocab, vocab_files  # likewise

    marker = vocab_files.marker_of(job.run_dir / vocab_files.FOLDER)
    return marker is not None and marker["made_from"] == vocab.wanted_of(job.config, job.located).made_from


def _make_atlas(job: Job, load: Callable[[], Model]) -> None:
    from flowatlas import vocab, vocab_files

    def loaded() -> tuple[Model, list[str]]:
        model = load()
        return model, token_texts(job.tokenizer, model.vocab_size)

    vocab_files.put(vocab.ensure(vocab.wanted_of(job.config, job.located), loaded), job.run_dir)


def complete(job: Job, plan: Plan, model: Model, statistics: bool = True) -> dict[str, Any]:
    """Make everything that is made of all shards together, but statistics, and at last the manifest, which is returned.

    It says that statistics are made next, unless they are not.
    """
    texts, special = token_texts(job.tokenizer, model.vocab_size), special_ids(job.tokenizer)
    neuron_tokens.write_vocab(job.run_dir, model, texts, special)
    neuron_tokens.write_neuron_tokens(job.run_dir, model, plan.weights_hash, job.config.writes.top_k)
    described: dict[str, Any] = {"model": model.describe(), "input": job.encoder.describe()}
    if statistics:
        described["statistics"] = STATS_VERSION
    return write_manifest(job.run_dir, plan, Ledger(job.run_dir), described)
