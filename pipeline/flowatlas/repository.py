"""A git repository, by git's own commands: what publishing asks of it, and trees of files made without its working tree."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from flowatlas.errors import InputError


class Repository:
    """Raises InputError when a folder is no git repository, and for whatever git refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give a git repository with --repo")
        try:
            self.run("rev-parse", "--git-dir")
        except InputError as error:
            if "not a git repository" not in str(error):  # one of somebody else, say
                raise
            raise InputError(f"{folder} is not a git repository: give one with --repo, or `git init` one") from error

    def run(
        self, *command: str, given: str | None = None, index: str | None = None, fallback: str | None = None
    ) -> str:
        """What a git command prints; `index` is an index file of our own, `fallback` what a failing command stands for."""
        environment = os.environ | ({"GIT_INDEX_FILE": index} if index else {})
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *command],
                input=given, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False, env=environment,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise InputError("git is needed to publish, and there is none here") from error
        if done.returncode == 0:
            return done.stdout.strip("\n")
        if fallback is not None:
            return fallback
        lines = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))] or ["it failed"]
        raise InputError(f"{self.folder}: git {command[0]}: {lines[-1].partition(': ')[2] or lines[-1]}")

    @property
    def remote(self) -> str | None:
        """Where a branch is pushed to: `origin`, else the first one that there is."""
        names = self.run("remote").split()
        return "origin" if "origin" in names else next(iter(names), None)

    def tip(self, branch: str) -> str | None:
        """The branch's commit: ours, else that of the remote as it was fetched; None when there is none."""
        self.run("check-ref-format", "--branch", branch)
        for name in (f"refs/heads/{branch}", f"refs/remotes/{self.remote or 'origin'}/{branch}"):
            if found := self.run("rev-parse", "--verify", "--quiet", name, fallback=""):
                return found
        return None

    def refuse_checked_out(self, branch: str) -> None:
        """A branch that somebody works in is not changed under them."""
        if f"branch refs/heads/{branch}" in self.run("worktree", "list", "--porcelain").splitlines():
            raise InputError(f"branch {branch} of {self.folder} is checked out: switch to another one first")

    def entries(self, tree: str) -> dict[str, str]:
        """Lines of `git ls-tree` of a commit or tree by the path that they are about."""
        lines = self.run("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        return {line.partition("\t")[2]: line for line in lines if line}

    def blob(self, line: str) -> str:
        """The content of a file by its line of `git ls-tree`."""
        return self.run("cat-file", "blob", re.split(r"[ \t]", line)[2])

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        """The id of a commit of a tree, by whoever git says that the user is."""
        try:
            return self.run("commit-tree", tree, *(["-p", parent] if parent else []), "-m", message)
        except InputError as error:
            raise InputError(f"{error} (git config user.name and user.email say who you are)") from error

    def store(self, text: str) -> str:
        """The id of a file's content, which is in the repository from now on."""
        return self.run("hash-object", "-w", "--stdin", given=text)

    def tree(self, kept: Iterable[str], files: Mapping[str, Path], texts: Mapping[str, str]) -> str:
        """The id of a tree of entries as they are, of files byte by byte (no filter, no line ends changed), and of texts.

        Raises InputError where git left some of them out: it takes no name that some system reads as `.git`.
        """
        kept = list(kept)
        paths = "".join(f"{path.resolve()}\n" for path in files.values())
        ids = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", given=paths).splitlines()
        named = [*zip(ids, files, strict=True), *((self.store(text), name) for name, text in texts.items())]
        lines = "".join(f"{line}\0" for line in (*kept, *(f"100644 blob {id_}\t{name}" for id_, name in named)))
        with tempfile.TemporaryDirectory() as folder:
            index = f"{folder}/index"
            self.run("update-index", "-z", "--index-info", given=lines, index=index)
            tree = self.run("write-tree", index=index)
        if (found := len(self.entries(tree))) != len(kept) + len(named):
            raise InputError(f"git takes only {found:,} of {len(kept) + len(named):,} files: choose another --under")
        return tree
