"""The words of `flowatlas intervene`: a run or the keys of a model, and edits.

flowatlas intervene RUN L3H1=off "L2 MLP=mean" [--name NAME] [--generate N]     over the prompts of a run
flowatlas intervene RUN --list FILE.yaml                                        several, by name
flowatlas intervene RUN|model=... L3H1=off --prompt "..." [--answer ... --foil ...]
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowatlas import edit_lists
from flowatlas.config import Config, DatasetConfig
from flowatlas.edit_lists import Intervention
from flowatlas.errors import ConfigError

if TYPE_CHECKING:
    from flowatlas.intervene import Session

_KEY = re.compile(r"[+~]*(model|dataset|[a-z_]+(\.[a-z_]+)+)")


@dataclass(frozen=True)
class Words:
    """What the positional words come to: a run folder, or the keys of a model; and interventions."""

    run: Path | None
    keys: tuple[str, ...]
    interventions: tuple[Intervention, ...]


def read(args: argparse.Namespace) -> Words:
    """Raises ConfigError where the words do not go together."""
    edits = [word for word in args.words if _is_edit(word)]
    rest = [word for word in args.words if not _is_edit(word)]
    keys, runs = [word for word in rest if "=" in word], [word for word in rest if "=" not in word]
    if len(runs) > 1 or bool(runs) == bool(keys):
        raise ConfigError("intervene takes one run folder, or keys such as model=demo, and edits such as L3H1=off")
    if keys and args.prompt is None:
        raise ConfigError(
            f"intervene over a dataset needs a run of it: `flowatlas run {' '.join(keys)} run.dir=RUN`, then "
            f"`flowatlas intervene RUN {' '.join(edits) or '--list FILE'}`; or --prompt for a single one"
        )
    if bool(edits) == (args.list is not None):
        raise ConfigError("intervene takes edits such as L3H1=off, or --list FILE.yaml")
    if args.generate < 0:
        raise ConfigError(f"--generate {args.generate} is not allowed: it must be a whole number from 0")
    if args.prompt is None and (args.answer or args.foil):
        raise ConfigError("--answer and --foil are of a --prompt; the prompts of a run have their own")
    if args.name is not None and args.list is not None:
        raise ConfigError("--name is of edits that are given as words; those of a --list have names of their own")
    found = edit_lists.read(args.list) if args.list else [edit_lists.of_words(edits, args.name)]
    return Words(Path(runs[0]) if runs else None, tuple(keys), tuple(found))


def _is_edit(word: str) -> bool:
    """Whatever has a `=` and is no key of a config, so that a name that is misspelt is called an edit that is wrong."""
    name, is_, _ = word.partition("=")
    return bool(is_) and _KEY.fullmatch(name.strip()) is None


def execute(args: argparse.Namespace) -> Iterator[str]:
    """Do what is asked for; yields the lines that are printed. Raises as `intervene.make` and `intervene_prompt.lines`."""
    words = read(args)
    if words.run is None:
        yield from _by_keys(args, words)
        return
    from flowatlas import intervene

    session = intervene.Session(words.run, args.model, args.device)
    for intervention in words.interventions:
        if args.prompt is None:
            yield from intervene.lines([intervene.make(session, intervention, args.generate, replace=args.replace)])
        else:
            yield from _one_prompt(args, session, intervention)


def _one_prompt(args: argparse.Namespace, session: "Session", intervention: Intervention) -> Iterator[str]:
    from flowatlas import intervene_prompt
    from flowatlas.job import encoder_of

    encoder = encoder_of(Config(session.config, DatasetConfig(path="-")), session.located, session.tokenizer)
    asked = intervene_prompt.ask(encoder, args.prompt, args.answer, args.foil)
    means = session.means(intervention)
    yield from intervene_prompt.lines(session.model, session.tokenizer, asked, intervention, args.generate, means)


def _composed(keys: Sequence[str]) -> Config:
    """The config that the keys of a model come to; a dataset has to be named, and is not looked at."""
    from flowatlas.compose import run_config

    found: list[Config] = []
    run_config([*keys, "dataset=demo"], lambda config: found.append(config) or 0, lambda error: error.exit_code)
    return found[0]


def _by_keys(args: argparse.Namespace, words: Words) -> Iterator[str]:
    """A model without a run: no means."""
    from flowatlas import checkpoints, intervene_prompt, run_model
    from flowatlas.job import encoder_of
    from flowatlas.tokens import load_tokenizer

    config = _composed(words.keys)
    located = checkpoints.locate(config.model)
    tokenizer = load_tokenizer(str(located.tokenizer_folder), None, config.model.trust_remote_code)
    asked = intervene_prompt.ask(encoder_of(config, located, tokenizer), args.prompt, args.answer, args.foil)
    model = run_model.load(located, config.model, [asked.token_ids])
    for intervention in words.interventions:
        yield from intervene_prompt.lines(model, tokenizer, asked, intervention, args.generate, None)
