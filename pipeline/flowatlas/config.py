"""The keys of a run, their types, defaults and limits; no Hydra here, so that every layer can import it cheaply.

`Config` is the schema that `compose.py` gives to Hydra, and what a program builds by hand. Types that the schema
cannot express (a word or a number) are annotated as unions or `Any` and checked by `validate`.
"""

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from flowatlas.errors import ConfigError

MISSING = "???"  # what OmegaConf calls a value that must be given
DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass
class ModelConfig:
    """`name`: a folder or a Hugging Face id. `device`: auto, cpu, cuda, cuda:1, mps. `prepend_bos`: auto, true, false."""

    name: str = MISSING
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    prepend_bos: bool | str = "auto"


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
    """Where and how: `limit` prompts at most, `task` (from 0) of `tasks` in an array, `dry`: plan only."""

    dir: str | None = None
    limit: int | None = None
    shard_size: int = 256
    batch_tokens: int | str = "auto"
    seed: int = 0
    task: int | None = None
    tasks: int | None = None
    dry: bool = False
    progress: bool | str = "auto"


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
    """Tokens kept per component and sign."""

    top_k: int = 8


@dataclass
class NeuronsConfig:
    """Neurons kept per MLP on a stored route."""

    top_k: int = 20


@dataclass
class MapsConfig:
    """`store`: whole contribution and attention maps of every head; cells above `floor` in either of them."""

    store: bool = False
    floor: float = 0.005


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
    maps: MapsConfig = field(default_factory=MapsConfig)


# Keys that change no number of the result (nothing draws at random yet): where things lie, who does which part, and what
# a hash stands for (the weights' for the model's name and revision; the rows' for where the dataset comes from).
NOT_IDENTITY = frozenset(
    [
        *("model.name", "model.revision", "model.device"),
        *("dataset.name", "dataset.path", "dataset.hub", "dataset.config", "dataset.split"),
        *("run.dir", "run.limit", "run.seed", "run.task", "run.tasks", "run.dry", "run.progress"),
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
            if isinstance(values[key], dict):
                out[key] = kept(f"{name}.", values[key])
            elif name not in NOT_IDENTITY:
                out[key] = values[key]
        return out

    return kept("", as_dict(config))


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
    return "data/runs/" + "-".join(slug(part) for part in [PurePath(config.model.name).name, *parts] if part)


def slug(text: str) -> str:
    """`text` with everything but ASCII letters, digits, `.`, `_`, `=` and `-` made a `-`; never empty or hidden."""
    kept = re.sub(r"[^A-Za-z0-9._=-]+", "-", text)
    return kept.strip(".-")[:100] or "unnamed"


def validate(config: Config) -> Config:
    """Check every value and combination and return the config. Raises ConfigError naming key, value and what is allowed."""
    _validate_model(config.model)
    _validate_dataset(config.dataset)
    _validate_run(config.run)
    for key, floor in (("routes.floor", config.routes.floor), ("maps.floor", config.maps.floor)):
        if not (isinstance(floor, int | float) and math.isfinite(floor) and 0 < floor < 1):
            raise _bad(key, floor, "a number between 0 and 1, both excluded")
    config.routes.targets = _validated_targets(config.routes.targets)
    for key, value in (
        ("lens.top_k", config.lens.top_k),
        ("writes.top_k", config.writes.top_k),
        ("neurons.top_k", config.neurons.top_k),
    ):
        _at_least(key, value, 1)
        if value > 32767:  # ranks are stored in 16 bits
            raise _bad(key, value, "32767 at most")
    return config


def _validate_model(model: ModelConfig) -> None:
    if not model.name or model.name == MISSING:
        raise ConfigError("no model is given: add model=NAME, a Hugging Face id, a folder, or a config such as demo")
    if model.dtype not in DTYPES:
        raise _bad("model.dtype", model.dtype, f"one of {', '.join(DTYPES)}")
    kind, _, index = model.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise _bad("model.device", model.device, "auto, cpu, cuda, cuda:<index> or mps")
    if model.prepend_bos not in ("auto", True, False):
        raise _bad("model.prepend_bos", model.prepend_bos, "auto, true or false")


def _validate_dataset(dataset: DatasetConfig) -> None:
    if not dataset.path and not dataset.hub:
        raise ConfigError(
            "no dataset is given: add dataset=FILE (.txt, .jsonl, .csv, .parquet), dataset.hub=ID, or a config such as demo"
        )
    if dataset.path and dataset.hub:
        raise ConfigError(f"dataset.path={dataset.path} and dataset.hub={dataset.hub} are both given: keep one")
    taken: dict[str, str] = {}
    for name, column in dataclasses.asdict(dataset.columns).items():
        if not column:
            raise _bad(f"dataset.columns.{name}", column, "the name of a column")
        if column in taken:
            raise ConfigError(f"dataset.columns.{name} and dataset.columns.{taken[column]} are both '{column}'")
        taken[column] = name


def _validate_run(run: RunConfig) -> None:
    if run.limit is not None:
        _at_least("run.limit", run.limit, 1)
    _at_least("run.shard_size", run.shard_size, 1)
    if run.batch_tokens != "auto":
        _at_least("run.batch_tokens", run.batch_tokens, 1, "auto or ")
    _at_least("run.seed", run.seed, 0)
    if run.progress not in ("auto", True, False):
        raise _bad("run.progress", run.progress, "auto, true or false")
    if run.dir is not None and not run.dir.strip():
        raise _bad("run.dir", run.dir, "a folder")
    if run.tasks is None:
        if run.task is not None:
            raise ConfigError(f"run.task={run.task} is given without run.tasks, the number of tasks")
        return
    _at_least("run.tasks", run.tasks, 1)
    if run.task is None:
        raise ConfigError(f"run.tasks={run.tasks} is given without run.task, this task's number from 0")
    if not 0 <= run.task < run.tasks:
        raise _bad("run.task", run.task, f"0..{run.tasks - 1} when run.tasks is {run.tasks}")


def _validated_targets(targets: Any) -> str | list[int]:
    if targets in ("last", "all"):
        return targets
    listed = [targets] if isinstance(targets, int) else targets
    fits = isinstance(listed, list | tuple) and all(
        isinstance(p, int) and not isinstance(p, bool) and abs(p) < 2**31 for p in listed
    )
    if not fits or not listed:
        raise _bad("routes.targets", targets, "last, all, or a list of positions such as [0,-1]")
    return list(listed)


def _at_least(key: str, value: Any, least: int, word: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise _bad(key, value, f"{word}a whole number of at least {least}")


def _bad(key: str, value: Any, allowed: str) -> ConfigError:
    shown = (
        {True: "true", False: "false", None: "null"}.get(value, value)
        if isinstance(value, bool) or value is None
        else value
    )
    return ConfigError(f"{key}={shown} is not allowed: it must be {allowed}")
