"""A model that stays loaded, and prompts through it one at a time, by the pipeline of `flowatlas run`.

Each request becomes a run of its own, whole and complete: a dataset of one row, or with edits of two, a pair of the prompt as
it is and under the edits. What such a run holds is what `flowatlas run` stores of the same dataset with the same keys.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowatlas import finish, interventions, shards
from flowatlas.config import Config, DatasetConfig, GenerateConfig, RunConfig
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError, DatasetError
from flowatlas.extract import Extractor
from flowatlas.generation import Continuation
from flowatlas.job import Job, first_batch, prepare
from flowatlas.live_request import Request
from flowatlas.memory import keep_freed_memory
from flowatlas.models import Model
from flowatlas.prompts import Prompt, Reject, open_dataset
from flowatlas.run import load_guarded, marker_info, open_run, together
from flowatlas.writer import write_shard

_WARMING = "Nothing here yet"  # a text of a few tokens, for any tokenizer
_DATASET = "prompts.jsonl"
_ROWS = 2  # of a request at most: all of its shard


class LiveModel:
    """The model that `config` names; its dataset and run folder are not looked at. Loads and warms it in `scratch`.

    Raises what loading a model raises, and ConfigError for keys that make no sense for single prompts.
    """

    def __init__(self, config: Config, scratch: Path) -> None:
        if config.knockouts.store:
            raise ConfigError("knockouts.store=true needs the means of a dataset: leave it away for single prompts")
        keep_freed_memory()
        self._scratch = scratch
        self._job = prepare(self._configured(config, scratch / "warming", Request(_WARMING)))
        self.model, self._guard = load_guarded(self._job, first_batch(self._job))
        self._extractor = Extractor(self.model, self._job.config)
        self.weights_hash = self._job.located.weights_hash()
        self.run(Request(_WARMING), "warming")  # compiles the kernels

    @property
    def name(self) -> str:
        """For people: of a folder its last part."""
        name = self._job.located.name
        return Path(name).name if Path(name).is_dir() else name

    def run(self, request: Request, name: str) -> Path:
        """The run of a request, in a folder of that name within the scratch folder.

        Raises DatasetError for a prompt that cannot be processed, ConfigError for edits that the model does not take.
        """
        job = self._job_of(request, self._scratch / name)
        prompts = [self._read(job, row) for row in range(job.fingerprint.rows)]
        edits = self._resolved(request.edits, prompts[0])
        plan = open_run(job)
        began = time.perf_counter()
        self._extractor.continuation = (
            Continuation(self.model, job.tokenizer, request.new_tokens) if request.new_tokens else None
        )
        parts = []
        for prompt, of_row in zip(prompts, [(), edits], strict=False):
            tables, rejects = self._extractor([prompt], of_row)
            if rejects:
                raise DatasetError(f"the prompt cannot be processed: {rejects[0].detail}")
            parts.append(tables)
        info = marker_info(plan, 0, {"extract": round(time.perf_counter() - began, 4)}, self._guard)
        write_shard(job.run_dir, 0, together(parts, []), info)
        finish.complete(job, plan, self.model, statistics=False)
        return job.run_dir

    def _job_of(self, request: Request, folder: Path) -> Job:
        config = self._configured(self._job.config, folder, request)
        dataset = open_dataset(config.dataset)
        found = shards.fingerprint(dataset, config.run.shard_size)
        return replace(self._job, config=config, run_dir=folder / "run", dataset=dataset, fingerprint=found)

    def _configured(self, config: Config, folder: Path, request: Request) -> Config:
        """The config of a request's run, whose dataset is written."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DATASET).write_text("".join(json.dumps(row) + "\n" for row in request.rows()))
        return replace(
            config,
            dataset=DatasetConfig(path=str(folder / _DATASET)),
            run=RunConfig(
                dir=str(folder / "run"), shard_size=_ROWS, batch_tokens=config.run.batch_tokens, progress=False
            ),
            generate=GenerateConfig(request.new_tokens),
        )

    def _read(self, job: Job, row: int) -> Prompt:
        (found,) = map(job.encoder.encode, job.dataset.rows(row, row + 1))
        if isinstance(found, Reject):
            raise DatasetError(f"the prompt cannot be read: {found.detail}")
        return found

    def _resolved(self, edits: Sequence[Edit], prompt: Prompt) -> tuple[Edit, ...]:
        return resolved(self.model, edits, prompt.token_ids)


def resolved(model: Model, edits: Sequence[Edit], token_ids: tuple[int, ...]) -> tuple[Edit, ...]:
    """The same edits with what depends on the prompt as given made plain: it may be longer when it is explained.

    Positions count from the start, and a neuron that is on is set to the value that this comes to. Raises ConfigError for a
    component that the model has not or whose parts would not be told apart, and a position that the prompt has not.
    """
    interventions.check(model, edits)
    n, on = len(token_ids), interventions.on_values(model, token_ids, edits)

    def plain(edit: Edit) -> Edit:
        if edit.component.expert >= 0:
            raise ConfigError(f"{edit}: an expert's neurons cannot be edited here, `flowatlas intervene` does")
        strange = [position for position in edit.positions or () if not -n <= position < n]
        if strange:
            raise ConfigError(f"{edit}: the prompt has {n} tokens, so no position {strange[0]}")
        if edit.positions is not None:
            edit = replace(edit, positions=tuple(position % n for position in edit.positions))
        if edit.action == "on":
            edit = replace(edit, action="set", value=on[edit.component.layer])
        return edit

    return tuple(map(plain, edits))
