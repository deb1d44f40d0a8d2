"""The words of `flowatlas vocab`: a run or the keys of a model."""

from pathlib import Path

from flowatlas.errors import ConfigError
from flowatlas.overrides import is_run, keys_of_run

HELP = """\
flowatlas vocab RUN [key=value ...]
flowatlas vocab model=NAME [key=value ...]

What every neuron and every head of a model promotes and suppresses by its weights alone, and clusters of neurons: of the
model of a run, into RUN/vocab, or of any model, into the cache alone. Made once per model; what was begun goes on.
  flowatlas vocab data/runs/demo
  flowatlas vocab model=openai-community/gpt2 vocab.clusters=500

Keys, those of a run that are about a model, and:
  vocab.top_k=20        tokens of each sign, of a neuron and of each end of a direction
  vocab.directions=8    singular directions of a head
  vocab.pairs=30        pairs of tokens of a head, of each sign; 0 for none
  vocab.clusters=null   clusters of neurons; null: one for every 64 neurons, 2,000 at most

`flowatlas run --help` lists all keys; docs/vocab.md says what the numbers mean.
"""


def read(args: list[str]) -> tuple[Path | None, list[str]]:
    """The run, or None, and the keys that name its model. Raises ConfigError for words that are neither, RunError."""
    if args and is_run(args[0]):
        run_dir = Path(args[0])
        return run_dir, [*keys_of_run(run_dir), *args[1:]]
    options = any(word.startswith("-") for word in args)  # some of which take a word of their own
    if not options and (strange := [word for word in args if "=" not in word and not word.startswith("~")]):
        raise ConfigError(
            f"vocab takes a run folder or keys such as model=demo, and {strange[0]!r} is neither (a run folder has a plan.json)"
        )
    return None, args
