"""The commands that make and publish sites: `flowatlas site | publish`. What they need is imported when they are called."""

import argparse
import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowatlas.errors import ConfigError
from flowatlas.hosts import HOST_NAMES

BRANCH = "gh-pages"


def add_commands(commands: Any) -> None:
    """Add the two to argparse's subparsers."""
    site = commands.add_parser("site", help="build a static site of one or more runs")
    site.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    site.add_argument("--out", type=Path, required=True, metavar="SITE", help="folder to write")
    site.add_argument("--title", help="heading of the first page")
    site.add_argument("--about", type=Path, metavar="FILE", help="site.yaml: title, authors, abstract, links, BibTeX")
    site.add_argument(
        "--select", action="append", default=[], metavar="KEY=VALUE",
        help="a part of the runs: prompts=SQL, tables=-maps, lens.top_k=5, top_k=5; again for more; RUN:KEY=VALUE for one run",
    )  # fmt: skip
    site.add_argument(
        "--host", choices=HOST_NAMES, default=HOST_NAMES[0], help=f"whose limits hold (default {HOST_NAMES[0]})"
    )
    site.add_argument(
        "--max-size", type=_size, metavar="SIZE", help="a limit of your own for the whole site, such as 300MB"
    )
    site.add_argument(
        "--dry", action="store_true", help="say what the site would take, table by table, and write nothing"
    )
    site.set_defaults(command=_site)
    publish = commands.add_parser("publish", help="put a site on a branch for GitHub Pages; nothing is pushed")
    publish.add_argument("site", type=Path, metavar="SITE", help="a folder that `flowatlas site` wrote")
    publish.add_argument(
        "--to", choices=("gh-pages", "workflow"), default="gh-pages", help="a branch with the site, or a workflow"
    )
    publish.add_argument(
        "--repo", type=Path, default=Path(), metavar="FOLDER", help="the git repository (default: here)"
    )
    publish.add_argument("--branch", default=BRANCH, help=f"default {BRANCH}")
    publish.add_argument(
        "--under", default="", metavar="FOLDER", help="a folder of the branch; what else is in it stays"
    )
    publish.add_argument(
        "--no-history", action="store_true", help="a commit without parents: earlier sites are not kept"
    )
    publish.set_defaults(command=_publish)


def _site(args: argparse.Namespace) -> int:
    from flowatlas.front_page import FrontPage, read_front_page
    from flowatlas.hosts import HOSTS, lines, size
    from flowatlas.site import Wanted, build_site

    front = read_front_page(args.about) if args.about else FrontPage()
    if args.title:
        front = dataclasses.replace(front, title=args.title)
    host = HOSTS[args.host]
    if args.max_size is not None:
        host = dataclasses.replace(host, own_bytes=args.max_size)
    built = build_site(args.runs, args.out, Wanted(front, tuple(args.select), host), dry=args.dry)
    if args.dry:
        _print([*lines(built.parts), f"foretold; nothing was written to {args.out}"])
        return 0
    runs = f"site of {built.runs} run{'s' * (built.runs > 1)} in {args.out}"
    _print([f"{runs}: {size(built.whole.bytes)} in {built.whole.files:,} files; see it: flowatlas serve {args.out}"])
    return 0


def _publish(args: argparse.Namespace) -> int:
    from flowatlas.publish import publish_branch, publish_workflow

    if args.to == "workflow":
        if args.under or args.no_history or args.branch != BRANCH:
            raise ConfigError(
                "--branch, --under and --no-history are of --to gh-pages: a workflow deploys the folder SITE"
            )
        _print(publish_workflow(args.site, args.repo))
    else:
        _print(publish_branch(args.site, args.repo, args.branch, args.under, not args.no_history))
    return 0


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text} is no size: give it as 300MB or 1.5GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
