"""`model=FOLDER_OR_ID` and `dataset=FILE`, rewritten before Hydra sees them.

A config of that name on the search path wins; everything else becomes `model.name='...'` or `dataset.path='...'`,
quoted so that spaces, commas, brackets, equals signs and quotes in a path reach the config as they are.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

from flowatlas.errors import ConfigError, DatasetError, ModelError
from flowatlas.plan import read_plan

_KEYS = {"model": "model.name", "dataset": "dataset.path"}
_CONFIG_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


@dataclass(frozen=True)
class ConfigDirs:
    """Folders of YAML files: ours, the user's (`--config-dir`), and those of `hydra.searchpath`."""

    conf: Path
    overlay: Path | None = None
    others: tuple[Path, ...] = ()

    @classmethod
    def of(cls, conf: Path, overlay: str | None, overrides: list[str]) -> "ConfigDirs":
        """Raises ConfigError when `overlay` is no folder."""
        folder = None if overlay is None else Path(overlay).expanduser()
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"--config-dir {overlay}: no such folder")
        listed = [o for o in overrides if o.startswith("hydra.searchpath=")]
        found = [path for o in OverridesParser.create().parse_overrides(listed) for path in _searchpath(o.value())]
        return cls(conf, folder, tuple(found))

    @property
    def all(self) -> list[Path]:
        return [*self.others, self.conf, *([self.overlay] if self.overlay else [])]

    def is_group(self, name: str) -> bool:
        """Whether `name=option` chooses a file: a folder of that name is on the search path."""
        return _CONFIG_NAME.fullmatch(name) is not None and any((folder / name).is_dir() for folder in self.all)

    def has(self, group: str, name: str) -> bool:
        """Whether `group=name` is a config."""
        if not _CONFIG_NAME.fullmatch(name):
            return False
        file = f"{name.removesuffix('.yaml')}.yaml"
        return any((folder / group / file).is_file() for folder in self.all)

    def options(self, group: str) -> list[str]:
        """The names that `group=` takes, sorted."""
        return sorted({file.stem for folder in self.all for file in (folder / group).glob("*.yaml")})


def rewrite(overrides: list[str], dirs: ConfigDirs, multirun: bool) -> list[str]:
    """The overrides with `model=` and `dataset=` of anything but a config replaced; others untouched.

    With `multirun`, commas separate values unless the whole is one existing path. Raises ConfigError, ModelError and
    DatasetError for what is neither a config nor a file, folder or id.
    """
    return [_rewritten(override, dirs, multirun) for override in overrides]


def _rewritten(override: str, dirs: ConfigDirs, multirun: bool) -> str:
    group, equals, value = override.partition("=")
    if not equals or group not in _KEYS or value.strip().lower() == "null" or value.lstrip().startswith("{"):
        return override
    if not value.strip():
        raise ConfigError(f"{group}= is empty: give a name, or leave it out")
    if not multirun or _exists(value):
        return _single(override, group, value, dirs)
    if re.fullmatch(r"\w+\(.*\)", value):  # a sweep such as glob(*) over configs
        return override
    choices = value.split(",")
    configs = [dirs.has(group, choice.strip()) for choice in choices]
    if all(configs):
        return override
    if any(configs):
        raise ConfigError(
            f"{override}: a sweep is over configs or over paths, not both; give a config its path instead"
        )
    return f"{_KEYS[group]}={','.join(quoted(_checked(group, choice.strip(), dirs)) for choice in choices)}"


def _single(override: str, group: str, value: str, dirs: ConfigDirs) -> str:
    return override if dirs.has(group, value) else f"{_KEYS[group]}={quoted(_checked(group, value, dirs))}"


def _checked(group: str, value: str, dirs: ConfigDirs) -> str:
    """The path or id that `value` means, without the quotes that Hydra would have wanted around it."""
    if not _exists(value) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    if value.startswith("~"):
        value = str(Path(value).expanduser())
    if _exists(value):
        return value
    known = ", ".join(dirs.options(group)) or "none"
    if group == "dataset":
        raise DatasetError(
            f"dataset={value}: no such file, and no config of that name (there are: {known}); "
            f"a dataset of the Hugging Face hub is dataset.hub={value}"
        )
    if value.startswith((".", "/")) or value.count("/") > 1 or "\\" in value:
        raise ModelError(f"model={value}: no such folder (a Hugging Face id is owner/name; configs: {known})")
    return value


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, ~nobody
        return False


def is_run(word: str) -> bool:
    """Whether a word of the command line names a run folder, not a key."""
    return (Path(word) / "plan.json").is_file()


def keys_of_run(run_dir: Path) -> list[str]:
    """The keys that say which model a run is of, and what its atlas holds. Raises RunError."""
    config = read_plan(run_dir).config
    values = {
        f"{section}.{key}": value for section in ("model", "vocab") for key, value in config.get(section, {}).items()
    }
    plain = {key: value for key, value in values.items() if isinstance(value, str | bool | int)}
    return [f"{key}={quoted(value) if isinstance(value, str) else str(value).lower()}" for key, value in plain.items()]


def quoted(text: str) -> str:
    """`text` as a value of Hydra's override grammar that means exactly `text`, `${` included."""
    literal = re.sub(r"(\\*)\$\{", lambda m: m.group(1) * 2 + r"\${", text)
    return QuotedString(literal, Quote.single).with_quotes()


def _searchpath(value: object) -> list[Path]:
    entries = value if isinstance(value, list) else [value]
    texts = [str(entry.text if isinstance(entry, QuotedString) else entry) for entry in entries]
    return [Path(text.removeprefix("file://")) for text in texts if not text.startswith("pkg://")]
