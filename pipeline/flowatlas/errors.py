"""Every error that flowatlas raises on purpose.

    FlowatlasError
    ├── InputError            exit 2: something the user gave is wrong
    │   ├── ConfigError           a key, a value or a combination of them
    │   ├── DatasetError          a prompt file that is missing, empty or unreadable
    │   ├── ModelError            a model that cannot be loaded
    │   │   ├── UnsupportedModel      a family or variant that is refused by name
    │   │   └── GuardError            the first batch does not add up: its numbers could not be trusted
    │   ├── RunConflict           a run folder that belongs to another model, dataset or config
    │   └── RunError              a run folder that is missing, incomplete or of another schema
    │       └── NothingInCommon       two runs without a common prompt
    └── UnfinishedError       exit 1: the work was right but did not get done (a shard failed, a disk was full)
        └── StoppedError          exit 75: stopped at a scheduler's warning; the same command goes on

A message is one line: what is wrong, where, and how to mend it. A prompt that cannot be processed is not an error:
it becomes a row of `rejects`.
"""

from pathlib import Path


class FlowatlasError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(FlowatlasError):
    """Something the user gave is wrong."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key, a value, or a combination of values."""


class DatasetError(InputError):
    """A prompt file or dataset that cannot be read or holds no good row."""


class ModelError(InputError):
    """A model that cannot be found or loaded."""


class UnsupportedModel(ModelError):
    """A model family, or a variant of one, whose routes flowatlas does not compute."""


class GuardError(ModelError):
    """Parts and wholes, or our logits and Hugging Face's, disagree beyond the tolerance of the dtype."""


class RunConflict(InputError):
    """A run folder of another identity; it is never overwritten or mixed."""


class RunError(InputError):
    """A run folder that is missing, incomplete, damaged, or of another schema."""


def no_site(folder: Path, lacks: str) -> RunError:
    """For a folder that was taken for a site: what it is, and how a site is made."""
    if (folder / "plan.json").is_file():
        return RunError(f"{folder} is a run: `flowatlas site {folder} --out SITE` makes a site of it")
    return RunError(f"{folder} is no site (it has no {lacks}): make one with `flowatlas site RUN --out {folder}`")


class NothingInCommon(RunError):
    """Two runs that have no prompt in common."""


class UnfinishedError(FlowatlasError):
    """Shards are missing or failed although the input was right."""


class StoppedError(UnfinishedError):
    """A scheduler said that the time is nearly over, and there is more to do."""

    exit_code = 75
