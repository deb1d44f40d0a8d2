"""Every value of a config and every combination of them, checked before anything else happens."""

import dataclasses
import datetime
import math
import re
from typing import Any

from flowatlas.config import MISSING, ClusterConfig, Config, DatasetConfig, ModelConfig, RunConfig
from flowatlas.errors import ConfigError

DTYPES = ("float32", "float64", "bfloat16", "float16", "auto")
_SLURM_WORDS = ("partition", "account", "qos", "time", "memory", "gpus", "constraint", "exclude")
_SLURM_ONLY = (*_SLURM_WORDS, "parallel", "cpus", "setup", "options")
_SIZE = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B)?")


def validate(config: Config, with_dataset: bool = True) -> Config:
    """Check every value and combination and return the config. Raises ConfigError naming key, value and what is allowed.

    Without `with_dataset` none need be given.
    """
    _validate_model(config.model)
    if with_dataset:
        _validate_dataset(config.dataset)
    _validate_run(config.run)
    _validate_cluster(config.cluster)
    for key, floor in (("routes.floor", config.routes.floor), ("maps.floor", config.maps.floor)):
        if not (isinstance(floor, int | float) and math.isfinite(floor) and 0 < floor < 1):
            raise _bad(key, floor, "a number between 0 and 1, both excluded")
    config.routes.targets = _validated_targets(config.routes.targets)
    _at_least("generate.max_new_tokens", config.generate.max_new_tokens, 0)
    for key, value in (
        ("lens.top_k", config.lens.top_k),
        ("writes.top_k", config.writes.top_k),
        ("neurons.top_k", config.neurons.top_k),
        ("vocab.top_k", config.vocab.top_k),
        ("vocab.directions", config.vocab.directions),
    ):
        _at_least(key, value, 1)
        _at_most_a_rank(key, value)
    _at_least("vocab.pairs", config.vocab.pairs, 0)
    _at_most_a_rank("vocab.pairs", config.vocab.pairs)
    if config.vocab.clusters is not None:
        _at_least("vocab.clusters", config.vocab.clusters, 1)
    _at_least("knockouts.top_k", config.knockouts.top_k, 1)
    part = config.knockouts.sample
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 1:
        raise _bad("knockouts.sample", part, "a number above 0, at most 1")
    return config


def _validate_model(model: ModelConfig) -> None:
    if not model.name or model.name == MISSING:
        raise ConfigError("no model is given: add model=NAME, a Hugging Face id, a folder, or a config such as demo")
    if model.dtype not in DTYPES:
        quantised = (
            "; quantised weights are not supported" if re.search(r"int|fp|\d*bit|float[48]", model.dtype) else ""
        )
        raise _bad("model.dtype", model.dtype, f"one of {', '.join(DTYPES)}{quantised}")
    kind, _, index = model.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise _bad("model.device", model.device, "auto, cpu, cuda, cuda:<index> or mps")
    if model.adapter is not None and model.base is not None:
        raise ConfigError(
            f"model.adapter={model.adapter} and model.base={model.base}: the base is then the model itself"
        )
    _validate_devices(model)
    _validate_input(model)


def _validate_devices(model: ModelConfig) -> None:
    if model.device_map not in (None, "auto"):
        raise _bad("model.device_map", model.device_map, "auto or null")
    if model.device_map is not None and model.device != "auto":
        raise ConfigError(
            f"model.device={model.device} and model.device_map={model.device_map} are both given: keep one"
        )
    if model.max_memory is None:
        return
    if model.device_map is None:
        raise ConfigError("model.max_memory is for models on several devices: add model.device_map=auto")
    if not isinstance(model.max_memory, dict) or not model.max_memory:
        raise _bad("model.max_memory", model.max_memory, "sizes by device, such as {0:20GiB,1:20GiB}")
    model.max_memory = {str(device): str(size) for device, size in model.max_memory.items()}
    for device, size in model.max_memory.items():
        if not (device == "cpu" or device.isdecimal()) or not _SIZE.fullmatch(size):
            raise _bad("model.max_memory", f"{{{device}:{size}}}", "sizes by GPU number or cpu, such as {0:20GiB}")


def _validate_input(model: ModelConfig) -> None:
    """What is put around a text."""
    if model.prepend_bos not in ("auto", True, False):
        raise _bad("model.prepend_bos", model.prepend_bos, "auto, true or false")
    if model.system_prompt is not None and not model.chat_template:
        raise ConfigError("model.system_prompt is part of a chat: add model.chat_template=true")
    try:
        datetime.date.fromisoformat(model.chat_date)
    except (TypeError, ValueError) as error:
        raise _bad("model.chat_date", model.chat_date, "a date such as 2025-01-01") from error


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
    if run.resume not in (None, "failed"):
        raise _bad("run.resume", run.resume, "failed, or null")
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


def _validate_cluster(cluster: ClusterConfig) -> None:
    if cluster.kind not in (None, "local", "slurm"):
        raise _bad("cluster.kind", cluster.kind, "local or slurm")
    for key in ("tasks", "parallel", "cpus"):
        if (value := getattr(cluster, key)) is not None:
            _at_least(f"cluster.{key}", value, 1)
    _at_least("cluster.warning", cluster.warning, 30)
    if cluster.time is not None and not re.fullmatch(r"\d+-\d+(:\d+){0,2}|\d+(:\d+){1,2}", cluster.time):
        raise _bad(  # a bare 4:00:00 in a YAML file is the number 14400, which Slurm would take for minutes
            "cluster.time", cluster.time, "such as 4:00:00 or 1-12:00:00, in quotes where it stands in a file"
        )
    default = ClusterConfig()
    for key in _SLURM_ONLY if cluster.kind == "local" else ():
        if getattr(cluster, key) != getattr(default, key):
            raise ConfigError(
                f"cluster.{key} is for cluster=slurm: local tasks are processes of this machine, as it is"
            )
    lines = {"setup": cluster.setup, "options": cluster.options}
    lines |= {word: [str(getattr(cluster, word))] for word in (*_SLURM_WORDS, "command")}
    for key, values in lines.items():
        if any("\n" in value for value in values):
            raise _bad(f"cluster.{key}", repr(", ".join(values)), "without line breaks: it becomes a line of a script")


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


def _at_most_a_rank(key: str, value: int) -> None:
    if value > 32767:  # ranks are stored in 16 bits
        raise _bad(key, value, "32767 at most")


def _bad(key: str, value: Any, allowed: str) -> ConfigError:
    shown = (
        {True: "true", False: "false", None: "null"}.get(value, value)
        if isinstance(value, bool) or value is None
        else value
    )
    return ConfigError(f"{key}={shown} is not allowed: it must be {allowed}")
