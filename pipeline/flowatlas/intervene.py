"""`flowatlas intervene RUN EDIT ...`: the prompts of a run again, with components edited (docs/interventions.md).

One shard after the other: each leaves its parts of the tables, so that what is interrupted goes on where it was. At the end the
statistics are made, and the folder is put in its place.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flowatlas import intervention_stats, intervention_store, run_means, run_model
from flowatlas.before_after import Asked, BeforeAfter
from flowatlas.edit_lists import Intervention
from flowatlas.errors import RunError
from flowatlas.files import remove_stale
from flowatlas.greedy import greedy
from flowatlas.intervention_store import Stored
from flowatlas.interventions import check
from flowatlas.job import make_batches
from flowatlas.means import Means
from flowatlas.models import Model
from flowatlas.schema_interventions import INTERVENTION_TABLES, OF_PROMPTS, TEXTS
from flowatlas.site_data import RunReader
from flowatlas.stored_prompts import given_targets
from flowatlas.tokens import load_tokenizer

_FEW = 64  # prompts that are generated from at once
_END = 160  # letters of a prompt by which a reader knows it

Rows = dict[str, list[dict[str, Any]]]


class Session:
    """A run whose prompts are asked again: its model, loaded when first needed. `model` is where its weights lie now.

    Raises RunError when it is no run with a done shard or holds no prompt, ModelError, RunConflict for other weights.
    """

    def __init__(self, run_dir: Path, model: str | None = None, device: str | None = None) -> None:
        self.reader = RunReader(Path(run_dir).resolve())
        if not self.reader.manifest["counts"]["prompts"]:
            raise RunError(f"{run_dir} has no prompt: all of its rows were rejected")
        self.located, self.config = run_model.locate(self.reader.plan, model, device)
        self.tokenizer = load_tokenizer(str(self.located.tokenizer_folder), None, self.config.trust_remote_code)
        self._model: Model | None = None
        self._means: Means | None = None

    @property
    def model(self) -> Model:
        """Raises ModelError, GuardError."""
        if self._model is None:
            first = next(prompt for shard in self.reader.shards for prompt in asked(self.reader, shard))
            self._model = run_model.load(self.located, self.config, [first.token_ids])
        return self._model

    def means(self, intervention: Intervention) -> Means | None:
        """The run's means where an edit needs them, made when they are not there yet."""
        if self._means is None and any(edit.action == "mean" for edit in intervention.edits):
            batches = run_means.of_run(self.reader, self.located)
            self._means = run_means.ensure(self.reader.run_dir, self.model, lambda: batches)
        return self._means

    def text(self, token_id: int | None) -> str | None:
        """Of a token of the vocabulary, or of none."""
        return None if token_id is None else self.reader.vocabulary.texts([token_id])[0]

    @property
    def top_k(self) -> int:
        return int(self.reader.plan.config["lens"]["top_k"])


def make(
    session: Session, intervention: Intervention, generate: int = 0, progress: bool | None = None, replace: bool = False
) -> Stored:
    """Carry it out, or return what there is of it.

    Raises ConfigError for a component that the model has not, and where its folder holds other edits unless `replace`;
    UnfinishedError (disk): what was done is then kept.
    """
    reader = session.reader
    if (found := intervention_store.find(reader, intervention, generate)) is not None:
        return found
    if not replace:
        intervention_store.refuse_others(reader, intervention)
    began = time.perf_counter()
    check(session.model, intervention.edits, session.means(intervention))
    folder = intervention_store.unfinished_folder(reader, intervention, generate)
    for stale in (folder.parent, *(folder / name for name in OF_PROMPTS)):
        remove_stale(stale)
    disable = None if progress is None else not progress
    for shard in tqdm(reader.shards, desc=intervention.name, unit="shard", disable=disable):
        if not all(intervention_store.is_written(folder, name, shard) for name in OF_PROMPTS):
            _write_parts(session, intervention, generate, folder, shard)
    statistics = intervention_stats.tables(
        intervention.folder,
        _predictions(folder, reader.shards),
        run_means.seed_of(reader.plan),
    )
    largest = statistics["largest"]
    largest["text"] = list(_texts(reader, largest["prompt_id"]))
    return intervention_store.finish(reader, intervention, generate, statistics, time.perf_counter() - began)


def _write_parts(session: Session, intervention: Intervention, generate: int, folder: Path, shard: int) -> None:
    rows = _rows(session, intervention, generate, list(asked(session.reader, shard)))
    for name in OF_PROMPTS:
        texts = TEXTS.get(name, {})
        made = {column: [row[column] for row in rows[name]] for column in _columns(name) - texts.keys()}
        made |= {column: [session.text(id_) for id_ in made[ids]] for column, ids in texts.items()}
        made["intervention"] = [intervention.folder] * len(rows[name])
        intervention_store.write_part(folder, name, shard, made)


def _columns(table: str) -> set[str]:
    """Those that are made by prompt."""
    return set(INTERVENTION_TABLES[table].schema.names) - {"intervention"}


def _predictions(folder: Path, shards: Sequence[int]) -> dict[str, list[Any]]:
    """The columns of `predictions` of all prompts."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for shard in shards:
        for name, values in intervention_store.read_part(folder, "predictions", shard).to_pydict().items():
            columns[name] += values
    return columns


def _texts(reader: RunReader, prompts: Sequence[int]) -> Iterator[str]:
    """The ends of some prompts' texts."""
    found: dict[int, str] = {}
    wanted = set(prompts)
    for shard in sorted({prompt // reader.plan.shard_size for prompt in wanted}):
        table = reader.shard("prompts", shard)
        ids = table["prompt_id"].to_pylist()
        found |= {id_: text for id_, text in zip(ids, table["text"].to_pylist(), strict=True) if id_ in wanted}
    for prompt in prompts:
        yield found[prompt][-_END:]


def _rows(session: Session, intervention: Intervention, generate: int, prompts: list[Asked]) -> Rows:
    """Rows of every table of prompts."""
    means = session.means(intervention)
    compare = BeforeAfter(session.model, session.top_k, means)
    rows: Rows = {name: [] for name in OF_PROMPTS}
    for batch in make_batches(prompts, session.reader.plan.batch_tokens, session.located.rope_switch):
        for found in compare(batch, intervention.edits):
            for name, some in found.items():
                rows[name] += some
        if generate:
            rows["continuations"] += continuations(
                session.model, session.tokenizer, batch, intervention, generate, means
            )
    return rows


def continuations(
    model: Model, tokenizer: Any, prompts: Sequence[Asked], intervention: Intervention, n: int, means: Means | None
) -> Iterator[dict[str, Any]]:
    """Rows of `continuations`: what is written after each prompt up to its target."""
    for first in range(0, len(prompts), _FEW):
        some = prompts[first : first + _FEW]
        texts = [prompt.token_ids[: prompt.target + 1] for prompt in some]
        sides = greedy(model, texts, n), greedy(model, texts, n, intervention.edits, means)
        for prompt, before, after in zip(some, *sides, strict=True):
            pairs = enumerate(zip(before, after, strict=False))
            same = next((place for place, (a, b) in pairs if a != b), min(len(before), len(after)))
            decoded = [tokenizer.decode(ids) for ids in (before, after)]
            yield {"prompt_id": prompt.prompt_id, "text_before": decoded[0], "text_after": decoded[1], "n_same": same}


def asked(reader: RunReader, shard: int) -> Iterator[Asked]:
    """The prompts of a shard at their last target, with the run's answer and foil there."""
    generated = reader.shard("generated", shard)
    given = given_targets(reader.shard("targets", shard), generated)
    targets = {row["prompt_id"]: row for row in given.to_pylist()}  # ascending: the last one stays
    n_given = dict(zip(generated["prompt_id"].to_pylist(), generated["n_given"].to_pylist(), strict=True))
    for row in reader.shard("prompts", shard).select(["prompt_id", "group", "token_ids"]).to_pylist():
        at = targets[row["prompt_id"]]
        ids = tuple(row["token_ids"][: n_given.get(row["prompt_id"])])
        yield Asked(
            row["prompt_id"], row["group"], ids, at["target"], at["answer_id"], at["foil_id"], at["answer_from"]
        )  # fmt: skip


def lines(done: Iterable[Stored]) -> Iterator[str]:
    """What the command line says of interventions over a run."""
    for one in done:
        marker = one.marker
        edits = "" if marker["name"] == ", ".join(marker["edits"]) else f" ({', '.join(marker['edits'])})"
        yield f"{marker['name']}{edits}: {marker['n_prompts']} prompts, {marker['seconds']:.1f} s, {one.folder}"
        for row in one.read("summary").to_pylist():
            if row["group"] is None:
                yield f"  {_line(row)}"


_WORDS = {
    "accuracy": "answers predicted",
    "answer_logprob": "log probability of the answer",
    "answer_logit": "logit of the answer",
    "foil_logprob": "log probability of the foil",
    "foil_logit": "logit of the foil",
    "gap": "answer less foil",
    "kl": "divergence (KL)",
    "flipped": "other predictions",
}


def _line(row: dict[str, Any]) -> str:
    ends = "" if row["change_low"] is None else f" [{row['change_low']:+.3f}, {row['change_high']:+.3f}]"
    words = f"{_WORDS[row['measure']]:30} {row['n']:7} prompts  "
    if row["before"] is None:
        return f"{words}{row['change']:.3f}{ends.replace('+', '')}"
    return f"{words}{row['before']:.3f} -> {row['after']:.3f}  {row['change']:+.3f}{ends}"
