"""`flowatlas publish SITE`: everything but the last step of putting a site on GitHub Pages.

`--to gh-pages` makes a commit of the site's files on a branch of a repository, without touching its working tree, index or
current branch; `--to workflow` writes the workflow that deploys a site which lies in the repository. Nothing is pushed:
what is left to do is printed.
"""

import dataclasses
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from flowatlas.errors import InputError, RunError
from flowatlas.files import replacing
from flowatlas.hosts import HOSTS, Part, refuse_too_large, size
from flowatlas.site_check import files_of, is_site

WORKFLOW = ".github/workflows/pages.yml"
_WORKFLOW_TEXT = """\
# Serves the folder {folder} of this repository on GitHub Pages (once: Settings > Pages > Source: GitHub Actions).
name: pages
on:
  push:
    branches: [{branch}]
  workflow_dispatch:
permissions:
  contents: read
  pages: write
  id-token: write
concurrency:
  group: pages
  cancel-in-progress: false
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment:
      name: github-pages
      url: ${{{{ steps.deployment.outputs.page_url }}}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/configure-pages@v5
      - uses: actions/upload-pages-artifact@v3
        with:
          path: {folder}
      - id: deployment
        uses: actions/deploy-pages@v4
"""


def publish_branch(
    site: Path, repository: Path, branch: str = "gh-pages", under: str = "", history: bool = True
) -> list[str]:
    """Commit a site to a branch, as all of it or as its folder `under`; returns lines that say what is left to do.

    Without `history` the commit has no parent, so that the repository does not keep what was published before. Raises
    RunError for what is no site or is more than GitHub Pages takes, InputError for a repository or branch that will not do.
    """
    files = _checked(site)
    repo = _Repository(repository)
    folder = _folder(under)
    repo.refuse_checked_out(branch)
    parent = repo.tip(branch)
    kept = _kept(repo, parent, branch, folder)
    tree = repo.tree(kept, {folder + name: path for name, path in files.items()})
    said = f"branch {branch} of {repo.folder}"
    if parent and repo.run("rev-parse", f"{parent}^{{tree}}") == tree:
        return [f"{said} holds this very site already", *_last_steps(repo, branch, folder, history)]
    message = f"Site of flowatlas: {len(files):,} files, {size(_whole(files).bytes)}"
    commit = repo.run("commit-tree", tree, *(["-p", parent] if parent and history else []), "-m", message)
    repo.run("update-ref", f"refs/heads/{branch}", commit)
    done = f"{said} holds the site as commit {commit[:10]} ({size(_whole(files).bytes)} in {len(files):,} files)"
    return [f"{done}; nothing was pushed", *_last_steps(repo, branch, folder, history)]


def publish_workflow(site: Path, repository: Path) -> list[str]:
    """Write the workflow that deploys a site which lies in the repository. Raises as publish_branch."""
    files, repo = _checked(site), _Repository(repository)
    root = Path(repo.run("rev-parse", "--show-toplevel"))
    place = site.resolve()
    if not place.is_relative_to(root) or place == root:
        raise InputError(
            f"{site} is no folder inside {root}: make the site there (and commit it), or use --to gh-pages"
        )
    folder = place.relative_to(root).as_posix()
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", folder):
        raise InputError(f"{folder}: a folder of letters, digits and . _ / - is needed in a workflow")
    branch = repo.run("symbolic-ref", "--short", "HEAD", fallback="main")
    text, path = _WORKFLOW_TEXT.format(folder=folder, branch=branch), root / WORKFLOW
    if path.exists() and path.read_text() != text:
        raise InputError(f"{path} is there already and another one: move it away, or use --to gh-pages")
    with replacing(path) as temporary:
        temporary.write_text(text)
    whole = f"{size(_whole(files).bytes)} in {len(files):,} files"
    return [
        f"{path} deploys {folder} ({whole}); nothing was committed or pushed",
        f"next: git -C {root} add {WORKFLOW} {folder} && git -C {root} commit && git -C {root} push",
        f"once, on GitHub: Settings > Pages > Source: GitHub Actions; the site is then at {_address(repo, '')}",
    ]


def _checked(site: Path) -> dict[str, Path]:
    """The site's files by name, known to fit GitHub Pages."""
    if not is_site(site):
        raise RunError(
            f"{site} is no site (it has no data/catalogue.json): make one with `flowatlas site RUN --out {site}`"
        )
    files = files_of(site)
    parts = {name: Part(path.stat().st_size, 1, path.stat().st_size) for name, path in files.items()}
    refuse_too_large(parts, 0, dataclasses.replace(HOSTS["github-pages"], files=None))
    return files


def _whole(files: dict[str, Path]) -> Part:
    return sum((Part(path.stat().st_size, 1) for path in files.values()), Part())


def _folder(under: str) -> str:
    """`atlas/` for --under atlas; empty for the branch's top. Raises InputError for a way out of the branch."""
    parts = [part for part in under.split("/") if part]
    if any(part in (".", "..", ".git") or re.search(r"[\x00-\x1f\\]", part) for part in parts):
        raise InputError(f"--under {under}: a folder's name is needed")
    return "/".join([*parts, ""]) if parts else ""


def _kept(repo: "_Repository", parent: str | None, branch: str, folder: str) -> list[str]:
    """The entries of the branch, as `git ls-tree` has them, that stay beside the site. Raises InputError."""
    entries = repo.entries(parent) if parent else {}
    if folder:
        return [line for name, line in entries.items() if not name.startswith(folder)]
    if entries and "data/catalogue.json" not in entries:
        raise InputError(
            f"branch {branch} of {repo.folder} holds something else than a site of flowatlas: give --under atlas to put the "
            "site in a folder of it, or another --branch"
        )
    return [line for name, line in entries.items() if name == "CNAME"]  # the domain that the pages answer at


def _last_steps(repo: "_Repository", branch: str, folder: str, history: bool) -> list[str]:
    force = "" if history else "--force "
    return [
        f"last step: git -C {repo.folder} push {force}origin {branch}",
        f"once, on GitHub: Settings > Pages > Deploy from a branch: {branch}, / (root); the site is then at "
        f"{_address(repo, folder)}",
    ]


def _address(repo: "_Repository", folder: str) -> str:
    """Where GitHub will serve it, as far as the remote `origin` tells."""
    remote = repo.run("config", "--get", "remote.origin.url", fallback="")
    found = re.search(r"github\.com[:/]([\w.-]+)/([\w.-]+?)(?:\.git)?/?$", remote)
    if not found:
        return f"https://OWNER.github.io/REPOSITORY/{folder}"
    owner, name = found[1].lower(), found[2]
    return f"https://{owner}.github.io/{'' if name.lower() == f'{owner}.github.io' else name + '/'}{folder}"


class _Repository:
    """A git repository, by git's own commands. Raises InputError when it is none, and for whatever git refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give a git repository with --repo")
        self.run("rev-parse", "--git-dir")

    def run(
        self, *command: str, given: str | None = None, index: str | None = None, fallback: str | None = None
    ) -> str:
        """What a git command prints; `index` is an index file of our own, `fallback` what a failing command stands for."""
        environment = os.environ | ({"GIT_INDEX_FILE": index} if index else {})
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *command],
                input=given, capture_output=True, text=True, check=False, env=environment,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise InputError("git is needed to publish, and there is none here") from error
        if done.returncode == 0:
            return done.stdout.strip("\n")
        if fallback is not None:
            return fallback
        lines = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))] or ["it failed"]
        raise InputError(f"{self.folder}: git {command[0]}: {lines[-1].partition(': ')[2] or lines[-1]}")

    def tip(self, branch: str) -> str | None:
        """The branch's commit: ours, else that of `origin` as it was fetched; None when there is none."""
        self.run("check-ref-format", "--branch", branch)
        for name in (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"):
            if found := self.run("rev-parse", "--verify", "--quiet", name, fallback=""):
                return found
        return None

    def refuse_checked_out(self, branch: str) -> None:
        """A branch that somebody works in is not changed under them."""
        if f"branch refs/heads/{branch}" in self.run("worktree", "list", "--porcelain").splitlines():
            raise InputError(f"branch {branch} of {self.folder} is checked out: switch to another one first")

    def entries(self, commit: str) -> dict[str, str]:
        """Lines of `git ls-tree` by the path that they are about."""
        lines = self.run("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
        return {line.partition("\t")[2]: line for line in lines if line}

    def tree(self, kept: Iterable[str], files: dict[str, Path]) -> str:
        """The id of a tree of entries as they are and of files byte by byte (no filter, no line ends changed)."""
        names = "".join(f"{path.resolve()}\n" for path in files.values())
        ids = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", given=names).splitlines()
        added = [f"100644 blob {id_}\t{name}" for id_, name in zip(ids, files, strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            index = f"{folder}/index"
            self.run(
                "update-index", "-z", "--index-info", given="".join(f"{e}\0" for e in (*kept, *added)), index=index
            )
            return self.run("write-tree", index=index)
