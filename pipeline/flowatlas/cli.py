"""The command line: `flowatlas run | submit | bench | vocab | status | check | stats | audit | intervene | site | ...`.

Every command imports what it needs when it is called, so that help and wrong input answer at once. A FlowatlasError
ends as one line on stderr and its exit code; anything else is a bug and shows its traceback.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from flowatlas import __version__, cli_site, live_command, signals
from flowatlas.config import Config
from flowatlas.errors import ConfigError, FlowatlasError, ModelError

INTERRUPTED = 130
SHOWN = 20  # problems of one folder


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 unfinished, 2 wrong input, 75 warned, 130 interrupted, 143 ended."""
    args = sys.argv[1:] if argv is None else argv
    try:
        code = _dispatch(args)
        sys.stdout.flush()
        return code
    except FlowatlasError as error:
        return _report(error)
    except signals.Terminated:
        return _say("terminated; what was at hand is given back, the same command goes on", signals.TERMINATED)
    except KeyboardInterrupt:
        resume = "; the same command goes on where it stopped" if args[:1] in (["run"], ["submit"]) else ""
        return _say(f"interrupted{resume}", INTERRUPTED)
    except BrokenPipeError:  # `flowatlas status RUN | head`: the reader has seen enough
        _close_stdout()
        return 0


def _dispatch(args: list[str]) -> int:
    if args[:1] == ["run"]:  # Hydra's grammar, not argparse's
        return _run(args[1:])
    if args[:1] == ["submit"]:
        return _submit(args[1:])
    if args[:1] == ["bench"]:
        return _bench(args[1:])
    if args[:1] == ["vocab"]:
        return _vocab(args[1:])
    parsed, rest = _parser().parse_known_args(args)
    if rest and (not hasattr(parsed, "words") or any(word.startswith("-") for word in rest)):
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    elif rest:  # argparse takes the words before an option only
        parsed.words += rest
    command: Callable[[argparse.Namespace], int] | None = getattr(parsed, "command", None)
    if command is None:
        _parser().print_help()
        return 0
    return command(parsed)


def _run(args: list[str]) -> int:
    def work(config: Config) -> int:
        from flowatlas.run import execute

        return execute(config)

    signals.catch()
    return _configured(args, work)


def _submit(args: list[str]) -> int:
    def work(config: Config) -> int:
        from flowatlas.submit import submit

        return submit(config, args)

    if {"-m", "--multirun"} & set(args):
        raise ConfigError(
            "submit takes one run at a time; `flowatlas run -m hydra/launcher=submitit_slurm` sweeps over many"
        )
    signals.catch()
    return _configured(args, work)


def _bench(args: list[str]) -> int:
    def work(config: Config) -> int:
        from flowatlas.bench import print_bench
        from flowatlas.job import prepare

        print_bench(prepare(config))
        return 0

    return _configured(args, work)


def _vocab(args: list[str]) -> int:
    from flowatlas.vocab_words import HELP, read

    if {"--help", "-h"} & set(args):
        _print([HELP.rstrip()])
        return 0
    run_dir, keys = read(args)

    def work(config: Config) -> int:
        from flowatlas.vocab_command import carry_out

        _print(carry_out(config, run_dir))
        return 0

    signals.catch()
    try:
        return _configured(keys, work, with_dataset=False)
    except ModelError as error:
        if run_dir is None or len(args) > 1 or type(error) is not ModelError:
            raise
        raise ModelError(
            f"{error}; where it has moved since the run: flowatlas vocab {run_dir} model=FOLDER"
        ) from error


def _configured(args: list[str], work: Callable[[Config], int], with_dataset: bool = True) -> int:
    """Work on the config that the keys of a run come to."""
    from flowatlas.compose import run_config

    def task(config: Config) -> int:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # what is wrong is one line of ours, not its reports
        from flowatlas.hub import require

        require(config)  # before transformers and datasets are imported, which takes seconds
        return work(config)

    return run_config(args, task, _report, with_dataset)


def _status(args: argparse.Namespace) -> int:
    from flowatlas.status import main_lines, watch

    if args.watch:
        return 0 if watch(args.run, sys.stdout) else 1
    lines, complete = main_lines(args.run)
    _print(lines)
    return 0 if complete else 1


def _check(args: argparse.Namespace) -> int:
    from flowatlas.check import check
    from flowatlas.site_check import check_site, is_site

    problems = check_site(args.run) if is_site(args.run) else check(args.run)
    _print(_bounded(problems) or [f"{args.run}: no problem found"])
    return 1 if problems else 0


def _bounded(problems: Sequence[str]) -> list[str]:
    """Of the problems of each folder the first SHOWN, and then how many more there are: none hides those of another."""
    of: dict[str, list[str]] = {}
    for problem in problems:
        of.setdefault(problem.split(" ")[0].rpartition("/")[0] or "the folder itself", []).append(problem)
    more = [f"and {len(some) - SHOWN:,} more in {place}" for place, some in of.items() if len(some) > SHOWN]
    return [problem for some in of.values() for problem in some[:SHOWN]] + more


def _stats(args: argparse.Namespace) -> int:
    from flowatlas.stats import lines, make

    _print(lines(make(args.run)))
    return 0


def _audit(args: argparse.Namespace) -> int:
    from flowatlas.audit import Settings, lines, make

    _print(lines(make(args.run, Settings(args.prompts, args.draws), args.model, args.device)))
    return 0


def _intervene(args: argparse.Namespace) -> int:
    from flowatlas.intervene_command import execute

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    _print(execute(args))
    return 0


def _compare(args: argparse.Namespace) -> int:
    from flowatlas.compare import compare, lines, write

    tables = compare(args.a, args.b)
    if args.out:
        write(tables, args.out)
    _print(lines(tables))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="flowatlas",
        description="Information flow routes of language model predictions, over whole datasets.",
        epilog="exit codes: 0 done, 1 unfinished or problems found, 2 wrong input, 75 stopped at a scheduler's "
        "warning, 130 interrupted, 143 terminated",
    )
    parser.add_argument("--version", action="version", version=f"flowatlas {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    commands.add_parser(
        "run", help="extract a dataset's routes (Hydra: key=value; flowatlas run --help)", add_help=False
    )
    commands.add_parser(
        "submit", help="start a run's tasks on a cluster (as run, with cluster=slurm or local)", add_help=False
    )
    commands.add_parser(
        "bench", help="what a model's analysis costs beside its forward pass (keys as for run)", add_help=False
    )
    commands.add_parser(
        "vocab", help="what every neuron and head promotes by its weights (RUN, or model=NAME)", add_help=False
    )
    status = commands.add_parser("status", help="progress of a run, shard by shard")
    status.add_argument("--watch", action="store_true", help="show it again and again until the run is complete")
    check = commands.add_parser("check", help="is a run what was written (files, hashes, counts, shares), or a site")
    stats = commands.add_parser("stats", help="statistics over the prompts of a run: importance, contrasts, roles, ...")
    for command, function in ((status, _status), (check, _check), (stats, _stats)):
        command.add_argument("run", type=Path, metavar="RUN", help="a run folder")
        command.set_defaults(command=function)
    audit = commands.add_parser(
        "audit", help="do routes hold what matters? Heads and MLPs kept and removed by the model"
    )
    audit.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    audit.add_argument("--prompts", type=int, default=256, help="how many, drawn by run.seed (default 256)")
    audit.add_argument("--draws", type=int, default=5, help="random sets for each prompt and threshold (default 5)")
    audit.add_argument("--model", help="where the run's model lies now, if elsewhere: a folder or a hub id")
    audit.add_argument("--device", help="cpu, cuda, cuda:1, ... instead of the run's")
    audit.set_defaults(command=_audit)
    _add_intervene(
        commands.add_parser("intervene", help="heads, MLPs and neurons on, off, set or scaled: what changes?")
    )
    compare = commands.add_parser("compare", help="two runs of the same prompts: what differs")
    compare.add_argument("a", type=Path, metavar="A", help="a run folder")
    compare.add_argument("b", type=Path, metavar="B", help="another")
    compare.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write components.parquet, prompts.parquet and largest.parquet"
    )
    compare.set_defaults(command=_compare)
    cli_site.add_commands(commands)
    live_command.add_commands(commands, _port)
    return parser


def _add_intervene(intervene: argparse.ArgumentParser) -> None:
    intervene.add_argument(
        "words", nargs="+", metavar="RUN|KEY=VALUE EDIT", help="a run folder, or model=...; L3H1=off, 'L2 MLP=mean', "
        "L5N12=on, =3.5, =x2, each for all positions or, as in L3H1=off@2,-1, for some"
    )  # fmt: skip
    intervene.add_argument(
        "--list", type=Path, metavar="FILE", help="a YAML file of named interventions, instead of edits"
    )
    intervene.add_argument("--name", help="of the edits given; default: themselves")
    intervene.add_argument("--replace", action="store_true", help="also where that name has other edits so far")
    intervene.add_argument("--generate", type=int, default=0, metavar="N", help="also continue greedily by N tokens")
    intervene.add_argument("--prompt", metavar="TEXT", help="print what changes for this one, instead of the run's")
    intervene.add_argument("--answer", metavar="TEXT", help="its expected continuation")
    intervene.add_argument("--foil", metavar="TEXT", help="what the answer is contrasted with")
    intervene.add_argument("--model", help="where the run's model lies now, if elsewhere: a folder or a hub id")
    intervene.add_argument("--device", help="cpu, cuda, cuda:1, ... instead of the run's")
    intervene.set_defaults(command=_intervene)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: it must be 0..65535")
    return int(text)


def _report(error: FlowatlasError) -> int:
    return _say(" ".join(str(error).split()), error.exit_code)


def _say(message: str, code: int) -> int:
    print(f"flowatlas: {message}", file=sys.stderr)
    return code


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _close_stdout() -> None:
    # Python flushes stdout once more on its way out and would complain; give it somewhere to write to
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
