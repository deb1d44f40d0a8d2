"""The keys of a run, their types, defaults and limits; no Hydra here, so that every layer can import it cheaply.

`Config` is the schema that `compose.py` gives to Hydra, and what a program builds by hand. Types that the schema
cannot express (a word or a number) are annotated as unions or `Any` and checked by `validation.validate`.
"""

import dataclasses
import difflib
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from flowatlas.errors import ConfigError

MISSING = "???"  # what OmegaConf calls a value that must be given


@dataclass
class ModelConfig:
    """What is run, where, and what is put around a text.

    `name`: a folder or a Hugging Face id, also of a LoRA adapter in peft's format, whose base is `base` or what its config
    names; or `adapter` is one, merged into `name`. `dtype`: float32, bfloat16, float16, float64, or auto, the checkpoint's
    own. `device`: auto, cpu, cuda, cuda:1, mps; or `device_map`: auto spreads the model over the GPUs, of which
    `max_memory` ({0: 20GiB, 1: 20GiB}) allows so much. `prepend_bos`: auto, true, false. `chat_template`: each text is
    wrapped as one user's turn (after `system_prompt`); a template that prints today's date is told `chat_date`, so that
    a run means the same tomorrow. `trust_remote_code`: run Python code that lies in the model's folder.
    """

    name: str = MISSING
    revision: str | None = None
    base: str | None = None
    adapter: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    device_map: str | None = None
    max_memory: Any = None  # null | dict[str, str]
    prepend_bos: bool | str = "auto"
    chat_template: bool = False
    system_prompt: str | None = None
    chat_date: str = "2025-01-01"
    trust_remote_code: bool = False


@dataclass
class ColumnsConfig:
    """The dataset's name of each column; all but `text` may be absent unless they are renamed."""

    text: str = "text"
    id: str = "id"
    group: str = "group"
    pair_id: str = "pair_id"
    role: str = "role"
    answer: str = "answer"
    foil: str = "foil"
    targets: str = "targets"


@dataclass
class DatasetConfig:
    """Either `path` (a .txt, .jsonl, .csv or .parquet file) or `hub` (a dataset's id, its `config` and `split`)."""

    name: str | None = None
    path: str | None = None
    hub: str | None = None
    config: str | None = None
    split: str = "train"
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)


@dataclass
class RunConfig:
    """Where and how: `limit` prompts at most, `task` (from 0) of `tasks` in an array, `dry`: plan only.

    `resume`: failed, to try shards once more that were given up.
    """

    dir: str | None = None
    limit: int | None = None
    shard_size: int = 256
    batch_tokens: int | str = "auto"
    seed: int = 0
    task: int | None = None
    tasks: int | None = None
    resume: str | None = None
    dry: bool = False
    progress: bool | str = "auto"


@dataclass
class ClusterConfig:
    """How `flowatlas submit` starts tasks; null leaves a thing to the cluster.

    `kind`: slurm, or local (this machine). `tasks` processes in all, at most `parallel` of them at once; `gpus` for each,
    a number or a kind and a number (a100:1). `time` as Slurm writes it (4:00:00); `warning`: seconds before the end of its
    time at which a task is told. `setup`: lines of shell before flowatlas starts; `options`: further options of sbatch;
    `command`: how flowatlas is called, the installed one if null. `closing`: a last job, after all tasks, that does what
    they may have left. `dry`: print the files and submit nothing.
    """

    kind: str | None = None
    tasks: int | None = None
    parallel: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    memory: str | None = None
    cpus: int | None = None
    gpus: int | str | None = None
    constraint: str | None = None
    exclude: str | None = None
    options: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    command: str | None = None
    warning: int = 120
    closing: bool = True
    dry: bool = False


@dataclass
class RoutesConfig:
    """`floor`: smallest stored share. `targets`: last, all, or positions (negative ones count from the end)."""

    floor: float = 0.01
    targets: Any = "last"  # "last" | "all" | list[int]


@dataclass
class LensConfig:
    """Tokens kept per node; `raw`: also without the final norm."""

    top_k: int = 10
    raw: bool = False


@dataclass
class WritesConfig:
    """Tokens kept per component and sign; `heads`: of single heads too, each of which takes an unembedding of its own."""

    top_k: int = 8
    heads: bool = True


@dataclass
class NeuronsConfig:
    """Neurons kept per MLP on a stored route."""

    top_k: int = 20


@dataclass
class GenerateConfig:
    """`max_new_tokens`: tokens by which every prompt is continued greedily, each of them explained; 0 for none."""

    max_new_tokens: int = 0


@dataclass
class MapsConfig:
    """`store`: whole contribution and attention maps of every head; cells above `floor` in either of them."""

    store: bool = False
    floor: float = 0.005


@dataclass
class KnockoutsConfig:
    """`store`: what removing components does to the answer of the last target. `top_k`: heads and MLPs of a prompt, those of
    the largest route_tau first, then by mean_share; `sample`: the part of the prompts, drawn by `run.seed`."""

    store: bool = False
    top_k: int = 20
    sample: float = 1.0


@dataclass
class VocabConfig:
    """The vocabulary atlas: what every neuron and head of the model promotes by its weights alone.

    `store`: make it at the end of the run (once per model; `flowatlas vocab` makes it any time). `top_k` tokens of each sign;
    `directions` and `pairs` (of each sign) of a head; `clusters` of neurons, null for one for every 64 of them.
    """

    store: bool = False
    top_k: int = 20
    directions: int = 8
    pairs: int = 30
    clusters: int | None = None


@dataclass
class Config:
    """All of it. `Config(ModelConfig("gpt2"), DatasetConfig(path="prompts.txt"))` is a complete one."""

    model: ModelConfig = field(default_factory=ModelConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    run: RunConfig = field(default_factory=RunConfig)
    routes: RoutesConfig = field(default_factory=RoutesConfig)
    lens: LensConfig = field(default_factory=LensConfig)
    writes: WritesConfig = field(default_factory=WritesConfig)
    neurons: NeuronsConfig = field(default_factory=NeuronsConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    maps: MapsConfig = field(default_factory=MapsConfig)
    knockouts: KnockoutsConfig = field(default_factory=KnockoutsConfig)
    vocab: VocabConfig = field(default_factory=VocabConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)


# Keys that change no number of the result: where things lie, who does which part, and what a hash stands for (the weights'
# for the model's name and revision; the rows' for where the dataset comes from). What is drawn at random takes the seed that
# the plan has, so that another one changes nothing either.
NOT_IDENTITY = frozenset(
    [
        *("model.name", "model.revision", "model.base", "model.adapter"),
        *("model.device", "model.device_map", "model.max_memory"),
        *("dataset.name", "dataset.path", "dataset.hub", "dataset.config", "dataset.split"),
        *("run.dir", "run.limit", "run.seed", "run.task", "run.tasks"),
        *("run.resume", "run.dry", "run.progress"),
        *(f"cluster.{key.name}" for key in dataclasses.fields(ClusterConfig)),
        *(f"vocab.{key.name}" for key in dataclasses.fields(VocabConfig)),
    ]
)


def as_dict(config: Config) -> dict[str, Any]:
    """The config as nested plain dicts, JSON-able."""
    return dataclasses.asdict(config)


def identity(config: Config) -> dict[str, Any]:
    """The nested keys that change results, sorted, JSON-able; a run goes on only where they are equal."""

    def kept(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for key in sorted(values):
            name = f"{prefix}{key}"
            if name in NOT_IDENTITY:
                continue
            value = kept(f"{name}.", values[key]) if isinstance(values[key], dict) else values[key]
            if value != {}:
                out[key] = value
        return out

    values = as_dict(config)
    if not config.knockouts.store:  # a run from before there were any goes on
        del values["knockouts"]
    return kept("", values)


def known_keys() -> list[str]:
    """Every key, dotted, in the order of the schema: `model.name`, ..., `dataset.columns.text`, ..."""

    def walk(prefix: str, values: dict[str, Any]) -> list[str]:
        keys: list[str] = []
        for key, value in values.items():
            keys += walk(f"{prefix}{key}.", value) if isinstance(value, dict) else [f"{prefix}{key}"]
        return keys

    return walk("", as_dict(Config()))


def unknown_key(key: str) -> ConfigError:
    """The error for a key that is none, naming the nearest one."""
    keys = known_keys()
    last = key.rsplit(".", 1)[-1]
    near = [known for known in keys if known.rsplit(".", 1)[-1] == last]  # the wrong section, or none
    near = near or difflib.get_close_matches(key, keys, n=1, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "`flowatlas run --cfg job` shows every key"
    return ConfigError(f"unknown key {key}: {hint}")


def default_run_dir(config: Config) -> str:
    """`data/runs/<model>-<dataset>`, relative to the working directory, of letters that every file system takes."""
    dataset = config.dataset
    if dataset.name:
        parts = [dataset.name]
    elif dataset.path:
        parts = [PurePath(dataset.path).stem]
    else:
        split = dataset.split if dataset.split != "train" else None
        parts = [PurePath(dataset.hub or "dataset").name, dataset.config, split]
    model = [PurePath(name).name for name in (config.model.name, config.model.adapter) if name]
    return "data/runs/" + "-".join(slug(part) for part in [*model, *parts] if part)


def slug(text: str) -> str:
    """`text` with everything but ASCII letters, digits, `.`, `_`, `=` and `-` made a `-`; never empty or hidden."""
    kept = re.sub(r"[^A-Za-z0-9._=-]+", "-", text)
    return kept.strip(".-")[:100] or "unnamed"
