"""From a command line to a `Config`, by Hydra.

The one module that knows Hydra. It uses Hydra's composition, sweeps and help, but not its `main`: that one prints
errors of many lines, ends the process by itself, keeps exit codes of sweeps to itself and makes output folders. Here
everything wrong is a ConfigError of one line, and `-m` ends with the worst exit code.
"""

import argparse
import copy
import dataclasses
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from flowatlas.config import NOT_IDENTITY, Config, default_run_dir, known_keys, slug, unknown_key
from flowatlas.errors import ConfigError, FlowatlasError
from flowatlas.overrides import ConfigDirs, rewrite
from flowatlas.validation import validate

_PACKAGE = Path(__file__).resolve().parent
_REPOSITORY = _PACKAGE.parent.parent


def run_config(
    args: list[str],
    task: Callable[[Config], int],
    report: Callable[[FlowatlasError], int],
    with_dataset: bool = True,
) -> int:
    """Compose the config that `args` ask for and call `task` with it; returns its exit code.

    With `-m`, one call per combination, in order: an error in one is given to `report`, the others go on, and the
    worst exit code is returned. `--cfg`, `--help` and `--info` print instead. Raises ConfigError for everything wrong;
    a dataset may lack where `with_dataset` is false.
    """
    flags = _parser().parse_intermixed_args(args)
    dirs = ConfigDirs.of(conf_dir(), flags.config_dir, flags.overrides)
    try:
        overrides = rewrite(flags.overrides, dirs, flags.multirun)
        swept = _check_overrides(overrides, dirs, flags.multirun)
        with _Session(dirs) as hydra:
            if flags.cfg or flags.help or flags.info:
                _show(hydra, flags, overrides)
                return 0
            if flags.multirun:
                return _multirun(hydra, overrides, _Job(task, report, swept, with_dataset))
            config = _to_config(hydra.compose_config("config", overrides, RunMode.RUN), [], with_dataset)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(_one_line(error)) from error
    return task(config)


def conf_dir() -> Path:
    """The folder of the YAML files: inside the installed package, else at the top of the repository."""
    for folder in (_PACKAGE / "conf", _REPOSITORY / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no conf/config.yaml beside {_PACKAGE}: the installation is incomplete, install flowatlas again")


def asset(path: str) -> str:
    """A file of the demo: below `data/` of the repository or of the package, relative to here where that is shorter."""
    for root in (_REPOSITORY, _PACKAGE):
        found = root / "data" / path
        if found.exists():
            here = Path.cwd()
            return str(found.relative_to(here) if found.is_relative_to(here) else found)
    return f"data/{path}"


class _Session:
    """Hydra, set up for our search path and cleared afterwards (it is global to the process)."""

    def __init__(self, dirs: ConfigDirs) -> None:
        self._dirs = dirs

    def __enter__(self) -> Hydra:
        OmegaConf.register_new_resolver("asset", asset, replace=True)
        ConfigStore.instance().store(name="schema", node=Config)
        path: ConfigSearchPath = create_config_search_path(str(self._dirs.conf))
        if self._dirs.overlay is not None:
            # before the schema, after ours: a user's file of the same name does not hide ours, as with Hydra's main
            path.prepend("command-line", f"file://{self._dirs.overlay.resolve()}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        return Hydra.create_main_hydra2("flowatlas", path)

    def __exit__(self, *_: object) -> None:
        GlobalHydra.instance().clear()


@dataclasses.dataclass
class _Job:
    """One combination of a sweep; returns its exit code and never raises on the user's mistakes."""

    task: Callable[[Config], int]
    report: Callable[[FlowatlasError], int]
    swept: list[str]
    with_dataset: bool

    def __call__(self, cfg: DictConfig) -> int:
        try:
            return self.task(_to_config(cfg, self.swept, self.with_dataset))
        except OmegaConfBaseException as error:
            return self.report(ConfigError(_one_line(error)))
        except FlowatlasError as error:
            return self.report(error)


def _multirun(hydra: Hydra, overrides: list[str], job: _Job) -> int:
    with tempfile.TemporaryDirectory(prefix="flowatlas-") as scratch:
        # Hydra's sweeper writes a multirun.yaml; launchers that run elsewhere need a folder that outlives this process
        if not any(o.startswith(("hydra/launcher=", "hydra.sweep.dir=")) for o in overrides):
            overrides = [*overrides, f"hydra.sweep.dir={scratch}"]
        returned = hydra.multirun("config", cast(Any, job), [*overrides, "hydra.mode=MULTIRUN"])
    codes = [result.return_value for batch in returned or [] for result in batch]
    return max((code for code in codes if isinstance(code, int)), default=0)


def _show(hydra: Hydra, flags: argparse.Namespace, overrides: list[str]) -> None:
    if flags.help:
        hydra.app_help("config", _parser(), flags)
    elif flags.cfg:
        hydra.show_cfg("config", overrides, flags.cfg, flags.package, flags.resolve)
    else:
        hydra.show_info(flags.info, "config", overrides)


def _check_overrides(overrides: list[str], dirs: ConfigDirs, multirun: bool) -> list[str]:
    """Refuse keys that are none (also `+key=value`, which would slip past the schema); returns the keys swept over."""
    keys = known_keys()
    sections = {key.rsplit(".", depth)[0] for key in keys for depth in range(1, key.count(".") + 1)}
    swept = []
    for override in _parsed(overrides):
        key = override.key_or_group
        if override.is_sweep_override():
            swept.append(key)
        elif dirs.is_group(key) and not _is_choice(override):
            raise ConfigError(
                f"{override.input_line}: a name is needed; there are: {', '.join(dirs.options(key)) or 'none'}"
            )
        if key.startswith(("hydra.", "hydra/")) or dirs.is_group(key):
            continue
        if key not in keys and key not in sections:
            raise unknown_key(key)
        if override.is_sweep_override() and not multirun:
            raise ConfigError(f"{override.input_line} lists several values: add -m for a run each, or [a,b] for a list")
        if override.is_delete():
            raise ConfigError(f"{override.input_line}: keys cannot be removed; give {key} a value")
    return swept


def _is_choice(override: Override) -> bool:
    """Whether the value of a group can be names of its configs: Hydra fails on any other."""
    value = override.value()
    if override.is_delete() and value is None:
        return True
    names = value if isinstance(value, list) and not override.is_delete() else [value]
    return all(isinstance(name, str | QuotedString) for name in names)


def _parsed(overrides: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except ValueError as error:  # a number of more digits than Python reads
        raise ConfigError(f"an override cannot be read: {error}") from error


def _to_config(cfg: DictConfig, swept: list[str], with_dataset: bool) -> Config:
    """Typed, checked and with `run.dir` filled in. Raises ConfigError and OmegaConf's errors of interpolation."""
    if "hydra" in cfg:  # a sweep's jobs come without it; it is set already
        HydraConfig.instance().set_config(cfg)
    values = copy.deepcopy(cfg)
    with read_write(values), open_dict(values):
        values.pop("hydra", None)
    for key in _leaves(cast(dict, OmegaConf.to_container(values))):
        if key not in known_keys():
            raise unknown_key(key)
    if OmegaConf.is_missing(values.model, "name"):
        values.model.name = ""  # `validate` says what is missing and how to give it
    config = cast(Config, OmegaConf.to_object(values))
    validate(config, with_dataset)
    if config.run.dir is None:
        config.run.dir = default_run_dir(config) + _suffix(config, swept)
    return config


def _leaves(values: dict, prefix: str = "") -> list[str]:
    """Dotted keys; a value that is itself a mapping (model.max_memory) is one leaf."""
    keys: list[str] = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        keys += _leaves(value, f"{key}.") if isinstance(value, dict) and key not in known_keys() else [key]
    return keys


def _suffix(config: Config, swept: list[str]) -> str:
    """What tells the default folders of a sweep apart: the swept keys that change results."""
    parts = []
    for key in swept:
        if key in known_keys() and key not in NOT_IDENTITY:
            value: Any = config
            for name in key.split("."):
                value = getattr(value, name)
            parts.append(slug(f"{key}={value}".replace(" ", "")))
        elif key not in ("model", "dataset") and "." not in key and not key.startswith("hydra"):
            parts.append(slug(f"{key}={HydraConfig.get().runtime.choices.get(key)}"))
    return "".join(f"-{part}" for part in parts)


def _one_line(error: Exception) -> str:
    """Hydra's and OmegaConf's messages of many lines, reduced to what the user got wrong."""
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
    file = re.match(r"In '[^']+': ", str(error))
    where = file[0] if file and not file[0].startswith("In 'config'") else ""
    if isinstance(cause, OmegaConfBaseException):
        line = str(cause).strip().splitlines()[0]
        key = cause.full_key
        if isinstance(cause.key, str) and line.startswith("Key '") and key:
            return f"{where}{unknown_key(key)}"
        return f"{where}{key}: {line[:1].lower()}{line[1:]}" if key else f"{where}{line}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem_mark.name}, line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r} as key=value: quote what is special in it, as in key='\"a b\"'"
    text = str(error).split("Config search path")[0].split("See https://")[0]
    return " ".join(text.split()).rstrip(" ,") or type(error).__name__


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see `flowatlas run --help`)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="flowatlas run", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", help="section.key=value, group=option")
    parser.add_argument("--help", "-h", action="store_true", help="this text")
    parser.add_argument("--multirun", "-m", action="store_true", help="one run per combination of a,b,c values")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"], help="print the config instead of running")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: interpolations resolved")
    parser.add_argument("--package", "-p", help="with --cfg: this section only")
    parser.add_argument("--config-dir", "-cd", help="a folder of your own configs, laid out like conf/")
    infos = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=infos, help="how the config is put together")
    return parser
